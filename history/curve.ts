/**
 * Two curves over each other in a terminal, of braille dots: the first one whole, the second one broken, so that
 * they can be told apart without colour, too.
 */

export interface Curve {
  /** Of each column of dots a height from 0 (low) to 1, or null where there is none. */
  at(part: number): number | null;
}

export interface Cell {
  readonly text: string; // one character
  readonly owner: "none" | "first" | "second" | "both";
}

/** Unicode's braille patterns: bits of the dots by row and column. */
const DOTS = [
  [0x01, 0x08],
  [0x02, 0x10],
  [0x04, 0x20],
  [0x40, 0x80],
] as const;
const BLANK = 0x2800;
const BREAK = 4; // dots: as long as a stroke of the second curve, and as the gap behind it

/** @returns rows of cells, from the top */
export function drawCurves(curves: readonly [Curve, Curve], columns: number, rows: number): Cell[][] {
  const [width, height] = [columns * 2, rows * 4];
  const bits = curves.map(() => new Uint8Array(columns * rows));
  for (const [index, curve] of curves.entries()) {
    let before: number | null = null;
    for (let x = 0; x < width; x++) {
      const value = curve.at(x / (width - 1));
      const y: number | null =
        value === null ? null : Math.round((1 - Math.min(1, Math.max(0, value))) * (height - 1));
      if (y !== null && !(index === 1 && x % (2 * BREAK) >= BREAK)) {
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
      const [one, other] = bits.map((all) => all[row * columns + column]!);
      const owner = one! > 0 ? (other! > 0 ? "both" : "first") : other! > 0 ? "second" : "none";
      const text = owner === "none" ? " " : String.fromCharCode(BLANK + (one! | other!));
      return { text, owner };
    }),
  );
}
