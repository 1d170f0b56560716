/** linuxptp and carom on the same devices: the servo of ptp4l goes on as if carom were not there. */

import { type ChildProcess, spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import type { Link } from "../../../native/index.js";
import { allRight, demand, runPair } from "./carom.js";
import { inside, stampMode, unsteer } from "./nic.js";
import { type Pair, sleep, until } from "./pair.js";

const LOCK_MS = 60_000;
const LOCKED_NS = 100;
const LOCKED_READINGS = 8; // one after the other
const AROUND_MS = 4_000; // before and after the run
/** Of the servo once it is locked; the devices' stamps are exact, whatever the guest's processors are doing. */
const OFFSET_MAX_NS = 500;

/** Eight messages a second, and a stamp that a loaded guest is slow to tell is waited for. */
function configuration(name: string): string {
  const lines = {
    clock_servo: "pi",
    tx_timestamp_timeout: 5000,
    logSyncInterval: -3,
    logMinDelayReqInterval: -3,
    logAnnounceInterval: -1,
    summary_interval: -4,
    uds_address: `/run/ptp4l-${name}`,
  };
  return `[global]\n${Object.entries(lines)
    .map(([key, value]) => `${key} ${value}\n`)
    .join("")}`;
}

/** A ptp4l that runs, and what it has said. */
class Daemon {
  readonly lines: string[] = [];
  private readonly child: ChildProcess;
  private readonly ended: Promise<void>;
  hasEnded = false;

  constructor(program: string, name: string, link: Link, ...more: string[]) {
    const file = `/tmp/ptp4l-${name}.conf`;
    writeFileSync(file, configuration(name));
    const args = ["-f", file, "-2", "-H", "-m", "-q", "-i", link.interfaceName, ...more];
    const [first = "", ...rest] = inside(link, program, ...args);
    this.child = spawn(first, rest, { stdio: ["ignore", "pipe", "pipe"] });
    this.ended = new Promise((resolve) => {
      this.child.on("close", () => {
        this.hasEnded = true;
        resolve();
      });
    });
    for (const stream of [this.child.stdout!, this.child.stderr!])
      createInterface({ input: stream }).on("line", (line) => this.lines.push(line));
  }

  /** What the servo said from some line on. */
  offsets(from = 0): number[] {
    return this.lines
      .slice(from)
      .map((line) => /(?:master offset|rms) +(-?\d+)/.exec(line)?.[1])
      .filter((text) => text !== undefined)
      .map(Number);
  }

  async end(): Promise<void> {
    this.child.kill("SIGTERM");
    await this.ended;
  }
}

function largest(offsets: readonly number[]): number {
  return Math.max(...offsets.map(Math.abs));
}

/** The servo's offset before, during and after a run with hardware stamps, and the NIC's mode. */
export async function besidePtp(pair: Pair, ptp4l: string): Promise<string> {
  const before = stampMode(pair.near);
  const master = new Daemon(ptp4l, "master", pair.far, "--masterOnly", "1");
  const slave = new Daemon(ptp4l, "slave", pair.near, "-s");
  try {
    const isLocked = () => {
      const last = slave.offsets().slice(-LOCKED_READINGS);
      return last.length === LOCKED_READINGS && largest(last) < LOCKED_NS;
    };
    await until("ptp4l has locked", isLocked, LOCK_MS).catch((error: Error) => {
      throw new Error(
        `${error.message}: ${[...master.lines.slice(-4), ...slave.lines.slice(-6)].join("; ")}`,
      );
    });
    const mode = stampMode(pair.near);
    const told: string[] = [];
    const part = async (name: string, action: () => Promise<void>) => {
      const from = slave.lines.length;
      await action();
      const offsets = slave.offsets(from);
      demand(offsets.length >= LOCKED_READINGS, `ptp4l told ${offsets.length} offsets ${name} the run`);
      demand(largest(offsets) < OFFSET_MAX_NS, `ptp4l was off by ${largest(offsets)} ns ${name} the run`);
      told.push(`${name}: ${largest(offsets)} ns at most in ${offsets.length}`);
    };
    await part("before", () => sleep(AROUND_MS));
    await part("during", async () => {
      const report = await runPair(pair, "af_packet", "af_packet", {
        over: { timestamps: "hardware", count: "400" },
      });
      allRight(report);
      demand(report.clock.unstamped === 0, `${report.clock.unstamped} round trips without stamps`);
      demand(report.clock.hardware!.steps === 0, "the clock that ptp4l steers is said to have been set");
    });
    demand(stampMode(pair.near) === mode, `the NIC's mode is ${stampMode(pair.near)}, and was ${mode}`);
    await part("after", () => sleep(AROUND_MS));
    return `the servo's offset ${told.join(", ")}; the NIC's mode ${mode} as before`;
  } finally {
    await Promise.all([master.end(), slave.end()]);
    const [tx = 0, rx = 0] = before.split(" ").map(Number);
    stampMode(pair.near, tx, rx);
    unsteer(pair.near);
  }
}
