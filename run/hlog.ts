/** Histograms as an HdrHistogram log (V2, compressed), which the other HdrHistogram tools read. */

import { build, HistogramLogWriter } from "hdr-histogram-js";
import { bucketRange } from "../native/histogram.js";
import type { HistogramData } from "../native/index.js";

const HIGHEST_NS = 60e9;

export interface LogEntry {
  readonly tag: string;
  readonly data: HistogramData;
}

/** The text of a log; start in ms since the epoch, duration in ms. Values are ns. */
export function hdrLog(entries: readonly LogEntry[], start_ms: number, duration_ms: number): string {
  let text = "";
  const writer = new HistogramLogWriter((content) => {
    text += content;
  });
  writer.outputLogFormatVersion();
  writer.outputComment("[Logged with carom; values in ns]");
  writer.outputStartTime(start_ms);
  writer.outputLegend();
  for (const { tag, data } of entries) {
    const histogram = toHdrHistogram(data);
    histogram.tag = tag;
    histogram.startTimeStampMsec = start_ms;
    histogram.endTimeStampMsec = start_ms + duration_ms;
    // The interval's maximum is logged in ms: the unit ratio of the log format.
    writer.outputIntervalHistogram(histogram, start_ms / 1000, (start_ms + duration_ms) / 1000, 1e6);
  }
  return text;
}

/** One of hdr-histogram-js, from 1 ns to 60 s. */
export function emptyHistogram(digits: 2 | 3) {
  return build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: HIGHEST_NS,
    numberOfSignificantValueDigits: digits,
    bitBucketSize: 64,
    useWebAssembly: false,
  });
}

/** The same counts as a histogram of hdr-histogram-js. */
export function toHdrHistogram(data: HistogramData) {
  const histogram = emptyHistogram(3);
  for (const [index, count] of data.counts.entries()) {
    if (count > 0) histogram.recordValueWithCount(bucketRange(index)[0], count);
  }
  return histogram;
}
