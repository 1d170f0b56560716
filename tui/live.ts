/** What is known of a measured run while it goes on: rates of a minute, the spectrum, percentiles. Plain functions. */

import { bucketRange } from "../native/histogram.js";
import type { Counters, Example, HistogramData, RecordedSoFar } from "../native/index.js";
import { SPECTRUM_BINS, spectrumBin } from "./charts.js";

const SECONDS = 240; // of the spectrum: as many as a wide terminal shows
const RATES = 240;

/** Counts by the places of a native histogram. */
export interface Recorded {
  readonly counts: ReadonlyMap<number, number>;
  readonly count: number;
  readonly max: number;
  readonly missing: number; // ticks that were never answered: longer than any
}

export interface ThreadLoad {
  readonly role: string;
  readonly cpu: number; // where it ran last
  readonly pinned: boolean;
  readonly load: number; // of one core, since the last time
}

export interface Live {
  readonly elapsed_s: number;
  readonly generator: Counters;
  readonly responder: Counters | null;
  readonly sent_pps: readonly number[]; // one a second, the newest last
  readonly received_pps: readonly number[];
  readonly spectrum: readonly (readonly number[])[];
  readonly whole: Recorded; // all round trips so far
  readonly second: Recorded; // those of the last second
  readonly lateness: Recorded;
  readonly threads: readonly ThreadLoad[];
  readonly latest: readonly Example[]; // that were not as expected, the newest first
  readonly at: Mark; // the last second's
}

/** What had been counted, and when. */
interface Mark {
  readonly time_s: number;
  readonly sent: number;
  readonly received: number;
}

export const NOTHING: Recorded = { counts: new Map(), count: 0, max: 0, missing: 0 };

export const START: Live = {
  elapsed_s: 0,
  generator: {},
  responder: null,
  sent_pps: [],
  received_pps: [],
  spectrum: [],
  whole: NOTHING,
  second: NOTHING,
  lateness: NOTHING,
  threads: [],
  latest: [],
  at: { time_s: 0, sent: 0, received: 0 },
};

/** What is asked for several times a second. */
export interface Counted {
  readonly elapsed_s: number;
  readonly generator: Counters;
  readonly responder: Counters | null;
}

/** What is asked for once a second. */
export interface Measured extends Counted {
  readonly latency: readonly RecordedSoFar[]; // of each thread
  readonly lateness: readonly RecordedSoFar[];
  readonly threads: readonly ThreadLoad[];
  readonly recent: readonly Example[]; // since the last time
}

export function counted(live: Live, now: Counted): Live {
  return { ...live, ...now };
}

/** What a run found, when it has ended. */
export interface Final extends Counted {
  readonly latency: HistogramData;
  readonly late: HistogramData;
}

/** The last second that was measured is mostly not a whole one, and xdp_live tells nothing before. */
export function ended(live: Live, { latency, late, ...now }: Final): Live {
  const [whole, lateness] = [wholeOf(latency, now.generator.missing ?? 0), wholeOf(late, 0)];
  return { ...live, ...now, whole, lateness };
}

function wholeOf({ counts, count, max }: HistogramData, missing: number): Recorded {
  const found = [...counts.entries()].filter(([, here]) => here > 0);
  return { counts: new Map(found), count, max, missing };
}

export function measured(live: Live, now: Measured): Live {
  const { latency, lateness, recent, ...rest } = now;
  const whole = together(latency, now.generator.missing ?? 0);
  const second = since(whole, live.whole);
  // A frame sent in the warm-up is one on the wire, too.
  const sum = (...names: readonly string[]) =>
    names.reduce((total, name) => total + (now.generator[name] ?? 0), 0);
  const at = {
    time_s: now.elapsed_s,
    sent: sum("sent", "warmup_sent"),
    received: sum("received", "warmup_answered"),
  };
  const time_s = Math.max(1e-3, at.time_s - live.at.time_s);
  const rate = (value: number) => Math.max(0, Math.round(value / time_s));
  return {
    ...live,
    ...rest,
    whole,
    second,
    lateness: together(lateness, 0),
    latest: withRecent(live.latest, recent),
    sent_pps: [...live.sent_pps, rate(at.sent - live.at.sent)].slice(-RATES),
    received_pps: [...live.received_pps, rate(at.received - live.at.received)].slice(-RATES),
    spectrum: [...live.spectrum, spectrumOf(second)].slice(-SECONDS),
    at,
  };
}

const LATEST = 500;

export function withRecent(latest: readonly Example[], recent: readonly Example[]): readonly Example[] {
  return recent.length === 0 ? latest : [...recent.toReversed(), ...latest].slice(0, LATEST);
}

function together(all: readonly RecordedSoFar[], missing: number): Recorded {
  const counts = new Map<number, number>();
  let count = 0;
  for (const { indices, counts: found } of all) {
    for (const [place, index] of indices.entries()) {
      counts.set(index, (counts.get(index) ?? 0) + found[place]!);
      count += found[place]!;
    }
  }
  const sorted = all.length > 1 ? new Map([...counts].sort(([a], [b]) => a - b)) : counts;
  return { counts: sorted, count, max: Math.max(0, ...all.map(({ max }) => max)), missing };
}

function since(now: Recorded, before: Recorded): Recorded {
  const counts = new Map<number, number>();
  let count = 0;
  let last = -1;
  for (const [index, value] of now.counts) {
    const more = value - (before.counts.get(index) ?? 0);
    if (more <= 0) continue;
    counts.set(index, more);
    count += more;
    last = index;
  }
  const max = last < 0 ? 0 : Math.min(now.max, bucketRange(last)[1]);
  return { counts, count, max, missing: Math.max(0, now.missing - before.missing) };
}

function spectrumOf({ counts }: Recorded): number[] {
  const bins = new Array<number>(SPECTRUM_BINS).fill(0);
  for (const [index, count] of counts) bins[spectrumBin(bucketRange(index)[0])]! += count;
  return bins;
}

/** The value at a percentile; null when nothing was recorded, or it lies among the ticks that were never answered. */
export function recordedAt({ counts, count, max, missing }: Recorded, percentile: number): number | null {
  const rank = Math.max(1, Math.ceil((percentile / 100) * (count + missing) - 1e-9));
  if (rank > count) return null;
  let seen = 0;
  for (const [index, here] of counts) {
    seen += here;
    if (seen >= rank) return Math.min(bucketRange(index)[1], max);
  }
  return max;
}
