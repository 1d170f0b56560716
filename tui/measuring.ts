/** Something measured under the UI, a run or a replay: started, stopped, started anew, kept when it has ended. */

import { resolveValues } from "../config/file.js";
import { asCaromError } from "../native/error.js";
import { type Outcome, outcomeOf, outputOptions } from "../run/command.js";
import type { Measurement } from "../run/measure.js";
import type { Live } from "../run/measuring_messages.js";
import { MeasuringProcess, type RunningControls } from "../run/measuring_process.js";
import type { Plan } from "../run/plan.js";
import type { Report } from "../run/report.js";
import { reportLines } from "../run/text.js";
import type { Store } from "./store.js";

export interface Ended {
  readonly outcome: Outcome;
  readonly id: number | null; // in the history
}

/** What is measured, and what is to be done as it goes on. */
export interface Job {
  readonly command: Report["command"];
  readonly args: readonly string[];
  readonly given: Readonly<Record<string, string>>; // options, as texts
  plan(): Promise<Plan>;
  readonly refresh_hz: number; // how often a second it is told what goes on
  /** @returns what is told that */
  onRunning(plan: Plan, controls: RunningControls): (live: Live) => void;
  onStopping(again: boolean): void;
  /** null: it failed. */
  onEnded(ended: Ended | null): void;
}

export interface Running {
  readonly plan: Plan;
  readonly controls: RunningControls;
}

export class Measuring {
  private job: Job | undefined;
  private running: Promise<void> | undefined;
  private stopRun: () => void = () => {};
  private wasStopped = false;
  private again = false;
  private current: Running | null = null;

  /** @param begin is called at each start: it says that it starts, and what is to be measured */
  constructor(
    private readonly store: Store,
    private readonly begin: () => Job,
  ) {}

  get isRunning(): boolean {
    return this.running !== undefined;
  }

  /** What can be changed now; null: it does not run yet, or any more. */
  get changeable(): Running | null {
    return this.wasStopped ? null : this.current;
  }

  start(): void {
    if (this.running !== undefined) return;
    this.again = false;
    this.wasStopped = false;
    this.store.dispatch({ type: "quieted" });
    const job = this.begin();
    this.job = job;
    this.running = this.run(job).finally(() => {
      this.running = undefined;
      if (this.again) this.start();
    });
  }

  /** @param again then it is to start with the settings that there are now */
  stop(again: boolean): void {
    if (this.running === undefined) return;
    this.again = again;
    this.job?.onStopping(again);
    if (this.wasStopped) return;
    this.wasStopped = true;
    this.stopRun();
  }

  /** Ends what goes on, without waiting for answers if it is asked twice. */
  async end(): Promise<void> {
    this.again = false;
    this.wasStopped = true;
    this.stopRun();
    await this.running;
  }

  private async run(job: Job): Promise<void> {
    await drawn();
    const measuring = new MeasuringProcess();
    try {
      const plan = await job.plan();
      let onLive: (live: Live) => void = () => {};
      let found: Measurement;
      try {
        found = await measuring.measure(plan, {
          onRunning: (controls) => {
            this.current = { plan, controls };
            this.store.refreshes.follow((isDrawn) => controls.refreshing(isDrawn));
            onLive = job.onRunning(plan, controls);
          },
          live_hz: job.refresh_hz,
          onLive: (live) => this.store.refreshes.around(() => onLive(live)),
          onRefused: (error) => this.store.dispatch({ type: "failed", error }),
          onStopRequest: (stop) => {
            this.stopRun = stop;
            if (this.wasStopped) stop();
          },
        });
      } finally {
        this.current = null;
        this.store.refreshes.follow(null);
        await measuring.close();
        plan.release();
      }
      const outcome = outcomeOf(job.command, plan, found);
      job.onEnded({ outcome, id: await this.keep(job, outcome) });
      if (outcome.failure !== undefined) this.store.dispatch({ type: "failed", error: outcome.failure });
    } catch (error) {
      job.onEnded(null);
      this.store.dispatch({ type: "failed", error: asCaromError(error, job.command) });
    } finally {
      this.stopRun = () => {};
      await measuring.close();
    }
  }

  private async keep({ args, given }: Job, outcome: Outcome): Promise<number | null> {
    try {
      const { keepRun } = await import("../history/keep.js");
      const lines = reportLines(outcome.report, outcome.plan, outcome.found);
      const keep = resolveValues(outputOptions, new Map()).historyKeep;
      return keepRun(outcome, { args, options: given, json: outcome.json(), lines, keep });
    } catch (error) {
      this.store.dispatch({ type: "failed", error: asCaromError(error, "keep the run") });
      return null;
    }
  }
}

/** Lets what was dispatched be drawn before what follows keeps the thread busy. */
export function drawn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 30));
}
