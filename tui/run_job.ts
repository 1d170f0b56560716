/** A measured run under the UI: what it is given, and what is asked of it while it goes on. */

import { resolveValues, type Texts } from "../config/file.js";
import { isFlatOut, isOpen, refuseTwoLoops } from "../generator/config.js";
import { CaromError } from "../native/error.js";
import { ANEW, changeRun, roomFor } from "../run/changes.js";
import { outputOptions } from "../run/command.js";
import type { Live } from "../run/measuring_messages.js";
import type { RunningControls } from "../run/measuring_process.js";
import { fedStreams, type Plan, planRun, runOptions } from "../run/plan.js";
import { describePlan } from "../run/text.js";
import { givenFields } from "./fields.js";
import type { Counted, Final, Measured } from "./live.js";
import type { Ended, Job, Running } from "./measuring.js";
import type { Store } from "./store.js";
import { ThreadLoads } from "./thread_loads.js";

const options = { ...runOptions, ...outputOptions } as const;

/** @param refresh_hz how often a second counters are asked for */
export function runJob(store: Store, refresh_hz: number): Job {
  const given = givenFields(store.get().run.fields);
  store.dispatch({ type: "run.starting" });
  return {
    command: "run",
    args: [],
    given,
    plan: async () => {
      const values = resolveValues(options, textsOf(given));
      const room = values.rate === undefined ? 1 : roomFor(values.rate);
      return planRun(values, true, { room });
    },
    refresh_hz,
    onRunning: (plan, controls) => {
      const { warmupNs, durationNs } = plan.generator;
      store.dispatch({
        type: "run.running",
        description: describePlan(plan),
        clock: `${plan.timestamps.provenance} (${plan.timestamps.reason})`,
        length_s: durationNs === 0 ? null : (warmupNs + durationNs) / 1e9,
      });
      return watchLive(plan, controls, {
        counted: (now) => store.dispatch({ type: "run.counted", now }),
        measured: (now) => store.dispatch({ type: "run.measured", now }),
      });
    },
    onStopping: (again) => store.dispatch({ type: "run.stopping", again }),
    onEnded: (ended) => {
      if (ended === null) return store.dispatch({ type: "run.failed" });
      const { report, found } = ended.outcome;
      const { recent } = found.generator;
      store.dispatch({ type: "run.ended", report, recent, id: ended.id, final: lastWord(ended) });
    },
  };
}

/** @throws CaromError (usage) for settings that no run can have */
export function checkRun(store: Store): void {
  const values = resolveValues(options, textsOf(givenFields(store.get().run.fields)));
  refuseTwoLoops(values);
  fedStreams(values);
}

/**
 * Changes the run's rate or window to what its field says.
 * @throws CaromError (usage) where it has to start anew for that
 */
export function changeTo(store: Store, { plan, controls }: Running, what: "rate" | "window"): void {
  const values = resolveValues(options, textsOf(givenFields(store.get().run.fields)));
  const to = what === "rate" ? values.rate : (values.window ?? 1);
  const isClosed = !isOpen(values) && !isFlatOut(values);
  const wasClosed = plan.generator.mode === "closed";
  if (isClosed === wasClosed && isClosed === (what === "rate")) return; // of such a run it says nothing
  if (isClosed !== wasClosed || to === undefined || !Number.isFinite(to)) {
    const kind = wasClosed ? "with a window" : "by a schedule";
    throw new CaromError("usage", `change the ${what}`, `a run ${kind} stays one`, ANEW);
  }
  changeRun(plan, controls, what, to);
  const now = `${to.toLocaleString("en-US")}${what === "rate" ? " ticks/s" : " in flight"}`;
  const description = describePlan(plan);
  store.dispatch({
    type: "run.described",
    description: { ...description, loop: `${description.loop}, now ${now}` },
  });
  store.dispatch({ type: "said", text: `${what}: ${now} from here on` });
}

export function textsOf(given: Readonly<Record<string, string>>): Texts {
  return new Map(Object.entries(given).map(([name, text]) => [name, { text, place: name }]));
}

interface Listener {
  counted(now: Counted): void;
  measured(now: Measured): void;
}

/** @returns what is told what goes on: counters, and once a second histograms */
export function watchLive(
  plan: Plan,
  { threads }: RunningControls,
  listener: Listener,
): (live: Live) => void {
  const loads = new ThreadLoads(plan, threads);
  return ({ measured, ...counted }) => {
    if (measured === null) listener.counted(counted);
    else listener.measured({ ...counted, ...measured, threads: loads.read() });
  };
}

/** The last word on everything that was shown while it went on. */
export function lastWord({ outcome: { plan, found } }: Ended): Final {
  const { latencyPlanned, latencyActual, lateness } = found.generator;
  return {
    latency: plan.generator.parts.planned ? latencyPlanned : latencyActual,
    late: lateness,
    elapsed_s: found.elapsed_s,
    generator: found.generator.counters,
    responder: found.responder?.counters ?? null,
  };
}
