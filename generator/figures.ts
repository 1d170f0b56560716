/** What a feed is like: windows, gaps and symbols of a sample, in a memory that does not grow with it. */

import { sampleFeed } from "../native/index.js";
import type { Feed } from "./feed.js";
import { packingOf, USUAL_MTU } from "./frames.js";

const CHUNK = 65_536; // ticks
const WINDOW_NS = 1e6;
const BIN_WIDTH = Math.log(1.005); // of gaps: half a percent
const BINS = 8000; // up to 10^17 ns
const COLUMNS = 64; // of the rate over time
const TOPS = [1, 10, 100] as const;
const WINDOW_PERCENTILES = [50, 75, 90, 99, 99.9, 99.99] as const;
const GAP_PERCENTILES = [5, 10, 25, 50, 75, 95, 99] as const;

export interface FeedFigures {
  readonly duration_s: number;
  readonly ticks: number;
  readonly rate_pps: number;
  /** Ticks in windows of 1 ms. */
  readonly windows: {
    readonly percentiles: readonly Quantile[];
    readonly max: number;
    readonly fano: number;
  };
  /** Times between neighbours, to half a percent. */
  readonly gaps: {
    readonly percentiles: readonly QuantileNs[];
    readonly mean_ns: number;
    readonly zero: number;
  };
  readonly symbols: {
    readonly count: number;
    readonly seen: number;
    readonly top: readonly { readonly symbols: number; readonly share: number }[];
  };
  readonly ticks_per_datagram: number; // on average
  readonly below_threshold: number; // part of the ticks
  readonly rate_over_time: readonly { readonly time_s: number; readonly rate_pps: number }[];
}

interface Quantile {
  readonly percentile: number;
  readonly ticks: number;
}

interface QuantileNs {
  readonly percentile: number;
  readonly value_ns: number;
}

/** For pictures: what the figures were taken from. */
export interface FeedSampled extends FeedFigures {
  readonly gapBins: readonly { readonly from_ns: number; readonly count: number }[];
  readonly shares: readonly number[]; // of the symbols, the most frequent one first
}

/** Plans the ticks of a time, without sending them. @throws CaromError */
export function sampleFigures(feed: Feed, duration_ns: number): FeedSampled {
  const next = sampleFeed(feed.schedule, feed.ticks);
  const gaps = new Float64Array(BINS);
  const windows: number[] = []; // how many windows had so many ticks
  const symbols = new Float64Array(feed.ticks.symbols.length);
  const columns = new Float64Array(COLUMNS);
  const { withinNs, most } = packingOf(feed.shape, USUAL_MTU, false);
  let [datagrams, inDatagram, ends_ns] = [0, most, 0];
  let [ticks, zero, below, previous_ns, window, inWindow] = [0, 0, 0, -1, 0, 0];
  const endWindow = (until: number) => {
    windows[inWindow] = (windows[inWindow] ?? 0) + 1;
    windows[0] = (windows[0] ?? 0) + Math.max(0, until - window - 1);
    [window, inWindow] = [until, 0];
  };
  for (let isOver = false; !isOver; ) {
    const { planned_ns, symbols: drawn, prices } = next(CHUNK);
    for (let i = 0; i < planned_ns.length; i++) {
      const at_ns = planned_ns[i]!;
      isOver = at_ns >= duration_ns;
      if (isOver) break;
      ticks++;
      if (inDatagram === most || at_ns > ends_ns) {
        datagrams++;
        [inDatagram, ends_ns] = [0, at_ns + withinNs];
      }
      inDatagram++;
      symbols[drawn[i]!]!++;
      if (prices[i]! < feed.ticks.threshold) below++;
      columns[Math.floor((at_ns / duration_ns) * COLUMNS)]!++;
      const at = Math.floor(at_ns / WINDOW_NS);
      if (at !== window) endWindow(at);
      inWindow++;
      if (previous_ns >= 0) {
        const gap_ns = at_ns - previous_ns;
        if (gap_ns === 0) zero++;
        else gaps[Math.min(BINS - 1, Math.floor(Math.log(gap_ns) / BIN_WIDTH))]!++;
      }
      previous_ns = at_ns;
    }
  }
  endWindow(Math.ceil(duration_ns / WINDOW_NS));
  const shares = [...symbols].sort((a, b) => b - a).map((count) => count / Math.max(1, ticks));
  const column_s = duration_ns / 1e9 / COLUMNS;
  return {
    duration_s: duration_ns / 1e9,
    ticks,
    rate_pps: ticks / (duration_ns / 1e9),
    windows: windowFigures(windows),
    gaps: {
      percentiles: GAP_PERCENTILES.map((percentile) => ({
        percentile,
        value_ns: gapPercentile(gaps, zero, percentile),
      })),
      mean_ns: ticks < 2 ? 0 : previous_ns / (ticks - 1),
      zero: zero / Math.max(1, ticks - 1),
    },
    symbols: {
      count: symbols.length,
      seen: shares.filter((share) => share > 0).length,
      top: TOPS.filter((top) => top <= symbols.length).map((top) => ({
        symbols: top,
        share: shares.slice(0, top).reduce((sum, share) => sum + share, 0),
      })),
    },
    ticks_per_datagram: ticks / Math.max(1, datagrams),
    below_threshold: below / Math.max(1, ticks),
    rate_over_time: [...columns].map((count, index) => ({
      time_s: index * column_s,
      rate_pps: count / column_s,
    })),
    gapBins: binsFor(gaps, zero),
    shares,
  };
}

function windowFigures(windows: readonly number[]): FeedFigures["windows"] {
  const counts = Array.from(windows, (count) => count ?? 0);
  const total = counts.reduce((sum, count) => sum + count, 0);
  const mean = counts.reduce((sum, count, ticks) => sum + count * ticks, 0) / total;
  const variance = counts.reduce((sum, count, ticks) => sum + count * (ticks - mean) ** 2, 0) / total;
  const percentiles = WINDOW_PERCENTILES.map((percentile) => ({
    percentile,
    ticks: indexAt(counts, (percentile / 100) * total),
  }));
  return { percentiles, max: counts.length - 1, fano: mean === 0 ? 0 : variance / mean };
}

function gapPercentile(gaps: Float64Array, zero: number, percentile: number): number {
  const wanted = (percentile / 100) * gaps.reduce((sum, count) => sum + count, zero);
  if (zero >= wanted) return 0;
  return Number(Math.exp((indexAt(gaps, wanted - zero) + 0.5) * BIN_WIDTH).toPrecision(3));
}

/** The first index up to which there are so many. */
function indexAt(counts: ArrayLike<number>, wanted: number): number {
  let index = 0;
  for (let seen = counts[0] ?? 0; seen < wanted && index < counts.length - 1; seen += counts[index]!) index++;
  return index;
}

/** Three bars a decade, from the smallest gap to the largest; gaps of 0 come first. */
function binsFor(gaps: Float64Array, zero: number): { from_ns: number; count: number }[] {
  const per = Math.log(10) / 3;
  const bars = new Map<number, number>();
  for (const [index, count] of gaps.entries()) {
    if (count === 0) continue;
    const bar = Math.floor(((index + 0.5) * BIN_WIDTH) / per);
    bars.set(bar, (bars.get(bar) ?? 0) + count);
  }
  const [first, last] = [Math.min(...bars.keys()), Math.max(...bars.keys())];
  const result = zero > 0 ? [{ from_ns: 0, count: zero }] : [];
  for (let bar = first; bar <= last; bar++) {
    result.push({ from_ns: Number(Math.exp(bar * per).toPrecision(2)), count: bars.get(bar) ?? 0 });
  }
  return result;
}
