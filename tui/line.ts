/** Lines of styled text: what a screen is made of. A screen is a function from the state and a size to lines. */

import { dotted } from "../native/escape.js";

export type Color = "red" | "green" | "yellow" | "cyan" | "magenta" | "blue";

export interface Span {
  readonly text: string;
  readonly color?: Color | undefined;
  readonly bold?: boolean | undefined;
  readonly dim?: boolean | undefined;
  readonly inverse?: boolean | undefined;
}

export type Line = readonly Span[];

export interface Size {
  readonly columns: number;
  readonly rows: number;
}

export const EMPTY: Line = [];

export function line(...parts: readonly (string | Span)[]): Line {
  return parts.map((part) => (typeof part === "string" ? { text: part } : part));
}

export const bold = (text: string, color?: Color): Span => ({ text, bold: true, color });
export const dim = (text: string): Span => ({ text, dim: true });
export const colored = (text: string, color: Color | undefined): Span => ({ text, color });

/** In columns: every character that carom draws takes one. */
export function widthOf(given: Line): number {
  return given.reduce((sum, { text }) => sum + [...text].length, 0);
}

/** Cut to the width, with … where something is missing, or filled up with blanks. */
export function fit(given: Line, width: number): Line {
  const result: Span[] = [];
  let left = width;
  const total = widthOf(given);
  for (const span of given) {
    const characters = [...span.text];
    if (total > width && characters.length >= left) {
      result.push({
        ...span,
        text: `${characters.slice(0, Math.max(0, left - 1)).join("")}${left > 0 ? "…" : ""}`,
      });
      return result;
    }
    result.push(span);
    left -= characters.length;
  }
  if (left > 0) result.push({ text: " ".repeat(left) });
  return result;
}

/** Two blocks of lines side by side; the left one gets so many columns. */
export function beside(left: readonly Line[], right: readonly Line[], width: number, gap = "  "): Line[] {
  const rows = Math.max(left.length, right.length);
  return Array.from({ length: rows }, (_, row) => [
    ...fit(left[row] ?? EMPTY, width),
    { text: gap },
    ...(right[row] ?? EMPTY),
  ]);
}

/** A heading with a rule behind it. */
export function heading(text: string, width: number): Line {
  const rule = "─".repeat(Math.max(0, width - [...text].length - 1));
  return [bold(text), dim(` ${rule}`)];
}

/** As many lines as there are rows, the last ones left out, or empty ones added. */
export function fill(lines: readonly Line[], rows: number): Line[] {
  return Array.from({ length: rows }, (_, row) => lines[row] ?? EMPTY);
}

/** A part of a long list in which an index is seen. */
export function around<T>(
  items: readonly T[],
  index: number,
  rows: number,
): { readonly from: number; readonly items: readonly T[] } {
  const from = Math.max(0, Math.min(index - Math.floor(rows / 2), items.length - rows));
  return { from, items: items.slice(from, from + rows) };
}

/** Text of a packet or a file is shown, never obeyed. */
export function printable(text: string): string {
  return dotted(text);
}

/** Breaks a text at blanks. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width)
      lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}
