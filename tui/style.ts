/** Styles as the terminal takes them. */

import { type Color, type Line, printable, type Span } from "./line.js";

/** ECMA-48, 8.3.117: select graphic rendition. The terminal's own colours: it knows whether it is light or dark. */
const COLORS: Readonly<Record<Color, number>> = {
  red: 31,
  green: 32,
  yellow: 33,
  blue: 34,
  magenta: 35,
  cyan: 36,
};
const [BOLD, DIM, INVERSE] = [1, 2, 7];

function isColorful(): boolean {
  return (process.env.NO_COLOR ?? "") === "";
}

export function styledText(spans: Line, colorful = isColorful()): string {
  return spans.map((span) => styled(span, colorful)).join("");
}

function styled({ text: given, color, bold, dim, inverse }: Span, colorful: boolean): string {
  const text = printable(given); // a name or a file may hold anything; each character keeps its one column
  const codes = [
    ...(bold === true ? [BOLD] : []),
    ...(dim === true ? [DIM] : []),
    ...(inverse === true ? [INVERSE] : []),
    ...(color !== undefined && colorful ? [COLORS[color]] : []),
  ];
  return codes.length === 0 || text === "" ? text : `\x1b[${codes.join(";")}m${text}\x1b[0m`;
}
