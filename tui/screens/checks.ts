/** The screen Checks: the scripts that come with carom, case by case, and why one failed. */

import {
  around,
  bold,
  type Color,
  colored,
  dim,
  EMPTY,
  heading,
  type Line,
  line,
  printable,
  type Size,
} from "../line.js";
import type { CheckedCase, ChecksState } from "../state.js";

const MARKS: Readonly<Record<CheckedCase["outcome"], readonly [string, Color | undefined]>> = {
  waiting: ["·", undefined],
  passed: ["✓", "green"],
  failed: ["✗", "red"],
  skipped: ["–", "yellow"],
  error: ["!", "red"],
};
const BAR = 20;

export function checkLines(checks: ChecksState, size: Size): Line[] {
  const { cases, chosen, device, phase } = checks;
  if (cases.length === 0) {
    return [
      heading("checks", size.columns),
      line(dim("  s runs the scripts that come with carom against its own responder, in a lab of its own")),
    ];
  }
  const count = (outcome: CheckedCase["outcome"]) => cases.filter((item) => item.outcome === outcome).length;
  const done = cases.length - count("waiting");
  const filled = Math.round((BAR * done) / cases.length);
  const bad = count("failed") + count("error");
  const head: Line[] = [
    line(
      bold(
        phase === "running" ? "● running" : phase === "stopping" ? "◐ stopping after this case" : "■ ended",
        bad > 0 ? "red" : phase === "running" || done === cases.length ? "green" : undefined,
      ),
      `  ${"█".repeat(filled)}${"░".repeat(BAR - filled)} ${done} of ${cases.length}  `,
      colored(`✓ ${count("passed")} passed`, "green"),
      colored(`  ✗ ${bad} failed`, bad > 0 ? "red" : undefined),
      `  – ${count("skipped")} skipped`,
    ),
    line(dim(`against ${device}`)),
    EMPTY,
  ];
  const details = cases[chosen]?.details ?? [];
  const below = details.length === 0 ? 0 : Math.min(details.length + 2, Math.floor(size.rows / 2));
  const rows = Math.max(3, size.rows - head.length - below - 1);
  return [
    ...head,
    ...listLines(cases, chosen, rows, size.columns),
    ...detailLines(details, below, size.columns),
  ];
}

function listLines(cases: readonly CheckedCase[], chosen: number, rows: number, width: number): Line[] {
  const shown = around(cases, chosen, rows);
  return shown.items.map(({ script, name, outcome }, index): Line => {
    const [mark, color] = MARKS[outcome];
    const isChosen = shown.from + index === chosen;
    return [
      { text: isChosen ? "› " : "  ", bold: true },
      { text: `${mark} `, color, bold: true },
      dim(script.slice(0, 18).padEnd(19)),
      { text: printable(name).slice(0, width - 24), bold: isChosen },
    ];
  });
}

function detailLines(details: readonly string[], rows: number, width: number): Line[] {
  if (rows === 0) return [];
  return [
    EMPTY,
    heading("why", width),
    ...details.slice(0, rows - 2).map((text) => line(`  ${printable(text)}`)),
  ];
}
