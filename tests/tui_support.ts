/** The UI for tests without a terminal: keys in, text out. */

import { onKey } from "../tui/keys.js";
import { viewLines } from "../tui/shell.js";
import { type Action, reduce, type State } from "../tui/state.js";

export const SMALL = { columns: 80, rows: 24 };
export const key = (input: string) => ({ input, name: "" as const });
export const after = (state: State, ...actions: readonly Action[]) => actions.reduce(reduce, state);
export const textOf = (state: State) =>
  viewLines(state)
    .map((spans) => spans.map(({ text }) => text).join(""))
    .join("\n");

/** The state after some keys, and the commands that they gave. */
export function typed(state: State, ...keys: readonly Parameters<typeof onKey>[1][]) {
  const commands: string[] = [];
  let now = state;
  for (const pressed of keys) {
    const effects = onKey(now, pressed);
    now = after(now, ...effects.actions);
    commands.push(...effects.commands.map(([name, argument]) => `${name} ${argument}`.trim()));
  }
  return { state: now, commands };
}
