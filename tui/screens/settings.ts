/** What the screens Run and Replay have in common: the phases of what is measured, and its settings. */

import type { Field } from "../fields.js";
import type { Color, Line } from "../line.js";
import type { Prompt, RunState } from "../state.js";

const LABEL = 12;

export const PHASES: Readonly<Record<RunState["phase"], readonly [string, Color | undefined]>> = {
  idle: ["○ not running: s starts a run", undefined],
  starting: ["◐ making the lab and opening both sides", "yellow"],
  running: ["● running", "green"],
  stopping: ["◐ stopping", "yellow"],
  ended: ["■ ended", undefined],
};

interface Settings {
  readonly fields: readonly Field[];
  readonly texts: Readonly<Record<string, string>>;
  readonly chosen: number; // -1: the arrows are somewhere else
  readonly prompt: Prompt | null; // that a setting is typed into
}

/** @param shown what a field shows instead of its text; null: that */
export function fieldLines(
  { fields, texts, chosen, prompt }: Settings,
  shown: (name: string) => string | null = () => null,
): Line[] {
  return fields.map(({ name, label, empty, choices }, index): Line => {
    const isChosen = index === chosen;
    const isEdited =
      prompt !== null && typeof prompt.into === "object" && prompt.into.field === name && isChosen;
    const own = texts[name] === "true" ? "yes" : texts[name];
    const text = isEdited ? `${prompt.text}▏` : (shown(name) ?? (own || empty));
    const value = isChosen && choices !== undefined ? `‹ ${text} ›` : text;
    return [
      { text: isChosen ? "› " : "  ", bold: true },
      { text: label.padEnd(LABEL), dim: !isChosen },
      { text: value, bold: isChosen, inverse: isEdited },
    ];
  });
}
