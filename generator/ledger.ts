/**
 * How many ticks a generator remembers: each one until its answer can't be in time any more. It is taken when a run
 * is planned, and does not grow: what does not fit is refused here, or counted while it runs (`forgotten`).
 */

import { freemem } from "node:os";
import { formatNs } from "../config/values.js";
import { CaromError } from "../native/error.js";

const SMALLEST = 2 ** 12;
const SMALLEST_AHEAD = 2 ** 17; // where ticks are planned ahead of a program in the kernel: some ms of them
const USUAL = 2 ** 22; // up to this, answers that are late are told from those that nobody expects, too
const LARGEST = 2 ** 26;
const SLACK_S = 0.1; // a sender that was stopped catches up
const WIDE_PPS = 1e6; // a closed loop with several in flight, about; what it sends beyond is counted

/** Bytes of a tick in the ledger (struct ledger_entry and ledger_due, native/generate/ledger_entry.h). */
export const LEDGER_TICK_BYTES = 80;

export interface LedgerNeed {
  readonly mode: "closed" | "open" | "max";
  readonly window: number;
  readonly receives: boolean;
  readonly isPlannedAhead: boolean;
  readonly mean_pps: number;
  readonly peak_pps: number; // for tens of ms
  readonly timeoutNs: number;
  readonly holdNs: number;
  readonly warmupNs: number;
  readonly durationNs: number; // 0: until the count is reached
  readonly count: number; // 0: until the duration is over
}

/** How many ticks there may be: half of the memory that is free, shared among threads. */
export function ledgerRoom(threads = 1): number {
  const limit = process.constrainedMemory() || Infinity; // 0: none
  const free = Math.min(freemem(), limit) / 2 / threads / LEDGER_TICK_BYTES;
  return Math.min(LARGEST, 2 ** Math.floor(Math.log2(Math.max(SMALLEST, free))));
}

/** For how long a tick is remembered, and no longer than the run is. */
function held_s({ timeoutNs, holdNs, warmupNs, durationNs, count, mean_pps }: LedgerNeed): number {
  const counted_s = count === 0 ? Infinity : count / mean_pps;
  const run_s = warmupNs / 1e9 + Math.min(counted_s, durationNs === 0 ? Infinity : durationNs / 1e9);
  return Math.min((timeoutNs + holdNs) / 1e9, run_s) + SLACK_S;
}

/** @throws CaromError (usage) for more ticks than can be remembered */
export function refuseToForget(need: LedgerNeed, room: number): void {
  const ticks = Math.ceil(need.mean_pps * held_s(need));
  if (need.mode !== "open" || !need.receives || ticks <= room) return;
  const detail =
    `${ticks.toLocaleString("en-US")} ticks are sent before the first of them can be given up, and there is ` +
    `room for ${room.toLocaleString("en-US")} (${memoryText(room)})`;
  const operation = `remember ticks for ${formatNs(need.timeoutNs)}`;
  throw new CaromError("usage", operation, detail, "lower --timeout or the rate");
}

/** @param room the most that there may be, a power of two */
export function ledgerTicks(need: LedgerNeed, room: number): number {
  const { mode, window, receives, isPlannedAhead, peak_pps } = need;
  const smallest = isPlannedAhead ? SMALLEST_AHEAD : SMALLEST;
  // Without answers nothing is remembered, and a closed loop of one sends nothing while it waits.
  if (!receives || (mode === "closed" && window === 1)) return smallest;
  const peak = mode === "closed" ? WIDE_PPS * held_s({ ...need, count: 0 }) : peak_pps * held_s(need);
  // As fast as it goes is not known before.
  const needed = mode === "open" ? peak : Math.min(peak, USUAL);
  const wanted = Math.max(needed, Math.min(2 * peak, USUAL));
  return Math.max(smallest, Math.min(room, 2 ** Math.ceil(Math.log2(wanted))));
}

/** "640 MiB" */
export function memoryText(ticks: number): string {
  return `${Math.round((ticks * LEDGER_TICK_BYTES) / 2 ** 20).toLocaleString("en-US")} MiB`;
}
