/** What a run found: one object, the same for people and as JSON (docs/report.md). */

import { timeText } from "../config/start_time.js";
import { keepsState, type StrategyName } from "../config/strategy_rules.js";
import { memoryText } from "../generator/ledger.js";
import { unfinishedNotes } from "../lab/checksum_offload.js";
import { tscDoubts } from "../lab/machine.js";
import type { Privileges } from "../lab/privileges.js";
import type { CaromError } from "../native/error.js";
import { type Distribution, summarize } from "../native/histogram.js";
import type {
  Cause,
  ClockInfo,
  Counters,
  Example,
  LineCounts,
  Provenance,
  RunChange,
} from "../native/index.js";
import { decodeOrder, decodeTick, type Order, type Tick } from "../wire/codec.js";
import { type Balance, balancesOf } from "./balances.js";
import { type Breakdown, breakdownOf } from "./breakdown.js";
import type { KeptCalibration } from "./calibrations.js";
import {
  type Certificate,
  certificateFaults,
  certificateNotes,
  certificateOf,
  launchFaults,
} from "./certificate.js";
import { type ClocksOverRun, clocksOverRun, type ScheduleClockReport, scheduleClockReport } from "./clock.js";
import { type Environment, environment } from "./environment.js";
import {
  type CoreTurns,
  generatorTurns,
  type Overlap,
  overlap,
  type Refreshes,
  refreshesOf,
  responderTurns,
} from "./interference.js";
import { type Links, linksOf, lostLinks, notLeft, resetNotes } from "./links.js";
import type { Measurement } from "./measure.js";
import { type HardwareClockReport, hardwareClockReport, stepNotes } from "./phc.js";
import { plainPlan } from "./plain.js";
import type { Plan } from "./plan.js";
import { sentRate } from "./rate.js";
import { type ReplayReport, replayFaults, replayNotes, replayReport } from "./replay_report.js";
import { type StampsReport, stampsNotes } from "./stamps.js";
import { lostOnArrival } from "./statistics.js";
import { type StreamReport, streamReports } from "./streams.js";
import { neverStampedText } from "./timestamps.js";
import { unservedFaults } from "./unserved.js";

/** What one thread of the responder counted; with xdp, where the program counts, the first thread has it all. */
export interface ThreadCounters {
  readonly queue: number;
  readonly cpu: number; // -1: not pinned
  readonly frames: number;
  readonly ticks: number;
  readonly orders: number;
}

/** What was done on purpose, line by line; the warm-up included. */
export interface ImpairmentReport {
  readonly dut_lines: readonly string[]; // names of those that the device listens to
  readonly lines: readonly (LineCounts & {
    readonly name: string;
    readonly address: string;
    readonly port: number;
  })[];
}

export interface CaptureReport {
  readonly file: string;
  readonly frames: number;
  readonly bytes: number; // of the file
  readonly dropped: number; // frames that are not in it
}

export interface ReportExample {
  readonly verdict: string;
  readonly tick: Tick | null;
  readonly expected: Order | null;
  readonly received: Order | null;
}

export interface Report {
  readonly schema: "carom.report";
  readonly version: 1;
  readonly command: "run" | "generate" | "replay";
  readonly started: string; // ISO 8601
  readonly elapsed_s: number;
  readonly interrupted: boolean;
  readonly plan: object;
  readonly environment: Environment;
  readonly capabilities: Privileges | null; // what the process that measured still had while it did
  readonly clock: ClockInfo & {
    readonly provenance: Provenance;
    readonly reason: string;
    readonly stamped: number; // round trips whose both ends have this provenance
    readonly unstamped: number; // those that had to be taken from the TSC
    readonly over_run: ClocksOverRun;
    readonly hardware: HardwareClockReport | null; // with hardware stamps
    readonly calibration: KeptCalibration | null; // with --calibrated: its path is subtracted
  };
  readonly schedule_clock: ScheduleClockReport | null; // of an open loop
  readonly rates: { readonly sent_pps: number; readonly answered_pps: number };
  readonly verdicts: {
    readonly correct: number;
    readonly wrong: number;
    readonly missing: number;
    readonly duplicate: number;
    readonly unexpected: number;
    readonly late: number;
  };
  readonly ticks: {
    readonly sent: number;
    readonly not_left: number; // handed over, and the interface did not send them: its link was down, or the kernel refused them
    readonly unsent: number;
    readonly skipped: number; // by --late skip
    readonly answered: number;
    readonly quiet: number; // must not be answered
    readonly forgotten: number; // the ledger had no room for them until their time was over
    readonly withheld: number; // lost or spoilt on purpose on every line that the device listens to
    readonly reordered: number;
    readonly unjudged: number; // orders that may be the answers to those forgotten
    readonly answered_copies: number; // right answers to copies that were sent on purpose
  };
  readonly impairment: ImpairmentReport | null; // null: nothing is done to any tick on purpose, and there is one line
  readonly streams: readonly StreamReport[]; // one, as a rule
  readonly balances: readonly Balance[];
  readonly latency: { readonly planned: Distribution; readonly actual: Distribution } | null;
  readonly lateness: Distribution & {
    readonly late_sends: number;
    readonly late_in_stall: number; // by_cause.machine
    readonly by_cause: Readonly<Record<Cause, number>>; // of the late sends
    readonly threshold_ns: number;
  };
  readonly warmup: Distribution & {
    readonly sent: number;
    readonly answered: number;
    readonly faults: number;
  };
  readonly interference: {
    readonly cores: readonly CoreTurns[];
    readonly slowest: Overlap;
    readonly latest: Overlap;
    readonly refreshes: Refreshes | null; // of the UI
  };
  readonly changes: readonly RunChange[]; // made while it went on
  readonly breakdown: Breakdown | null; // with --breakdown
  readonly replay: ReplayReport | null; // of carom replay
  readonly certificate: Certificate | null; // of an open loop
  readonly capture: CaptureReport | null; // with --capture
  readonly start_at: string | null; // with --start-at, RFC 3339
  readonly stamps: StampsReport | null; // with --stamps
  readonly counters: { readonly generator: Counters; readonly responder: Counters | null };
  readonly threads: readonly ThreadCounters[]; // of the responder
  readonly interfaces: Measurement["interfaces"];
  readonly links: Links;
  readonly notes: readonly string[];
  readonly examples: readonly ReportExample[];
  readonly problems: readonly CaromError[];
  readonly faults: readonly string[]; // why the exit status is not 0
}

const EXAMPLES = 4; // of each kind
const LEDGER_LARGE = 2 ** 22; // ticks

export function makeReport(
  command: Report["command"],
  plan: Plan,
  found: Measurement,
  stamps: StampsReport | null = null,
): Report {
  const { generator, responder } = found;
  const c = generator.counters as Record<string, number> & typeof generator.counters;
  const n = (name: string) => c[name] ?? 0;
  const answered = n("correct") + n("wrong") + n("late");
  const expectsAnswers = plan.generator.io.receives;
  const links = linksOf(found);
  const not_left = notLeft(n, links.generator, found);
  const sent = n("sent") - not_left;
  const sent_pps = (sentRate(c) * sent) / Math.max(1, n("sent"));
  const logs = [...generator.threads, ...(responder?.threads ?? [])].map(({ turns }) => turns);
  const balances = balancesOf(n, answered, plan, found, links);
  const certificate = certificateOf(plan, found);
  const neverStamped = neverStampedText(
    plan.timestamps,
    plan.generator.io.link,
    n("stamped"),
    n("unstamped"),
  );
  const longest_ns = expectsAnswers ? summarize(generator.latencyActual, n("missing")).max_ns : 0;
  const hardware = hardwareClockReport(found.phc, longest_ns);
  const draft = {
    schema: "carom.report",
    version: 1,
    command,
    started: found.started.toISOString(),
    elapsed_s: found.elapsed_s,
    interrupted: found.interrupted,
    plan: plainPlan(plan),
    environment: environment(),
    capabilities: found.privileges,
    clock: {
      ...found.clock,
      provenance: plan.timestamps.provenance,
      reason: plan.timestamps.reason,
      stamped: n("stamped"),
      unstamped: n("unstamped"),
      over_run: clocksOverRun(found.clocks),
      hardware,
      calibration: plan.calibration,
    },
    schedule_clock:
      certificate === null
        ? null
        : scheduleClockReport(
            plan.generator.scheduleClock,
            plan.generator.io.backend === "xdp_live",
            generator.schedule,
            n("clock_steps"),
            n("clock_stepped_ns"),
          ),
    rates: {
      sent_pps,
      answered_pps: sent === 0 ? 0 : (sent_pps * answered) / sent,
    },
    verdicts: {
      correct: n("correct"),
      wrong: n("wrong"),
      missing: n("missing"),
      duplicate: n("duplicate"),
      unexpected: n("unexpected"),
      late: n("late"),
    },
    ticks: {
      sent,
      not_left,
      unsent: n("unsent"),
      skipped: n("skipped"),
      answered,
      quiet: n("quiet"),
      withheld: n("withheld"),
      forgotten: n("forgotten"),
      unjudged: n("unjudged"),
      reordered: n("reordered"),
      answered_copies: n("answered_copies"),
    },
    impairment: impairmentOf(plan, found),
    streams: streamReports(plan, found),
    balances,
    latency: expectsAnswers
      ? {
          planned: summarize(generator.latencyPlanned, n("missing")),
          actual: summarize(generator.latencyActual, n("missing")),
        }
      : null,
    lateness: {
      ...summarize(generator.lateness),
      late_sends: n("late_sends"),
      late_in_stall: n("late_sends_machine"),
      by_cause: {
        machine: n("late_sends_machine"),
        link: n("late_sends_link"),
        carom: n("late_sends_carom"),
        unexplained: n("late_sends_unexplained"),
      },
      threshold_ns: plan.generator.lateThresholdNs,
    },
    warmup: {
      ...summarize(generator.warmup),
      sent: n("warmup_sent"),
      answered: n("warmup_answered"),
      faults: n("warmup_faults"),
    },
    interference: {
      cores: [...generatorTurns(generator.threads), ...responderTurns(responder?.threads ?? [])],
      slowest: overlap(generator.slowest, logs),
      latest: overlap(generator.latest, logs),
      refreshes: refreshesOf(generator),
    },
    changes: generator.changes,
    breakdown:
      responder !== null && plan.splits
        ? breakdownOf(
            generator,
            responder,
            plan.generator.breakdownEvery,
            plan.responder?.io.backend === "xdp",
          )
        : null,
    replay: replayReport(plan, found),
    certificate,
    capture: captureReport(found),
    start_at: plan.generator.startAtNs === 0n ? null : timeText(plan.generator.startAtNs),
    stamps,
    counters: { generator: generator.counters, responder: responder?.counters ?? null },
    threads: (responder?.threads ?? []).map(({ queue, cpu, counters: { frames, ticks, orders } }) => ({
      queue,
      cpu,
      frames: frames ?? 0,
      ticks: ticks ?? 0,
      orders: orders ?? 0,
    })),
    interfaces: found.interfaces,
    links,
    notes: [
      ...tscDoubts(),
      ...(neverStamped === "" || plan.timestamps.isDemanded ? [] : [neverStamped]),
      ...(hardware === null ? [] : stepNotes(hardware)),
      ...(found.phc === null || found.phc.problem === "" ? [] : [found.phc.problem]),
      ...plan.restored,
      ...stampsNotes(stamps),
      ...(certificate === null ? [] : certificateNotes(certificate)),
      ...replayNotes(found),
      ...unhandledNotes(plan, found),
      ...resetNotes(plan.generator.io.link.interfaceName, links.generator),
      ...(links.responder === null ? [] : resetNotes(plan.lab!.responder.interfaceName, links.responder)),
      ...ledgerNotes(plan, n("forgotten") > 0),
      ...generator.notes.map((note) => `generator: ${note}`),
      ...unfinishedNotes(generator.counters, plan.generator.io.link.interfaceName).map(
        (note) => `generator: ${note}`,
      ),
      ...(responder?.notes ?? []).map((note) => `responder: ${note}`),
      ...(expectsAnswers ? memoryNotes(plan.generator.strategy.name as StrategyName, n) : []),
    ],
    examples: firstOfEach(generator.examples).map(({ verdict, tick, expected, received }) => ({
      verdict,
      tick: tick && decodeTick(tick),
      expected: expected && decodeOrder(expected),
      received: received && decodeOrder(received),
    })),
    problems: found.problems,
  } as const;
  return {
    ...draft,
    faults: [
      ...lostLinks(plan, links),
      ...unserved(plan, found),
      ...(neverStamped === "" || !plan.timestamps.isDemanded ? [] : [neverStamped]),
      ...faultsOf(draft.verdicts, draft.ticks, draft.warmup, balances, expectsAnswers, found.problems),
      ...(certificate === null ? [] : certificateFaults(certificate)),
      ...launchFaults(plan, found.generator.counters),
      ...(draft.capture !== null && draft.capture.dropped > 0
        ? [`${draft.capture.dropped.toLocaleString("en-US")} frames are not in the capture`]
        : []),
      ...replayFaults(found),
      ...(n("handed_lost") > 0 ? [`${n("handed_lost")} orders found no room between threads`] : []),
    ],
  };
}

/** At either end. */
function unserved({ sending, generator: { io }, responder }: Plan, found: Measurement): string[] {
  const near = { interfaceName: io.link.interfaceName, port: io.localPort, option: "--queue" };
  const queues = [
    ...sending.threads.map(({ queue }) => queue),
    ...sending.configs.flatMap(({ io: own }) => own.moreQueues),
  ];
  const faults = unservedFaults(found.generator.counters, { ...near, queues });
  if (responder === null || found.responder === null) return faults;
  const far = {
    interfaceName: responder.io.link.interfaceName,
    port: responder.io.localPort,
    queues: [...responder.threads.map(({ queue }) => queue), ...responder.io.moreQueues],
    option: "--queues",
  };
  return [...faults, ...unservedFaults(found.responder.counters, far)];
}

function captureReport({ generator: { capture } }: Measurement): CaptureReport | null {
  if (capture === null) return null;
  const { lastFile: file, frames, bytes, dropped } = capture;
  return { file, frames, bytes, dropped };
}

function impairmentOf(plan: Plan, found: Measurement): ImpairmentReport | null {
  const { streams } = plan.generator;
  const isPlain = streams.every(({ lines: [line, more] }) => more === undefined && line!.impairment === null);
  if (isPlain) return null;
  const lines = streams.flatMap((stream, index) =>
    stream.lines.map((line) => ({ ...line, name: `${plan.streams[index]!.name} ${line.name}`.trim() })),
  );
  return {
    dut_lines: lines.filter(({ judged }) => judged).map(({ name }) => name),
    lines: lines.map(({ name, destinationAddress, destinationPort }, index) => ({
      name,
      address: destinationAddress,
      port: destinationPort,
      ...found.generator.lines[index]!,
    })),
  };
}

/** What the ledger's memory is, where it is much, or was too little. */
function ledgerNotes({ sending: { configs } }: Plan, isTooSmall: boolean): string[] {
  const ticks = configs.reduce((sum, config) => sum + config.ledgerTicks, 0);
  if (!isTooSmall && ticks <= LEDGER_LARGE) return [];
  const hint = isTooSmall ? "; a shorter --timeout, or a lower rate, needs fewer" : "";
  return [`the ledger remembers ${ticks.toLocaleString("en-US")} ticks, in ${memoryText(ticks)}${hint}`];
}

/** Frames that arrived, and that the kernel behind the driver had no use for: LLDP where no such daemon is, say. */
function unhandledNotes(plan: Plan, { interfaces }: Measurement): string[] {
  const { generator, responder } = interfaces;
  const ends = [
    [plan.generator.io.link.interfaceName, generator, responder],
    [plan.lab?.responder.interfaceName, responder, generator],
  ] as const;
  return ends.flatMap(([name, counters, sender]) => {
    if (counters === null) return [];
    // A veth counts a frame that is too long for its other end here, too, and as dropped where it was sent.
    const unhandled = counters.rx_dropped - lostOnArrival(counters) - (sender?.tx_dropped ?? 0);
    if (unhandled <= 0) return [];
    return [
      `${name} received ${unhandled.toLocaleString("en-US")} frames that the kernel did not take any further, most ` +
        "likely as nobody there handles their kind; they arrived",
    ];
  });
}

/** What to keep in mind when a device under test remembers, and something went wrong. */
function memoryNotes(name: StrategyName, n: (name: string) => number): string[] {
  const faults = ["missing", "wrong", "unexpected", "warmup_faults"].filter((verdict) => n(verdict) > 0);
  if (!keepsState(name) || faults.length === 0) return [];
  return [
    `${name} remembers: a tick that was lost or overtaken, or what a device remembers of an earlier run, may be ` +
      "the cause of faults that follow",
  ];
}

/** The first ones of each verdict. */
function firstOfEach(examples: readonly Example[]): Example[] {
  const seen = new Map<string, number>();
  return examples.filter(({ verdict }) => {
    const count = (seen.get(verdict) ?? 0) + 1;
    seen.set(verdict, count);
    return count <= EXAMPLES;
  });
}

/** Text for a report as JSON: timestamps of 64 bits do not fit into a number, so they are texts. */
export function reportAsJson(report: Report): Record<string, unknown> {
  return JSON.parse(
    JSON.stringify(report, (_, value) => (typeof value === "bigint" ? value.toString() : value)),
  );
}

function faultsOf(
  verdicts: Report["verdicts"],
  ticks: Report["ticks"],
  warmup: Report["warmup"],
  balances: readonly Balance[],
  expectsAnswers: boolean,
  problems: readonly CaromError[],
): string[] {
  const faults: string[] = problems.map(({ message }) => message);
  const add = (count: number, what: string) => {
    if (count > 0) faults.push(`${count.toLocaleString("en-US")} ${what}`);
  };
  if (expectsAnswers) {
    add(verdicts.wrong, "wrong");
    add(verdicts.missing, "missing");
    add(verdicts.late, "late");
    add(verdicts.duplicate, "duplicate");
    add(verdicts.unexpected, "unexpected");
    add(warmup.faults, "at fault in the warm-up");
    add(ticks.forgotten, "forgotten, as the ledger had no room for them until the timeout");
    add(ticks.unjudged, "orders not judged, as their ticks were forgotten");
  }
  add(ticks.unsent, "not sent");
  if (ticks.sent === 0) faults.push("nothing was sent");
  for (const { name, holds, equation: text } of balances) {
    if (!holds) faults.push(`the balance of ${name} does not hold (${text})`);
  }
  return faults;
}
