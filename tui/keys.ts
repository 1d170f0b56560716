/** Keys and commands: what each does, on which screen. Plain functions. */

import { FIELDS, type Field, nextChoice, REPLAY_FIELDS } from "./fields.js";
import { type Action, type FieldScreen, SCREENS, type Screen, type State } from "./state.js";

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
  | "run.changed"
  | "replay.toggle"
  | "replay.options"
  | "replay.path"
  | "replay.result"
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
  Replay: [
    { key: "s", says: "start or stop: the chosen capture is sent", command: "replay.toggle" },
    { key: "o", says: "options: the arrows go there, or back to the captures", command: "replay.options" },
    { key: "p", says: "path: another capture is typed", command: "replay.path" },
    { key: "v", says: "view: the last replay, or the list again", command: "replay.result" },
  ],
  Checks: [{ key: "s", says: "start or stop the checks", command: "checks.toggle" }],
  Responder: [
    { key: "e", says: "answer: let it answer again", command: "responder.enable" },
    { key: "d", says: "silence: let it answer nothing for now", command: "responder.disable" },
    { key: "c", says: "change: its settings, key=value", command: "responder.change" },
    { key: "t", says: "trace: its packets, or stop that", command: "responder.trace" },
    { key: "r", says: "reset: set its counters to zero", command: "responder.reset" },
    { key: "x", says: "end: it stops, and gives everything back", command: "responder.stop" },
  ],
  Compare: [
    { key: "m", says: "mark a run, or not; the others are compared with the first", command: "compare.mark" },
  ],
  Doctor: [{ key: "s", says: "look at this machine", command: "doctor.start" }],
};

export const ARROWS: Readonly<Record<Screen, string>> = {
  Run: "↑ ↓ choose a setting, ← → change it, Enter types it",
  Orders: "↑ ↓ choose an order",
  Replay: "↑ ↓ choose a capture or an option, ← → change it, Enter types it",
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
  effects(state: State): Effects;
}

const NONE: Effects = { actions: [], commands: [] };

/** Everything that can be done, as / finds it. */
export function paletteEntries(text: string): PaletteEntry[] {
  const go = SCREENS.map(
    (screen): PaletteEntry => ({
      says: `go to ${screen}`,
      effects: () => actions({ type: "screen", screen }),
    }),
  );
  const own = SCREENS.flatMap((screen) =>
    BINDINGS[screen].map(
      ({ says, command }): PaletteEntry => ({
        says: `${screen}: ${says}`,
        effects: (state) => {
          const { actions: own, commands: asked } = bound(state, command);
          return { actions: [{ type: "screen", screen }, ...own], commands: asked };
        },
      }),
    ),
  );
  const rest: PaletteEntry[] = [
    { says: "show all keys", effects: () => actions({ type: "help", shown: true }) },
    { says: "quit", effects: () => commands(["quit", ""]) },
  ];
  const words = text.toLowerCase().split(" ");
  return [...own, ...go, ...rest].filter(({ says }) =>
    words.every((word) => says.toLowerCase().includes(word)),
  );
}

/** What a key does. */
export function onKey(state: State, key: Key): Effects {
  if (key.name === "interrupt") return commands(["quit", ""]);
  if (state.prompt !== null) return onPromptKey(state, state.prompt, key);
  if (state.palette !== null) return onPaletteKey(state, state.palette, key);
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
  if (binding !== undefined) return bound(state, binding.command);
  return onFieldKey(state, key);
}

/** What a screen's own key does: some only ask for a text, or show something else. */
function bound({ replay }: State, command: CommandName): Effects {
  switch (command) {
    case "responder.change":
      return actions({ type: "prompt", prompt: { label: "key=value", text: "", into: "responder" } });
    case "replay.path":
      return actions({ type: "prompt", prompt: { label: "path", text: "", into: "capture" } });
    case "replay.options": {
      const pane = replay.pane === "options" && !replay.result ? "captures" : "options";
      return actions({ type: "replay", change: { pane, result: false } });
    }
    case "replay.result":
      return actions({ type: "replay", change: { result: !replay.result && replay.replayed !== "" } });
    default:
      return commands([command, ""]);
  }
}

interface Settings {
  readonly screen: FieldScreen;
  readonly fields: readonly Field[];
  readonly chosen: number;
  readonly texts: Readonly<Record<string, string>>;
}

/** The settings that keys change now. */
function settingsOf({ screen, run, replay }: State): Settings | null {
  if (screen === "Run") return { screen, fields: FIELDS, chosen: run.field, texts: run.fields };
  if (screen !== "Replay" || replay.pane !== "options" || replay.result) return null;
  return { screen, fields: REPLAY_FIELDS, chosen: replay.field, texts: replay.fields };
}

function onFieldKey(state: State, key: Key): Effects {
  const settings = settingsOf(state);
  if (settings === null) return NONE;
  const { screen } = settings;
  const field = settings.fields[settings.chosen]!;
  const text = settings.texts[field.name] ?? "";
  if (key.name === "return" && field.choices === undefined) {
    const into = { screen, field: field.name };
    return actions({ type: "prompt", prompt: { label: field.label, text, into } });
  }
  const by = key.name === "left" ? -1 : key.name === "right" || key.name === "return" ? 1 : 0;
  if (by === 0 || field.choices === undefined) return NONE;
  return changed(state, screen, field.name, nextChoice(field, text, by));
}

/** While a run goes on, a setting that changes is in force at once, or the run starts anew. */
function changed({ run, replay }: State, screen: FieldScreen, name: string, text: string): Effects {
  const before = (screen === "Run" ? run : replay).fields[name];
  if (text === before) return NONE;
  const commands: Effects["commands"] = screen === "Run" ? [["run.changed", name]] : [];
  return { actions: [{ type: "field", screen, name, text }], commands };
}

function onPromptKey(state: State, prompt: NonNullable<State["prompt"]>, key: Key): Effects {
  const close: Action = { type: "prompt", prompt: null };
  if (key.name === "escape") return actions(close);
  if (key.name === "return") {
    const rest =
      prompt.into === "responder"
        ? commands(["responder.change", prompt.text])
        : prompt.into === "capture"
          ? commands(["replay.path", prompt.text.trim()])
          : changed(state, prompt.into.screen, prompt.into.field, prompt.text.trim());
    return { actions: [close, ...rest.actions], commands: rest.commands };
  }
  const text = edited(prompt.text, key);
  return text === prompt.text ? NONE : actions({ type: "prompt", prompt: { ...prompt, text } });
}

function onPaletteKey(state: State, { text, chosen }: NonNullable<State["palette"]>, key: Key): Effects {
  const entries = paletteEntries(text);
  const close: Action = { type: "palette", palette: null };
  if (key.name === "escape") return actions(close);
  if (key.name === "return") {
    const found = entries[chosen]?.effects(state) ?? NONE;
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
