/** A report for people: what was sent and came back, how long it took, and why to believe it. */

import pc from "picocolors";
import { formatNs } from "../config/values.js";
import type { Feed } from "../generator/feed.js";
import { keptText } from "../lab/privileges.js";
import { type Distribution, logarithmicBins, type Percentile } from "../native/histogram.js";
import type { HistogramData } from "../native/index.js";
import type { Part } from "./breakdown.js";
import { certificateLines } from "./certificate_text.js";
import { changeText } from "./changes.js";
import { overRunText } from "./clock.js";
import { interferenceLines } from "./interference_text.js";
import { count, rateText, row } from "./lines.js";
import type { Measurement } from "./measure.js";
import { hardwareClockLines } from "./phc.js";
import type { Plan } from "./plan.js";
import { aSecond } from "./rate.js";
import { replayLines, timingText } from "./replay_report.js";
import type { Report, ReportExample } from "./report.js";
import { streamLines } from "./stream_text.js";

const BAR_WIDTH = 48;
const PICTURE_ROWS = 14;
const BLOCKS = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

export function reportLines(report: Report, plan: Plan, found: Measurement): string[] {
  return [
    pc.bold(headline(report, plan)),
    "",
    ...replayLines(report.replay),
    ...trafficLines(report),
    ...streamLines(report),
    "",
    ...figureLines(report),
    ...(report.latency === null ? [] : ["", ...pictureLines(found.generator.latencyActual)]),
    "",
    ...breakdownLines(report),
    ...certificateLines(report, unitOf(report)),
    ...clockLines(report),
    ...interferenceLines(report),
    ...noteLines(report),
    ...exampleLines(report.examples),
    "",
    verdictLine(report),
  ];
}

/** One line while a run goes on. */
export function progressLine(elapsed_s: number, counters: Readonly<Record<string, number>>): string {
  const n = (name: string) => (counters[name] ?? 0).toLocaleString("en-US");
  const faults = ["wrong", "missing", "late", "duplicate", "unexpected"].filter(
    (name) => (counters[name] ?? 0) > 0,
  );
  const shown = faults.map((name) => `, ${name} ${n(name)}`).join("");
  return `${elapsed_s.toFixed(0)} s: sent ${n("sent")}, correct ${n("correct")}${shown}`;
}

/** What was run, in some words. */
export interface Description {
  readonly loop: string; // "closed loop, 1 in flight", "open loop, 200,000 ticks/s"
  readonly backends: string;
  readonly place: string;
}

export function describePlan(plan: Plan): Description {
  const { generator, responder } = plan;
  const loop =
    generator.replay !== null
      ? timingText(plan)
      : generator.mode === "max"
        ? "as fast as it goes"
        : generator.mode === "closed"
          ? `closed loop, ${generator.window} in flight`
          : `open loop, ${offered(plan.feed, plan.streams.length)}`;
  const backends =
    responder === null ? generator.io.backend : `${generator.io.backend} → ${responder.io.backend}`;
  const place = plan.lab === null ? generator.io.link.interfaceName : `lab ${plan.lab.name}`;
  return { loop, backends, place };
}

function headline(report: Report, plan: Plan): string {
  const { loop, backends, place } = describePlan(plan);
  const { generator } = plan;
  const parts = [`carom ${report.command}`, loop, backends, place, `${report.elapsed_s.toFixed(1)} s`];
  return [
    ...parts,
    ...(plan.streams.length > 1 || generator.replay !== null
      ? []
      : [`seed ${generator.streams[0]!.ticks.seed}`]),
    ...(report.interrupted ? ["stopped early"] : []),
  ].join(" · ");
}

function offered({ profile, scale, rate_pps }: Feed, streams: number): string {
  if (streams > 1) return `${streams} streams, ${rateText(rate_pps)} ticks/s on average`;
  const rate = `${count(Math.round(rate_pps * 1000) / 1000)} ticks/s`;
  if (profile === null) return rate;
  return `profile ${profile.name}${scale === 1 ? "" : ` × ${scale}`}, ${rateText(rate_pps)} ticks/s on average`;
}

/** What is counted: of a replay without answers, frames. */
function unitOf({ replay, latency }: Report): string {
  return replay !== null && latency === null ? "frames" : "ticks";
}

function trafficLines(report: Report): string[] {
  const { ticks, verdicts, rates } = report;
  const what = unitOf(report);
  const lines = [row("sent", `${count(ticks.sent)} ${what}, ${aSecond(rates.sent_pps)}`)];
  if (ticks.not_left > 0)
    lines.push(
      row(
        "not left",
        pc.red(`${count(ticks.not_left)} ${what}, handed over, and the interface did not send them`),
      ),
    );
  if (ticks.unsent > 0)
    lines.push(row("not sent", pc.red(`${count(ticks.unsent)} ${what}, although their time had come`)));
  if (ticks.skipped > 0)
    lines.push(row("skipped", `${count(ticks.skipped)} ${what}, because they were late`));
  if (report.latency !== null) {
    const answered = `${count(ticks.answered)} ticks; ${count(ticks.quiet)} were not to be answered`;
    lines.push(row("answered", answered));
    const shown = Object.entries(verdicts).map(([name, value]) => {
      const text = `${name} ${count(value)}`;
      return name !== "correct" && value > 0 ? pc.red(text) : text;
    });
    lines.push(row("verdicts", shown.join("   ")));
    if (ticks.withheld > 0) {
      lines.push(row("withheld", `${count(ticks.withheld)} ticks: lost or spoilt on purpose`));
    }
    if (ticks.answered_copies > 0) {
      lines.push(row("copies", `${count(ticks.answered_copies)} right answers to copies sent on purpose`));
    }
    if (ticks.reordered > 0) lines.push(row("reordered", `${count(ticks.reordered)} answers`));
  }
  if (report.threads.length > 1) {
    const shown = report.threads.map(
      ({ queue, ticks: t, orders }) => `${queue}: ${count(t)} → ${count(orders)}`,
    );
    lines.push(row("queues", `ticks → orders   ${shown.join("   ")}`));
  }
  if (report.capture !== null) {
    const { file, frames, dropped } = report.capture;
    const missing =
      dropped === 0
        ? ""
        : pc.red(`; ${count(dropped)} are missing: the writer was behind, or could not write`);
    lines.push(row("capture", `${count(frames)} frames in ${file}${missing}`));
  }
  lines.push(...impairmentLines(report));
  for (const [index, change] of report.changes.entries())
    lines.push(row(index === 0 ? "changed" : "", changeText(change)));
  for (const [index, { equation, holds }] of report.balances.entries()) {
    const mark = holds ? pc.green("✓") : pc.red("✗ does not hold");
    lines.push(row(index === 0 ? "balance" : "", `${equation} ${mark}`));
  }
  return lines;
}

function impairmentLines({ impairment }: Report): string[] {
  return (impairment?.lines ?? []).map(({ name, datagrams, lost, duplicated, reordered, corrupted }) => {
    const done: [number, string][] = [
      [lost, "lost"],
      [duplicated, "sent twice"],
      [reordered, "put out of order"],
      [corrupted, corrupted === 1 ? "frame corrupted" : "frames corrupted"],
    ];
    const shown = done.filter(([value]) => value > 0).map(([value, word]) => `${count(value)} ${word}`);
    const of = `of ${count(datagrams)} datagrams`;
    const text = shown.length === 0 ? `none ${of} was impaired` : `${shown.join(", ")} on purpose, ${of}`;
    return row(name === "" ? "on purpose" : `line ${name}`, text);
  });
}

function figureLines(report: Report): string[] {
  if (report.latency === null && report.lateness.count === 0) return []; // nothing had a time to be held
  const columns: { head: string; data: Distribution }[] = [];
  if (report.latency !== null) {
    columns.push({ head: "from planned", data: report.latency.planned });
    columns.push({ head: "from actual", data: report.latency.actual });
  }
  columns.push({ head: "send lateness", data: report.lateness });
  if (report.warmup.count > 0) columns.push({ head: "warm-up", data: report.warmup });
  const cell = (text: string) => text.padStart(14);
  const line = (name: string, pick: (data: Distribution) => string) =>
    `  ${name.padEnd(10)}${columns.map(({ data }) => cell(data.count === 0 ? "–" : pick(data))).join("")}`;
  const percentile = (index: number) => (data: Distribution) => percentileText(data.percentiles[index]!);
  const names = columns[0]!.data.percentiles.map(({ percentile: p }) => `p${p}`);
  const lines = [
    pc.dim(
      `  ${(report.latency === null ? "" : "round trip").padEnd(10)}${columns.map(({ head }) => cell(head)).join("")}`,
    ),
    line("min", (data) => formatNs(data.min_ns)),
    line("mean", (data) => formatNs(data.mean_ns)),
    line("std dev", (data) => formatNs(data.stddev_ns)),
    ...names.map((name, index) => line(name, percentile(index))),
    line("max", (data) => formatNs(data.max_ns)),
    line("jitter", (data) => formatNs(data.jitter_ns)),
    line("samples", (data) => count(data.count)),
  ];
  const shown = columns.flatMap(({ data }) => data.percentiles);
  if (shown.some(({ few }) => few)) lines.push(pc.dim("  * fewer than 100 samples lie above it"));
  if (
    shown.some(
      ({ value_ns }, index) => value_ns === null && columns[Math.floor(index / names.length)]!.data.count > 0,
    )
  ) {
    lines.push(pc.dim("  missing: it lies among the ticks that were never answered"));
  }
  return lines;
}

function percentileText({ value_ns, few }: Percentile): string {
  return `${value_ns === null ? "missing" : formatNs(value_ns)}${few ? "*" : ""}`;
}

/** The distribution of the round trip, from the actual send: a bar for each range of a logarithmic scale. */
function pictureLines(data: HistogramData): string[] {
  const bins = logarithmicBins(data, PICTURE_ROWS);
  const most = Math.max(...bins.map(({ count: c }) => c), 1);
  const lines = bins.map(({ from_ns, count: c }, index) => {
    const edge = index === 0 ? "≤" : "≥";
    const value = formatNs(index === 0 ? (bins[1]?.from_ns ?? from_ns) : from_ns);
    const share = data.count === 0 ? 0 : (100 * c) / data.count;
    const text = share >= 0.1 || c === 0 ? `${share.toFixed(1)} %` : "<0.1 %";
    return `  ${edge} ${value.padStart(9)} ${pc.cyan(bar(c / most).padEnd(BAR_WIDTH))} ${text.padStart(7)}`;
  });
  return [pc.dim("  distribution of the round trip, from the actual send, logarithmic scale"), ...lines];
}

/** A bar of up to BAR_WIDTH characters, in eighths of one. */
export function bar(part: number): string {
  const eighths = Math.round(part * BAR_WIDTH * 8);
  const text = "█".repeat(Math.floor(eighths / 8)) + (BLOCKS[eighths % 8] ?? "");
  return text === "" && part > 0 ? "▏" : text;
}

/** Where the round trip goes: a line for each part, with its share of the mean. */
function breakdownLines({ breakdown }: Report): string[] {
  if (breakdown === null) return [];
  const { round_trip, parts, within, one_in } = breakdown;
  const of = one_in === 1 ? "each tick" : `one tick in ${count(one_in)}`;
  const cell = (value_ns: number | null) => (value_ns === null ? "–" : formatNs(value_ns)).padStart(10);
  const line = (part: Part, share: string) =>
    `  ${part.name.padEnd(20)}${cell(part.mean_ns)}${share.padStart(8)}${cell(part.p50_ns)}${cell(part.p99_ns)}  ${pc.dim(part.description)}`;
  const share = (part: Part) =>
    round_trip.mean_ns === 0 ? "" : `${((100 * part.mean_ns) / round_trip.mean_ns).toFixed(1)} %`;
  const head = ["mean", "share", "p50", "p99"].map((text, index) => text.padStart(index === 1 ? 8 : 10));
  const sources = [...new Set(parts.map(({ provenance }) => provenance))].join("; ");
  return [
    pc.dim(`  where the round trip goes (${count(round_trip.samples)} ticks, ${of}; by ${sources})`),
    pc.dim(`  ${"".padEnd(20)}${head.join("")}`),
    ...parts.map((part) => line(part, share(part))),
    line(round_trip, "100 %"),
    pc.dim("  within these"),
    ...within.map((part) => line(part, "")),
    "",
  ];
}

function clockLines({ clock, certificate }: Report): string[] {
  const cost = `resolution ${clock.resolutionNs.toFixed(2)} ns, ${clock.readCostNs.toFixed(0)} ns a reading, ±${clock.errorPpm.toFixed(1)} ppm`;
  const lines = [row("clock", `${clock.provenance} (${clock.reason})`), row("", `TSC: ${cost}`)];
  if (certificate === null) lines.push(row("", overRunText(clock.over_run)));
  const total = clock.stamped + clock.unstamped;
  if (clock.provenance !== "tsc" && total > 0) {
    const rest = clock.unstamped === 0 ? "" : "; the others are by the TSC";
    lines.push(
      row(
        "",
        `${count(clock.stamped)} of ${count(total)} round trips have ${clock.provenance} stamps${rest}`,
      ),
    );
  }
  if (clock.calibration !== null) {
    const { date, ports, path_ns, spread_ns } = clock.calibration;
    const names = ports.map((port) => port.interface).join(" and ");
    const path = `${path_ns.toFixed(1)} ns, spread ${spread_ns.toFixed(1)} ns`;
    lines.push(row("", `subtracted from each: ${path}, as calibrated between ${names} on ${date}`));
  }
  if (clock.hardware !== null) lines.push(...hardwareClockLines(clock.hardware).map((line) => row("", line)));
  return lines;
}

function noteLines({ notes, problems, capabilities }: Report): string[] {
  const isAnyKept = capabilities !== null && capabilities.kept.length > 0;
  return [
    ...(isAnyKept ? [row("capabilities", `${keptText(capabilities)}; all others were given up`)] : []),
    ...notes.map((note, index) => row(index === 0 ? "notes" : "", note)),
    ...problems.map((problem) => row("problem", pc.yellow(problem.message))),
  ];
}

function exampleLines(examples: readonly ReportExample[]): string[] {
  if (examples.length === 0) return [];
  const lines = ["", pc.bold("  what went wrong, the first of each kind")];
  const first = examples.filter(
    ({ verdict }, index) => examples.findIndex((e) => e.verdict === verdict) === index,
  );
  for (const { verdict, tick, expected, received } of first) {
    const given =
      tick === null
        ? "no tick"
        : `tick ${printable(tick.symbol)} ${tick.price}¢ × ${tick.quantity} @ ${tick.timestamp}`;
    lines.push(`  ${pc.red(verdict.padEnd(11))} ${given}`);
    lines.push(`  ${"".padEnd(11)} expected ${expected === null ? "nothing" : orderText(expected)}`);
    lines.push(`  ${"".padEnd(11)} received ${received === null ? "nothing" : orderText(received)}`);
  }
  return lines;
}

function orderText(order: NonNullable<ReportExample["expected"]>): string {
  const side = order.side === 0 ? "buy" : order.side === 1 ? "sell" : `side ${order.side}`;
  return `${side} ${printable(order.symbol)} ${order.price}¢ × ${order.quantity}, clOrdId ${printable(order.clOrdId)}`;
}

/** What a packet contains is shown, never obeyed: no control character of it reaches the terminal. */
export function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, "·");
}

function verdictLine(report: Report): string {
  if (report.faults.length === 0) return pc.green(pc.bold("  all as expected"));
  return pc.red(pc.bold(`  not as expected: ${report.faults.join("; ")}`));
}
