/**
 * A responder of one or several threads, each with a queue, a core, rings, counters and a strategy's memory of its
 * own: nothing that two of them write is shared, and what they counted is added up when it is read
 * (docs/responder.md).
 */

import { unfinishedNotes } from "../lab/checksum_offload.js";
import { addHistograms } from "../native/histogram.js";
import {
  type Arrivals,
  type Counters,
  type HistogramData,
  openResponder as openThread,
  type Responder,
  type ResponderResult,
  type ResponderSettings,
  type SlowTurns,
} from "../native/index.js";
import type { ResponderPlan, ResponderThread } from "./config.js";

export interface ThreadFindings extends ResponderThread {
  readonly counters: Counters;
  readonly turns: SlowTurns;
}

export interface ResponderFindings {
  readonly counters: Counters; // of all threads together, as everything but threads
  readonly processing: HistogramData;
  readonly passages: readonly BigUint64Array[];
  readonly nicSent: readonly BigUint64Array[];
  readonly nicReceived: readonly BigUint64Array[];
  readonly unlogged: number;
  readonly notes: readonly string[];
  readonly threads: readonly ThreadFindings[];
}

/**
 * Opens all threads of a responder. Nothing is answered before start.
 * @throws CaromError; then none is open
 */
export function openResponder(plan: ResponderPlan): ResponderThreads {
  return new ResponderThreads(plan);
}

export class ResponderThreads {
  readonly threads: readonly Responder[];

  constructor(private readonly plan: ResponderPlan) {
    const opened: Responder[] = [];
    try {
      for (const { queue, cpu } of plan.threads) {
        opened.push(openThread({ ...plan, io: { ...plan.io, queue, cpu } }, opened[0]));
      }
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
    return sumOf(this.threads.map((thread) => thread.counters()));
  }

  /** What the backend says of how it works here. */
  notes(): string[] {
    return this.threads.flatMap((thread) => thread.notes());
  }

  processing(): HistogramData {
    return addHistograms(this.threads.map((thread) => thread.processing()));
  }

  change(settings: ResponderSettings): void {
    for (const thread of this.threads) thread.change(settings);
  }

  /** What the one XDP program of all threads stamps; to be closed. */
  arrivals(): Arrivals {
    return this.threads[0]!.arrivals();
  }

  result(): ResponderFindings {
    const results: ResponderResult[] = this.threads.map((thread) => thread.result());
    const { threads, io } = this.plan;
    const counters = sumOf(results.map(({ counters }) => counters));
    return {
      counters,
      processing: addHistograms(results.map(({ processing }) => processing)),
      passages: results.map(({ passages }) => passages),
      nicSent: results.map(({ nicSent }) => nicSent),
      nicReceived: results.map(({ nicReceived }) => nicReceived),
      unlogged: results.reduce((sum, { unlogged }) => sum + unlogged, 0),
      notes: [...results.flatMap(({ notes }) => notes), ...unfinishedNotes(counters, io.link.interfaceName)],
      threads: results.map(({ counters, turns }, index) => ({ ...threads[index]!, counters, turns })),
    };
  }

  /** May be called at any time and more than once. */
  close(): void {
    for (const thread of this.threads) thread.close();
  }
}

function sumOf(all: readonly Counters[]): Counters {
  const sum: Record<string, number> = {};
  for (const counters of all) {
    for (const [name, value] of Object.entries(counters)) sum[name] = (sum[name] ?? 0) + value;
  }
  return sum;
}
