/** A comparison for people: percentiles side by side, curves over each other, and the verdict. */

import pc from "picocolors";
import { formatNs } from "../config/values.js";
import { escaped } from "../native/escape.js";
import { row } from "../run/lines.js";
import { type Compared, FAR, type Row, times, valueAt } from "./compare.js";
import type { Contender } from "./contender.js";
import { type Cell, type Curve, drawCurves, SAMPLES } from "./curve.js";
import type { Difference } from "./quantile_test.js";

const COLUMNS = 64; // of the curves
const ROWS = 12;
const NINES = 4; // the curves end at p99.99

const COLORS = [pc.cyan, pc.magenta, pc.yellow, pc.green] as const;

/** @param comparisons of the first run with each of the others, in their order */
export function compareLines(comparisons: readonly Compared[], given: readonly Contender[]): string[] {
  const runs = given.map((run) => ({ ...run, name: escaped(run.name) })); // it may be a file's
  const from = comparisons[0]!.of === "planned" ? "planned" : "actual";
  const notes = [...new Set(comparisons.flatMap((compared) => compared.notes))];
  return [
    pc.bold(`carom compare · ${listed(runs.map(({ name }) => name))} · round trip from the ${from} send`),
    "",
    ...runs.map(runLine),
    "",
    ...(comparisons.length === 1 ? figureLines(comparisons[0]!, runs) : tableLines(comparisons, runs)),
    "",
    ...curveLines(runs),
    "",
    ...comparisons.flatMap((compared, index) => testLines(compared, index, comparisons.length, runs)),
    ...notes.map((note, index) => row(index === 0 ? "not the same" : "", note)),
    "",
    ...comparisons.map((compared, index) => verdictLine(compared, runs[index + 1]!)),
  ];
}

function listed(names: readonly string[]): string {
  return `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}

function runLine(run: Contender): string {
  const some = Object.entries(run.verdicts).filter(([name, value]) => name !== "correct" && value > 0);
  const faults =
    some.length === 0 ? "no faults" : some.map(([name, value]) => `${name} ${number(value)}`).join(", ");
  const answered = `${number(run.answered)} of ${number(run.sent)} answered`;
  return row(run.name.slice(0, 13), `${run.backends}, ${run.elapsed_s.toFixed(1)} s, ${answered}, ${faults}`);
}

function figureLines(compared: Compared, runs: readonly Contender[]): string[] {
  const cell = (text: string) => text.padStart(14);
  const confidence = `${Number((100 * (1 - compared.test.level)).toPrecision(6))} % interval`;
  const head = runs.map(({ name }) => cell(name.slice(-13))).join("");
  return [
    pc.dim(`  ${"".padEnd(10)}${head}${cell("difference")}    ${confidence}`),
    ...compared.rows.map((one) => figureLine(one, compared)),
  ];
}

/** Each of the others with its difference from the first. */
function tableLines(comparisons: readonly Compared[], runs: readonly Contender[]): string[] {
  const [first, ...others] = runs.map(({ name }) => name.slice(-10));
  const head = others.map((name) => `${name.padStart(12)}${"".padStart(10)}`).join("");
  const rows = comparisons[0]!.rows.map(({ percentile, values_ns: [base] }, index) => {
    const cells = comparisons.map((compared) => {
      const one = compared.rows[index]!;
      const tested = compared.differences.find((difference) => difference.percentile === percentile);
      const ratio = ratioOf(one, compared);
      const text = `${timeText(one.values_ns[1]).padStart(12)}${(ratio === null ? "" : ratioText(ratio)).padStart(9)}`;
      return tested?.worse === true ? pc.red(`${text}✗`) : `${text} `;
    });
    return `  ${`p${percentile}`.padEnd(8)}${timeText(base).padStart(12)}${cells.join("")}`.trimEnd();
  });
  const told = "✗: significantly worse than the first";
  return [pc.dim(`  ${"".padEnd(8)}${first!.padStart(12)}${head}`.trimEnd()), ...rows, pc.dim(`  ${told}`)];
}

function timeText(value_ns: number | null): string {
  return value_ns === null ? "missing" : formatNs(value_ns);
}

/** As it was tested; otherwise of the figures that are shown. */
function ratioOf({ percentile, values_ns: [one, other] }: Row, { differences }: Compared): number | null {
  const tested = differences.find((difference) => difference.percentile === percentile);
  return tested?.ratio ?? (one === null || other === null ? null : other / one - 1);
}

function figureLine(one: Row, compared: Compared): string {
  const { percentile, values_ns } = one;
  const tested = compared.differences.find((difference) => difference.percentile === percentile);
  const ratio = ratioOf(one, compared);
  const change = ratio === null ? "" : ratioText(ratio);
  const rest = tested === undefined ? "" : `    ${intervalText(tested)}`;
  const values = values_ns.map((value) => timeText(value).padStart(14)).join("");
  const text = `  ${`p${percentile}`.padEnd(10)}${values}${change.padStart(14)}${rest}`.trimEnd();
  return tested?.worse === true ? pc.red(`${text}  worse`) : text;
}

function intervalText({ from, to }: Difference): string {
  const text = (value: number | null, open: string) => (value === null ? open : ratioText(value));
  return `${text(from, "…")} to ${text(to, "…")}`;
}

function ratioText(ratio: number): string {
  if (ratio >= FAR) return `× ${times(ratio)}`;
  return `${ratio < 0 ? "−" : "+"}${Math.abs(100 * ratio).toFixed(1)} %`;
}

/** The percentile by the number of its nines: p90 is 1, p99 is 2. */
function percentileAt(part: number): number {
  return 100 * (1 - 10 ** (-part * NINES));
}

/** Where a run's curve ends: where the ticks begin that were never answered, at the latest. */
function endOf(run: Contender): number | null {
  for (let dot = 2 * COLUMNS; dot > 0; dot--) {
    const value = valueAt(run, percentileAt(dot / (2 * COLUMNS)));
    if (value !== null) return value;
  }
  return null;
}

function curveLines(runs: readonly Contender[]): string[] {
  const ends = runs.flatMap((run) => [valueAt(run, 0.1), endOf(run)]);
  const known = ends.filter((value) => value !== null);
  const [low, high] = [Math.log(Math.max(1, Math.min(...known))), Math.log(Math.max(2, ...known))];
  const curve = (run: Contender): Curve => ({
    at(part) {
      const value = valueAt(run, percentileAt(part));
      return value === null ? null : (Math.log(Math.max(1, value)) - low) / Math.max(1e-9, high - low);
    },
  });
  const cells = drawCurves(runs.map(curve), COLUMNS, ROWS);
  const label = (index: number) => {
    if (index % 4 !== 0 && index !== ROWS - 1) return "";
    return formatNs(Math.round(Math.exp(high - ((high - low) * index) / (ROWS - 1))));
  };
  const axis = ["min", "p90", "p99", "p99.9", "p99.99"];
  const step = COLUMNS / NINES;
  const legend = runs.map(({ name }, index) => `${name} ${SAMPLES[index]}`).join(", ");
  return [
    pc.dim(`  percentile curves: ${legend}; both axes logarithmic`),
    ...cells.map((line, index) => `  ${label(index).padStart(9)} ${line.map(colored).join("").trimEnd()}`),
    pc.dim(`  ${" ".repeat(10)}${axis.map((text) => text.padEnd(step)).join("")}`.trimEnd()),
  ];
}

function colored({ text, owner }: Cell): string {
  return typeof owner === "number" ? COLORS[owner % COLORS.length]!(text) : text;
}

/** What is the same of all comparisons is told with the first. */
function testLines(
  { test, untested, differences }: Compared,
  index: number,
  count: number,
  runs: readonly Contender[],
): string[] {
  const level = `${Number((100 * test.level * count).toPrecision(6))} %`;
  const lines =
    index > 0
      ? []
      : [
          row("test", test.method),
          row("", `a false alarm in about ${level} of all comparisons of equal runs at most`),
        ];
  const name = count === 1 ? "" : `${runs[index + 1]!.name}: `;
  if (differences.length > 0) {
    const values = differences.map(
      ({ percentile, p }) => `p${percentile} ${p < 0.0001 ? "<0.0001" : p.toFixed(4)}`,
    );
    const than = `of no more than ${Number((100 * test.threshold).toPrecision(6))} % slower: `;
    lines.push(row(index === 0 ? "p-values" : "", `${name}${index === 0 ? than : ""}${values.join(", ")}`));
  }
  for (const { percentile, reason } of untested)
    lines.push(row("not tested", `${name}p${percentile}: ${reason}`));
  return lines;
}

function verdictLine({ worse, untested }: Compared, second: Contender): string {
  if (worse.length > 0) return pc.red(pc.bold(`  ${second.name} is worse: ${worse.join("; ")}`));
  if (untested.length > 0) return pc.yellow(pc.bold("  not all that was asked for could be tested"));
  return pc.green(pc.bold(`  ${second.name} is not significantly worse`));
}

function number(value: number): string {
  return value.toLocaleString("en-US");
}
