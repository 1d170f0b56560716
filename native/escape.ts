/** Text of names and files is shown, never obeyed: what a terminal would carry out is written as an escape. */

// Control characters, halves of pairs, line separators, and what turns the direction of writing.
const UNSAFE = /[\p{Cc}\p{Cs}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu;
// A change of colour as carom makes it (ECMA-48, 8.3.117: SGR with one number), and a new line.
const UNSAFE_BUT_STYLE = new RegExp(`(\\x1b\\[\\d{1,2}m|\\n)|${UNSAFE.source}`, "gu");

/** "\x1b" for an escape character, "\u202e" for one that turns the direction. */
export function escaped(text: string): string {
  return text.replace(UNSAFE, escapeOf);
}

/** With a dot in place of each: where every character has its column. */
export function dotted(text: string): string {
  return text.replace(UNSAFE, "·");
}

/** A text as a shell takes it for one word, also where it holds what a terminal would obey. */
export function quotedWord(text: string): string {
  if (/^[\w@%+=:,./-]+$/.test(text)) return text;
  if (text.search(UNSAFE) < 0) return `'${text.replaceAll("'", "'\\''")}'`;
  return `$'${escaped(text.replace(/[\\']/g, "\\$&"))}'`; // as bash, ksh and zsh know it
}

/** The same of lines that carom has written, and coloured where it colours at all. */
export function escapedLines(text: string, isColoured: boolean): string {
  return text.replace(UNSAFE_BUT_STYLE, (character, kept: string | undefined) =>
    kept === "\n" || (kept !== undefined && isColoured) ? kept : escaped(character),
  );
}

function escapeOf(character: string): string {
  const code = character.codePointAt(0)!;
  const short = { 9: "\\t", 10: "\\n", 13: "\\r" }[code];
  return short ?? (code < 256 ? `\\x${hex(code, 2)}` : `\\u${hex(code, 4)}`);
}

function hex(code: number, digits: number): string {
  return code.toString(16).padStart(digits, "0");
}
