/** Pictures in the terminal: something over time, and shares of ranges. */

import pc from "picocolors";
import { formatNs } from "../config/values.js";
import { rateText } from "./lines.js";
import { bar } from "./text.js";

const ROWS = 8;
const BLOCKS = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

/** A column for each value, in eighths of a line. */
export function overTimeLines(what: string, values: readonly number[], duration_ns: number): string[] {
  const most = Math.max(...values) || 1;
  const heights = values.map((value) => Math.round((value / most) * ROWS * 8));
  const lines = Array.from({ length: ROWS }, (_, index) => {
    const below = (ROWS - 1 - index) * 8;
    const cells = heights.map((height) => BLOCKS[Math.min(8, Math.max(0, height - below))]);
    const name = index === 0 ? rateText(most) : index === ROWS - 1 ? "0" : "";
    return `  ${name.padStart(12)} ${pc.cyan(cells.join(""))}`.trimEnd();
  });
  const axis = `  ${"".padStart(12)} 0${formatNs(duration_ns).padStart(heights.length - 1)}`;
  return [pc.dim(`  ${what}, over time`), ...lines, pc.dim(axis)];
}

/** A bar for each range of a logarithmic scale. */
export function shareLines(
  what: string,
  bins: readonly { readonly from_ns: number; readonly count: number }[],
): string[] {
  const total = bins.reduce((sum, { count }) => sum + count, 0);
  const most = Math.max(...bins.map(({ count }) => count), 1);
  const lines = bins.map(({ from_ns, count }) => {
    const share = total === 0 ? 0 : (100 * count) / total;
    const text = share >= 0.1 || count === 0 ? `${share.toFixed(1)} %` : "<0.1 %";
    return `  ≥ ${formatNs(from_ns).padStart(9)} ${pc.cyan(bar(count / most).padEnd(48))} ${text.padStart(7)}`;
  });
  return [pc.dim(`  ${what}, logarithmic scale`), ...lines];
}
