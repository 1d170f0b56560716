/**
 * The stamps of single ticks, kept beside the report of one end, so that `carom join` can put them together with
 * those of the other end (docs/two-hosts.md): an owner-only file, bounded by memory that is taken at the start.
 */

import { createHash } from "node:crypto";
import {
  closeSync,
  constants,
  existsSync,
  fchmodSync,
  fstatSync,
  ftruncateSync,
  openSync,
  rmSync,
  writeSync,
} from "node:fs";
import { optionGroup, type Values } from "../config/option.js";
import { besideReport, duration, filePath, formatNs, integer, name, powerOfTwo } from "../config/values.js";
import { atEndOfProcess } from "../lab/end.js";
import { CaromError } from "../native/error.js";
import type { ClockTiesReport } from "./clock_ties.js";
import type { NicClockReport } from "./nic_clock.js";
import { type DaemonFindings, ptpText } from "./time_daemons.js";

const hosts = optionGroup("Two hosts");

const ROOM = 1 << 20;
const ROOM_MAX = 1 << 23; // 32 bytes each
const EVERY_MAX = 1 << 20;

export const stampOptions = {
  stamps: hosts(besideReport(), "keep when each tick passed here in this file, for carom join", "file"),
  stampEvery: hosts(
    powerOfTwo(1, EVERY_MAX),
    "of one tick in so many, the same ones at both ends (default: all, or what the room is enough for)",
    "ticks",
  ),
  stampRoom: hosts(integer(1, ROOM_MAX), `of so many ticks at most (default: ${ROOM})`, "ticks"),
  runId: hosts(name(), "the same at both ends: carom join refuses reports of different ones", "name"),
  clockError: hosts(
    duration(0, 3600e9),
    "how far CLOCK_REALTIME is off here at most, where you know it better than the kernel does",
    "time",
  ),
  ptpSocket: hosts(
    filePath(),
    "ptp4l's socket (uds_address), where it is another than /var/run/ptp4l: it is asked how far its clock is off",
    "path",
  ),
} as const;

type StampValues = Values<typeof stampOptions>;

export interface StampsPlan {
  readonly path: string;
  readonly one_in: number; // of so many ticks one is kept
  readonly room: number; // of each thread
  readonly run_id: string | null;
  readonly clock_error_ns: number | null;
  readonly ptp_socket: string | null;
}

/** @throws CaromError (usage) */
export function refuseStampOptions(values: StampValues): void {
  const others = { "--stamp-every": values.stampEvery, "--stamp-room": values.stampRoom };
  for (const [option, value] of Object.entries({
    ...others,
    "--run-id": values.runId,
    "--clock-error": values.clockError,
    "--ptp-socket": values.ptpSocket,
  })) {
    if (value !== undefined && values.stamps === undefined)
      throw new CaromError("usage", option, "it is about --stamps", "add --stamps FILE, or leave it out");
  }
}

/**
 * @param ticks how many there will be; Infinity where nobody knows
 * @throws CaromError (environment) when the file can't be written: not only when the run is over
 */
export function stampsPlan(values: StampValues, ticks: number): StampsPlan | null {
  if (values.stamps === undefined) return null;
  claim(values.stamps);
  const room = values.stampRoom ?? ROOM;
  return {
    path: values.stamps,
    one_in: values.stampEvery ?? (Number.isFinite(ticks) ? followEvery(ticks, room * FULL) : 1),
    room,
    run_id: values.runId ?? null,
    clock_error_ns: values.clockError ?? null,
    ptp_socket: values.ptpSocket ?? null,
  };
}

const FULL = 0.9; // of the room: a choice by hash is never quite even

/** One tick of how many is followed, a power of two, so that about so many are. */
export function followEvery(ticks: number, wanted: number): number {
  return 2 ** Math.min(20, Math.max(0, Math.ceil(Math.log2(ticks / wanted))));
}

/** What a section of the file has, in this order: rows of four 64-bit numbers. */
export const SECTIONS = ["sends", "answers", "passages", "nic_sent", "nic_received"] as const;
export type Section = (typeof SECTIONS)[number];
export type StampSections = Readonly<Record<Section, BigUint64Array>>;

export const ROW = 4; // numbers

export interface StampsReport {
  readonly file: string;
  readonly sha256: string;
  readonly run_id: string | null;
  readonly one_in: number;
  readonly room: number;
  readonly rows: Readonly<Record<Section, number>>;
  readonly dropped: number; // rows that found no room
  readonly clock: ClockTiesReport;
  readonly daemons: DaemonFindings | null; // what those that keep the clocks said
  readonly nic_clock: NicClockReport | null; // of the NIC whose stamps are in the last two sections
}

/** What is to be known of them without joining anything. */
export function stampsNotes(stamps: StampsReport | null): string[] {
  if (stamps === null) return [];
  const { rows, dropped, file, one_in, clock, daemons } = stamps;
  const kept = Math.max(rows.sends, rows.passages).toLocaleString("en-US");
  const bound = clock.bound_ns === null ? "has no bound" : `is off by ${formatNs(clock.bound_ns)} at most`;
  return [
    `stamps of ${kept} ticks, one in ${one_in}, are in ${file}; CLOCK_REALTIME ${bound} (${clock.bound_reason})`,
    ...(daemons?.ptp ? [ptpText(daemons.ptp)] : []),
    ...(dropped > 0
      ? [`${dropped.toLocaleString("en-US")} stamps found no room: raise --stamp-room or --stamp-every`]
      : []),
  ];
}

export const MAGIC = Buffer.from("caromst2", "latin1");

/** Makes the file, and what the report says of it. @throws CaromError (environment) when it can't be written */
export function writeStamps(
  plan: StampsPlan,
  found: Partial<StampSections> & { readonly unlogged: number },
  clock: ClockTiesReport,
  daemons: DaemonFindings | null,
  nicClock: NicClockReport | null = null,
): StampsReport {
  const sections = SECTIONS.map((section) => found[section] ?? new BigUint64Array(0));
  const head = Buffer.alloc(MAGIC.length + 8 * SECTIONS.length);
  MAGIC.copy(head);
  for (const [index, rows] of sections.entries())
    head.writeBigUInt64LE(BigInt(rows.length / ROW), MAGIC.length + 8 * index);
  const parts = [head, ...sections.map((rows) => Buffer.from(rows.buffer, rows.byteOffset, rows.byteLength))];
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  const counts = sections.map((rows, index) => [SECTIONS[index], rows.length / ROW]);
  write(plan.path, Buffer.concat(parts));
  return {
    file: plan.path,
    sha256: hash.digest("hex"),
    run_id: plan.run_id,
    one_in: plan.one_in,
    room: plan.room,
    rows: Object.fromEntries(counts) as StampsReport["rows"],
    dropped: found.unlogged,
    clock,
    daemons,
    nic_clock: nicClock,
  };
}

/** Files that are open and not written yet, by their paths; those that are new go if it never comes to that. */
const claimed = new Map<string, { readonly descriptor: number; readonly isNew: boolean }>();

/**
 * Only its owner may read it: it tells what was traded when. It stays open, as a responder may have given up the right to
 * make a file there when it has something to write.
 */
function claim(path: string): void {
  attempt(path, () => {
    if (claimed.has(path)) return;
    const { O_RDWR, O_CREAT, O_NONBLOCK } = constants;
    const isNew = !existsSync(path);
    const descriptor = openSync(path, O_RDWR | O_CREAT | O_NONBLOCK, 0o600); // waits for no pipe's reader
    if (!fstatSync(descriptor).isFile()) {
      closeSync(descriptor);
      throw new Error("it is no file");
    }
    fchmodSync(descriptor, 0o600);
    claimed.set(path, { descriptor, isNew });
    atEndOfProcess(giveUp);
  });
}

function giveUp(): void {
  for (const [path, { descriptor, isNew }] of claimed) {
    closeSync(descriptor);
    try {
      if (isNew) rmSync(path, { force: true });
    } catch {
      // The right to do so was given up: it is empty.
    }
  }
  claimed.clear();
}

function write(path: string, bytes: Buffer): void {
  claim(path);
  const { descriptor } = claimed.get(path)!;
  attempt(path, () => {
    ftruncateSync(descriptor);
    for (let at = 0; at < bytes.length; ) at += writeSync(descriptor, bytes, at, bytes.length - at, at);
  });
  claimed.delete(path);
  closeSync(descriptor);
}

function attempt(path: string, action: () => void): void {
  try {
    action();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const detail = code === "ENOSPC" ? "the disk is full (ENOSPC)" : (code ?? message);
    throw new CaromError(
      "environment",
      `write the stamps ${path}`,
      detail,
      "free space or choose another path",
    );
  }
}
