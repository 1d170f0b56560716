/** A run's histograms as text: HdrHistogram's V2 format, compressed, in base64, which other tools read, too. */

import { decodeFromCompressedBase64, encodeIntoCompressedBase64 } from "hdr-histogram-js";
import { bucketRange } from "../native/histogram.js";
import type { HistogramData, HistogramPart } from "../native/index.js";
import { emptyHistogram, toHdrHistogram } from "./hlog.js";
import type { Measurement } from "./measure.js";
import type { Plan } from "./plan.js";

/** Values are ns. Null: nothing was recorded. */
export interface EncodedHistograms {
  readonly latency_planned: string | null;
  readonly latency_actual: string | null;
  readonly lateness: string | null;
  readonly warmup: string | null;
  readonly parts: EncodedParts;
}

/** The measured round trips in up to 64 parts of the run, in their order. */
export interface EncodedParts {
  readonly of: "planned" | "actual";
  readonly histograms: readonly string[];
}

/** Of the parts: how they spread is asked for, so 2 significant digits do, and take a third of the room. */
const PART_DIGITS = 2;

export function encodeHistograms(plan: Plan, { generator }: Measurement): EncodedHistograms {
  const whole = (data: HistogramData) =>
    data.count === 0 ? null : encodeIntoCompressedBase64(toHdrHistogram(data));
  return {
    latency_planned: whole(generator.latencyPlanned),
    latency_actual: whole(generator.latencyActual),
    lateness: whole(generator.lateness),
    warmup: whole(generator.warmup),
    parts: {
      of: plan.generator.parts.planned ? "planned" : "actual",
      histograms: generator.parts.map(encodePart),
    },
  };
}

function encodePart({ indices, counts }: HistogramPart): string {
  const histogram = emptyHistogram(PART_DIGITS);
  for (const [place, index] of indices.entries()) {
    histogram.recordValueWithCount(bucketRange(index)[0], counts[place]!);
  }
  return encodeIntoCompressedBase64(histogram);
}

/** What has been recorded in a range of values, both ends included. */
export interface Bin {
  readonly from_ns: number;
  readonly to_ns: number;
  readonly count: number;
}

const TEXT_MAX = 1 << 18; // characters; what carom writes has some thousand

/** What hdr-histogram-js has, and its types leave out. */
interface Counts {
  readonly countsArrayLength: number;
  getCountAtIndex(index: number): number;
  valueFromIndex(index: number): number;
  highestEquivalentValue(value: number): number;
}

/** The bins of an encoded histogram that have anything, from low to high. @throws an Error when it is none */
export function decodeHistogram(text: string): Bin[] {
  if (text.length > TEXT_MAX) throw new Error("it is too long for a histogram");
  const histogram = decodeFromCompressedBase64(text, 64, false) as unknown as Counts;
  const bins: Bin[] = [];
  for (let index = 0; index < histogram.countsArrayLength; index++) {
    const count = histogram.getCountAtIndex(index);
    if (count === 0) continue;
    const from_ns = histogram.valueFromIndex(index);
    bins.push({ from_ns, to_ns: histogram.highestEquivalentValue(from_ns), count });
  }
  return bins;
}
