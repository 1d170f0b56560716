/**
 * A generator of one or several threads, each with a core, a queue, streams and a ledger of its own. They begin
 * together; an order that one receives for another one's tick is handed over in the core (native/loop/siblings.h).
 * What they found is put together when it is read.
 */

import { keepsState } from "../config/strategy_rules.js";
import { CaromError } from "../native/error.js";
import {
  type Arrivals,
  type Counters,
  type Example,
  type Generator,
  type GeneratorConfig,
  type GeneratorSnapshot,
  openGenerator as openThread,
} from "../native/index.js";
import { type GeneratorValues, ownPort, type PlannedStream } from "./config.js";
import { holdNs } from "./frames.js";
import { ledgerRoom, ledgerTicks } from "./ledger.js";
import { type GeneratorFindings, type GeneratorThread, mergeResults, sumCounters } from "./merge.js";

/** The configuration of each thread, made from that of all streams together. */
export interface GeneratorPlan {
  readonly configs: readonly GeneratorConfig[]; // of each thread
  readonly threads: readonly GeneratorThread[];
}

/**
 * @param all of the run (generator/config.ts)
 * @param cpus the core of each thread, -1 for none
 * @throws CaromError (usage) for what several threads can't do
 */
export function generatorPlan(
  all: GeneratorConfig,
  planned: readonly PlannedStream[],
  values: GeneratorValues,
  cpus: readonly number[],
): GeneratorPlan {
  refuseThreads(all, planned, values);
  const threads = cpus.map((cpu, thread) => ({
    queue: all.io.queue + (all.io.backend === "af_xdp" ? thread : 0),
    cpu,
    streams: planned.flatMap((stream, index) => (stream.thread === thread ? [index] : [])),
  }));
  const room = ledgerRoom(threads.length);
  const unserved = all.io.moreQueues.filter((more) => threads.every(({ queue }) => queue !== more));
  const configs = threads.map(({ queue, cpu, streams: numbers }, thread) => {
    const feeds = numbers.map((number) => planned[number]!.feed);
    const streams = numbers.map((number) => all.streams[number]!);
    const peak_pps = (all.peakRate * sumOf(feeds)) / Math.max(1, sumOf(planned.map(({ feed }) => feed)));
    const hold_ns = Math.max(...feeds.map(({ shape, rate_pps }) => holdNs(shape, rate_pps)));
    return {
      ...all,
      io: {
        ...all.io,
        queue,
        moreQueues: thread === 0 ? unserved : [],
        cpu,
        localPort: ownPort(values, thread),
        sendPort: streams[0]!.sourcePort,
      },
      streams,
      peakRate: peak_pps,
      holdNs: hold_ns,
      ledgerTicks:
        threads.length === 1
          ? all.ledgerTicks
          : ledgerTicks(
              {
                ...all,
                receives: all.io.receives,
                isPlannedAhead: false,
                mean_pps: feeds.reduce((sum, { rate_pps }) => sum + rate_pps, 0),
                peak_pps,
                holdNs: hold_ns,
              },
              room,
            ),
      thread,
      threads: threads.length,
      vlans: [...new Set(all.streams.flatMap(({ lines }) => lines.map(({ vlan }) => vlan)))],
    };
  });
  return { configs, threads };
}

function sumOf(feeds: readonly { readonly peak_pps: number }[]): number {
  return feeds.reduce((sum, { peak_pps }) => sum + peak_pps, 0);
}

function refuseThreads(
  all: GeneratorConfig,
  planned: readonly PlannedStream[],
  values: GeneratorValues,
): void {
  const refuse = (operation: string, detail: string, hint: string): never => {
    throw new CaromError("usage", operation, detail, hint);
  };
  const count = 1 + Math.max(...planned.map(({ thread }) => thread));
  if (all.io.backend === "udp") {
    // A thread has one socket to send from, and no two sockets have one port.
    const ports = new Map(planned.map(({ thread }, index) => [thread, all.streams[index]!.sourcePort]));
    const other = planned.find(({ thread }, index) => all.streams[index]!.sourcePort !== ports.get(thread));
    if (other !== undefined || new Set(ports.values()).size < ports.size) {
      const detail = "udp sends from one socket for each thread, so from one port";
      refuse("source_port", detail, "leave it out, or use --backend af_packet or af_xdp");
    }
    if (values.vlan === undefined && planned.some((stream) => stream.values.vlan !== undefined)) {
      refuse("vlan", "udp does not see VLAN tags", "use --backend af_packet or af_xdp");
    }
  }
  if (planned.length > 1 && values.match !== "clordid" && all.io.receives) {
    const detail = "two streams may have ticks of one symbol and price: only the clOrdId tells them apart";
    refuse(`--match ${values.match} with --streams`, detail, "use --match clordid");
  }
  if (count === 1) return;
  if (all.io.backend === "xdp_live") {
    const detail = "one program sends all streams, from one core";
    refuse("several threads with xdp_live", detail, "leave thread out, or use --backend af_xdp");
  }
  if (values.responsePort + count > 65_536) {
    refuse("--response-port", `${count} threads need as many ports from it on`, "lower it");
  }
  if (keepsState(values.strategy) && all.io.receives) {
    const detail = `${values.strategy} remembers ticks in their order, and threads have none among them`;
    refuse(`--strategy ${values.strategy}`, detail, "use one thread, or a strategy without memory");
  }
  if (values.late === "slip") {
    refuse("--late slip", "each thread would move its own schedule, and they would part", "use one thread");
  }
  if (all.capture !== null) {
    const detail = "an order may come to another thread than the one that has its tick, and so its verdict";
    refuse("--capture", detail, "use one thread");
  }
  if (values.count !== undefined) {
    refuse("--count", "threads do not count together", "use --duration, or one thread");
  }
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

  /** Tells the program at the far end when the measured ticks begin. Before start. */
  stampedBy(arrivals: Arrivals): void {
    this.threads[0]!.stampedBy(arrivals); // they begin together
  }

  counters(): Counters {
    return sumCounters(this.threads.map((thread) => thread.counters()));
  }

  /** Of each thread what it measured so far. */
  snapshots(): GeneratorSnapshot[] {
    return this.threads.map((thread) => thread.snapshot());
  }

  /** While it runs: so many ticks a second of all streams together. @throws CaromError (usage) */
  setRate(rate_pps: number): void {
    this.ask("change the rate", (thread) => thread.setRate(Math.round(1000 * rate_pps)));
  }

  /** While it runs: so many ticks in flight. @throws CaromError (usage) */
  setWindow(ticks: number): void {
    this.ask("change the window", (thread) => thread.setWindow(ticks));
  }

  private ask(operation: string, one: (thread: Generator) => boolean): void {
    if (this.threads.map(one).every((isTaken) => isTaken)) return;
    throw new CaromError("usage", operation, "it was changed too often already", "start it anew");
  }

  /** What was not as expected since it was asked last; of a flood the first 64 of each thread. */
  takeRecent(): Example[] {
    return this.threads.flatMap((thread) => thread.takeRecent());
  }

  /** Whether the user interface is being drawn. */
  refreshing(isDrawn: boolean): void {
    for (const thread of this.threads) thread.refreshing(isDrawn);
  }

  /** The kernel's numbers of the threads. */
  threadIds(): number[] {
    return this.threads.map((thread) => thread.threadId());
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
