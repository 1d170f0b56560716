/** What a replay waits for, and what it sends where an interface or a frame is unusual. */

import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { decodeFrame } from "../wire/decode.js";
import { MAIN } from "./lab_support.js";

const test = suite("replay inputs");
let folder = "";

test.before(() => {
  folder = mkdtempSync(join(tmpdir(), "carom-inputs-"));
});
test.after(() => rmSync(folder, { recursive: true, force: true }));

/** The files that a process has open; none if it is gone. */
function openFiles(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).map((name) => readlinkSync(`/proc/${pid}/fd/${name}`));
  } catch {
    return [];
  }
}

test("a pipe that never begins is waited for with nothing made yet: every signal ends that", async () => {
  const pipe = join(folder, "pipe");
  execFileSync("mkfifo", [pipe]);
  const signals = ["SIGINT", "SIGTERM", "SIGHUP", "SIGKILL"] as const;
  const pids = await Promise.all(
    signals.map(async (signal) => {
      const child = spawn(process.execPath, [MAIN, "replay", pipe], { stdio: "ignore" });
      const ended = once(child, "exit");
      while (!openFiles(child.pid!).includes(pipe) && child.exitCode === null) await sleep(20);
      child.kill(signal);
      assert.is((await ended)[1], signal);
      return child.pid!;
    }),
  );
  const labs = execFileSync(process.execPath, [MAIN, "lab", "list"], { encoding: "utf8" });
  for (const pid of pids) assert.not.match(labs, new RegExp(`process ${pid}\\b`));
});

test("checksums with a routing header are those of the final destination", () => {
  const capture = readFileSync(join(import.meta.dirname, "../../tests/cases/E07-routing.pcap"));
  let frames = 0;
  for (let at = 24; at < capture.length; frames++) {
    const size = capture.readUInt32LE(at + 8);
    assert.equal(decodeFrame(capture.subarray(at + 16, at + 16 + size)).problems, []);
    at += 16 + size;
  }
  assert.is(frames, 2);
});

test.run();
