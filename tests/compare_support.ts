/** Runs made by chance, as round trips are: in humps, with a tail, slow ones in bursts, and a level that drifts. */

import { encodeIntoCompressedBase64 } from "hdr-histogram-js";
import { type Bin, decodeHistogram } from "../run/histograms.js";
import { emptyHistogram } from "../run/hlog.js";

export interface Shape {
  readonly values: number; // of each part
  readonly drift: number; // how much of a part's level stays for the next one, 0 to 1
  readonly noise: number; // standard deviation of what is added to the logarithm of the level at each part
  readonly slow: number; // how often a burst of slow ones begins, for each value
  readonly factor: number; // of every value
  readonly slowFactor: number; // of the slow ones, besides
}

export const STEADY: Shape = { values: 160, drift: 0, noise: 0.001, slow: 0.0002, factor: 1, slowFactor: 1 };
export const DRIFTING: Shape = { ...STEADY, drift: 0.5, noise: 0.01 };
/** The 99th percentile lies where the tail begins, so that it jumps from run to run. */
export const AT_THE_CLIFF: Shape = { ...STEADY, slow: 0.0005 };

const PARTS = 64;
const BURST = 20; // slow values in a row, on average
const TYPICAL_NS = 2500;
const SLOW_NS = 5000;

type Chance = (below: number) => number;

/** The round trips of one run, part by part. */
function valuesOf(shape: Shape, chance: Chance): Float64Array[] {
  const random = () => chance(2 ** 32) / 2 ** 32;
  const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  let level = (normal() * shape.noise) / Math.sqrt(1 - shape.drift ** 2);
  let burst = 0;
  return Array.from({ length: PARTS }, () => {
    level = shape.drift * level + normal() * shape.noise;
    return Float64Array.from({ length: shape.values }, () => {
      if (burst === 0 && random() < shape.slow) burst = Math.ceil(-Math.log(1 - random()) * BURST);
      // Pareto's tail: its variance is infinite.
      const slow = SLOW_NS * (1 - random()) ** -0.8 * shape.slowFactor;
      const value = burst > 0 ? slow : TYPICAL_NS * Math.exp(level + 0.1 * normal());
      burst = Math.max(0, burst - 1);
      return Math.round(Math.min(50e9, value * shape.factor));
    });
  });
}

/** The parts of one run, in bins as wide as those of a report. */
export function parts(shape: Shape, chance: Chance): Bin[][] {
  return valuesOf(shape, chance).map((values) => {
    const counts = new Map<number, number>();
    for (const value of values) {
      const width = widthAt(value);
      const from_ns = Math.floor(value / width) * width;
      counts.set(from_ns, (counts.get(from_ns) ?? 0) + 1);
    }
    return [...counts].map(([from_ns, count]) => ({ from_ns, to_ns: from_ns + widthAt(from_ns) - 1, count }));
  });
}

/** With 2 significant digits: each power of two is cut into 128. */
function widthAt(value: number): number {
  return 2 ** Math.max(0, Math.floor(Math.log2(Math.max(1, value))) - 7);
}

/** The same as a report has them. */
export function encodedParts(shape: Shape, chance: Chance): string[] {
  return valuesOf(shape, chance).map((values) => {
    const histogram = emptyHistogram(2);
    for (const value of values) histogram.recordValue(value);
    return encodeIntoCompressedBase64(histogram);
  });
}

/** All parts in one, as the histogram of the whole run. */
export function whole(texts: readonly string[]): string {
  const histogram = emptyHistogram(3);
  for (const { from_ns, count } of texts.flatMap(decodeHistogram))
    histogram.recordValueWithCount(from_ns, count);
  return encodeIntoCompressedBase64(histogram);
}

/** A report with as much as a comparison reads. */
export function reportWith(texts: readonly string[], changes: object = {}, verdicts: object = {}) {
  return {
    schema: "carom.report",
    version: 1,
    started: "2026-01-01T00:00:00.000Z",
    elapsed_s: 5,
    environment: { host: "here", kernel: "6.1", cpu: "some", cores: 2 },
    clock: { provenance: "tsc" },
    verdicts: { correct: 12_800, wrong: 0, missing: 0, duplicate: 0, unexpected: 0, late: 0, ...verdicts },
    ticks: { sent: 12_800, answered: 12_800 },
    faults: [],
    plan: { generator: { mode: "closed", io: { backend: "af_xdp" } }, responder: { io: { backend: "xdp" } } },
    histograms: {
      latency_planned: null,
      latency_actual: whole(texts),
      lateness: null,
      warmup: null,
      parts: { of: "actual", histograms: texts },
    },
    history: null,
    ...changes,
  };
}
