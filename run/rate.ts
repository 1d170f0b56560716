/** Rates: over which time they are taken, and how they are shown. */

import type { Counters } from "../native/index.js";
import { rateText } from "./lines.js";

/**
 * Ticks a second, from the first send to the last. What left in the first batch left at one time, at which the
 * interval begins, so it is not counted. 0: there is no rate, as all of it left at one time.
 */
export function sentRate(counters: Counters): number {
  const { sent = 0, sent_at_first = 0, measured_ns = 0 } = counters;
  const later = sent - Math.max(1, sent_at_first);
  return later > 0 && measured_ns > 0 ? later / (measured_ns / 1e9) : 0;
}

/** "0.5 a second", "186,865 a second" */
export function aSecond(rate: number): string {
  return rate > 0 ? `${rateText(rate)} a second` : "too few for a rate";
}

const FEW = 10; // events that make a rate
const LONGEST_S = 60;

interface Mark {
  readonly time_s: number;
  readonly count: number;
}

/** The rate of something that is counted while it goes on: over the last second or, of few events, over more. */
export class RecentRate {
  private marks: Mark[] = [];

  /** @param count of all events so far @returns events a second */
  at(time_s: number, count: number): number {
    this.marks.push({ time_s, count });
    const since = this.marks.findLast((mark) => time_s > mark.time_s && count - mark.count >= FEW);
    const from = since ?? this.marks[0]!;
    this.marks = this.marks.filter(({ time_s: then }) => time_s - then < LONGEST_S);
    return time_s > from.time_s ? (count - from.count) / (time_s - from.time_s) : 0;
  }
}

/** The same of rates that are known second by second, the newest last. */
export function recentRate(rates: readonly number[]): number {
  let [sum, seconds] = [0, 0];
  while (seconds < Math.min(LONGEST_S, rates.length) && sum < FEW) sum += rates.at(-++seconds)!;
  return seconds === 0 ? 0 : sum / seconds;
}
