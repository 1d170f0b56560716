/** How two captures of the same traffic differ, as it is reported and for people. */

import pc from "picocolors";
import { formatNs, type Tolerance } from "../config/values.js";
import { escaped } from "../native/escape.js";
import { summarize, valueAt } from "../native/histogram.js";
import type { CaptureRemark, CompareFound, ComparedSide as FoundSide, LoneFrame } from "../native/index.js";
import { toleranceText } from "../run/certificate.js";
import { count, counted, rateText, row } from "../run/lines.js";
import { remarkColour, remarkFaults, remarkText } from "../run/remarks.js";
import { printable } from "../run/text.js";
import { fileFields, type Gaps } from "./report.js";
import { distributionText, footnote, percentileText, utc } from "./text.js";

export interface ComparedSide {
  readonly path: string;
  readonly format: string;
  readonly compression: string;
  readonly link_type: string;
  readonly interfaces: number | null;
  readonly broken: string | null;
  readonly remarks: readonly CaptureRemark[];
  readonly frames: number; // that were compared
  readonly filtered: number;
  readonly first_ns: string | null;
  readonly last_ns: string | null;
}

export interface CompareReport {
  readonly schema: "carom.compare";
  readonly version: 1;
  readonly a: ComparedSide;
  readonly b: ComparedSide;
  readonly ignored: readonly string[];
  readonly matched: number;
  readonly missing: number; // in A alone
  readonly added: number; // in B alone
  readonly reordered: number; // in B after one that is behind it in A
  readonly first_missing: readonly Lone[]; // up to 10
  readonly first_added: readonly Lone[];
  readonly timing: {
    readonly frames: number; // in both, and in order
    /** Of each gap between two of them: how much it differs. */
    readonly gap_error: Gaps;
    readonly longer: number; // gaps
    readonly shorter: number;
    readonly offset_ns: number | null; // how much later in B: median of the first 1,000, or the first half
    readonly drift_ns: number | null; // the same of the last ones, less that
    readonly rate_a_pps: number;
    readonly rate_b_pps: number;
  };
  readonly tolerances: readonly CompareTolerance[];
  readonly faults: readonly string[];
}

interface Lone {
  readonly frame: number; // its number in the file, from 1
  readonly time_ns: string;
}

interface CompareTolerance extends Tolerance {
  readonly value_ns: number | null; // null: there was no gap
  readonly met: boolean;
}

export function compareReport(
  paths: readonly [string, string],
  found: CompareFound,
  ignored: readonly string[],
  tolerances: readonly Tolerance[],
): CompareReport {
  const { missing: _, jitter_ns: __, ...gap_error } = summarize(found.gapError);
  const first = median(found.firstOffsets);
  const last = median(found.lastOffsets);
  const rate = (span_ns: number) => (span_ns === 0 ? 0 : ((found.inOrder - 1) * 1e9) / span_ns);
  const report = {
    schema: "carom.compare",
    version: 1,
    a: side(paths[0], found.a),
    b: side(paths[1], found.b),
    ignored,
    matched: found.matched,
    missing: found.missing,
    added: found.added,
    reordered: found.reordered,
    first_missing: found.firstMissing.map(lone),
    first_added: found.firstAdded.map(lone),
    timing: {
      frames: found.inOrder,
      gap_error,
      longer: found.longer,
      shorter: found.shorter,
      offset_ns: first,
      drift_ns: first === null || last === null ? null : last - first,
      rate_a_pps: rate(found.spanA_ns),
      rate_b_pps: rate(found.spanB_ns),
    },
    tolerances: tolerances.map((limit) => {
      const value_ns = found.gapError.count === 0 ? null : valueAt(found.gapError, limit.percentile);
      return { ...limit, value_ns, met: value_ns !== null && value_ns <= limit.limit_ns };
    }),
  } as const;
  return { ...report, faults: faultsOf(report) };
}

export function compareLines(report: CompareReport): string[] {
  const { a, b, ignored, timing, tolerances } = report;
  const { gap_error, longer, shorter, offset_ns, drift_ns, rate_a_pps, rate_b_pps } = timing;
  const lines = [pc.bold(`carom inspect --compare · A ${escaped(a.path)} · B ${escaped(b.path)}`), ""];
  for (const [name, { format, link_type, frames, filtered, broken, remarks }] of [
    ["A", a],
    ["B", b],
  ] as const) {
    const left = filtered > 0 ? `, ${count(filtered)} left out by the filter` : "";
    lines.push(row(name, `${counted(frames, "frame")}${left} · ${format} · ${link_type}`));
    for (const remark of remarks) lines.push(row("", remarkColour(remark)(remarkText(remark))));
    if (broken !== null) lines.push(row("", pc.red(`broken: ${printable(broken)}`)));
  }
  if (ignored.length > 0) lines.push(row("ignored", ignored.join(", ")));
  lines.push(row("in both", count(report.matched)));
  lines.push(loneLine("missing", report.missing, report.first_missing, a));
  lines.push(loneLine("added", report.added, report.first_added, b));
  lines.push(row("reordered", marked(report.reordered)));
  if (report.matched === 0 && report.missing > 0 && report.added > 0)
    lines.push(
      row("hint", "no frame is in both: --ignore leaves out what changes on the way, such as mac,ttl"),
    );
  if (gap_error.count > 0) {
    lines.push(row("gap error", distributionText(gap_error)));
    const same = gap_error.count - longer - shorter;
    lines.push(
      row("", `${count(same)} gaps are the same, ${count(longer)} longer, ${count(shorter)} shorter`),
    );
    lines.push(row("rate", `A ${rateText(rate_a_pps)}, B ${rateText(rate_b_pps)} frames a second`));
  }
  if (offset_ns !== null) lines.push(row("offset", offsetText(offset_ns, drift_ns)));
  if (drift_ns !== null) lines.push(row("drift", formatNs(drift_ns)));
  for (const [index, limit] of tolerances.entries()) {
    const value = limit.value_ns === null ? "no gap" : percentileText(limit.value_ns);
    const mark = limit.met ? pc.green("✓") : pc.red("✗ not met");
    lines.push(row(index === 0 ? "tolerance" : "", `${toleranceText(limit)}: ${value} ${mark}`));
  }
  const isSame = report.faults.length === 0;
  const verdict = isSame
    ? tolerances.length > 0
      ? "  the same frames in the same order, in time"
      : "  the same frames in the same order"
    : `  not as expected: ${report.faults.join("; ")}`;
  return [
    ...lines,
    ...footnote(gap_error),
    "",
    isSame ? pc.green(pc.bold(verdict)) : pc.red(pc.bold(verdict)),
  ];
}

function faultsOf(report: Omit<CompareReport, "faults">): string[] {
  const { a, b, missing, added, reordered, tolerances } = report;
  const faults: string[] = [];
  if (missing > 0) faults.push(`${counted(missing, "frame")} of A missing in B`);
  if (added > 0) faults.push(`${counted(added, "frame")} of B not in A`);
  if (reordered > 0) faults.push(`${counted(reordered, "frame")} out of order`);
  for (const [name, { broken, remarks }] of [
    ["A", a],
    ["B", b],
  ] as const) {
    faults.push(...remarkFaults(remarks).map((text) => `${name}: ${text}`));
    if (broken !== null) faults.push(`${name} is broken: ${printable(broken)}`);
  }
  for (const limit of tolerances.filter(({ met }) => !met)) {
    const value =
      limit.value_ns === null ? "there was no gap" : `the gap error is ${percentileText(limit.value_ns)}`;
    faults.push(`${value}, over ${toleranceText(limit)}`);
  }
  return faults;
}

function side(path: string, found: FoundSide): ComparedSide {
  const { frames, filtered, first_ns, last_ns } = found;
  const time = (time_ns: bigint) => (frames === 0 ? null : String(time_ns));
  return {
    path,
    ...fileFields(found.file),
    frames,
    filtered,
    first_ns: time(first_ns),
    last_ns: time(last_ns),
  };
}

function lone({ number, time_ns }: LoneFrame): Lone {
  return { frame: number, time_ns: String(time_ns) };
}

function loneLine(name: string, total: number, first: readonly Lone[], { first_ns }: ComparedSide): string {
  const [example] = first;
  if (example === undefined) return row(name, marked(total));
  const after_s = Number(BigInt(example.time_ns) - BigInt(first_ns!)) / 1e9;
  const when = `${after_s.toFixed(9)} s, ${utc(example.time_ns)}`;
  return row(name, `${marked(total)}; the first is frame ${count(example.frame)}, ${when}`);
}

function marked(total: number): string {
  return total === 0 ? "0" : pc.red(count(total));
}

function offsetText(offset_ns: number, drift_ns: number | null): string {
  if (offset_ns === 0) return drift_ns === 0 ? "none: both clocks are the same" : "none at first";
  return `B is ${formatNs(Math.abs(offset_ns))} ${offset_ns < 0 ? "earlier" : "later"}`;
}

function median(values: Float64Array): number | null {
  if (values.length === 0) return null;
  const sorted = values.toSorted();
  return (sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2;
}
