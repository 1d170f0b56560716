/** What the UI knows, and how each event changes it: plain functions, tested without a terminal. */

import type { Compared } from "../history/compare.js";
import type { Contender } from "../history/contender.js";
import type { Listed } from "../history/store.js";
import type { CoreNoise, Section } from "../lab/doctor.js";
import type { CaromError } from "../native/error.js";
import type { Example } from "../native/index.js";
import type { TraceEntry } from "../responder/trace.js";
import type { Report } from "../run/report.js";
import type { Description } from "../run/text.js";
import { FIELDS, INITIAL_FIELDS, INITIAL_REPLAY_FIELDS, REPLAY_FIELDS } from "./fields.js";
import type { Size } from "./line.js";
import {
  type Counted,
  counted,
  ended,
  type Final,
  type Live,
  type Measured,
  measured,
  START,
  withRecent,
} from "./live.js";

export const SCREENS = ["Run", "Orders", "Replay", "Checks", "Responder", "Compare", "Doctor"] as const;
export type Screen = (typeof SCREENS)[number];

export interface RunState {
  readonly phase: "idle" | "starting" | "running" | "stopping" | "ended";
  readonly fields: Readonly<Record<string, string>>; // "": not given
  readonly field: number; // the chosen one
  readonly again: boolean; // it starts anew with other settings as soon as it has stopped
  readonly description: Description | null;
  readonly clock: string;
  readonly length_s: number | null; // planned; null: until stopped
  readonly live: Live;
  readonly report: Report | null;
  readonly id: number | null; // in the history
}

export interface Captured {
  readonly path: string;
  readonly size: number; // bytes
}

/** What is in the beginning of a capture. */
export interface Preview {
  readonly path: string;
  readonly problem: string; // why it can't be read; "" when it can
  readonly lines: readonly string[];
  readonly frames: readonly string[]; // the first ones, a line each
}

export interface ReplayState {
  readonly phase: RunState["phase"];
  readonly captures: readonly Captured[];
  readonly chosen: number;
  readonly preview: Preview | null;
  readonly fields: Readonly<Record<string, string>>;
  readonly field: number;
  readonly pane: "captures" | "options"; // that the arrows move in
  readonly result: boolean; // what is sent, or was, is shown, and not what can be chosen
  readonly replayed: string; // the capture that is or was sent
  readonly passes: number; // of it; 0: without an end
  readonly description: Description | null;
  readonly live: Live;
  readonly report: Report | null;
  readonly lines: readonly string[]; // of the report
  readonly id: number | null;
}

export interface CheckedCase {
  readonly script: string;
  readonly name: string;
  readonly outcome: "waiting" | "passed" | "failed" | "skipped" | "error";
  readonly details: readonly string[];
}

export interface ChecksState {
  readonly phase: "idle" | "running" | "stopping" | "ended";
  readonly device: string;
  readonly cases: readonly CheckedCase[];
  readonly chosen: number;
}

export interface ResponderState {
  readonly names: readonly string[];
  readonly chosen: number;
  readonly status: Readonly<Record<string, unknown>> | null;
  readonly isTraced: boolean;
  readonly trace: readonly TraceEntry[]; // the newest last
}

export interface CompareState {
  readonly runs: readonly Listed[];
  readonly chosen: number;
  readonly marked: readonly number[]; // the numbers of some runs, in the order of marking
  readonly result: { readonly comparisons: readonly Compared[]; readonly runs: readonly Contender[] } | null;
}

export interface DoctorState {
  readonly phase: "idle" | "running" | "ended";
  readonly sections: readonly Section[];
  readonly cores: readonly CoreNoise[];
  readonly from: number; // the first line shown
}

/** Screens with settings. */
export type FieldScreen = "Run" | "Replay";

export interface Prompt {
  readonly label: string;
  readonly text: string;
  /** What is done with the text: a field of a screen, settings of a responder, or the path of a capture. */
  readonly into: { readonly screen: FieldScreen; readonly field: string } | "responder" | "capture";
}

export interface Message {
  readonly kind: "said" | "problem";
  readonly text: string;
  readonly hint: string;
}

export interface State {
  readonly screen: Screen;
  readonly size: Size;
  readonly help: boolean;
  readonly palette: { readonly text: string; readonly chosen: number } | null;
  readonly prompt: Prompt | null;
  readonly message: Message | null;
  readonly run: RunState;
  readonly orders: { readonly chosen: number };
  readonly replay: ReplayState;
  readonly checks: ChecksState;
  readonly responder: ResponderState;
  readonly compare: CompareState;
  readonly doctor: DoctorState;
}

export type Action =
  | { readonly type: "screen"; readonly screen: Screen }
  | { readonly type: "size"; readonly size: Size }
  | { readonly type: "help"; readonly shown: boolean }
  | { readonly type: "palette"; readonly palette: State["palette"] }
  | { readonly type: "prompt"; readonly prompt: Prompt | null }
  | { readonly type: "said"; readonly text: string }
  | { readonly type: "failed"; readonly error: CaromError }
  | { readonly type: "quieted" }
  | { readonly type: "choose"; readonly screen: Screen; readonly by: number }
  | {
      readonly type: "field";
      readonly screen: FieldScreen;
      readonly name: string;
      readonly text: string;
    }
  | { readonly type: "run.starting" }
  | {
      readonly type: "run.running";
      readonly description: Description;
      readonly clock: string;
      readonly length_s: number | null;
    }
  | { readonly type: "run.described"; readonly description: Description }
  | { readonly type: "run.stopping"; readonly again: boolean }
  | { readonly type: "run.counted"; readonly now: Counted }
  | { readonly type: "run.measured"; readonly now: Measured }
  | { readonly type: "run.failed" }
  | {
      readonly type: "run.ended";
      readonly report: Report;
      readonly recent: readonly Example[]; // that were not as expected, since the last time
      readonly id: number | null;
      readonly final: Final;
    }
  | { readonly type: "replay"; readonly change: Partial<ReplayState> }
  | { readonly type: "checks"; readonly change: Partial<ChecksState> }
  | { readonly type: "checks.case"; readonly found: CheckedCase }
  | { readonly type: "responder"; readonly change: Partial<ResponderState> }
  | { readonly type: "compare"; readonly change: Partial<CompareState> }
  | { readonly type: "doctor"; readonly change: Partial<DoctorState> }
  | { readonly type: "doctor.section"; readonly section: Section }
  | { readonly type: "doctor.core"; readonly core: CoreNoise };

export function initialState(size: Size): State {
  return {
    screen: "Run",
    size,
    help: false,
    palette: null,
    prompt: null,
    message: null,
    run: {
      phase: "idle",
      fields: INITIAL_FIELDS,
      field: 0,
      again: false,
      description: null,
      clock: "",
      length_s: null,
      live: START,
      report: null,
      id: null,
    },
    orders: { chosen: 0 },
    replay: {
      phase: "idle",
      captures: [],
      chosen: 0,
      preview: null,
      fields: INITIAL_REPLAY_FIELDS,
      field: 0,
      pane: "captures",
      result: false,
      replayed: "",
      passes: 1,
      description: null,
      live: START,
      report: null,
      lines: [],
      id: null,
    },
    checks: { phase: "idle", device: "", cases: [], chosen: 0 },
    responder: { names: [], chosen: 0, status: null, isTraced: false, trace: [] },
    compare: { runs: [], chosen: 0, marked: [], result: null },
    doctor: { phase: "idle", sections: [], cores: [], from: 0 },
  };
}

export function reduce(state: State, action: Action): State {
  switch (action.type) {
    case "screen":
      return { ...state, screen: action.screen, help: false, palette: null, prompt: null, message: null };
    case "size":
      return { ...state, size: action.size };
    case "help":
      return { ...state, help: action.shown };
    case "palette":
      return { ...state, palette: action.palette };
    case "prompt":
      return { ...state, prompt: action.prompt };
    case "said":
      return { ...state, message: { kind: "said", text: action.text, hint: "" } };
    case "failed": {
      const { operation, detail, hint } = action.error;
      return { ...state, message: { kind: "problem", text: `${operation}: ${detail}`, hint } };
    }
    case "quieted":
      return { ...state, message: null };
    case "field":
      return withField(state, action);
    case "choose":
      return choose(state, action.screen, action.by);
    case "replay":
      return { ...state, replay: { ...state.replay, ...action.change } };
    case "checks":
      return { ...state, checks: { ...state.checks, ...action.change } };
    case "checks.case":
      return { ...state, checks: withCase(state.checks, action.found) };
    case "responder":
      return { ...state, responder: { ...state.responder, ...action.change } };
    case "compare":
      return { ...state, compare: { ...state.compare, ...action.change } };
    case "doctor":
      return { ...state, doctor: { ...state.doctor, ...action.change } };
    case "doctor.section":
      return { ...state, doctor: { ...state.doctor, sections: [...state.doctor.sections, action.section] } };
    case "doctor.core":
      return { ...state, doctor: { ...state.doctor, cores: [...state.doctor.cores, action.core] } };
    default: {
      const run = reduceRun(state.run, action);
      return { ...state, run, orders: { chosen: keptChoice(state, run) } };
    }
  }
}

/** An order that was chosen stays chosen when newer ones come above it; the newest stays the newest. */
function keptChoice({ run: before, orders: { chosen } }: State, run: RunState): number {
  const order = before.live.latest[chosen];
  if (chosen === 0 || order === undefined || run.live.latest === before.live.latest) return chosen;
  return Math.max(0, run.live.latest.indexOf(order));
}

type RunAction = Extract<Action, { readonly type: `run.${string}` }>;

function reduceRun(run: RunState, action: RunAction): RunState {
  switch (action.type) {
    case "run.starting":
      return { ...run, phase: "starting", again: false, live: START, report: null, id: null };
    case "run.running":
      return {
        ...run,
        phase: "running",
        description: action.description,
        clock: action.clock,
        length_s: action.length_s,
      };
    case "run.described":
      return { ...run, description: action.description };
    case "run.stopping":
      return { ...run, phase: "stopping", again: action.again };
    case "run.counted":
      return { ...run, live: counted(run.live, action.now) };
    case "run.measured":
      return { ...run, live: measured(run.live, action.now) };
    case "run.failed":
      return { ...run, phase: "idle", report: null, id: null };
    case "run.ended": {
      const { report, id, recent, final } = action;
      const live = ended(run.live, final);
      return {
        ...run,
        phase: "ended",
        live: { ...live, latest: withRecent(live.latest, recent) },
        report,
        id,
      };
    }
  }
}

function withField(
  state: State,
  { screen, name, text }: { readonly screen: FieldScreen; readonly name: string; readonly text: string },
): State {
  const { run, replay } = state;
  if (screen === "Run") return { ...state, run: { ...run, fields: { ...run.fields, [name]: text } } };
  // What was typed for one timing is nothing for another.
  const at = name === "timing" ? { at: "" } : {};
  return { ...state, replay: { ...replay, fields: { ...replay.fields, ...at, [name]: text } } };
}

function choose(state: State, screen: Screen, by: number): State {
  const within = (index: number, count: number) => Math.max(0, Math.min(count - 1, index + by));
  const { run, orders, replay, checks, responder, compare, doctor } = state;
  switch (screen) {
    case "Run":
      return { ...state, run: { ...run, field: within(run.field, FIELDS.length) } };
    case "Orders":
      return { ...state, orders: { chosen: within(orders.chosen, run.live.latest.length) } };
    case "Replay":
      return { ...state, replay: chooseIn(replay, within) };
    case "Checks":
      return { ...state, checks: { ...checks, chosen: within(checks.chosen, checks.cases.length) } };
    case "Responder": {
      const chosen = within(responder.chosen, responder.names.length);
      if (chosen === responder.chosen) return state;
      // What is known of one is nothing of another.
      return { ...state, responder: { ...responder, chosen, status: null, trace: [] } };
    }
    case "Compare":
      return { ...state, compare: { ...compare, chosen: within(compare.chosen, compare.runs.length) } };
    case "Doctor":
      return { ...state, doctor: { ...doctor, from: Math.max(0, doctor.from + by) } };
  }
}

/** While something is sent that is what is seen; afterwards the arrows bring back what can be chosen. */
function chooseIn(replay: ReplayState, within: (index: number, count: number) => number): ReplayState {
  if (replay.phase !== "idle" && replay.phase !== "ended") return replay;
  if (replay.result) return { ...replay, result: false };
  return replay.pane === "options"
    ? { ...replay, field: within(replay.field, REPLAY_FIELDS.length) }
    : { ...replay, chosen: within(replay.chosen, replay.captures.length) };
}

/** A case that has ended; one that an answer made fail after its end comes a second time. */
function withCase(checks: ChecksState, found: CheckedCase): ChecksState {
  const isSame = ({ script, name }: CheckedCase) => script === found.script && name === found.name;
  const index = checks.cases.findIndex(isSame);
  const cases = checks.cases.map((item) => (isSame(item) ? found : item));
  return { ...checks, cases, chosen: checks.phase === "running" && index >= 0 ? index : checks.chosen };
}
