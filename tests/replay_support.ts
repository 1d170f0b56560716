/** Replays for the tests, in a lab, with what arrives at its far end. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import { command } from "../cli/replay.js";
import { resolveValues } from "../config/file.js";
import type { Lab } from "../lab/lab.js";
import { CaromError } from "../native/error.js";
import { openFrameSocket } from "../native/index.js";
import type { Report } from "../run/report.js";
import { buildFrame, type FrameFields } from "../wire/frame.js";
import type { Captured } from "./capture_support.js";
import { type Ended, reportOf } from "./cli_support.js";
import { labForTests, PREFIX } from "./lab_support.js";

export const BEGIN_NS = 1_700_000_000_123_456_789n;
export const SOURCE = "02:aa:00:00:00:01"; // tells these frames from what the kernel sends by itself

const folder = mkdtempSync(join(tmpdir(), "carom-replay-"));
// It stays, as one of another process would, when a run in it is over. Without one every test here is skipped.
export const lab = labForTests({ name: `${PREFIX}-replay`, stay: true }) as Lab;

test.after(() => {
  rmSync(folder, { recursive: true });
});

export function fieldsOf(number: number, over: Partial<FrameFields> = {}): FrameFields {
  return {
    ethernet: { source: SOURCE, destination: "02:bb:00:00:00:02" },
    ip: { source: "10.1.2.3", destination: "10.9.8.7", identification: number },
    udp: { sourcePort: 5000, destinationPort: 6000 },
    payload: Buffer.from(`frame ${String(number).padStart(6, "0")}`),
    ...over,
  };
}

/** Frames so far apart, in ns. */
export function captured(count: number, gap_ns: bigint, first = 0): Captured[] {
  return Array.from({ length: count }, (_, index) => ({
    time_ns: BEGIN_NS + gap_ns * BigInt(index),
    frame: buildFrame(fieldsOf(first + index)),
  }));
}

export function write(name: string, content: Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

interface Replayed {
  readonly ended: Ended;
  readonly report: Report;
  readonly frames: Buffer[]; // as they arrived
  readonly times_ns: bigint[];
}

/** Replays in the lab, in this process, and takes what arrives. */
export async function replay(...args: string[]): Promise<Replayed> {
  const far = openFrameSocket({ link: lab.responder, holdPort: 0 });
  try {
    const ended = await replayHere(args);
    const arrived = far.receive().filter(({ frame }) => isOurs(frame));
    return {
      ended,
      report: ended.stdout === "" ? ({} as Report) : reportOf(ended),
      frames: arrived.map(({ frame }) => frame),
      times_ns: arrived.map(({ time_ns }) => time_ns),
    };
  } finally {
    far.close();
  }
}

/** As the command line does it: files, and flags with their values. */
async function replayHere(args: readonly string[]): Promise<Ended> {
  const texts = new Map([["lab", { text: lab.name, place: "--lab" }]]);
  const files: string[] = [];
  for (let at = 0; at < args.length; at++) {
    const flag = /^--(no-)?(.*)$/.exec(args[at]!);
    const name = (flag?.[2] ?? "").replace(/-./g, (part) => part[1]!.toUpperCase());
    if (flag === null) files.push(args[at]!);
    else if (command.options[name]!.value !== "")
      texts.set(name, { text: args[++at]!, place: args[at - 1]! });
    else texts.set(name, { text: String(flag[1] === undefined), place: args[at]! });
  }
  let stdout = "";
  const context = {
    args: files,
    given: {},
    json: true,
    say: () => {},
    result: (value: unknown) => {
      stdout = JSON.stringify(value);
    },
  };
  try {
    const status = await command.run(resolveValues(command.options, texts), context);
    return { status, signal: null, stdout, stderr: "" };
  } catch (error) {
    if (!(error instanceof CaromError)) throw error;
    return { status: error.exitStatus, signal: null, stdout, stderr: error.message };
  }
}

export const isOurs = (frame: Buffer) => frame.subarray(6, 8).toString("hex") === "02aa";
export const hexOf = (frames: readonly Uint8Array[]) =>
  frames.map((frame) => Buffer.from(frame).toString("hex"));
export const message = ({ stdout, stderr }: Ended) => `${stdout}${stderr}`;
