/** A responder while it runs: its settings, what it has counted, and the commands that it obeys. */

import { closeSync } from "node:fs";
import { parseConfig, resolveValues } from "../config/file.js";
import { keyName } from "../config/option.js";
import { strategyConfig, strategyOptions } from "../config/strategy.js";
import { keepsState } from "../config/strategy_rules.js";
import { unfinishedNotes } from "../lab/checksum_offload.js";
import { readPrivileges } from "../lab/privileges.js";
import { CaromError } from "../native/error.js";
import { subtractHistogram, summarize } from "../native/histogram.js";
import {
  type Counters,
  type HistogramData,
  type LinkWatch,
  refusalReasons,
  watchLink,
} from "../native/index.js";
import { linkFaults, linkReport } from "../run/links.js";
import { UNSERVED_PREFIX, unservedFaults } from "../run/unserved.js";
import { type ResponderPlan, type ResponderValues, responderOptions } from "./config.js";
import type { Command } from "./control.js";
import type { ResponderThreads } from "./threads.js";
import { TraceLog } from "./trace.js";
import {
  framesSent,
  lockedMemoryKib,
  namespaceOfThread,
  openInterfaceCounters,
  threadUsage,
} from "./usage.js";

const WATCH_MS = 1000;

/** Counters of what was for the port and was refused, or could not be answered: the parser's reasons come before. */
const OWN_REASONS = [
  "wrong_mac",
  "wrong_address",
  "wrong_group",
  "wrong_port",
  "unanswerable",
  "partial_ticks",
  "orders_unsent",
  "orders_limited",
  "symbol_over_limit",
  "undecidable",
  "unserved_queue",
  "fill_ring_empty",
  "rx_ring_drops",
  "xdp_tx_errors",
] as const;

/** What can change without a restart. */
const { strategy: _, ...changeable } = {
  ...strategyOptions,
  answerLimit: responderOptions.answerLimit,
} as const;

export class RunningResponder {
  private enabled = true;
  private base: Counters = {}; // what was counted when it was last reset
  private baseProcessing: HistogramData | undefined;
  private baseThreads: readonly Counters[] = [];
  private readonly started = new Date();
  private readonly begun_ms = performance.now();
  private readonly network: number | null;
  private lastError: { reason: string; time: string } | null = null;
  private seen: Counters = {};
  private readonly reasons: readonly string[] = [...refusalReasons(), ...OWN_REASONS];
  private readonly watch: NodeJS.Timeout;
  private readonly trace: TraceLog;
  private readonly link: LinkWatch;
  private readonly interfaces: number; // descriptor of their counters, whose namespace is not to be entered later
  private readonly sentBefore: number | null;
  private outages = 0; // that were told

  constructor(
    private readonly name: string,
    private readonly responder: ResponderThreads,
    private readonly config: ResponderPlan,
    private values: ResponderValues,
  ) {
    this.network = namespaceOfThread(responder.threads[0]!.threadId());
    this.trace = new TraceLog(responder.threads);
    this.link = watchLink(config.io.link, () => this.responder.stop());
    this.interfaces = openInterfaceCounters(responder.threads[0]!.threadId());
    this.sentBefore = framesSent(this.interfaces, config.io.link.interfaceName);
    this.watch = setInterval(() => this.noteErrors(), WATCH_MS).unref();
  }

  close(): void {
    clearInterval(this.watch);
    this.link.close();
    this.trace.close();
    closeSync(this.interfaces);
  }

  /** What became of its interface, and came by others of its queues, each as a sentence. */
  linkFaults(): string[] {
    const { link } = this.config.io;
    const found = this.link.found();
    const { orders = 0, tx_invalid = 0 } = this.responder.counters();
    const sent = framesSent(this.interfaces, link.interfaceName);
    const isKnown = !found.gone && sent !== null && this.sentBefore !== null;
    const counters = isKnown ? { tx_packets: sent + found.lost.tx_packets - this.sentBefore } : null;
    const report = linkReport(found, orders, counters, tx_invalid);
    return [...linkFaults(link.interfaceName, report, "order"), ...this.unserved(this.responder.counters())];
  }

  private unserved(counters: Counters): string[] {
    const { io, threads } = this.config;
    const queues = [...threads.map(({ queue }) => queue), ...io.moreQueues];
    const served = { interfaceName: io.link.interfaceName, port: io.localPort, queues, option: "--queues" };
    return unservedFaults(counters, served);
  }

  /** Carries out a command. @throws CaromError */
  handle(command: Command, settings: Readonly<Record<string, string>>): unknown {
    switch (command) {
      case "status":
        return this.status();
      case "stats":
        return this.stats();
      case "enable":
      case "disable":
        this.change(command === "enable", this.values);
        return { enabled: this.enabled };
      case "config":
        if (Object.keys(settings).length > 0) this.configure(settings);
        return { settings: this.settings(), changeable: this.changeable().map(keyName) };
      case "reset":
        this.base = this.responder.counters();
        this.baseProcessing = this.responder.processing();
        this.baseThreads = this.responder.threads.map((thread) => thread.counters());
        this.lastError = null;
        return null;
      case "trace":
        return this.trace.answer(settings);
      case "stop":
        this.responder.stop();
        return null;
    }
  }

  private change(enabled: boolean, values: ResponderValues): void {
    this.responder.change({
      enabled,
      strategy: strategyConfig(values),
      answerLimit: values.answerLimit ?? 0,
    });
    this.enabled = enabled;
    this.values = values;
  }

  /** key=value pairs as in a configuration file; all of them or none. */
  private configure(settings: Readonly<Record<string, string>>): void {
    const lines = Object.entries(settings).map(([key, value]) => `${key}=${value}`);
    const texts = parseConfig(lines.join("\n"), "carom config", responderOptions);
    const names = this.changeable();
    const fixed = [...texts.keys()].find((name) => !names.includes(name));
    if (fixed !== undefined) {
      const detail = "it can't change while the responder runs";
      throw new CaromError(
        "usage",
        `carom config ${keyName(fixed)}`,
        detail,
        `stop it and start it anew; what can change: ${names.map(keyName).join(", ")}`,
      );
    }
    const given = resolveValues(changeable, texts);
    const changed = Object.fromEntries(
      [...texts.keys()].map((name) => [name, given[name as keyof typeof given]]),
    );
    this.change(this.enabled, { ...this.values, ...changed } as ResponderValues);
  }

  /** What can change without a restart. */
  private changeable(): string[] {
    const isFixed = keepsState(this.values.strategy) || this.config.io.backend === "xdp"; // memory made at start
    return Object.keys(changeable).filter((name) => name !== "symbols" || !isFixed);
  }

  private settings(): Record<string, unknown> {
    const entries = Object.keys(responderOptions).map((name) => [
      keyName(name),
      this.values[name as keyof ResponderValues] ?? null,
    ]);
    return Object.fromEntries(entries);
  }

  private counted(): Counters {
    const now = this.responder.counters();
    return Object.fromEntries(
      Object.entries(now).map(([key, value]) => [key, value - (this.base[key] ?? 0)]),
    );
  }

  private stats() {
    const counters = this.counted();
    const now = this.responder.processing();
    const since = this.baseProcessing === undefined ? now : subtractHistogram(now, this.baseProcessing);
    return { counters, processing: processingOf(since) };
  }

  private status() {
    const { counters, processing } = this.stats();
    const n = (key: string) => counters[key] ?? 0;
    const { io } = this.config;
    return {
      name: this.name,
      pid: process.pid,
      started: this.started.toISOString(),
      uptime_s: Math.round(performance.now() - this.begun_ms) / 1000,
      enabled: this.enabled,
      interface: io.link.interfaceName,
      namespace: io.link.namespace,
      network_namespace: this.network,
      queues: [...this.config.threads.map(({ queue }) => queue), ...this.config.io.moreQueues],
      addresses: [io.link.address4, io.link.address6].filter((address) => address !== ""),
      port: io.localPort,
      protocol: this.values.protocol,
      connections: 0, // UDP has none
      group: io.groups.length === 0 ? null : io.groups.join(","),
      backend: io.backend,
      mode: this.responder.notes(),
      notes: [...unfinishedNotes(counters, io.link.interfaceName), ...this.unserved(counters)],
      settings: this.settings(),
      packets: {
        processed: n("frames"),
        ticks: n("ticks"),
        answered: n("orders"),
        quiet: n("quiet_ticks"),
        disabled: n("disabled"),
        passed_on: n("passed_on"),
        filtered: n("filtered"),
      },
      errors: Object.fromEntries(
        [...this.reasons, ...Object.keys(counters).filter((name) => name.startsWith(UNSERVED_PREFIX))]
          .filter((reason) => n(reason) > 0)
          .map((reason) => [reason, n(reason)]),
      ),
      last_error: this.lastError,
      processing,
      queue_full: { tx_full: n("tx_full"), tx_refused: n("tx_refused"), rx_ring_drops: n("rx_ring_drops") },
      fill_ring_empty: n("fill_ring_empty"),
      stalls: n("stalls"),
      memory_locked_kib: lockedMemoryKib(),
      capabilities: readPrivileges(),
      threads: this.threads(),
    };
  }

  /** What each thread has taken and been through. */
  private threads() {
    return this.responder.threads.map((thread, index) => {
      const now = thread.counters();
      const since = (name: string) => (now[name] ?? 0) - (this.baseThreads[index]?.[name] ?? 0);
      const [frames, ticks, orders] = [since("frames"), since("ticks"), since("orders")];
      const id = thread.threadId();
      return { ...this.config.threads[index]!, id, frames, ticks, orders, ...threadUsage(id) };
    });
  }

  private noteErrors(): void {
    const { outages } = this.link.found();
    if (outages > this.outages) {
      const reason = `the link of ${this.config.io.link.interfaceName} went down`;
      this.lastError = { reason, time: new Date().toISOString() };
      this.outages = outages;
    }
    const now = this.responder.counters();
    const reason = this.reasons.find((name) => (now[name] ?? 0) > (this.seen[name] ?? 0));
    if (reason !== undefined) this.lastError = { reason, time: new Date().toISOString() };
    this.seen = now;
  }
}

function processingOf(data: HistogramData) {
  const { count, min_ns, mean_ns, max_ns, percentiles } = summarize(data);
  const value = (wanted: number) =>
    percentiles.find(({ percentile }) => percentile === wanted)?.value_ns ?? null;
  const figures = count === 0 ? { min_ns: null, mean_ns: null, max_ns: null } : { min_ns, mean_ns, max_ns };
  return { samples: count, ...figures, p50_ns: value(50), p99_ns: value(99) };
}
