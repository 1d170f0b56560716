/**
 * The one door to the native core. It loads the addon, refuses one that was built from another wire layout,
 * and turns the errors that the core throws into CaromError.
 *
 * TypeScript hands over complete, validated values; the core asserts them again.
 */

import { createRequire } from "node:module";
import { layoutHash } from "../wire/schema.js";
import { asCaromError, CaromError } from "./error.js";

export type Provenance = "hardware" | "kernel" | "tsc";

/** An interface in a namespace, with its addresses: where a role is attached. */
export interface Link {
  readonly namespace: string; // path of a network namespace ("/run/netns/x"); "" is the one carom was started in
  readonly interfaceName: string;
  readonly mac: string;
  readonly address4: string; // "" when there is none
  readonly address6: string; // "" when there is none
  readonly mtu: number; // bytes of the largest IP packet
}

/** How a role moves frames on its link. */
export interface IoConfig {
  readonly backend: string;
  readonly link: Link;
  readonly queue: number; // RX and TX queue of the interface
  readonly cpu: number; // core to which the thread is pinned; -1 leaves it to the scheduler
  readonly ringSize: number; // frames in each ring; a power of two
  readonly localPort: number; // UDP port whose datagrams this role takes
  readonly sendPort: number; // UDP port its own datagrams come from
  readonly receives: boolean; // false for a generator that expects no answers
  readonly group: string; // multicast group to join, "" for none
  readonly vlan: number; // VLAN identifier of every frame, -1 for untagged
  readonly ttl: number;
  readonly busyPollUs: number; // 0 is off
  readonly copyMode: "auto" | "copy" | "zero-copy"; // af_xdp
  readonly xdpMode: "auto" | "native" | "generic"; // af_xdp
  readonly timestamps: Provenance;
  readonly rxStamps: boolean; // whether this role reads the timestamp of what it receives
  readonly txStamps: boolean; // whether it reads back the timestamp of what it sent
  readonly stallThresholdNs: number; // a turn of the loop longer than this is a stall
}

/** What decides, and so whose orders are right; each strategy reads its own of these settings. */
export interface StrategyConfig {
  readonly name: string;
  readonly threshold: number; // cents
  readonly quantity: number;
  readonly priceOffset: number; // cents, may be negative
  readonly side: 0 | 1; // 0 buy, 1 sell
  readonly fastWeight: number; // of the newest price in the fast average, times 2^16
  readonly slowWeight: number;
  readonly slowTicks: number; // before the first order
  readonly spread: number; // cents
  readonly symbols: readonly string[]; // empty: all
  readonly symbolLimit: number; // how many symbols a strategy that keeps state has room for
}

export interface ResponderConfig {
  readonly io: IoConfig;
  readonly strategy: StrategyConfig;
  readonly answerLimit: number; // answers a second for each source, 0 for no limit
  readonly responseAddress: string; // "" answers the tick's sender
  readonly responseMac: string; // with responseAddress: where frames to it go
  readonly responsePort: number;
  readonly breakdownEvery: number; // one tick of so many, a power of two, is followed; 0 for none
}

/** When ticks come. Rates are ticks a second, times 1000. */
export type ArrivalConfig =
  | { readonly kind: "constant" | "poisson"; readonly rateMilliHz: number }
  | {
      readonly kind: "bursts";
      readonly count: number; // ticks of each
      readonly everyNs: number; // from start to start
      readonly gapNs: number; // within one
    }
  | {
      readonly kind: "microbursts";
      readonly size: number; // mean number of ticks
      readonly everyNs: number; // mean, from start to start
      readonly gapNs: number; // mean, within one
    }
  | {
      readonly kind: "hawkes";
      readonly rateMilliHz: number; // of the ticks that follow from no other
      readonly branching: number; // how many follow directly from each, on average; below 1
      readonly decayNs: number; // the mean time after which they do
    }
  | {
      readonly kind: "curve";
      readonly points: Float64Array; // pairs of ns, from 0, and the rate from then on; the last one ends the curve
      readonly poisson: boolean; // by chance, otherwise evenly
    }
  | { readonly kind: "sum"; readonly parts: readonly ArrivalConfig[] };

export interface ScheduleConfig {
  readonly arrival: ArrivalConfig;
  readonly seed: bigint;
  readonly scaleThousandths: number; // 2000 is twice as much
  readonly scaleBursts: boolean; // each tick several times over; otherwise gaps are made smaller
  readonly ceilingMilliHz: number; // 0 for none
}

/** The price of each symbol goes up or down by up to `step` cents at each of its ticks, between two bounds. */
export interface PriceWalk {
  readonly low: number;
  readonly high: number;
  readonly step: number;
  readonly start: number; // of every symbol; -1: each somewhere between the bounds
}

/** What is in the ticks. */
export interface TickConfig {
  readonly seed: bigint;
  readonly triggerRatio: number; // 0 to 1, of the ticks that are below the threshold; -1: as the walk goes
  readonly symbols: readonly string[];
  readonly weights: number | Float64Array; // of each symbol; or s, for 1 / rank^s
  readonly priceSpan: number; // cents on either side of the threshold, without a walk
  readonly threshold: number; // cents
  readonly uniquePrices: boolean; // prices that trigger follow one another
  readonly walk: PriceWalk | null;
  readonly lot: number; // quantities are from lotsMin to lotsMax times this
  readonly lotsMin: number;
  readonly lotsMax: number;
}

export interface GeneratorConfig {
  readonly io: IoConfig;
  readonly destinationMac: string;
  readonly destinationAddress: string;
  readonly destinationPort: number;
  readonly mode: "closed" | "open";
  readonly window: number; // closed loop: ticks in flight
  readonly schedule: ScheduleConfig; // open loop
  readonly peakRate: number; // open loop: ticks a second that the ledger has to remember
  readonly count: number; // ticks to send after the warm-up, 0 for no limit
  readonly durationNs: number; // 0 for no limit
  readonly warmupNs: number;
  readonly timeoutNs: number; // an answer after this is late
  readonly quietNs: number; // closed loop: how long a tick that must not be answered is waited for
  readonly ticks: TickConfig;
  readonly match: "clordid" | "price" | "fifo";
  readonly strategy: StrategyConfig;
  readonly flows: number; // source ports, from io.sendPort on; each symbol's ticks come from one
  readonly lateThresholdNs: number; // a send later than this is a late send
  readonly breakdownEvery: number; // one tick of so many, a power of two, is followed; 0 for none
}

/** What happened to one core: times in ns since the addon was loaded, on one timeline for all threads. */
export interface StallLog {
  readonly count: number;
  readonly total_ns: number;
  readonly max_ns: number;
  readonly observed_ns: number; // how long the loop ran
  readonly threshold_ns: number;
  readonly starts_ns: Float64Array; // of those that were logged: the log is bounded
  readonly ends_ns: Float64Array;
}

/** HDR histogram counts: 1 ns to 60 s, 3 significant digits, in the index order of hdr-histogram-js. */
export interface HistogramData {
  readonly counts: Float64Array;
  readonly count: number;
  readonly min: number;
  readonly max: number;
  readonly sum: number;
  readonly sumOfSquares: number;
}

/** Pairs of times in ns, on the timeline of StallLog. */
export interface Intervals {
  readonly starts_ns: Float64Array;
  readonly ends_ns: Float64Array;
}

export type Counters = Readonly<Record<string, number>>;

/** An order that was wrong or unexpected, or a tick whose order is missing. */
export interface Example {
  readonly verdict: "wrong" | "missing" | "duplicate" | "unexpected" | "late";
  readonly tick: Uint8Array | null; // the 24 bytes, when the order could be tied to one
  readonly expected: Uint8Array | null; // the 41 bytes that should have come (timestamp 0)
  readonly received: Uint8Array | null; // the 41 bytes that came
}

export interface GeneratorResult {
  readonly counters: Counters;
  readonly latencyPlanned: HistogramData;
  readonly latencyActual: HistogramData;
  readonly lateness: HistogramData;
  readonly warmup: HistogramData; // round trips of the warm-up, kept apart
  readonly stalls: StallLog;
  readonly slowest: Intervals; // planned and received time of the slowest round trips
  readonly latest: Intervals; // planned and actual time of the latest sends
  readonly examples: readonly Example[];
  readonly sends: BigUint64Array; // rows of tick timestamp, planned, handed to the backend, returned
  readonly answers: BigUint64Array; // rows of tick timestamp, the order's timestamp, received, received
  readonly notes: readonly string[]; // what the backend found out at open: mode, queue, stamps
}

export interface ResponderResult {
  readonly counters: Counters;
  readonly processing: HistogramData; // ns a frame, from its coming to the sending of its orders
  readonly passages: BigUint64Array; // rows of tick timestamp, taken up, order handed to the backend, returned
  readonly stalls: StallLog;
  readonly notes: readonly string[];
}

interface Role<Result> {
  /** Lets the thread run. onEnd is called once, when it has ended, with what ended it early or null. */
  start(onEnd: (error: unknown) => void): void;
  /** Asks the thread to end; a generator first waits for what is still in flight. */
  stop(): void;
  counters(): Counters;
  /** What the backend found out at open: mode, queue, stamps. */
  notes(): string[];
  result(): Result;
  /** Stops, waits for the thread and gives everything back. May be called at any time and more than once. */
  close(): void;
}

export type Generator = Role<GeneratorResult>;
/** What can change while a responder runs. */
export interface ResponderSettings {
  readonly enabled: boolean;
  readonly strategy: StrategyConfig;
  readonly answerLimit: number;
}

/** One packet of a trace. */
export interface TraceRecord {
  readonly time_ns: bigint; // since the epoch
  readonly spent_ns: number;
  readonly outcome: "answered" | "quiet" | "limited" | "unsent" | "refused" | "disabled";
  readonly why: string;
  readonly length: number; // bytes of the whole frame
  readonly queue: number;
  readonly ticks: number;
  readonly orders: number;
  readonly frame: Buffer; // its first bytes
  readonly tick: Buffer | null; // the first one
  readonly price: number; // of the order, as quantity and side
  readonly quantity: number;
  readonly side: number;
}

export interface TraceRequest {
  readonly perSecond: number; // packets at the most
  readonly filter: string; // of libpcap's language; "" for all
}

/** One thread of a responder: it serves one queue. */
export interface Responder extends Role<ResponderResult> {
  /** In force between two packets. @throws an error with code, operation, detail and hint */
  change(settings: ResponderSettings): void;
  /** The time a frame takes, so far. */
  processing(): HistogramData;
  /** Begins to trace, or ends it with null. @throws an error (usage) for a filter that can't be compiled */
  trace(request: TraceRequest | null): void;
  /** What was traced since the last call, oldest first, and how many records ever found no room. */
  takeTrace(): { readonly records: TraceRecord[]; readonly lost: number };
  /** The kernel's number of its thread: /proc/self/task/ID tells what that did. */
  threadId(): number;
}

/** Frames in and out of an interface one by one, for the scripted test: not a hot path. */
export interface FrameSocket {
  /** @throws CaromError when the kernel refuses the frame (EMSGSIZE: longer than the interface's MTU allows) */
  send(frame: Uint8Array): void;
  /** Everything received since the last call, with the kernel's receive time in ns since the epoch. */
  receive(): { readonly frame: Buffer; readonly time_ns: bigint }[];
  close(): void;
}

export interface FrameSocketConfig {
  readonly link: Link;
  /** UDP port kept open on the link, so that the kernel does not answer "port unreachable"; 0 for none. */
  readonly holdPort: number;
}

export interface ClockInfo {
  readonly frequencyHz: number; // of the TSC, calibrated against CLOCK_MONOTONIC_RAW
  readonly resolutionNs: number;
  readonly readCostNs: number;
  readonly errorPpm: number; // spread of the calibration
}

export interface BackendProbe {
  readonly name: string;
  readonly roles: readonly ("generator" | "responder")[];
  readonly reason: string; // "" when usable, otherwise why not
  readonly hint: string;
}

/** What ETHTOOL_GET_TS_INFO says of an interface. */
export interface TimestampingInfo {
  readonly hardwareTx: boolean;
  readonly hardwareRx: boolean;
  readonly softwareTx: boolean;
  readonly softwareRx: boolean;
  readonly phcIndex: number; // -1: no hardware clock
}

/** The next ticks of a feed, as the generator would send them. */
export interface FeedSample {
  readonly planned_ns: Float64Array; // from the start of the run; exact up to 2^53 ns, 104 days
  readonly symbols: Uint32Array; // indices into the symbols of the configuration
  readonly prices: Uint32Array;
  readonly quantities: Uint32Array;
}

interface Addon {
  readonly layoutHash: string;
  readonly Generator: new (config: GeneratorConfig) => Generator;
  readonly Responder: new (config: ResponderConfig, other?: Responder) => Responder;
  readonly FrameSocket: new (config: FrameSocketConfig) => FrameSocket;
  clock(): ClockInfo;
  backendNames(): string[];
  strategyNames(): string[];
  probeBackends(link: Link, queue: number): BackendProbe[];
  timestampingInfo(link: Link): TimestampingInfo;
  measureStalls(
    cpu: number,
    durationNs: number,
    thresholdNs: number,
    onEnd: (error: Error | null, log: StallLog) => void,
  ): void;
  refusalReasons(): string[];
  sampleFeed(config: { schedule: ScheduleConfig; ticks: TickConfig }): (count: number) => FeedSample;
  attachXdpPass(link: Link): () => void;
  enterNamespace(path: string): void;
  leaveNamespace(): void;
}

let loaded: Addon | undefined;

function addon(): Addon {
  if (loaded !== undefined) return loaded;
  // Compiled, this file is dist/native/index.js; the addon stays where node-gyp builds it.
  const path = "../../native/build/Release/carom.node";
  let candidate: Addon;
  try {
    candidate = createRequire(import.meta.url)(path) as Addon;
  } catch (error) {
    throw new CaromError(
      "environment",
      "load the native core",
      (error as Error).message,
      "build it with npm run build",
    );
  }
  if (candidate.layoutHash !== layoutHash()) {
    const detail = `built from wire layout ${candidate.layoutHash}, this is ${layoutHash()}`;
    throw new CaromError("environment", "load the native core", detail, "build it again with npm run build");
  }
  loaded = candidate;
  return candidate;
}

function call<T>(operation: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw asCaromError(error, operation);
  }
}

/** Opens the generator's side: sockets, rings and thread. Nothing is sent before start. @throws CaromError */
export function openGenerator(config: GeneratorConfig): Generator {
  return call("open the generator", () => new (addon().Generator)(config));
}

/**
 * Opens the responder's side. Nothing is answered before start.
 * @param other the thread of another queue of the same interface: one XDP program serves both
 * @throws CaromError
 */
export function openResponder(config: ResponderConfig, other?: Responder): Responder {
  return call("open the responder", () => new (addon().Responder)(config, other));
}

/** @throws CaromError */
export function openFrameSocket(config: FrameSocketConfig): FrameSocket {
  return call("open a frame socket", () => new (addon().FrameSocket)(config));
}

/** The TSC as calibrated when the addon was loaded. */
export function clockInfo(): ClockInfo {
  return addon().clock();
}

/** The names of all backends, in the order of the one table. */
export function backendNames(): string[] {
  return addon().backendNames();
}

/** The names of all strategies, in the order of the one table. */
export function strategyNames(): string[] {
  return addon().strategyNames();
}

/** For each backend whether it can be used on the link. */
export function probeBackends(link: Link, queue: number): BackendProbe[] {
  return call("probe the backends", () => addon().probeBackends(link, queue));
}

/** @throws CaromError when there is no such interface */
export function timestampingInfo(link: Link): TimestampingInfo {
  return call("read the timestamping abilities", () => addon().timestampingInfo(link));
}

/** Spins on a core and reports how often, and for how long, it was taken away. */
export function measureStalls(cpu: number, durationNs: number, thresholdNs: number): Promise<StallLog> {
  return new Promise((resolve, reject) => {
    try {
      addon().measureStalls(cpu, durationNs, thresholdNs, (error, log) => {
        if (error !== null) reject(asCaromError(error, `measure the stalls of core ${cpu}`));
        else resolve(log);
      });
    } catch (error) {
      reject(asCaromError(error, `measure the stalls of core ${cpu}`));
    }
  });
}

/**
 * Plans ticks without sending them: each call of the function returned gives the next ones, up to a million.
 * @throws CaromError
 */
export function sampleFeed(schedule: ScheduleConfig, ticks: TickConfig): (count: number) => FeedSample {
  return call("sample a feed", () => addon().sampleFeed({ schedule, ticks }));
}

/** The names of the counters of frames that the parser refused. */
export function refusalReasons(): string[] {
  return addon().refusalReasons();
}

/**
 * Attaches an XDP program that lets everything pass: a veth needs one to take what a program at its other end
 * sends back. Returns what detaches it. @throws CaromError
 */
export function attachXdpPass(link: Link): () => void {
  return call(`make ${link.interfaceName} take what XDP sends back`, () => addon().attachXdpPass(link));
}

/** Runs an action with the calling thread in another network namespace: what it opens stays there. */
export function inNamespace<T>(path: string, action: () => T): T {
  if (path === "") return action();
  call(`enter the namespace ${path}`, () => addon().enterNamespace(path));
  try {
    return action();
  } finally {
    addon().leaveNamespace();
  }
}
