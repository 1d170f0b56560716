/**
 * Each measured run is a process of its own (run/measuring_main.ts), so that nothing that reads what comes from a
 * network keeps a capability that it does not need. This process keeps the lab, the history, the screen and the signals,
 * and measures nothing.
 */

import { type ChildProcess, fork } from "node:child_process";
import { isatty } from "node:tty";
import { fileURLToPath } from "node:url";
import { atEndOfProcess } from "../lab/end.js";
import type { Privileges } from "../lab/privileges.js";
import { asCaromError, CaromError } from "../native/error.js";
import type { RunChange } from "../native/index.js";
import type { MeasuredPlan, Measurement, Progress } from "./measure.js";
import type { FromMeasuring, Live, RunningThreads, ToMeasuring } from "./measuring_messages.js";
import { readInterface } from "./statistics.js";

const MAIN = fileURLToPath(new URL("./measuring_main.js", import.meta.url));
const OPERATION = "measure a run";
const OPENING_MS = 2000; // for a run that is to end before it has begun
const SAID_MAX = 4096; // characters that are kept of what it says of its own accord: how it crashed, say

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

/** Those that run, which are not to outlive this process, nor its lab. */
const alive = new Set<ChildProcess>();

function killAll(): void {
  for (const child of alive) child.kill("SIGKILL");
}

/** A process that is about to measure. Start it before the run is planned: it gets ready meanwhile. */
export class MeasuringProcess {
  private readonly child: ChildProcess;
  private readonly end: Promise<string>; // what it ended with
  private said = "";
  private hasBegun = false;
  private isStopped = false;
  private onMessage: (message: FromMeasuring) => void = () => {};

  constructor() {
    // A capture may be read from standard input. What is a terminal is not its: Node sets one back when it ends.
    const inherited = (descriptor: number) => (isatty(descriptor) ? "ignore" : "inherit");
    this.child = fork(MAIN, {
      serialization: "advanced",
      stdio: [inherited(0), inherited(1), "pipe", "ipc"],
    });
    alive.add(this.child);
    atEndOfProcess(killAll);
    this.child.stderr!.on("data", (data: Buffer) => {
      this.said = (this.said + data.toString()).slice(-SAID_MAX);
    });
    this.child.on("message", (message) => this.onMessage(message as FromMeasuring));
    const ended = new Promise<string>((resolve) => {
      this.child.on("error", ({ message }) => resolve(`could not be started: ${message}`));
      this.child.on("exit", (status, signal) => {
        alive.delete(this.child);
        resolve(signal === null ? `ended with status ${status}` : `was ended by ${signal}`);
      });
    });
    const silent = new Promise((resolve) => this.child.stderr!.on("close", resolve));
    this.end = Promise.all([ended, silent]).then(([how]) => how);
  }

  /**
   * Runs a plan to its end. Once for each process.
   * @throws CaromError when a side can't be opened, or capabilities can't be given up, or the process dies
   */
  measure(plan: MeasuredPlan, watcher: RunWatcher = {}): Promise<Measurement> {
    const { generator, sending, responder, certificate, lab } = plan;
    const plain = { generator, sending, responder, certificate, lab: lab && { responder: lab.responder } };
    const wanted = { progress: watcher.onProgress !== undefined, live_hz: watcher.live_hz ?? 0 };
    return this.converse(
      { type: "measure", plan: plain, wanted },
      (message, resolve) => {
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
            break;
          case "ended":
            resolve({
              ...message.found,
              problems: message.found.problems.map((problem) => asCaromError(problem, OPERATION)),
            });
        }
      },
      watcher.onStopRequest,
    );
  }

  /** What a run on this machine would be left with. @throws CaromError when capabilities can't be given up */
  confine(): Promise<Privileges> {
    return this.converse({ type: "confine" }, (message, resolve) => {
      if (message.type === "confined") resolve(message.privileges);
    });
  }

  /** Ends it. May be called at any time and more than once. */
  async close(): Promise<void> {
    if (this.child.connected) this.child.disconnect();
    await this.end;
  }

  private converse<Result>(
    request: ToMeasuring,
    hear: (message: FromMeasuring, resolve: (result: Result) => void) => void,
    onStopRequest?: (stop: () => void) => void,
  ): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.onMessage = (message) => {
        if (message.type === "failed") reject(asCaromError(message.error, OPERATION));
        else hear(message, resolve);
      };
      this.end.then((how) => reject(this.death(how)));
      onStopRequest?.(() => this.stop());
      this.tell(request);
    });
  }

  /** What takes long to be opened, and may never be, is not waited for: nothing was sent yet. */
  private stop(): void {
    const kill = () => {
      if (!this.hasBegun) this.child.kill("SIGKILL");
    };
    if (this.isStopped) kill();
    else setTimeout(kill, OPENING_MS).unref();
    this.isStopped = true;
    this.tell({ type: "stop" });
  }

  private death(how: string): CaromError {
    if (this.isStopped && !this.hasBegun)
      return new CaromError("environment", OPERATION, "it was stopped before anything was sent");
    const lost = this.hasBegun ? "what it had measured is lost" : "nothing was sent";
    const said = this.said.trim() === "" ? "" : `; it said: ${this.said.trim()}`;
    const hint = how.endsWith("SIGKILL") ? "if nobody killed it, memory ran out: dmesg says so" : "";
    return new CaromError("environment", OPERATION, `the process that measures ${how}; ${lost}${said}`, hint);
  }

  private controls(threads: RunningThreads): RunningControls {
    return {
      threads,
      change: (what, to) => this.tell({ type: "change", what, to }),
      refreshing: (isDrawn) => this.tell({ type: "refreshing", isDrawn }),
    };
  }

  /** It may not look into namespaces any more, which this process may. */
  private count({ id, link }: Extract<FromMeasuring, { type: "count" }>): void {
    try {
      this.tell({ type: "counted", id, found: readInterface(link) });
    } catch (error) {
      const found = asCaromError(error, `read the counters of ${link.interfaceName}`).toJSON();
      this.tell({ type: "counted", id, found });
    }
  }

  private tell(message: ToMeasuring): void {
    // It may have died in this moment, which its end tells.
    if (this.child.connected) this.child.send(message, () => {});
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
