/** A measured run under the UI: starts it, asks what it has counted while it goes on, and keeps what it found. */

import { readFileSync } from "node:fs";
import { resolveValues, type Texts } from "../config/file.js";
import { asCaromError } from "../native/error.js";
import { outcomeOf, outputOptions } from "../run/command.js";
import { type Measurement, measure, type RunningRoles } from "../run/measure.js";
import { type Plan, planRun, runOptions } from "../run/plan.js";
import { describePlan, reportLines } from "../run/text.js";
import { givenFields } from "./fields.js";
import type { ThreadLoad } from "./live.js";
import type { Store } from "./store.js";

const SECOND_MS = 1000;
const options = { ...runOptions, ...outputOptions } as const;

export class RunSession {
  private stopRun: () => void = () => {};
  private running: Promise<void> | undefined;
  private again = false;

  /** @param refresh_hz how often a second counters are asked for */
  constructor(
    private readonly store: Store,
    private readonly refresh_hz: number,
  ) {}

  get isRunning(): boolean {
    return this.running !== undefined;
  }

  start(): void {
    if (this.running !== undefined) return;
    this.again = false;
    this.running = this.run().finally(() => {
      this.running = undefined;
      if (this.again) this.start();
    });
  }

  /** @param again then it is to start with the settings that there are now */
  stop(again: boolean): void {
    if (this.running === undefined) return;
    const wasAsked = this.store.get().run.phase === "stopping";
    this.again = again;
    this.store.dispatch({ type: "run.stopping", again });
    if (!wasAsked) this.stopRun();
  }

  /** Ends what goes on, without waiting for answers if it is asked twice. */
  async end(): Promise<void> {
    this.again = false;
    this.stopRun();
    await this.running;
  }

  private async run(): Promise<void> {
    const { store } = this;
    const given = givenFields(store.get().run.fields);
    store.dispatch({ type: "quieted" });
    store.dispatch({ type: "run.starting" });
    let isWanted = true;
    this.stopRun = () => {
      isWanted = false;
    };
    await drawn();
    try {
      const texts: Texts = new Map(
        Object.entries(given).map(([name, text]) => [name, { text, place: name }]),
      );
      const plan = await planRun(resolveValues(options, texts), true);
      let found: Measurement;
      const timers: NodeJS.Timeout[] = [];
      try {
        found = await measure(plan, {
          onRunning: (roles) => {
            timers.push(...this.watch(plan, roles));
          },
          onStopRequest: (stop) => {
            this.stopRun = stop;
            if (!isWanted) stop();
          },
        });
      } finally {
        timers.forEach(clearInterval);
        plan.release();
      }
      await this.keep(plan, found, given);
    } catch (error) {
      store.dispatch({ type: "run.ended", report: null, id: null });
      store.dispatch({ type: "failed", error: asCaromError(error, "run") });
    } finally {
      this.stopRun = () => {};
    }
  }

  private watch(plan: Plan, { generator, responder }: RunningRoles): NodeJS.Timeout[] {
    const { store } = this;
    const { warmupNs, durationNs } = plan.generator;
    store.dispatch({
      type: "run.running",
      description: describePlan(plan),
      clock: `${plan.timestamps.provenance} (${plan.timestamps.reason})`,
      length_s: durationNs === 0 ? null : (warmupNs + durationNs) / 1e9,
    });
    const begin = performance.now();
    const counted = () => ({
      elapsed_s: (performance.now() - begin) / 1000,
      generator: generator.counters(),
      responder: responder?.counters() ?? null,
    });
    const loads = new Loads(plan, { generator, responder });
    const measured = () => {
      const snapshots = generator.snapshots();
      const latency = snapshots.map((snapshot) => snapshot.latency);
      const lateness = snapshots.map((snapshot) => snapshot.lateness);
      const now = { ...counted(), latency, lateness, threads: loads.read(), examples: generator.examples() };
      store.dispatch({ type: "run.measured", now });
    };
    const timers = [setInterval(measured, SECOND_MS)];
    if (this.refresh_hz > 1) {
      const counts = () => store.dispatch({ type: "run.counted", now: counted() });
      timers.push(setInterval(counts, SECOND_MS / this.refresh_hz));
    }
    return timers;
  }

  private async keep(plan: Plan, found: Measurement, given: Record<string, string>): Promise<void> {
    const { store } = this;
    const outcome = outcomeOf("run", plan, found);
    let id: number | null = null;
    try {
      const { keepRun } = await import("../history/keep.js");
      const lines = reportLines(outcome.report, plan, found);
      const keep = resolveValues(outputOptions, new Map()).historyKeep;
      id = keepRun(outcome, { args: [], options: given, json: outcome.json(), lines, keep });
    } catch (error) {
      store.dispatch({ type: "failed", error: asCaromError(error, "keep the run") });
    }
    // The last word on everything that was shown while it ran.
    const { generator, responder } = found;
    const now = {
      elapsed_s: found.elapsed_s,
      generator: generator.counters,
      responder: responder?.counters ?? null,
    };
    store.dispatch({ type: "run.counted", now });
    store.dispatch({ type: "run.ended", report: outcome.report, id });
  }
}

/** Lets what was dispatched be drawn before what follows keeps the thread busy. */
export function drawn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 30));
}

const TICKS_PER_S = 100; // USER_HZ: what the kernel counts processor time in, for all programs

/** What the hot threads take of their cores: proc(5), /proc/self/task/ID/stat. */
class Loads {
  private readonly threads: readonly {
    readonly role: string;
    readonly id: number;
    readonly pinned: boolean;
  }[];
  private before = new Map<number, number>();
  private time_ms = performance.now();

  constructor(plan: Plan, { generator, responder }: RunningRoles) {
    const cpus = plan.sending.threads.map(({ cpu }) => cpu);
    const far = plan.responder?.threads.map(({ cpu }) => cpu) ?? [];
    const ids = responder?.threads.map((thread) => thread.threadId()) ?? [];
    const named = (role: string, all: readonly number[], own: readonly number[]) =>
      all.map((id, index) => ({
        role: all.length === 1 ? role : `${role} ${index}`,
        id,
        pinned: (own[index] ?? -1) >= 0,
      }));
    this.threads = [...named("generator", generator.threadIds(), cpus), ...named("responder", ids, far)];
    this.read();
  }

  read(): ThreadLoad[] {
    const now_ms = performance.now();
    const passed_s = Math.max(1e-3, (now_ms - this.time_ms) / 1000);
    this.time_ms = now_ms;
    return this.threads.flatMap(({ role, id, pinned }) => {
      const fields = statOf(id);
      if (fields === null) return [];
      const [ticks, cpu] = [Number(fields[11]) + Number(fields[12]), Number(fields[36])];
      const load = (ticks - (this.before.get(id) ?? ticks)) / TICKS_PER_S / passed_s;
      this.before.set(id, ticks);
      return [{ role, cpu, pinned, load: Math.min(1, load) }];
    });
  }
}

/** The fields behind the name, which may hold anything; null when the thread has ended. */
function statOf(id: number): string[] | null {
  try {
    const text = readFileSync(`/proc/self/task/${id}/stat`, "utf8");
    return text.slice(text.lastIndexOf(")") + 2).split(" ");
  } catch {
    return null;
  }
}
