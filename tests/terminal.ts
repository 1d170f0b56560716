/** A real terminal for the tests: tmux, driven by keys, read as text. */

import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import { labTest, MAIN, PATIENCE_MS, sleep } from "./lab_support.js";

const WAIT_MS = PATIENCE_MS;
const POLL_MS = 50;

const hasTmux = spawnSync("tmux", ["-V"]).status === 0;

/** A test that needs a terminal and a lab. */
export function terminalTest(name: string, action: () => Promise<void>): void {
  if (hasTmux) labTest(name, action);
  else test.skip(`${name} (tmux is not installed)`);
}

export class Terminal {
  private readonly folder = mkdtempSync(join(tmpdir(), "carom-terminal-"));

  /** Starts carom in it; when carom has ended, its exit status is on the screen: "ended with 0". */
  constructor(columns: number, rows: number, args = "", environment = "") {
    const command = `${environment} ${process.execPath} ${MAIN} ${args}; echo "ended with $?"; sleep 60`;
    const size = ["-x", String(columns), "-y", String(rows)];
    // CI is for programs that have nobody before them; here somebody is.
    this.tmux("-f", "/dev/null", "new-session", "-d", ...size, `unset CI NO_COLOR; ${command}`);
  }

  /** Keys by tmux's names ("Enter", "C-c"), or texts. */
  send(...keys: readonly string[]): void {
    for (const key of keys) this.tmux("send-keys", key);
  }

  screen(): string {
    return this.tmux("capture-pane", "-p");
  }

  resize(columns: number, rows: number): void {
    this.tmux("resize-window", "-x", String(columns), "-y", String(rows));
  }

  /** @returns the screen that shows it */
  async shows(wanted: RegExp): Promise<string> {
    let screen = "";
    for (const end = performance.now() + WAIT_MS; performance.now() < end; await sleep(POLL_MS)) {
      screen = this.screen();
      if (wanted.test(screen)) return screen;
    }
    throw new Error(`the screen does not show ${wanted}:\n${screen}`);
  }

  /** Keys one by one, each when what the one before does can be seen. */
  async types(...steps: readonly (readonly [key: string, shows: RegExp])[]): Promise<void> {
    for (const [key, wanted] of steps) {
      this.send(key);
      await this.shows(wanted);
    }
  }

  /** The process of carom in it. */
  pid(): number {
    const shell = this.tmux("display-message", "-p", "#{pane_pid}").trim();
    const children = execFileSync("ps", ["--no-headers", "-o", "pid,comm", "--ppid", shell], {
      encoding: "utf8",
    });
    const line = children.split("\n").find((text) => /node|MainThread/.test(text)) ?? "";
    return Number.parseInt(line.trim(), 10);
  }

  /** As when its window is closed. */
  close(): void {
    spawnSync("tmux", ["-S", join(this.folder, "socket"), "kill-server"]);
    rmSync(this.folder, { recursive: true, force: true });
  }

  private tmux(...args: readonly string[]): string {
    return execFileSync("tmux", ["-S", join(this.folder, "socket"), ...args], { encoding: "utf8" });
  }
}
