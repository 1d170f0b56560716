/**
 * Curves over each other in a terminal, of braille dots: the first one whole, the others broken, each in its way, so
 * that they can be told apart without colour, too.
 */

export interface Curve {
  /** Of each column of dots a height from 0 (low) to 1, or null where there is none. */
  at(part: number): number | null;
}

export interface Cell {
  readonly text: string; // one character
  readonly owner: number | "none" | "several"; // which of the curves
}

/** Unicode's braille patterns: bits of the dots by row and column. */
const DOTS = [
  [0x01, 0x08],
  [0x02, 0x10],
  [0x04, 0x20],
  [0x40, 0x80],
] as const;
const BLANK = 0x2800;
/** Of each curve how many dots a stroke has, and the gap behind it. */
const STROKES = [
  [1, 0],
  [4, 4],
  [1, 3],
  [9, 3],
] as const;
export const CURVES_MAX = STROKES.length;

/** A stroke of a curve, for a legend. */
export const SAMPLES = ["⠤⠤⠤⠤", "⠤⠤  ⠤⠤", "⠄ ⠄ ⠄", "⠤⠤⠤⠤ ⠤⠤⠤⠤"] as const;

/** @returns rows of cells, from the top */
export function drawCurves(curves: readonly Curve[], columns: number, rows: number): Cell[][] {
  const [width, height] = [columns * 2, rows * 4];
  const bits = curves.map(() => new Uint8Array(columns * rows));
  for (const [index, curve] of curves.entries()) {
    const [stroke, gap] = STROKES[index % CURVES_MAX]!;
    let before: number | null = null;
    for (let x = 0; x < width; x++) {
      const value = curve.at(x / (width - 1));
      const y: number | null =
        value === null ? null : Math.round((1 - Math.min(1, Math.max(0, value))) * (height - 1));
      if (y !== null && x % (stroke + gap) < stroke) {
        // A steep stretch is a line, too.
        const from = before === null ? y : before < y ? before + 1 : before > y ? before - 1 : y;
        for (let dot = Math.min(from, y); dot <= Math.max(from, y); dot++) {
          bits[index]![(dot >> 2) * columns + (x >> 1)]! |= DOTS[dot & 3]![x & 1]!;
        }
      }
      before = y;
    }
  }
  return Array.from({ length: rows }, (_, row) =>
    Array.from({ length: columns }, (_, column) => {
      const here = bits.map((all) => all[row * columns + column]!);
      const drawn = here.flatMap((dots, index) => (dots > 0 ? [index] : []));
      const owner = drawn.length === 0 ? "none" : drawn.length === 1 ? drawn[0]! : "several";
      const all = here.reduce((sum, dots) => sum | dots, 0);
      const text = owner === "none" ? " " : String.fromCharCode(BLANK + all);
      return { text, owner };
    }),
  );
}
