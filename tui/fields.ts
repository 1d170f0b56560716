/** The settings of a run that the UI shows; all others keep their defaults. */

import { GENERATOR_BACKENDS, RESPONDER_BACKENDS } from "../config/io.js";
import { STRATEGY_NAMES } from "../config/strategy.js";
import { readyProfiles } from "../generator/profile.js";

export interface Field {
  readonly name: string; // of the option
  readonly label: string;
  readonly empty: string; // what nothing means
  readonly choices?: readonly string[]; // "" among them: nothing
}

export const FIELDS: readonly Field[] = [
  { name: "rate", label: "rate", empty: "closed loop" },
  { name: "window", label: "window", empty: "1" },
  { name: "profile", label: "profile", empty: "none", choices: ["", ...readyProfiles().keys()] },
  { name: "backend", label: "generator", empty: "", choices: GENERATOR_BACKENDS },
  { name: "responderBackend", label: "responder", empty: "the same", choices: ["", ...RESPONDER_BACKENDS] },
  { name: "strategy", label: "strategy", empty: "", choices: STRATEGY_NAMES },
  { name: "duration", label: "duration", empty: "5s" },
  { name: "seed", label: "seed", empty: "1" },
];

export const INITIAL_FIELDS: Readonly<Record<string, string>> = {
  rate: "",
  window: "",
  profile: "",
  backend: "af_xdp",
  responderBackend: "",
  strategy: "threshold",
  duration: "20s",
  seed: "",
};

/** What a choice becomes with ← or →. */
export function nextChoice({ choices = [] }: Field, text: string, by: number): string {
  const index = choices.indexOf(text);
  return choices[(index + by + choices.length) % choices.length] ?? "";
}

/** The fields as texts of options, without those that are empty. */
export function givenFields(fields: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(fields).filter(([, text]) => text.trim() !== ""));
}
