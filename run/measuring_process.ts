/**
 * Each measured run is a process of its own (run/measuring_main.ts), so that nothing that reads what comes from a
 * network keeps a capability that it does not need. This process keeps the lab, the history, the screen and the signals,
 * and measures nothing.
 */

import { fileURLToPath } from "node:url";
import { ConfinedProcess } from "../lab/confined_process.js";
import type { Privileges } from "../lab/privileges.js";
import { asCaromError, CaromError } from "../native/error.js";
import type { RunChange } from "../native/index.js";
import type { MeasuredPlan, Measurement, Progress } from "./measure.js";
import type { FromMeasuring, Live, RunningThreads, ToMeasuring } from "./measuring_messages.js";
import { readInterface } from "./statistics.js";
import { followDaemons } from "./time_daemons.js";

const MAIN = fileURLToPath(new URL("./measuring_main.js", import.meta.url));
const OPERATION = "measure a run";
const OPENING_MS = 2000; // for one that sets a NIC, and is to end before it has begun

/** A run while it goes on. */
export interface RunningControls {
  readonly threads: RunningThreads;
  change(what: RunChange["what"], to: number): void;
  /** Whether the user interface is being drawn. */
  refreshing(isDrawn: boolean): void;
}

export interface RunWatcher {
  /** Once a second; without it nothing disturbs the run. */
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  readonly onRunning?: (controls: RunningControls) => void;
  /** How often a second live figures are told to onLive. */
  readonly live_hz?: number;
  readonly onLive?: (live: Live) => void;
  /** A change was refused. */
  readonly onRefused?: (error: CaromError) => void;
  /** Is called with what ends the run early; called again that does not wait for what is in flight. */
  readonly onStopRequest?: (stop: () => void) => void;
}

/** A process that is about to measure. Start it before the run is planned: it gets ready meanwhile. */
export class MeasuringProcess {
  private readonly process = new ConfinedProcess<ToMeasuring, FromMeasuring>(
    MAIN,
    OPERATION,
    "measures",
    true,
  );
  private hasBegun = false;
  private isStopped = false;
  private setsNic = false;

  /**
   * Runs a plan to its end. Once for each process.
   * @throws CaromError when a side can't be opened, or capabilities can't be given up, or the process dies
   */
  async measure(plan: MeasuredPlan, watcher: RunWatcher = {}): Promise<Measurement> {
    if (plan.stamps === null) return this.measured(plan, watcher);
    const daemons = followDaemons(plan.stamps.ptp_socket ?? undefined);
    try {
      const found = await this.measured(plan, watcher);
      return { ...found, daemons: await daemons.end() };
    } finally {
      daemons.close();
    }
  }

  private async measured(plan: MeasuredPlan, watcher: RunWatcher): Promise<Measurement> {
    const { generator, sending, responder, certificate, stamps, lab } = plan;
    const far = lab && { responder: lab.responder };
    const plain = { generator, sending, responder, certificate, stamps, lab: far };
    this.setsNic = [generator.io, responder?.io].some((io) => io?.timestamps === "hardware");
    const wanted = { progress: watcher.onProgress !== undefined, live_hz: watcher.live_hz ?? 0 };
    watcher.onStopRequest?.(() => this.stop());
    const { found } = await this.process.ask(
      { type: "measure", plan: plain, wanted },
      "ended",
      (message) => this.hear(message, watcher),
      (how, said) => this.death(how, said),
    );
    return { ...found, problems: found.problems.map((problem) => asCaromError(problem, OPERATION)) };
  }

  /** What a run on this machine would be left with. @throws CaromError when capabilities can't be given up */
  async confine(): Promise<Privileges> {
    return (await this.process.ask({ type: "confine" }, "confined")).privileges;
  }

  /** Ends it. May be called at any time and more than once. */
  close(): Promise<void> {
    return this.process.close();
  }

  private hear(message: FromMeasuring, watcher: RunWatcher): void {
    switch (message.type) {
      case "count":
        this.count(message);
        break;
      case "running":
        this.hasBegun = true;
        watcher.onRunning?.(this.controls(message.threads));
        break;
      case "progress":
        watcher.onProgress?.(message.progress);
        break;
      case "live":
        watcher.onLive?.(message.live);
        break;
      case "refused":
        watcher.onRefused?.(asCaromError(message.error, OPERATION));
    }
  }

  /**
   * What takes long to be opened, and may never be, is not waited for: nothing was sent yet, and what is open goes
   * with its process. Only a NIC that was told to stamp has to be told not to.
   */
  private stop(): void {
    const kill = () => {
      if (!this.hasBegun) this.process.kill();
    };
    if (this.isStopped || !this.setsNic) kill();
    else setTimeout(kill, OPENING_MS).unref();
    this.isStopped = true;
    this.process.tell({ type: "stop" });
  }

  private death(how: string, said: string): CaromError {
    if (this.isStopped && !this.hasBegun)
      return new CaromError("environment", OPERATION, "it was stopped before anything was sent");
    const lost = this.hasBegun ? "what it had measured is lost" : "nothing was sent";
    return this.process.death(`${how}; ${lost}`, said);
  }

  private controls(threads: RunningThreads): RunningControls {
    return {
      threads,
      change: (what, to) => this.process.tell({ type: "change", what, to }),
      refreshing: (isDrawn) => this.process.tell({ type: "refreshing", isDrawn }),
    };
  }

  /** It may not look into namespaces any more, which this process may. */
  private count({ id, link }: Extract<FromMeasuring, { type: "count" }>): void {
    try {
      this.process.tell({ type: "counted", id, found: readInterface(link) });
    } catch (error) {
      const found = asCaromError(error, `read the counters of ${link.interfaceName}`).toJSON();
      this.process.tell({ type: "counted", id, found });
    }
  }
}

/** What a run on this machine would be left with, for the doctor. @throws CaromError */
export async function tryDropping(): Promise<Privileges> {
  const measuring = new MeasuringProcess();
  try {
    return await measuring.confine();
  } finally {
    await measuring.close();
  }
}
