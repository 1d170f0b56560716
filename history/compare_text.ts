/** A comparison for people: percentiles side by side, two curves over each other, and the verdict. */

import pc from "picocolors";
import { formatNs } from "../config/values.js";
import { row } from "../run/lines.js";
import { type Compared, type Row, valueAt } from "./compare.js";
import type { Contender } from "./contender.js";
import { type Cell, type Curve, drawCurves } from "./curve.js";
import type { Difference } from "./quantile_test.js";

const COLUMNS = 64; // of the curves
const ROWS = 12;
const FAR = 9; // ten times as much and more: a factor says it better than a percentage
const NINES = 4; // the curves end at p99.99

export function compareLines(compared: Compared, first: Contender, second: Contender): string[] {
  const from = compared.of === "planned" ? "planned" : "actual";
  return [
    pc.bold(`carom compare · ${first.name} and ${second.name} · round trip from the ${from} send`),
    "",
    ...runLines(first, second),
    "",
    ...figureLines(compared, first, second),
    "",
    ...curveLines(first, second),
    "",
    ...testLines(compared),
    ...compared.notes.map((note, index) => row(index === 0 ? "not the same" : "", note)),
    "",
    verdictLine(compared, second),
  ];
}

function runLines(first: Contender, second: Contender): string[] {
  const faults = ({ verdicts }: Contender) => {
    const some = Object.entries(verdicts).filter(([name, value]) => name !== "correct" && value > 0);
    return some.length === 0
      ? "no faults"
      : some.map(([name, value]) => `${name} ${number(value)}`).join(", ");
  };
  const line = (run: Contender) =>
    `${run.backends}, ${run.elapsed_s.toFixed(1)} s, ${number(run.answered)} of ${number(run.sent)} answered, ${faults(run)}`;
  const name = (run: Contender) => run.name.slice(0, 13);
  return [row(name(first), line(first)), row(name(second), line(second))];
}

function figureLines(compared: Compared, first: Contender, second: Contender): string[] {
  const cell = (text: string) => text.padStart(14);
  const confidence = `${Number((100 * (1 - compared.test.level)).toPrecision(6))} % interval`;
  const head = [first.name, second.name].map((name) => cell(name.slice(-13))).join("");
  return [
    pc.dim(`  ${"".padEnd(10)}${head}${cell("difference")}    ${confidence}`),
    ...compared.rows.map((one) => figureLine(one, compared)),
  ];
}

function figureLine({ percentile, values_ns: [one, other] }: Row, { differences }: Compared): string {
  const cell = (value: number | null) => (value === null ? "missing" : formatNs(value)).padStart(14);
  const tested = differences.find((difference) => difference.percentile === percentile);
  const ratio = tested?.ratio ?? (one === null || other === null ? null : other / one - 1);
  const change = ratio === null ? "" : ratioText(ratio);
  const rest = tested === undefined ? "" : `    ${intervalText(tested)}`;
  const text = `  ${`p${percentile}`.padEnd(10)}${cell(one)}${cell(other)}${change.padStart(14)}${rest}`;
  return tested?.worse === true ? pc.red(`${text}  worse`) : text;
}

function intervalText({ from, to }: Difference): string {
  const text = (value: number | null, open: string) => (value === null ? open : ratioText(value));
  return `${text(from, "…")} to ${text(to, "…")}`;
}

function ratioText(ratio: number): string {
  if (ratio >= FAR) return `× ${Math.round(1 + ratio).toLocaleString("en-US")}`;
  return `${ratio < 0 ? "−" : "+"}${Math.abs(100 * ratio).toFixed(1)} %`;
}

/** The percentile by the number of its nines: p90 is 1, p99 is 2. */
function percentileAt(part: number): number {
  return 100 * (1 - 10 ** (-part * NINES));
}

function curveLines(first: Contender, second: Contender): string[] {
  const ends = [first, second].flatMap((run) => [valueAt(run, 0.1), valueAt(run, percentileAt(1))]);
  const known = ends.filter((value) => value !== null);
  const [low, high] = [Math.log(Math.max(1, Math.min(...known))), Math.log(Math.max(2, ...known))];
  const curve = (run: Contender): Curve => ({
    at(part) {
      const value = valueAt(run, percentileAt(part));
      return value === null ? null : (Math.log(Math.max(1, value)) - low) / Math.max(1e-9, high - low);
    },
  });
  const cells = drawCurves([curve(first), curve(second)], COLUMNS, ROWS);
  const label = (index: number) => {
    if (index % 4 !== 0 && index !== ROWS - 1) return "";
    return formatNs(Math.round(Math.exp(high - ((high - low) * index) / (ROWS - 1))));
  };
  const axis = ["min", "p90", "p99", "p99.9", "p99.99"];
  const step = COLUMNS / NINES;
  return [
    pc.dim(`  percentile curves: ${first.name} ⠤⠤⠤⠤, ${second.name} ⠤⠤  ⠤⠤; both axes logarithmic`),
    ...cells.map((line, index) => `  ${label(index).padStart(9)} ${line.map(colored).join("").trimEnd()}`),
    pc.dim(`  ${" ".repeat(10)}${axis.map((text) => text.padEnd(step)).join("")}`.trimEnd()),
  ];
}

function colored({ text, owner }: Cell): string {
  return owner === "first" ? pc.cyan(text) : owner === "second" ? pc.magenta(text) : text;
}

function testLines({ test, untested, differences }: Compared): string[] {
  const level = `${Number((100 * test.level).toPrecision(6))} %`;
  const lines = [
    row("test", test.method),
    row("", `a false alarm in about ${level} of all comparisons of equal runs at most`),
  ];
  if (differences.length > 0) {
    const values = differences.map(
      ({ percentile, p }) => `p${percentile} ${p < 0.0001 ? "<0.0001" : p.toFixed(4)}`,
    );
    lines.push(
      row(
        "p-values",
        `of no more than ${Number((100 * test.threshold).toPrecision(6))} % slower: ${values.join(", ")}`,
      ),
    );
  }
  for (const { percentile, reason } of untested) lines.push(row("not tested", `p${percentile}: ${reason}`));
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
