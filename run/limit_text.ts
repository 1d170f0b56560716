/** Limits for people: what each pair of backends carries, and the latency at parts of it, in 80 columns. */

import pc from "picocolors";
import { formatNs } from "../config/values.js";
import type { LimitProgress } from "./limit.js";
import { type LimitReport, type LimitResult, LOADS, type LoadLatency, nameOf } from "./limit_report.js";
import type { LimitTrial } from "./limit_trial.js";

const WIDTH = 80;
const NAME = 22; // columns: af_packet → af_packet
const BAR = 16;
const CHART = 46;
const BUSY = 0.05; // of the time: more than a machine with nothing else to do takes away
const BLOCKS = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

export function limitLines(report: LimitReport): string[] {
  const measured = report.results.filter(({ searches }) => searches.length > 0);
  return [
    pc.bold(headline(report)),
    "",
    ...(measured.length === 0 ? [] : [...throughputLines(measured), ""]),
    ...latencyLines(measured),
    ...clockLines(measured),
    ...noteLines(report),
    "",
    verdictLine(report),
  ];
}

/** What is being tried, while it is. */
export function beginLine({ kind, rate_pps, left_s, ...setup }: LimitProgress): string {
  const frame = `${setup.frame_bytes} B`;
  return `${nameOf(setup)}, ${frame}: ${kind} at ${count(rate_pps)}; about ${timeLeft(left_s)} left`;
}

/** What a trial has shown, in one line of 80 columns; the JSON tells all. */
export function trialLine({ kind, ...setup }: LimitProgress, trial: LimitTrial): string {
  const name = `${nameOf(setup).padEnd(NAME)} ${String(setup.frame_bytes).padStart(4)}`;
  return pc.dim(`  ${name} ${kind.padEnd(7)} ${count(trial.rate_pps).padStart(11)}  ${outcome(trial)}`);
}

function outcome({ verdict, latency, sent_pps, lost, loss, reasons, interference }: LimitTrial): string {
  const stall = interference.explains ? ", core stopped" : "";
  const p99_ns = latency.planned.percentiles.find(({ percentile: p }) => p === 99)?.value_ns ?? null;
  if (verdict === "pass") return `passed, p99 ${p99_ns === null ? "missing" : formatNs(p99_ns)}`;
  if (verdict === "sender") return `sender: ${count(sent_pps)}${stall}`;
  return verdict === "loss" ? `lost ${count(lost)} (${percent(loss)})${stall}` : reasons[0]!;
}

function headline({ settings, elapsed_s, interrupted }: LimitReport): string {
  const { trial_s, final_s, loss, resolution, trials, place, seed } = settings;
  const lengths = trial_s === final_s ? `trials of ${trial_s} s` : `trials of ${trial_s} s and ${final_s} s`;
  const parts = ["carom limit", place, `loss ≤ ${percent(loss)}`, `to ${percent(resolution)}`, lengths];
  if (trials > 1) parts.push(`${trials} times`);
  parts.push(timeLeft(elapsed_s));
  if (seed !== "1") parts.push(`seed ${seed}`);
  if (interrupted) parts.push("stopped early");
  return parts.join(" · ");
}

/** A row for each pair; "≥": nothing says that the device takes no more. */
function throughputLines(results: readonly LimitResult[]): string[] {
  const most = Math.max(...results.map(({ pps }) => pps), 1);
  const head = `  ${"throughput".padEnd(NAME)}${"frame".padStart(6)}${"ticks/s".padStart(14)}${"Mbit/s".padStart(9)}  limited by`;
  const rows = results.map((result) => {
    const { pps, mbit_l1, frame_bytes, limited_by } = result;
    const sign = isFloor(result) ? "≥ " : "";
    const cells =
      `${String(frame_bytes).padStart(6)}${(sign + count(pps)).padStart(14)}${mbitText(mbit_l1).padStart(9)}` +
      `  ${limited_by.padEnd(8)}`;
    return `  ${nameOf(result).padEnd(NAME)}${cells} ${pc.cyan(bar(pps / most, BAR))}`.trimEnd();
  });
  const spreads = results
    .filter(({ searches }) => searches.length > 1)
    .map((result) => {
      const { min_pps, max_pps } = result.spread;
      return pc.dim(
        `  ${nameOf(result)}: median of ${result.searches.length}, from ${count(min_pps)} to ${count(max_pps)}`,
      );
    });
  return [pc.dim(head), ...rows, ...spreads];
}

function latencyLines(results: readonly LimitResult[]): string[] {
  const shown = results.filter(({ latency }) => latency.length > 0);
  if (shown.length === 0) return [];
  const head = LOADS.map((load) => loadText(load).padStart(14)).join("");
  const rows = shown.flatMap((result, index) => {
    const cells = result.latency
      .map(({ planned: { p50, p99 } }) => `${number(p50.median_ns)}/${number(p99.median_ns)}`.padStart(14))
      .join("");
    const pair = nameOf(result);
    if (nameOf(result, shown) === pair) return [`  ${pair.padEnd(NAME)}${cells}`];
    const isNew = index === 0 || nameOf(shown[index - 1]!) !== pair;
    const row = `  ${`  ${result.frame_bytes} B`.padEnd(NAME)}${cells}`;
    return isNew ? [`  ${pair}`, row] : [row];
  });
  return [pc.dim(`  ${"p50/p99 in µs, at".padEnd(NAME)}${head}`), ...rows, "", ...chartLines(shown), ""];
}

function loadText(load: number): string {
  return `${Math.round(100 * load)} %`;
}

/** Round trips on a logarithmic scale, a row for each load: p50 to p99 solid, on to p99.9 light. */
function chartLines(results: readonly LimitResult[]): string[] {
  const loads = results.flatMap(({ latency }) => latency);
  const values = loads
    .flatMap(({ planned: { p50, p99, p99_9 } }) => [p50, p99, p99_9])
    .flatMap(({ median_ns }) => (median_ns === null ? [] : [median_ns]));
  if (values.length === 0) return [];
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const first = 10 ** Math.floor(Math.log10(low));
  const last = Math.max(10 * first, 10 ** Math.ceil(Math.log10(high)));
  const column = (value_ns: number | null) =>
    value_ns === null
      ? CHART
      : Math.min(CHART - 1, Math.floor((Math.log(value_ns / first) / Math.log(last / first)) * CHART));
  const row = (load: LoadLatency) => {
    const [from, until, end] = [load.planned.p50, load.planned.p99, load.planned.p99_9].map(({ median_ns }) =>
      column(median_ns),
    ) as [number, number, number];
    const solid = "█".repeat(Math.max(1, Math.min(CHART, until + 1) - from));
    const light = "░".repeat(Math.max(0, Math.min(CHART, end + 1) - from - solid.length));
    const lost = end === CHART ? "▶" : "";
    const rate = count(load.rate_pps).padStart(11);
    const part = loadText(load.load).padStart(6);
    return `  ${part} ${rate}  ${" ".repeat(from)}${pc.cyan(solid + light)}${lost}${loadMark(load)}`;
  };
  const lines = results.flatMap((result) => [`  ${nameOf(result, results)}`, ...result.latency.map(row)]);
  const title = "round trip from planned, logarithmic: █ p50 to p99, ░ to p99.9";
  return [pc.dim(`  ${title}`), ...lines, ...axisLines(first, last)];
}

function loadMark({ loss, held }: LoadLatency): string {
  if (!held) return " sender late";
  return loss > 0 ? ` ${percent(loss)} lost` : "";
}

function axisLines(first_ns: number, last_ns: number): string[] {
  const decades = Math.round(Math.log10(last_ns / first_ns));
  const line = Array.from<string>({ length: CHART }).fill("─");
  let names = "";
  for (let i = 0; i <= decades; i++) {
    const at = Math.min(CHART - 1, Math.round((i / decades) * CHART));
    line[at] = i === 0 ? "└" : "┴";
    const name = formatNs(first_ns * 10 ** i).replace(" ", "");
    // Its place is below the mark; where the one before it is in the way, or the line ends, it goes.
    if (names === "" || at > names.length) names = `${names.padEnd(at)}${name}`;
  }
  const margin = " ".repeat(22);
  return [pc.dim(`${margin}${line.join("")}`), pc.dim(`${margin}${names}`)];
}

function clockLines(results: readonly LimitResult[]): string[] {
  const clocks = results.flatMap(({ clock }) =>
    clock === null ? [] : [`${clock.provenance} (${clock.reason})`],
  );
  return [...new Set(clocks)].flatMap((text) => wrapped(text, "  clock   "));
}

/** Why to believe each limit, or not: under its name. */
function noteLines({ results, notes: ofAll }: LimitReport): string[] {
  const own = results.flatMap((result) => {
    const notes = notesOf(result);
    return notes.length === 0
      ? []
      : ["", `  ${nameOf(result, results)}`, ...notes.flatMap((note) => wrapped(note, "    "))];
  });
  return [...(ofAll.length === 0 ? [] : ["", ...ofAll.flatMap((note) => wrapped(note, "  "))]), ...own];
}

function notesOf(result: LimitResult): string[] {
  const { pps, confirmed, limited_by, failed_in_stall, failed_trials, interference_share, error } = result;
  const notes: string[] = [];
  if (limited_by === "sender") {
    notes.push("the generator's limit with this backend: the device may take more");
  }
  if (pps > 0 && !confirmed) notes.push("stopped before it was confirmed");
  if (limited_by === "offered") {
    notes.push("the highest rate that was offered passed: the device may take more");
  }
  if (limited_by === "device") notes.push(...lossNotes(result));
  if (failed_in_stall > 0) {
    notes.push(
      `${failed_in_stall} of the ${failed_trials} trials that failed had a core stopped for long enough to be the cause`,
    );
  }
  if (interference_share > BUSY) {
    notes.push(`cores were stopped for up to ${percent(interference_share)} of a trial: the machine is busy`);
  }
  if (error !== null) notes.push(error.message);
  return notes;
}

/** Where ticks were lost at the lowest rate that was too much. */
function lossNotes(result: LimitResult): string[] {
  const search = result.searches.find(({ pps, failed_pps }) => pps === result.pps && failed_pps !== null);
  const trial = search?.trials.find(
    ({ rate_pps, verdict }) => rate_pps === search.failed_pps && verdict !== "pass",
  );
  if (trial === undefined) return [];
  const { out, responder, back, counters } = trial.where_lost;
  const places = [
    out !== null && out > 0 ? `${count(out)} on the way out` : "",
    responder !== null && responder > 0 ? `${count(responder)} in the responder` : "",
    back !== null && back > 0 ? `${count(back)} on the way back` : "",
  ].filter((text) => text !== "");
  const drops = Object.entries(counters).map(([name, value]) => `${name} ${count(value)}`);
  const lost = [...places, ...(drops.length === 0 ? [] : [`counted: ${drops.join(", ")}`])].join("; ");
  const why = `at ${count(trial.rate_pps)}, ${trial.reasons.join("; ")}`;
  return lost === "" ? [why] : [why, `lost, warm-up included: ${lost}`];
}

/** Lines of at most 80 columns, the first one behind a text and the others below its end. */
function wrapped(text: string, before: string): string[] {
  const lines: string[] = [];
  let line = before;
  for (const word of text.split(" ")) {
    if (line.length + word.length + 1 > WIDTH && line.trim() !== "") {
      lines.push(line);
      line = " ".repeat(before.length);
    }
    line += line.endsWith(" ") ? word : ` ${word}`;
  }
  return [...lines, line];
}

function verdictLine({ faults, results, settings }: LimitReport): string {
  if (faults.length > 0) return pc.red(pc.bold(`  not as expected: ${faults.join("; ")}`));
  const wanted = settings.at_least_pps;
  const found = results.length === 1 ? "the limit was found" : "all limits were found";
  return pc.green(pc.bold(`  ${found}${wanted === null ? "" : `, none below ${count(wanted)} ticks/s`}`));
}

function isFloor({ limited_by, pps }: LimitResult): boolean {
  return pps > 0 && limited_by !== "device";
}

function bar(part: number, width: number): string {
  const eighths = Math.round(part * width * 8);
  return "█".repeat(Math.floor(eighths / 8)) + BLOCKS[eighths % 8]!;
}

/** In µs, with three digits; beyond a millisecond with the unit. */
function number(value_ns: number | null): string {
  if (value_ns === null) return "lost";
  const [value, unit] =
    value_ns >= 999.5e6
      ? [value_ns / 1e9, "s"]
      : value_ns >= 999.5e3
        ? [value_ns / 1e6, "ms"]
        : [value_ns / 1e3, ""];
  return `${value.toFixed(value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2)}${unit}`;
}

function mbitText(value: number): string {
  return value >= 100 ? count(value) : value.toPrecision(3);
}

function percent(part: number): string {
  const value = 100 * part;
  if (value === 0) return "0";
  return value < 0.01 ? "<0.01 %" : `${Number(value.toPrecision(2))} %`;
}

function timeLeft(time_s: number): string {
  if (time_s < 90) return `${Math.ceil(time_s)} s`;
  return time_s < 5400 ? `${Math.round(time_s / 60)} min` : `${(time_s / 3600).toFixed(1)} h`;
}

function count(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}
