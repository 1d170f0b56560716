/**
 * A generator of one or several threads, each with a core, a queue, streams and a ledger of its own. They begin
 * together; an order that one receives for another one's tick is handed over in the core (native/loop/siblings.h).
 * What they found is put together when it is read.
 */

import {
  type Counters,
  type Generator,
  type GeneratorConfig,
  openGenerator as openThread,
} from "../native/index.js";
import { type GeneratorFindings, type GeneratorThread, mergeResults, sumCounters } from "./merge.js";

export interface GeneratorPlan {
  readonly configs: readonly GeneratorConfig[]; // of each thread
  readonly threads: readonly GeneratorThread[];
}

/**
 * Opens all threads of a generator. Nothing is sent before start.
 * @throws CaromError; then none is open
 */
export function openGenerator(plan: GeneratorPlan): GeneratorThreads {
  return new GeneratorThreads(plan);
}

export class GeneratorThreads {
  private readonly threads: readonly Generator[];

  constructor(private readonly plan: GeneratorPlan) {
    const opened: Generator[] = [];
    try {
      for (const config of plan.configs) opened.push(openThread(config, opened[0]));
    } catch (error) {
      for (const thread of opened) thread.close();
      throw error;
    }
    this.threads = opened;
  }

  /** onEnd is called once, when all threads have ended, with what ended the first one early or null. */
  start(onEnd: (error: unknown) => void): void {
    let running = this.threads.length;
    let failure: unknown = null;
    const ended = (error: unknown) => {
      failure ??= error;
      if (error !== null) this.stop();
      if (--running === 0) onEnd(failure);
    };
    for (const thread of this.threads) thread.start(ended);
  }

  stop(): void {
    for (const thread of this.threads) thread.stop();
  }

  counters(): Counters {
    return sumCounters(this.threads.map((thread) => thread.counters()));
  }

  result(): GeneratorFindings {
    const { configs, threads } = this.plan;
    return mergeResults(
      this.threads.map((thread) => thread.result()),
      threads,
      configs.map(({ streams }) => streams),
    );
  }

  /** May be called at any time and more than once. */
  close(): void {
    for (const thread of this.threads) thread.close();
  }
}
