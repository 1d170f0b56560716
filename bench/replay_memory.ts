/** How much memory a replay of a large file takes. */

import { closeSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { CaromError } from "../native/error.js";
import type { Report } from "../run/report.js";
import { carom, execute } from "./program.js";
import { PCAP_HEADER } from "./schedule.js";

const TIMES = 12; // the file of a million frames: a gigabyte
const POLL_MS = 50;

export interface Resident {
  readonly mib: number; // the largest resident set of the whole process
  readonly frames: number;
  readonly file_bytes: number;
}

/** @param options of carom replay: where to, and by which backend */
export async function residentOf(path: string, options: readonly string[]): Promise<Resident> {
  const large = `${path}.large`;
  let largest_kib = 0;
  let timer: NodeJS.Timeout | undefined;
  try {
    const file_bytes = enlarge(path, large);
    const command = carom("replay", large, "--fast", "--json", ...options);
    const { status, stdout, stderr } = await execute(command, (pid) => {
      timer = setInterval(() => {
        largest_kib = Math.max(largest_kib, highWater_kib(pid));
      }, POLL_MS);
    });
    if (status !== 0) throw new CaromError("environment", "carom replay", stderr.trim() || stdout);
    const { frames, files } = (JSON.parse(stdout) as Report).replay!;
    if (frames !== files[0]!.frames)
      throw new CaromError("internal", "replay a large file", `${frames} of ${files[0]!.frames} frames`);
    return { mib: largest_kib / 1024, frames, file_bytes };
  } finally {
    clearInterval(timer);
    rmSync(large, { force: true });
  }
}

/** The kernel keeps the largest one, so that nothing is missed between two looks. 0: the process is over. */
function highWater_kib(pid: number): number {
  try {
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0);
  } catch (error) {
    if (["ENOENT", "ESRCH"].includes((error as NodeJS.ErrnoException).code ?? "")) return 0;
    throw error;
  }
}

/** The same frames over and over: as fast as it goes, their times do not matter. Returns the size. */
function enlarge(path: string, large: string): number {
  const content = readFileSync(path);
  const file = openSync(large, "wx", 0o600);
  try {
    let size = writeSync(file, content, 0, PCAP_HEADER);
    for (let time = 0; time < TIMES; time++) {
      for (let at = PCAP_HEADER; at < content.length; ) at += writeSync(file, content, at);
      size += content.length - PCAP_HEADER;
    }
    return size;
  } finally {
    closeSync(file);
  }
}
