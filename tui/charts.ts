/** Small charts of characters: they say what they say without colour, too. */

import { formatNs } from "../config/values.js";
import { type Curve, drawCurves } from "../history/curve.js";
import { colored, dim, type Line } from "./line.js";

const LEVELS = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
const SHADES = [" ", "·", "░", "▒", "▓", "█"];
const LABEL = 9; // columns of a time

/** A minute of values, the newest at the right; as many as there is room for. */
export function sparkline(values: readonly number[], width: number): string {
  const shown = values.slice(-width);
  const most = Math.max(...shown, 0);
  const text = shown.map((value) =>
    most === 0 ? LEVELS[0] : LEVELS[Math.min(LEVELS.length - 1, Math.floor((value / most) * LEVELS.length))],
  );
  return text.join("").padStart(width);
}

/** The latency spectrum has 4 bins for each doubling, from 64 ns on. */
const LOWEST_NS = 64;
const PER_DOUBLING = 4;
export const SPECTRUM_BINS = 30 * PER_DOUBLING; // up to a minute

export function spectrumBin(value_ns: number): number {
  const bin = Math.floor(Math.log2(Math.max(1, value_ns) / LOWEST_NS) * PER_DOUBLING);
  return Math.min(SPECTRUM_BINS - 1, Math.max(0, bin));
}

/** The least value of a bin. */
export function spectrumValue(bin: number): number {
  return LOWEST_NS * 2 ** (bin / PER_DOUBLING);
}

/**
 * The latency spectrum: time to the right, latency upwards, on a logarithmic scale; the darker, the more.
 * @param columns of each second the counts by bin, the newest last
 */
export function spectrum(columns: readonly (readonly number[])[], width: number, rows: number): Line[] {
  const room = Math.max(1, width - LABEL - 1);
  const shown = columns.slice(-room);
  const used = shown.flatMap((counts) => counts.flatMap((count, bin) => (count > 0 ? [bin] : [])));
  if (used.length === 0) return [];
  const [low, high] = [Math.min(...used), Math.max(...used)];
  const count = Math.min(rows, high - low + 1);
  const step = (high - low + 1) / count;
  return Array.from({ length: count }, (_, index) => {
    const row = count - 1 - index; // from the top
    const [from, to] = [low + Math.floor(row * step), low + Math.floor((row + 1) * step)];
    const cells = shown.map((counts) => {
      const total = counts.reduce((sum, count) => sum + count, 0);
      let here = 0;
      for (let bin = from; bin < to; bin++) here += counts[bin] ?? 0;
      return shade(here, total);
    });
    const label = index % 2 === count % 2 ? "" : formatNs(Number(spectrumValue(from).toPrecision(3)));
    return [dim(`${label.padStart(LABEL)} `), colored(cells.join("").padStart(room), "cyan")];
  });
}

/** One sample in a million is seen, and half of all is dark. */
function shade(count: number, total: number): string {
  if (count === 0 || total === 0) return SHADES[0]!;
  const level = 5 + Math.log10(count / total) * 0.8;
  return SHADES[Math.min(5, Math.max(1, Math.round(level)))]!;
}

const NINES = 4;

/** The round trip at each percentile up to p99.99; both axes are logarithmic. */
export function percentileCurve(
  valueAt: (percentile: number) => number | null,
  width: number,
  rows: number,
): Line[] {
  const room = Math.max(8, width - LABEL - 1);
  const at = (part: number) => valueAt(100 * (1 - 10 ** (-part * NINES)));
  const first = at(0);
  if (first === null) return [];
  // It ends where the ticks begin that were never answered.
  const parts = Array.from({ length: 2 * room }, (_, column) => at(1 - column / (2 * room - 1)));
  const last = parts.find((value) => value !== null) ?? first;
  const [low, high] = [Math.log(Math.max(1, first)), Math.log(Math.max(2, last))];
  const curve: Curve = {
    at: (part) => {
      const value = at(part);
      return value === null ? null : (Math.log(Math.max(1, value)) - low) / Math.max(1e-9, high - low);
    },
  };
  const cells = drawCurves([curve], room, Math.max(1, rows - 1));
  const lines = cells.map((line, index): Line => {
    const isLabelled = index === 0 || index === cells.length - 1;
    const label = isLabelled ? formatNs(Math.round(Math.exp(index === 0 ? high : low))) : "";
    return [dim(`${label.padStart(LABEL)} `), colored(line.map(({ text }) => text).join(""), "cyan")];
  });
  const axis = ["min", "p90", "p99", "p99.9"].map((text) => text.padEnd(Math.floor(room / NINES))).join("");
  return [...lines, [dim(`${" ".repeat(LABEL + 1)}${axis}`)]];
}
