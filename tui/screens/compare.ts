/** The screen Compare: runs of the history, and some of them side by side. */

import { stripVTControlCharacters } from "node:util";
import { formatNs } from "../../config/values.js";
import { compareLines as textLines } from "../../history/compare_text.js";
import type { Listed } from "../../history/store.js";
import { localTime } from "../../history/summary.js";
import { around, dim, EMPTY, heading, type Line, line, type Size } from "../line.js";
import type { CompareState } from "../state.js";

const LIST_MIN = 5;
const RESULT_ROWS = 32; // what a comparison needs

export function compareLines({ runs, chosen, marked, result }: CompareState, size: Size): Line[] {
  if (runs.length === 0) {
    return [
      heading("finished runs", size.columns),
      line(dim("  none is kept yet: 1 goes to Run, s starts one")),
    ];
  }
  const room = result === null ? size.rows - 2 : Math.max(LIST_MIN, size.rows - RESULT_ROWS);
  const shown = around(runs, chosen, Math.min(room, runs.length));
  const title =
    marked.length === 1 ? `finished runs: with which is run ${marked[0]} to be compared?` : "finished runs";
  return [
    heading(title, size.columns),
    ...shown.items.map((run, index) => listLine(run, shown.from + index === chosen, marked)),
    EMPTY,
    ...(result === null ? [] : resultLines(result, size)),
  ];
}

function listLine({ id, started, summary }: Listed, isChosen: boolean, marked: readonly number[]): Line {
  const mark = marked.indexOf(id);
  const time = (value_ns: number | null) => (value_ns === null ? "–" : formatNs(value_ns)).padStart(9);
  return [
    { text: isChosen ? "› " : "  ", bold: true },
    { text: mark < 0 ? "  " : `${mark + 1} `, inverse: mark >= 0 },
    { text: ` ${String(id).padStart(4)} `, bold: isChosen },
    dim(`${localTime(started).slice("2026-".length)}  `),
    { text: `p50 ${time(summary.p50_ns)}  p99 ${time(summary.p99_ns)}  ` },
    { text: summary.faults === 0 ? "✓ " : "✗ ", color: summary.faults === 0 ? "green" : "red" },
    { text: `${summary.backends} · ${summary.loop}` },
  ];
}

/** As carom compare prints it; the verdicts first, for a small screen may not show all. */
function resultLines({ comparisons, runs }: NonNullable<CompareState["result"]>, size: Size): Line[] {
  const lines = textLines(comparisons, runs).map(stripVTControlCharacters);
  const verdicts = lines.slice(-comparisons.length).map((text, index): Line => {
    const { worse, untested } = comparisons[index]!;
    const [mark, color] =
      worse.length > 0
        ? (["✗", "red"] as const)
        : untested.length > 0
          ? (["!", "yellow"] as const)
          : (["✓", "green"] as const);
    return [{ text: `${mark} ${text.trim()}`, color, bold: true }];
  });
  const figures = lines.slice(2, -comparisons.length - 1);
  return [
    heading("compared", size.columns),
    ...verdicts,
    // On a small screen the figures; the lines about the runs are in the list above.
    ...figures.slice(size.rows < RESULT_ROWS + LIST_MIN ? runs.length + 1 : 0).map((text) => line(text)),
  ];
}
