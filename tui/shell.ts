/** The frame around the screens: tabs, the message, keys, help, and the list of commands. */

import { ARROWS, BINDINGS, GLOBAL, paletteEntries } from "./keys.js";
import { bold, dim, EMPTY, fill, fit, type Line, line, printable, type Size, wrap } from "./line.js";
import { checkLines } from "./screens/checks.js";
import { compareLines } from "./screens/compare.js";
import { doctorLines } from "./screens/doctor.js";
import { orderLines } from "./screens/orders.js";
import { replayScreenLines } from "./screens/replay.js";
import { responderLines } from "./screens/responder.js";
import { runLines } from "./screens/run.js";
import { type Message, SCREENS, type State } from "./state.js";

const SMALLEST: Size = { columns: 80, rows: 24 };
const FRAME_ROWS = 3; // tabs above, message and keys below

/** All lines of the terminal but the last one, which stays empty so that nothing scrolls. */
export function viewLines(state: State): Line[] {
  const { columns, rows } = state.size;
  const used = { columns, rows: rows - 1 };
  if (columns < SMALLEST.columns || rows < SMALLEST.rows) {
    const text = `carom needs ${SMALLEST.columns} × ${SMALLEST.rows} characters, here are ${columns} × ${rows}`;
    return fill([line(text.slice(0, columns)), line(dim("make the terminal larger, or q quits"))], used.rows);
  }
  const inner = { columns, rows: used.rows - FRAME_ROWS };
  const body = state.help
    ? helpLines()
    : state.palette !== null
      ? paletteLines(state.palette, inner)
      : screenLines(state, inner);
  const message = messageLines(state);
  const rest = fill(body, inner.rows + 1 - message.length);
  return [tabLine(state), ...rest, ...message, keyLine(state)].map((row) =>
    row.length === 0 ? EMPTY : fit(row, columns),
  );
}

function screenLines(state: State, size: Size): Line[] {
  switch (state.screen) {
    case "Run":
      return runLines(state.run, state.prompt, size);
    case "Orders":
      return orderLines(state, size);
    case "Replay":
      return replayScreenLines(state.replay, state.prompt, size);
    case "Checks":
      return checkLines(state.checks, size);
    case "Responder":
      return responderLines(state.responder, state.prompt, size);
    case "Compare":
      return compareLines(state.compare, size);
    case "Doctor":
      return doctorLines(state.doctor, size);
  }
}

function tabLine({ screen, run, replay }: State): Line {
  const tabs = SCREENS.map((name, index) => {
    const isHere = name === screen;
    return {
      text: isHere ? `[${index + 1} ${name}]` : ` ${index + 1} ${name} `,
      bold: isHere,
      inverse: isHere,
    };
  });
  return [
    bold("carom "),
    ...tabs,
    { text: run.phase === "running" || replay.phase === "running" ? "●" : "", color: "green" },
  ];
}

const MESSAGE_MAX = 4; // lines

/** One line, which stays free when there is nothing to say; a long problem covers the end of the screen. */
function messageLines({ message, size }: State): Line[] {
  if (message === null) return [EMPTY];
  const { kind, hint } = message;
  const text = printable(message.text); // it may quote a file
  const styled = (part: string) => (kind === "problem" ? bold(part, "red") : { text: part });
  const full = kind === "problem" ? `✗ ${text}` : text;
  if (hint !== "" && !isLong(message, size)) return [line(styled(full), ` → ${printable(hint)}`)];
  const problem = wrap(full, size.columns).slice(0, MESSAGE_MAX);
  const advice = hint === "" ? [] : hintLines(hint, size).slice(0, -1); // its last line is in that of the keys
  return [...problem.map((part) => line(styled(part))), ...advice.map((part) => line(part))];
}

function hintLines(hint: string, { columns }: Size): string[] {
  return wrap(`→ ${printable(hint)} · Esc closes`, columns);
}

/** Whether a message and its hint need a line each. */
function isLong({ text, hint }: Message, { columns }: Size): boolean {
  return hint !== "" && text.length + hint.length + "✗  → ".length > columns;
}

function keyLine({ screen, prompt, palette, help, message, size }: State): Line {
  if (prompt !== null) return line(dim("Enter takes it, Esc leaves it as it was"));
  if (palette !== null) return line(dim("↑ ↓ choose, Enter does it, Esc closes"));
  if (help) return line(dim("any key closes"));
  if (message !== null && isLong(message, size)) return line(hintLines(message.hint, size).at(-1)!);
  const own = BINDINGS[screen].map(({ key, says }) => `${key} ${says.split(/[:;,]/)[0]}`);
  const all = [...own, "? keys", "/ find", "q quit"];
  const text = all.join(" · ");
  return line(dim(text.length <= size.columns ? text : all.join("  ")));
}

function helpLines(): Line[] {
  const row = (key: string, says: string): Line => line(bold(`  ${key.padEnd(4)}`), says);
  const pairs = [GLOBAL.slice(0, 2), GLOBAL.slice(2)];
  return [
    ...pairs.map((two) =>
      two.flatMap(([key, says]): Line => [bold(`${key.padEnd(12)}`), { text: says.padEnd(24) }]),
    ),
    ...SCREENS.flatMap((screen) => [
      line(bold(screen), dim(`  ${ARROWS[screen]}`)),
      ...BINDINGS[screen].map(({ key, says }) => row(key, says)),
    ]),
  ];
}

function paletteLines({ text, chosen }: NonNullable<State["palette"]>, size: Size): Line[] {
  const entries = paletteEntries(text);
  return [
    line("/ ", { text: `${text}▏`, inverse: true }),
    EMPTY,
    ...entries.slice(0, size.rows - 3).map(
      ({ says }, index): Line => [
        { text: index === chosen ? "› " : "  ", bold: true },
        { text: says, bold: index === chosen },
      ],
    ),
    ...(entries.length === 0 ? [line(dim("  there is no such command"))] : []),
  ];
}
