/** Keys and commands: what each does, on which screen. Plain functions. */

import { FIELDS, nextChoice } from "./fields.js";
import { type Action, SCREENS, type Screen, type State } from "./state.js";

/** A key as Ink tells it. */
export interface Key {
  readonly input: string;
  readonly name:
    | "up"
    | "down"
    | "left"
    | "right"
    | "return"
    | "escape"
    | "tab"
    | "back-tab"
    | "backspace"
    | "interrupt"
    | "page-up"
    | "page-down"
    | "";
}

export type CommandName =
  | "quit"
  | "run.toggle"
  | "run.anew"
  | "checks.toggle"
  | "responder.enable"
  | "responder.disable"
  | "responder.reset"
  | "responder.stop"
  | "responder.change"
  | "responder.trace"
  | "compare.mark"
  | "doctor.start";

export interface Effects {
  readonly actions: readonly Action[];
  readonly commands: readonly (readonly [name: CommandName, argument: string])[];
}

export interface Binding {
  readonly key: string;
  readonly says: string;
  readonly command: CommandName;
}

/** The keys of each screen, besides the arrows. */
export const BINDINGS: Readonly<Record<Screen, readonly Binding[]>> = {
  Run: [
    { key: "s", says: "start or stop the run", command: "run.toggle" },
    { key: "n", says: "start it anew, with the settings as they are", command: "run.anew" },
  ],
  Orders: [],
  Checks: [{ key: "s", says: "start or stop the checks", command: "checks.toggle" }],
  Responder: [
    { key: "e", says: "let it answer again", command: "responder.enable" },
    { key: "d", says: "let it answer nothing for now", command: "responder.disable" },
    { key: "c", says: "change its settings: key=value", command: "responder.change" },
    { key: "t", says: "trace its packets, or stop that", command: "responder.trace" },
    { key: "r", says: "set its counters to zero", command: "responder.reset" },
    { key: "x", says: "end it", command: "responder.stop" },
  ],
  Compare: [
    { key: "m", says: "mark a run; the second one is compared with the first", command: "compare.mark" },
  ],
  Doctor: [{ key: "s", says: "look at this machine", command: "doctor.start" }],
};

export const ARROWS: Readonly<Record<Screen, string>> = {
  Run: "↑ ↓ choose a setting, ← → change it, Enter types it",
  Orders: "↑ ↓ choose an order",
  Checks: "↑ ↓ choose a case",
  Responder: "↑ ↓ choose a responder",
  Compare: "↑ ↓ choose a run",
  Doctor: "↑ ↓ scroll",
};

export const GLOBAL: readonly (readonly [key: string, says: string])[] = [
  [`1–${SCREENS.length}, Tab`, "go to a screen"],
  ["/", "find a command"],
  ["?", "all keys"],
  ["q, Ctrl-C", "stop what runs and quit"],
];

export interface PaletteEntry {
  readonly says: string;
  readonly effects: Effects;
}

const NONE: Effects = { actions: [], commands: [] };

/** Everything that can be done, as / finds it. */
export function paletteEntries(text: string): PaletteEntry[] {
  const go = SCREENS.map(
    (screen): PaletteEntry => ({
      says: `go to ${screen}`,
      effects: { ...NONE, actions: [{ type: "screen", screen }] },
    }),
  );
  const own = SCREENS.flatMap((screen) =>
    BINDINGS[screen].map(
      ({ says, command }): PaletteEntry => ({
        says: `${screen}: ${says}`,
        effects: { actions: [{ type: "screen", screen }], commands: [[command, ""]] },
      }),
    ),
  );
  const rest: PaletteEntry[] = [
    { says: "show all keys", effects: { ...NONE, actions: [{ type: "help", shown: true }] } },
    { says: "quit", effects: { ...NONE, commands: [["quit", ""]] } },
  ];
  const words = text.toLowerCase().split(" ");
  return [...own, ...go, ...rest].filter(({ says }) =>
    words.every((word) => says.toLowerCase().includes(word)),
  );
}

/** What a key does. */
export function onKey(state: State, key: Key): Effects {
  if (key.name === "interrupt") return commands(["quit", ""]);
  if (state.prompt !== null) return onPromptKey(state.prompt, key);
  if (state.palette !== null) return onPaletteKey(state.palette, key);
  if (state.help) return actions({ type: "help", shown: false });
  if (key.input === "q") return commands(["quit", ""]);
  if (key.input === "?") return actions({ type: "help", shown: true });
  if (key.input === "/") return actions({ type: "palette", palette: { text: "", chosen: 0 } });
  if (key.name === "escape") return actions({ type: "quieted" });
  const number = /^[1-9]$/.test(key.input) ? SCREENS[Number(key.input) - 1] : undefined;
  if (number !== undefined) return actions({ type: "screen", screen: number });
  const { screen } = state;
  const step = key.name === "tab" ? 1 : key.name === "back-tab" ? SCREENS.length - 1 : 0;
  if (step > 0)
    return actions({ type: "screen", screen: SCREENS[(SCREENS.indexOf(screen) + step) % SCREENS.length]! });
  const by = { up: -1, down: 1, "page-up": -10, "page-down": 10 }[key.name as string];
  if (by !== undefined) return actions({ type: "choose", screen, by });
  const binding = BINDINGS[screen].find(({ key: bound }) => bound === key.input);
  if (binding?.command === "responder.change") {
    return actions({ type: "prompt", prompt: { label: "key=value", text: "", into: "responder" } });
  }
  if (binding !== undefined) return commands([binding.command, ""]);
  return screen === "Run" ? onFieldKey(state, key) : NONE;
}

function onFieldKey({ run }: State, key: Key): Effects {
  const field = FIELDS[run.field]!;
  const text = run.fields[field.name] ?? "";
  if (key.name === "return" && field.choices === undefined) {
    return actions({ type: "prompt", prompt: { label: field.label, text, into: { field: field.name } } });
  }
  const by = key.name === "left" ? -1 : key.name === "right" || key.name === "return" ? 1 : 0;
  if (by === 0 || field.choices === undefined) return NONE;
  return changed(field.name, nextChoice(field, text, by));
}

/** While a run goes on, a setting that changes starts it anew. */
function changed(name: string, text: string): Effects {
  return { actions: [{ type: "field", name, text }], commands: [["run.anew", "if running"]] };
}

function onPromptKey(prompt: NonNullable<State["prompt"]>, key: Key): Effects {
  const close: Action = { type: "prompt", prompt: null };
  if (key.name === "escape") return actions(close);
  if (key.name === "return") {
    const rest =
      prompt.into === "responder"
        ? commands(["responder.change", prompt.text])
        : changed(prompt.into.field, prompt.text.trim());
    return { actions: [close, ...rest.actions], commands: rest.commands };
  }
  const text = edited(prompt.text, key);
  return text === prompt.text ? NONE : actions({ type: "prompt", prompt: { ...prompt, text } });
}

function onPaletteKey({ text, chosen }: NonNullable<State["palette"]>, key: Key): Effects {
  const entries = paletteEntries(text);
  const close: Action = { type: "palette", palette: null };
  if (key.name === "escape") return actions(close);
  if (key.name === "return") {
    const found = entries[chosen]?.effects ?? NONE;
    return { actions: [close, ...found.actions], commands: found.commands };
  }
  const by = key.name === "up" ? -1 : key.name === "down" ? 1 : 0;
  const next = Math.max(0, Math.min(entries.length - 1, chosen + by));
  const changedText = edited(text, key);
  return actions({
    type: "palette",
    palette: { text: changedText, chosen: changedText === text ? next : 0 },
  });
}

const TEXT_MAX = 200;

function edited(text: string, key: Key): string {
  if (key.name === "backspace") return [...text].slice(0, -1).join("");
  if (key.name !== "" || !/^[\x20-\x7e]+$/.test(key.input)) return text;
  return (text + key.input).slice(0, TEXT_MAX);
}

function actions(...given: readonly Action[]): Effects {
  return { actions: given, commands: [] };
}

function commands(...given: Effects["commands"]): Effects {
  return { actions: [], commands: given };
}
