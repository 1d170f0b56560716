/** The settings of a run that the UI shows; all others keep their defaults. */

import { GENERATOR_BACKENDS, RESPONDER_BACKENDS } from "../config/io.js";
import { STRATEGY_NAMES } from "../config/strategy_rules.js";
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
  { name: "interface", label: "interface", empty: "the lab's" },
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
  interface: "",
};

const TIMINGS = ["captured", "speed", "gap", "rate", "fast"] as const;
const TIMING_DEFAULTS: Readonly<Record<string, string>> = { speed: "2", gap: "1ms", rate: "10k" };

/** The options of a replay that the UI shows. */
export const REPLAY_FIELDS: readonly Field[] = [
  { name: "timing", label: "timing", empty: "", choices: TIMINGS },
  { name: "at", label: "at", empty: "" }, // what it is, timing says: atLabel
  { name: "loop", label: "times", empty: "once" },
  { name: "preserveBursts", label: "bursts kept", empty: "no", choices: ["", "true"] },
  { name: "from", label: "from", empty: "its beginning" },
  { name: "to", label: "to", empty: "its end" },
  { name: "maxGap", label: "gaps up to", empty: "as they are" },
  { name: "filter", label: "filter", empty: "all frames" },
  { name: "backend", label: "generator", empty: "", choices: ["af_xdp", "af_packet", "xdp_live"] },
  { name: "expect", label: "answers", empty: "none", choices: ["", "true"] },
];

export const INITIAL_REPLAY_FIELDS: Readonly<Record<string, string>> = {
  timing: "captured",
  at: "",
  loop: "",
  preserveBursts: "",
  from: "",
  to: "",
  maxGap: "",
  filter: "",
  backend: "af_xdp",
  expect: "",
};

/** What the field "at" says where nothing was typed. */
export function atText(fields: Readonly<Record<string, string>>): string {
  const { timing = "" } = fields;
  const given = TIMING_DEFAULTS[timing];
  if (given === undefined) return "–";
  return `${fields.at || given}${{ speed: " times", rate: " frames/s" }[timing] ?? ""}`;
}

/** The fields of a replay as texts of options. */
export function givenReplayFields(fields: Readonly<Record<string, string>>): Record<string, string> {
  const { timing = "", at = "", ...rest } = fields;
  const given = TIMING_DEFAULTS[timing];
  const when =
    timing === "fast" ? { fast: "true" } : given === undefined ? {} : { [timing]: at.trim() || given };
  return { ...when, ...givenFields(rest) };
}

/** What a choice becomes with ← or →. */
export function nextChoice({ choices = [] }: Field, text: string, by: number): string {
  const index = choices.indexOf(text);
  return choices[(index + by + choices.length) % choices.length] ?? "";
}

/** The fields as texts of options, without those that are empty. */
export function givenFields(fields: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(fields).filter(([, text]) => text.trim() !== ""));
}
