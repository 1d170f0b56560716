/** The screen Run: settings, rates, round trips while they come, and what became of the run. */

import { formatNs } from "../../config/values.js";
import { rateText } from "../../run/lines.js";
import { recentRate } from "../../run/rate.js";
import { percentileCurve, sparkline, spectrum } from "../charts.js";
import { FIELDS } from "../fields.js";
import {
  beside,
  bold,
  colored,
  dim,
  EMPTY,
  fit,
  heading,
  type Line,
  line,
  type Size,
  widthOf,
  wrap,
} from "../line.js";
import { type Live, type Recorded, recordedAt } from "../live.js";
import type { Prompt, RunState } from "../state.js";
import { fieldLines, PHASES } from "./settings.js";

const SETTINGS = 27; // columns
const PERCENTILES = [50, 90, 99, 99.9, 99.99];
const FAULTS = ["wrong", "missing", "late", "duplicate", "unexpected"] as const;
const CURVE_MIN = 110; // columns: with fewer there is no curve beside the spectrum
const COUNTERS_MIN = 36; // rows

export function runLines(run: RunState, prompt: Prompt | null, size: Size): Line[] {
  const wide = size.columns - SETTINGS - 3;
  const upper = beside(
    [
      heading("settings", SETTINGS),
      ...fieldLines({ fields: FIELDS, texts: run.fields, chosen: run.field, prompt }),
    ],
    [...rateLines(run.live, wide), EMPTY, ...figureLines(run.live, wide)],
    SETTINGS,
    " │ ",
  );
  const head = [statusLine(run), ...upper];
  const tail = [...threadLines(run, size.columns), ...verdictLines(run, size.columns)];
  const counters = size.rows >= COUNTERS_MIN ? counterLines(run.live, size.columns) : [];
  const rows = Math.max(
    2,
    size.rows - head.length - tail.length - counters.length - (run.phase === "ended" ? 0 : 1),
  );
  return [...head, ...chartLines(run, size.columns, rows), ...counters, ...tail];
}

function statusLine({ phase, live, length_s, description, id, again }: RunState): Line {
  const [text, color] = PHASES[phase];
  const left =
    phase === "running" && length_s !== null ? Math.max(0, Math.ceil(length_s - live.elapsed_s)) : null;
  const parts = [
    ...(live.elapsed_s > 0 ? [`${live.elapsed_s.toFixed(phase === "ended" ? 1 : 0)} s`] : []),
    ...(left === null ? [] : [`${left} s left`]),
    ...(again ? ["it starts anew with the changed setting"] : []),
    ...(description === null || phase === "idle" ? [] : [description.backends, description.loop]),
    ...(id === null ? [] : [`kept as run ${id}`]),
  ];
  return line(bold(text, color), parts.length === 0 ? "" : `  ${parts.join(" · ")}`);
}

function rateLines(live: Live, width: number): Line[] {
  const chart = Math.max(10, Math.min(120, width - 24));
  const one = (label: string, values: readonly number[]): Line =>
    line(
      dim(label.padEnd(9)),
      `${rateText(recentRate(values)).padStart(11)}/s `,
      colored(sparkline(values, chart), "cyan"),
    );
  return [one("sent", live.sent_pps), one("received", live.received_pps)];
}

function figureLines({ second, whole, lateness }: Live, width: number): Line[] {
  const cell = (text: string) => text.padStart(11);
  const at = (recorded: Recorded, percentile: number) => {
    const value_ns = recordedAt(recorded, percentile);
    if (value_ns !== null) return formatNs(value_ns);
    return recorded.missing > 0 ? "missing" : "–"; // as in the report
  };
  const shown = [second, whole, ...(width >= 46 ? [lateness] : [])];
  const head = ["last second", "whole run", ...(width >= 46 ? ["send late"] : [])];
  const rows = PERCENTILES.map((percentile): Line => {
    const cells = shown.map((recorded) => cell(at(recorded, percentile)));
    return line(dim(`p${percentile}`.padEnd(9)), cells.join(" "));
  });
  const most = shown.map(({ max, count: all }) => cell(all === 0 ? "–" : formatNs(max)));
  return [
    line(dim(`${"".padEnd(9)}${head.map((text) => text.padStart(11)).join(" ")}`)),
    ...rows,
    line(dim("max".padEnd(9)), most.join(" ")),
  ];
}

function chartLines({ live, description }: RunState, width: number, rows: number): Line[] {
  const { spectrum: columns, whole, generator } = live;
  const isWide = width >= CURVE_MIN;
  const left = isWide ? Math.floor(width * 0.55) : width;
  const chart = spectrum(columns, left, rows - 1);
  // Only an open loop has a schedule from which a late send counts against the round trip.
  const from = description?.loop.startsWith("open") === true ? "planned" : "actual";
  const title = heading(`round trip from the ${from} send, by the second`, left);
  const isAnswered = (generator.received ?? 0) > 0;
  const none = line(
    dim(
      isAnswered
        ? "  none by the second: the program in the kernel keeps them for the whole run"
        : "  nothing was answered yet",
    ),
  );
  const lines = [title, ...(chart.length === 0 ? [none] : chart)];
  const padded = Array.from({ length: rows }, (_, row) => lines[row] ?? EMPTY);
  if (!isWide) return padded;
  const right = width - left - 2;
  const curve = percentileCurve((percentile) => recordedAt(whole, percentile), right, rows - 1);
  return beside(padded, [heading("by percentile, whole run", right), ...curve], left);
}

function threadLines({ live, clock }: RunState, width: number): Line[] {
  const shown = live.threads.map(
    ({ role, cpu, pinned, load }) =>
      `${role} on core ${cpu}${pinned ? "" : " (not pinned)"} ${Math.round(100 * load)} %`,
  );
  const text = shown.length === 0 ? "–" : shown.join(" · ");
  return [
    fit(line(dim("threads  "), text), width),
    fit(line(dim("clock    "), clock === "" ? "–" : clock), width),
  ];
}

function verdictLines({ live, report, phase }: RunState, width: number): Line[] {
  const n = (name: string) => live.generator[name] ?? 0;
  const found = report?.verdicts;
  const value = (name: (typeof FAULTS)[number] | "correct") => found?.[name] ?? n(name);
  const verdicts = (names: readonly (typeof FAULTS)[number][]): Line => [
    dim("verdicts "),
    { text: `correct ${count(value("correct"))}`, color: "green" },
    ...names.map((name) => ({
      text: `  ${name} ${count(value(name))}`,
      color: value(name) > 0 ? ("red" as const) : undefined,
      bold: value(name) > 0,
    })),
  ];
  const all = verdicts(FAULTS);
  // No fault is cut off: where there is no room for all, those of which there are none go.
  const some: Line = [...verdicts(FAULTS.filter((name) => value(name) > 0)), { text: "  others 0" }];
  const lines: Line[] = [widthOf(all) <= width ? all : some];
  if (phase !== "ended" || report === null) return lines;
  if (report.faults.length === 0) return [...lines, line(bold("✓ all as expected", "green"))];
  return [
    ...lines,
    ...wrap(`✗ not as expected: ${report.faults.join("; ")}`, width)
      .slice(0, 2)
      .map((text) => line(bold(text, "red"))),
  ];
}

/** What either side counted, that is not zero. */
function counterLines({ generator, responder }: Live, width: number): Line[] {
  const column = Math.floor((width - 2) / 2);
  const of = (counters: Readonly<Record<string, number>>): Line[] =>
    Object.entries(counters)
      .filter(([, value]) => value > 0)
      .slice(0, 12)
      .map(([name, value]) =>
        line(dim(`  ${name.replaceAll("_", " ").padEnd(22)}`), count(value).padStart(16)),
      );
  const none = [line(dim("  nothing yet"))];
  const [left, right] = [of(generator), responder === null ? none : of(responder)];
  return beside(
    [heading("generator", column), ...(left.length === 0 ? none : left)],
    [heading("responder", column), ...(right.length === 0 ? none : right)],
    column,
  ).slice(0, 13);
}

function count(value: number): string {
  return value.toLocaleString("en-US");
}
