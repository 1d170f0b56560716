/** The generator's options: what is sent, when and where to; and the native configuration made from them. */

import { ioConfig, ioOptions } from "../config/io.js";
import { optionGroup, type Values } from "../config/option.js";
import { startAt } from "../config/start_time.js";
import { strategyConfig, strategyOptions } from "../config/strategy.js";
import {
  choice,
  decimal,
  duration,
  filePath,
  flag,
  formatNs,
  integer,
  ipAddress,
  macAddress,
  multicastGroup,
  rateOrMax,
  seed,
  symbolList,
} from "../config/values.js";
import { CaromError } from "../native/error.js";
import type {
  CaptureOutputConfig,
  GeneratorConfig,
  Link,
  PartsConfig,
  Provenance,
  StreamConfig,
} from "../native/index.js";
import { isIp6 } from "../wire/address.js";
import { type Feed, namedProfile, profileOptions } from "./feed.js";
import { FCS_SIZE, holdNs, packingOf, SIZE_MAX } from "./frames.js";
import { launchClock, launchLeadNs, pacingOptions, refuseLaunches } from "./launch.js";
import { ledgerRoom, ledgerTicks, refuseToForget } from "./ledger.js";
import { lineConfigs, refuseShapes } from "./lines.js";
import { findScheduleClock, isKernelReadable, scheduleClockName } from "./schedule_clock.js";

const what = optionGroup("What is sent");
const when = optionGroup("When");
const where = optionGroup("Where to");

export const MAX_RATE = 1e9; // a second
const MAX_TIMEOUT_NS = 59e9; // the histogram ends at 60 s

/** What is sent, when and where to: without anything about answers. */
export const sendOptions = {
  rate: when(
    rateOrMax(MAX_RATE),
    "open loop: ticks a second on a fixed, absolute schedule; max: no schedule, as fast as it goes",
    "ticks/s",
  ),
  profile: namedProfile,
  streams: when(filePath(), "open loop: several streams at once, from a file (docs/streams.md)", "file"),
  ...profileOptions,
  duration: when(duration(1e6, 7 * 24 * 3600e9), "how long to measure (default: 5s without --count)", "time"),
  count: when(integer(1, 1e15), "how many ticks to measure", "ticks"),
  warmup: when(duration(0, 3600e9), "sent before, shown apart", "time", "200ms"),
  startAt,
  lateThreshold: when(duration(0, 1e9), "a tick sent later than this counts as late", "time", "3us"),
  late: when(
    choice("catch-up", "skip", "slip"),
    "open loop: a late tick goes at once, is left out, or moves the rest of the schedule (default: catch-up)",
    "how",
  ),
  scheduleClock: when(
    scheduleClockName(),
    "open loop: the clock by which the schedule goes: the kernel's monotonic, raw or tai, the TSC alone (tsc), or a NIC's: phc, phc:INTERFACE, /dev/ptpN (default: monotonic)",
    "clock",
  ),
  ...pacingOptions,
  triggerRatio: what(
    decimal(0, 1),
    "part of the ticks below the threshold, which the strategy threshold answers (default: the profile's, or 0.9)",
    "0..1",
  ),
  seed: what(seed(), "the same seed gives the same ticks (default: the profile's, or 1)", "number"),
  feedSymbols: what(
    symbolList(100_000),
    "symbols in the feed (default: the profile's, or AAPL,MSFT,GOOG,AMZN,NVDA,META,TSLA,INTC)",
    "list",
  ),
  size: what(
    integer(64, SIZE_MAX),
    "bytes of each frame, with its check sequence (FCS): padded behind the IP packet (default: as long as the ticks need)",
    "bytes",
  ),
  priceSpan: what(
    integer(1, 0xffff_ffff),
    "prices lie within this of the threshold (default: 1000)",
    "cents",
  ),
  protocol: where(choice("udp"), "transport of ticks and orders", "name", "udp"),
  multicast: where(flag(), "send to the multicast group; otherwise to --target-ip", "", "true"),
  multicastGroup: where(multicastGroup(), "the group that ticks are sent to", "address", "239.1.1.1"),
  targetIp: where(ipAddress(), "address of the device under test (default in the lab: its own)", "address"),
  targetMac: where(macAddress(), "where frames to it go (default: the link is asked)", "address"),
  targetPort: where(integer(1, 65_535), "UDP port that ticks are sent to", "port", "8080"),
  sourcePort: where(integer(1, 65_535), "UDP port that ticks come from (default: the response port)", "port"),
  dutLines: where(
    choice("a", "b", "both"),
    "with a feed of two lines, which of them the device listens to; both: it takes the first copy of a tick",
    "lines",
    "a",
  ),
  flows: where(
    integer(1, 1024),
    "source ports of the ticks, each symbol's from one: a NIC spreads flows over its queues",
    "ports",
    "1",
  ),
} as const;

const answers = optionGroup("Answers");

export const answerOptions = {
  window: when(integer(1, 65_536), "closed loop: ticks in flight (default: 1)", "ticks"),
  responsePort: answers(integer(1, 65_535), "UDP port to which orders come", "port", "9999"),
  timeout: answers(duration(1000, MAX_TIMEOUT_NS), "an answer after this is late", "time", "1s"),
  quiet: answers(
    duration(0, 60e9),
    "closed loop: the pause after a tick that must not be answered",
    "time",
    "10us",
  ),
  match: answers(
    choice("clordid", "price", "fifo"),
    "how an order is tied to its tick: its clOrdId, its unique price, or first in first out for its symbol",
    "how",
    "clordid",
  ),
  calibrated: answers(
    flag(),
    "subtract the path that carom calibrate found for the interface from each round trip that its NIC stamped",
    "",
    "false",
  ),
  timestamps: answers(
    choice("auto", "hardware", "kernel", "tsc"),
    "what stamps ticks and orders; auto takes the best there is and says why",
    "clock",
    "auto",
  ),
} as const;

export const generatorOptions = {
  ...sendOptions,
  ...answerOptions,
  ...strategyOptions,
  ...ioOptions,
} as const;

export type GeneratorValues = Values<typeof generatorOptions>;

/** Where ticks go, found out before: the address and the MAC address of the next hop. */
export interface Destination {
  readonly address: string;
  readonly mac: string;
}

/** A stream of the run, with everything that is known of it. */
export interface PlannedStream {
  readonly name: string;
  readonly thread: number;
  readonly values: GeneratorValues; // of this stream
  readonly feed: Feed;
  readonly destination: Destination;
}

export interface Circumstances {
  readonly timestamps: Provenance;
  readonly pathNs: number; // of a stamped round trip, by a calibration
  readonly expectAnswers: boolean;
  readonly breakdownEvery: number;
  readonly passageRoom: number;
  readonly room: number; // for a rate that many times as high, while it runs
  readonly capture: CaptureOutputConfig | null;
  readonly isRateKnown: boolean; // not so of a capture, or a trial of more than can be sent
}

export const DEFAULT_DURATION_NS = 5e9;
const BRIDGED_S = 0.05;
const SMALLEST_RING = 1024; // frames
const LARGEST_RING = 32_768;
const CLOSED_LOOP_RING = 256; // frames: little enough to stay in a core's cache

const PARTS = 64; // as many as native/core/parts.h has

/** A run in equal parts: of time, or of ticks where their number ends it. */
function partsConfig(
  values: GeneratorValues,
  streams: readonly PlannedStream[],
  { expectAnswers }: Circumstances,
): PartsConfig {
  const planned = isOpen(values);
  if (!expectAnswers) return { planned, ns: 0, count: 0 };
  const duration = values.duration ?? (values.count === undefined ? DEFAULT_DURATION_NS : Infinity);
  const rate_pps = planned ? streams.reduce((sum, { feed }) => sum + feed.rate_pps, 0) : Infinity;
  const byCount = values.count !== undefined && values.count / rate_pps < duration / 1e9;
  return byCount
    ? { planned, ns: 0, count: Math.max(1, Math.ceil(values.count / PARTS)) }
    : { planned, ns: Math.ceil(duration / PARTS), count: 0 };
}

/**
 * All streams of a run, as if one thread sent them: generator/threads.ts gives each thread its own.
 * @throws CaromError (usage) for options that contradict each other
 */
export function generatorConfig(
  link: Link,
  values: GeneratorValues,
  streams: readonly PlannedStream[],
  found: Circumstances,
): GeneratorConfig {
  const isStamped = found.timestamps !== "tsc" && found.expectAnswers;
  const configs = streams.map((stream) => streamConfig(link, stream));
  const mode = isFlatOut(values) ? "max" : isOpen(values) ? "open" : "closed";
  const peakRate = found.room * sumOf(streams, "peak_pps");
  const span = {
    count: values.count ?? 0,
    durationNs: values.duration ?? (values.count === undefined ? DEFAULT_DURATION_NS : 0),
    warmupNs: values.warmup,
    timeoutNs: values.timeout,
    holdNs: Math.max(...streams.map(({ feed }) => holdNs(feed.shape, feed.rate_pps))),
  };
  const window = values.window ?? 1;
  const need = {
    ...span,
    durationNs: found.isRateKnown ? span.durationNs : (values.duration ?? 0), // a capture is as long as it is
    mode,
    window,
    receives: found.expectAnswers,
    isPlannedAhead: values.backend === "xdp_live",
    mean_pps: sumOf(streams, "rate_pps"),
    peak_pps: peakRate,
  } as const;
  const room = ledgerRoom();
  if (found.isRateKnown) refuseToForget(need, room);
  return {
    io: {
      ...ioConfig(link, values, -1, {
        localPort: values.responsePort,
        sendPort: sourcePort(streams[0]!.values, 0),
        receives: found.expectAnswers,
        groups: [],
        timestamps: found.timestamps,
        rxStamps: isStamped,
        txStamps: isStamped,
      }),
      launches: launchLeadNs(values) > 0,
    },
    streams: configs,
    mode,
    window,
    rateMilliHz: rateMilliHz(streams),
    peakRate,
    ...span,
    ledgerTicks: ledgerTicks(need, room),
    arbitrates: values.dutLines === "both",
    pathNs: Math.round(found.pathNs),
    quietNs: values.quiet,
    match: values.match,
    strategy: strategyConfig(values),
    lateThresholdNs: values.lateThreshold,
    late: values.late ?? "catch-up",
    scheduleClock:
      launchLeadNs(values) > 0
        ? launchClock(values.scheduleClock, link)
        : findScheduleClock(values.scheduleClock ?? "monotonic", link),
    launchLeadNs: launchLeadNs(values),
    breakdownEvery: found.breakdownEvery,
    passageRoom: found.passageRoom,
    startAtNs: values.startAt ?? 0n,
    parts: partsConfig(values, streams, found),
    thread: 0,
    threads: 1,
    vlans: [],
    capture: found.capture,
    replay: null,
  };
}

function sumOf(streams: readonly PlannedStream[], key: "rate_pps" | "peak_pps"): number {
  return streams.reduce((sum, { feed }) => sum + feed[key], 0);
}

function rateMilliHz(streams: readonly PlannedStream[]): number {
  const rate_pps = sumOf(streams, "rate_pps");
  return Number.isFinite(rate_pps) ? Math.max(1, Math.round(1000 * rate_pps)) : 1;
}

/** @throws CaromError (usage) for options that contradict each other */
export function streamConfig(link: Link, { values, feed, destination, thread }: PlannedStream): StreamConfig {
  refuseContradictions(values, feed);
  refuseShapes(link, values, feed, destination);
  return {
    schedule: feed.schedule,
    ticks: feed.ticks,
    sourcePort: sourcePort(values, thread),
    flows: values.flows,
    packing: packingOf(feed.shape, link.mtu, isIp6(destination.address)),
    sizes: feed.shape.sizes.map((size) => size - FCS_SIZE),
    lines: lineConfigs(values, feed, destination),
  };
}

/** Where orders come to, and ticks from: a thread without a queue of its own has a port of its own. */
export function ownPort(values: GeneratorValues, thread: number): number {
  return values.backend === "af_xdp" ? values.responsePort : values.responsePort + thread;
}

function sourcePort(values: GeneratorValues, thread: number): number {
  return values.sourcePort ?? ownPort(values, thread);
}

/** Whether ticks are sent by a schedule, and not when those before them were answered. */
export function isOpen(values: {
  readonly rate?: unknown;
  readonly profile?: unknown;
  readonly streams?: unknown;
}): boolean {
  return !isFlatOut(values) && (values.rate ?? values.profile ?? values.streams) !== undefined;
}

/** Whether they are sent as fast as it goes, whatever comes back. */
export function isFlatOut(values: { readonly rate?: unknown }): boolean {
  return values.rate === Number.POSITIVE_INFINITY;
}

/** The ring that fits: a closed loop needs no more than its window, and small rings stay in the cache. */
export function closedLoopRing(window: number): number {
  return Math.max(CLOSED_LOOP_RING, 2 ** Math.ceil(Math.log2(window * 4)));
}

/** The ring that bridges a stall of 50 ms at a rate: what comes meanwhile must find room. */
export function openLoopRing(rate_pps: number): number {
  const wanted = 2 ** Math.ceil(Math.log2(rate_pps * BRIDGED_S));
  return Math.min(LARGEST_RING, Math.max(SMALLEST_RING, wanted));
}

/** @throws CaromError (usage) for a window beside what says when ticks come */
export function refuseTwoLoops(values: Pick<GeneratorValues, "rate" | "window" | "profile">): void {
  if (values.rate !== undefined && values.window !== undefined) {
    const detail = "a run is either open loop, at a rate, or closed loop, with a window";
    throw new CaromError("usage", "--rate with --window", detail, "give one of them");
  }
  if (values.profile !== undefined && values.window !== undefined) {
    const detail = "a profile says when ticks come, a window sends when one was answered";
    throw new CaromError("usage", "--profile with --window", detail, "give one of them");
  }
}

function refuseContradictions(values: GeneratorValues, feed: Feed): void {
  const { triggerRatio, priceSpan, symbols: feedSymbols } = feed.ticks;
  const refuse = (operation: string, detail: string, hint: string): never => {
    throw new CaromError("usage", operation, detail, hint);
  };
  refuseTwoLoops(values);
  refuseLaunches(values, isOpen(values));
  if (values.late !== undefined && !isOpen(values)) {
    refuse(
      "--late",
      "a closed loop, or --rate max, has no schedule to be late for",
      "add --rate or --profile",
    );
  }
  if (values.scheduleClock !== undefined && !isOpen(values)) {
    const detail = "a closed loop, or --rate max, has no schedule that goes by a clock";
    refuse("--schedule-clock", detail, "add --rate or --profile");
  }
  const clock = values.scheduleClock ?? "monotonic";
  if (!isKernelReadable(clock) && values.backend === "xdp_live") {
    const name = clock === "raw" ? "CLOCK_MONOTONIC_RAW" : clock;
    const detail = `no program in the kernel can read ${name}`;
    refuse(`--schedule-clock ${clock} with xdp_live`, detail, "use monotonic or tai, or --backend af_xdp");
  }
  const firstPort = values.sourcePort ?? values.responsePort;
  if (firstPort + values.flows > 65_536) {
    refuse("--flows", `from port ${firstPort} on there are not so many`, "lower it, or --source-port");
  }
  if (values.flows > 1 && values.backend === "udp") {
    refuse("--flows", "udp sends from one socket, so from one port", "use --backend af_packet or af_xdp");
  }
  if (values.match !== "clordid" && values.backend === "xdp_live") {
    const detail = "the program in the driver finds a tick by its clOrdId alone";
    refuse(`--match ${values.match} with xdp_live`, detail, "use --backend af_xdp, af_packet or udp");
  }
  if (values.match === "price" && values.strategy !== "threshold") {
    const detail = `only threshold answers ticks whose prices differ, the strategy is ${values.strategy}`;
    refuse("--match price", detail, "use --match clordid or fifo");
  }
  if (values.strategy === "threshold" && triggerRatio > 0 && values.threshold === 0) {
    refuse(
      "--threshold 0",
      "no price is below it, so no tick can be answered",
      "raise it, or add --trigger-ratio 0",
    );
  }
  if (
    values.strategy === "threshold" &&
    triggerRatio >= 0 &&
    triggerRatio < 1 &&
    values.threshold > 0xffff_ffff - 1
  ) {
    refuse("--threshold", "no price is at or above it", "lower it, or add --trigger-ratio 1");
  }
  if (values.match === "price" && values.window !== undefined && values.window > priceSpan) {
    refuse("--match price", `${values.window} ticks in flight need as many prices`, "raise --price-span");
  }
  if (values.match === "price" && isOpen(values)) {
    const inFlight = (feed.peak_pps * values.timeout) / 1e9;
    if (inFlight > priceSpan) {
      const time = formatNs(values.timeout);
      refuse(
        "--match price",
        `within ${time} more ticks are sent than there are prices`,
        "raise --price-span, or lower --timeout",
      );
    }
  }
  if (
    typeof values.symbols === "object" &&
    !feedSymbols.some((symbol) => (values.symbols as readonly string[]).includes(symbol))
  ) {
    refuse(
      "--symbols",
      "none of them is in the feed, so no tick can be answered",
      "add them with --feed-symbols",
    );
  }
}
