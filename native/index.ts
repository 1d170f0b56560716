/**
 * The one door to the native core. It loads the addon, refuses one that was built from another wire layout,
 * and turns the errors that the core throws into CaromError.
 *
 * TypeScript hands over complete, validated values; the core asserts them again.
 */

import { createRequire } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { layoutHash } from "../wire/schema.js";
import type {
  CapturePreview,
  CaptureProgress,
  CompareConfig,
  CompareFound,
  FrameBatch,
  InspectConfig,
  InspectFound,
} from "./capture.js";
import type {
  CaptureConfig,
  FilterCaptureConfig,
  GeneratorConfig,
  Link,
  ResponderConfig,
  ScheduleConfig,
  StrategyConfig,
  TickConfig,
} from "./config.js";
import { asCaromError, CaromError } from "./error.js";
import type {
  ArrivalFindings,
  CaptureResult,
  Counters,
  Example,
  FilterCaptureResult,
  FilterEngine,
  FilterExplanation,
  GeneratorResult,
  GeneratorSnapshot,
  HistogramData,
  LinkFindings,
  ResponderResult,
  SlowTurns,
} from "./result.js";

export type * from "./capture.js";
export type * from "./config.js";
export type * from "./result.js";
export { CAUSES } from "./result.js";

interface Role<Result> {
  /** Lets the thread run. onEnd is called once, when it has ended, with what ended it early or null. */
  start(onEnd: (error: unknown) => void): void;
  /** Asks the thread to end; a generator first waits for what is still in flight. */
  stop(): void;
  counters(): Counters;
  /** What the backend found out at open: mode, queue, stamps. */
  notes(): string[];
  /** The kernel's number of its thread: /proc/self/task/ID tells what that did. */
  threadId(): number;
  result(): Result;
  /** Stops, waits for the thread and gives everything back. May be called at any time and more than once. */
  close(): void;
}

/** The stamps of arriving ticks, held by the native core. */
export interface Arrivals {
  readonly arrivals: unique symbol;
}

export interface Generator extends Role<GeneratorResult> {
  /** What was measured so far, without stopping it; with xdp_live nothing before the end. */
  snapshot(): GeneratorSnapshot;
  /** What was not as expected since it was asked last: up to 64, missing ticks as soon as they are. */
  takeRecent(): Example[];
  /** While it runs: whether the user interface is being drawn, for the report tells such round trips apart. */
  refreshing(isDrawn: boolean): void;
  /** While it runs: ticks a second times 1000, of all streams of the run. False: it was changed too often. */
  setRate(milliHz: number): boolean;
  setWindow(ticks: number): boolean;
  /** Before start: who is to be told from when on ticks are measured. */
  stampedBy(arrivals: Arrivals): void;
}

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
  /** Whether its loop has taken up the trace: each packet from now on is seen by it. */
  isTracing(): boolean;
  takeTrace(): { readonly records: TraceRecord[]; readonly lost: number };
  /** What its XDP program stamps, with stampsArrivals; to be closed. */
  arrivals(): Arrivals;
}

/** Frames of an interface on their way to a file. */
export type Capture = Role<CaptureResult>;

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

/** The clocks of the kernel beside the TSC's timeline: two readings tell what they did in between. */
export interface ClocksReading {
  readonly timelineNs: number; // of the TSC
  readonly rawOffsetNs: bigint; // CLOCK_MONOTONIC_RAW less the timeline
  readonly monotonicOffsetNs: bigint; // CLOCK_MONOTONIC less the timeline
  readonly widthNs: number; // of the bracket: no offset is off by more than half of it
}

/** CLOCK_REALTIME beside the TSC's timeline. */
export interface RealtimeReading {
  readonly timelineNs: number;
  readonly offsetNs: bigint; // CLOCK_REALTIME less the timeline
  readonly widthNs: number; // of the bracket: it is not off by more than half of it
}

/** What the kernel was told of CLOCK_REALTIME by whoever disciplines it: chrony, ntpd, phc2sys (adjtimex(2)). */
export interface ClockDiscipline {
  readonly synchronised: boolean;
  readonly maxErrorNs: number;
  readonly estimatedErrorNs: number;
  readonly taiOffsetS: number; // TAI less UTC; 0 where nobody said
}

export interface BackendProbe {
  readonly name: string;
  readonly roles: readonly ("generator" | "responder")[];
  readonly tried: boolean; // false: nothing was attached to the interface, or bound to it
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

/** A PTP hardware clock and one of the system's at one moment. */
export interface PhcReading {
  readonly phcNs: bigint;
  readonly systemNs: bigint;
  readonly isRaw: boolean; // the system's is CLOCK_MONOTONIC_RAW, otherwise CLOCK_REALTIME
  readonly realtimeNs: bigint; // CLOCK_REALTIME at that moment
  readonly widthNs: number; // of the bracket: the two are not further apart than half of it
  readonly method: string;
}

/** The next ticks of a feed, as the generator would send them. */
export interface FeedSample {
  readonly planned_ns: Float64Array; // from the start of the run; exact up to 2^53 ns, 104 days
  readonly symbols: Uint32Array; // indices into the symbols of the configuration
  readonly prices: Uint32Array;
  readonly quantities: Uint32Array;
}

/** What a thread of this process may do, as the kernel says. */
export interface ThreadPrivileges {
  readonly id: number; // the kernel's
  readonly name: string;
  readonly capabilities: bigint; // effective or permitted: a bit each, as capability.h numbers them
  readonly noNewPrivileges: boolean;
}

interface Addon {
  readonly layoutHash: string;
  readonly Generator: new (config: GeneratorConfig, other?: Generator) => Generator;
  readonly Responder: new (config: ResponderConfig, other?: Responder) => Responder;
  readonly Capture: new (config: CaptureConfig) => Capture;
  readonly FrameSocket: new (config: FrameSocketConfig) => FrameSocket;
  clock(): ClockInfo;
  readClocks(): ClocksReading;
  readRealtime(): RealtimeReading;
  clockDiscipline(): ClockDiscipline;
  backendNames(): string[];
  strategyNames(): string[];
  probeBackends(link: Link, queue: number, tries: boolean): BackendProbe[];
  timestampingInfo(link: Link): TimestampingInfo;
  launchTime(link: Link): boolean;
  openPhc(path: string): (isLast: boolean) => PhcReading | null;
  openWire(from: Link, to: Link): (count: number) => BigUint64Array | null;
  driverDrops(link: Link): number | null;
  watchLink(link: Link, onGone: () => void): (isLast: boolean) => LinkFindings;
  xdpFeatures(link: Link): number | null;
  restoreTimestamping(): string[];
  spinOnCore(
    cpu: number,
    durationNs: number,
    thresholdNs: number,
    onEnd: (error: Error | null, turns: SlowTurns) => void,
  ): void;
  refusalReasons(): string[];
  sampleFeed(config: { schedule: ScheduleConfig; ticks: TickConfig }): (count: number) => FeedSample;
  attachXdpPass(link: Link): () => void;
  attachArrivals(link: Link, port: number): Arrivals;
  arrivalFindings(arrivals: Arrivals): ArrivalFindings;
  measureArrivalsFrom(arrivals: Arrivals, timestamp: bigint): void;
  closeArrivals(arrivals: Arrivals): void;
  inspectCapture(config: InspectConfig, onEnd: OnEnd<InspectFound>): () => [number, number, number];
  compareCaptures(config: CompareConfig, onEnd: OnEnd<CompareFound>): () => [number, number, number];
  listFrames(config: InspectConfig): (most: number) => FrameBatch;
  previewCapture(path: string, listed: number): CapturePreview;
  filterCapture(
    config: FilterCaptureConfig,
    onEnd: (error: unknown, result: FilterCaptureResult) => void,
  ): () => void;
  compileBeside(expression: string): () => boolean;
  explainFilter(expression: string, engine: string): FilterExplanation;
  readableBytes(descriptor: number): number;
  filterEngines(): FilterEngine[];
  confineProcess(): void;
  privileges(): ThreadPrivileges[];
  endWithParent(): void;
  setWatcher(command: readonly string[]): void;
  holdWatcher(operation: string): (release: boolean) => boolean;
  tryLock(descriptor: number): boolean;
  enterNamespace(path: string): void;
  leaveNamespace(): void;
}

type OnEnd<Result> = (error: Error | null, result: Result) => void;

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
  candidate.setWatcher([
    process.execPath,
    fileURLToPath(new URL("../lab/put_back_main.js", import.meta.url)),
  ]);
  return candidate;
}

function call<T>(operation: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw asCaromError(error, operation);
  }
}

/**
 * Opens the generator's side: sockets, rings and thread. Nothing is sent before start.
 * @param other the run's first thread, for all but that one: they begin together and hand orders to each other
 * @throws CaromError
 */
export function openGenerator(config: GeneratorConfig, other?: Generator): Generator {
  return call("open the generator", () => new (addon().Generator)(config, other));
}

/**
 * Opens the responder's side. Nothing is answered before start.
 * @param other the thread of another queue of the same interface: one XDP program serves both
 * @throws CaromError
 */
export function openResponder(config: ResponderConfig, other?: Responder): Responder {
  return call("open the responder", () => new (addon().Responder)(config, other));
}

/**
 * Opens a tap on an interface, and the file. What comes from then on is taken; it is written from start on.
 * @throws CaromError
 */
export function openCapture(config: CaptureConfig): Capture {
  return call("open the capture", () => new (addon().Capture)(config));
}

/** @throws CaromError */
export function openFrameSocket(config: FrameSocketConfig): FrameSocket {
  return call("open a frame socket", () => new (addon().FrameSocket)(config));
}

/** The TSC as calibrated when the addon was loaded. */
export function clockInfo(): ClockInfo {
  return addon().clock();
}

export function readClocks(): ClocksReading {
  return addon().readClocks();
}

export function readRealtime(): RealtimeReading {
  return addon().readRealtime();
}

/** @throws CaromError */
export function clockDiscipline(): ClockDiscipline {
  return call("read the state of the system's clock", () => addon().clockDiscipline());
}

/** The names of all backends, in the order of the one table. */
export function backendNames(): string[] {
  return addon().backendNames();
}

/** The names of all strategies, in the order of the one table. */
export function strategyNames(): string[] {
  return addon().strategyNames();
}

/**
 * For each backend whether it can be used on the link.
 * @param tries attaches programs to the interface and binds sockets to it, for which some drivers reset their rings
 */
export function probeBackends(link: Link, queue: number, tries: boolean): BackendProbe[] {
  return call("probe the backends", () => addon().probeBackends(link, queue, tries));
}

/** The bits of enum netdev_xdp_act; null where the kernel does not tell, before Linux 6.3. @throws CaromError */
export function xdpFeatures(link: Link): number | null {
  return call("read the XDP features", () => addon().xdpFeatures(link));
}

/** Puts NICs' timestamping back that killed processes of carom have left on. Returns a line for each. */
export function restoreTimestamping(): string[] {
  return call("put timestamping back", () => addon().restoreTimestamping());
}

/** @throws CaromError when there is no such interface */
/** A PTP hardware clock that is open. */
export interface Phc {
  /** @throws CaromError (environment) when it is gone, or closed */
  read(): PhcReading;
  close(): void;
}

/** Frames from one port to another, with the NICs' stamps. */
export interface WireProbe {
  /**
   * Sends so many frames, at most 64, one after the other. Of each two numbers: when it left and when it arrived, by
   * the clock of the NIC that made the stamp; 0 for none.
   * @throws CaromError (environment)
   */
  send(count: number): BigUint64Array;
  close(): void;
}

/** @throws CaromError (environment) where one of the two can't stamp in hardware */
export function openWire(from: Link, to: Link): WireProbe {
  const operation = `calibrate from ${from.interfaceName} to ${to.interfaceName}`;
  const send = call(operation, () => addon().openWire(from, to));
  return {
    send: (count) => {
      const found = call(operation, () => send(count));
      if (found === null) throw new CaromError("internal", operation, "it is closed");
      return found;
    },
    close: () => {
      send(0);
    },
  };
}

/**
 * @param path /dev/ptpN
 * @throws CaromError (environment) when there is none of that path, or it may not be read
 */
export function openPhc(path: string): Phc {
  const operation = `read the clock ${path}`;
  const read = call(operation, () => addon().openPhc(path));
  return {
    read: () => {
      const found = call(operation, () => read(false));
      if (found === null) throw new CaromError("internal", operation, "it is closed");
      return found;
    },
    close: () => {
      read(true);
    },
  };
}

export function timestampingInfo(link: Link): TimestampingInfo {
  return call("read the timestamping abilities", () => addon().timestampingInfo(link));
}

/** Whether its driver sends AF_XDP frames at a time that each of them carries. @throws CaromError */
export function launchTime(link: Link): boolean {
  return call("read the launch time ability", () => addon().launchTime(link));
}

/** Spins on a core, doing nothing, and reports how often, and for how long, that was interrupted. */
export function spinOnCore(cpu: number, durationNs: number, thresholdNs: number): Promise<SlowTurns> {
  return new Promise((resolve, reject) => {
    try {
      addon().spinOnCore(cpu, durationNs, thresholdNs, (error, turns) => {
        if (error !== null) reject(asCaromError(error, `watch core ${cpu}`));
        else resolve(turns);
      });
    } catch (error) {
      reject(asCaromError(error, `watch core ${cpu}`));
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

/** Frames that the driver of a veth received and dropped, since it was made; null for other drivers. @throws CaromError */
export function driverDrops(link: Link): number | null {
  return call(`read the driver's counters of ${link.interfaceName}`, () => addon().driverDrops(link));
}

export interface LinkWatch {
  found(): LinkFindings;
  close(): void;
}

/**
 * Follows an interface until it is closed.
 * @param onGone is called once when it is removed, or goes to another namespace
 * @throws CaromError
 */
export function watchLink(link: Link, onGone: () => void): LinkWatch {
  const look = call(`follow the link of ${link.interfaceName}`, () => addon().watchLink(link, onGone));
  let last: LinkFindings | null = null;
  return {
    found: () => last ?? look(false),
    close: () => {
      last ??= look(true);
    },
  };
}

/** The names of the counters of frames that the parser refused. */
export function refusalReasons(): string[] {
  return addon().refusalReasons();
}

/**
 * Attaches an XDP program that lets everything pass to each of the links: a veth needs one to take what a program at
 * its other end sends back. Returns what detaches all of them. @throws CaromError; then none is attached
 */
export function attachXdpPass(...links: readonly Link[]): () => void {
  const attached: (() => void)[] = [];
  const detach = () => {
    for (const one of attached.splice(0)) one();
  };
  try {
    for (const link of links) {
      const operation = `make ${link.interfaceName} take what XDP sends back`;
      attached.push(call(operation, () => addon().attachXdpPass(link)));
    }
  } catch (error) {
    detach();
    throw error;
  }
  return detach;
}

/**
 * Attaches an XDP program that stamps the ticks to a port and lets everything pass; with port 0 any frame of a
 * replay that is stamped by it. It stays until it is closed.
 * @throws CaromError
 */
export function attachArrivals(link: Link, port: number): Arrivals {
  return call(`stamp what arrives at ${link.interfaceName}`, () => addon().attachArrivals(link, port));
}

/** What was stamped so far. */
export function arrivalFindings(arrivals: Arrivals): ArrivalFindings {
  return call("read the stamps of arrivals", () => addon().arrivalFindings(arrivals));
}

/** Ticks with an earlier timestamp are left out. A generator that is stamped by them says so itself. */
export function measureArrivalsFrom(arrivals: Arrivals, timestamp: bigint): void {
  call("measure arrivals", () => addon().measureArrivalsFrom(arrivals, timestamp));
}

/** May be called more than once. */
export function closeArrivals(arrivals: Arrivals): void {
  addon().closeArrivals(arrivals);
}

/** Called now and then while captures are read. */
type OnProgress = (progress: CaptureProgress) => void;

const PROGRESS_MS = 200;

/** Reads a capture to its end, beside this thread. @throws CaromError */
export function inspectCapture(config: InspectConfig, onProgress?: OnProgress): Promise<InspectFound> {
  return readBeside("inspect a capture", (onEnd) => addon().inspectCapture(config, onEnd), onProgress);
}

/** Reads two captures to their ends, beside this thread. @throws CaromError */
export function compareCaptures(config: CompareConfig, onProgress?: OnProgress): Promise<CompareFound> {
  return readBeside("compare captures", (onEnd) => addon().compareCaptures(config, onEnd), onProgress);
}

function readBeside<Result>(
  operation: string,
  start: (onEnd: OnEnd<Result>) => () => [number, number, number],
  onProgress: OnProgress | undefined,
): Promise<Result> {
  return new Promise((resolve, reject) => {
    let timer: NodeJS.Timeout | undefined;
    try {
      const look = start((error, result) => {
        clearInterval(timer);
        if (error !== null) reject(asCaromError(error, operation));
        else resolve(result);
      });
      if (onProgress === undefined) return;
      timer = setInterval(() => {
        const [frames, bytesRead, bytesTotal] = look();
        onProgress({ frames, bytesRead, bytesTotal });
      }, PROGRESS_MS);
    } catch (error) {
      reject(asCaromError(error, operation));
    }
  });
}

/**
 * The frames of a capture: each call of the function returned gives the next ones, up to so many.
 * @throws CaromError
 */
export function listFrames(config: InspectConfig): (most: number) => FrameBatch {
  return call("read a capture", () => addon().listFrames(config));
}

/**
 * The beginning of a capture, at once.
 * @param listed how many of its first frames are given, up to 256
 * @throws CaromError
 */
export function previewCapture(path: string, listed: number): CapturePreview {
  return call("read a capture", () => addon().previewCapture(path, listed));
}

/**
 * Reads a capture through the packet filter, to its end or until the signal says stop.
 * @throws CaromError
 */
export function filterCapture(config: FilterCaptureConfig, stop: AbortSignal): Promise<FilterCaptureResult> {
  const operation = `filter ${config.path}`;
  return new Promise((resolve, reject) => {
    const cancel = call(operation, () =>
      addon().filterCapture(config, (error, result) => {
        stop.removeEventListener("abort", cancel);
        if (error !== null) reject(asCaromError(error, operation));
        else resolve(result);
      }),
    );
    stop.addEventListener("abort", cancel);
    if (stop.aborted) cancel();
  });
}

/** How many bytes a pipe or a socket has for its reader; -1 for everything else, and when no more will come. */
export function readableBytes(descriptor: number): number {
  return call("look into a pipe", () => addon().readableBytes(descriptor));
}

const COMPILE_POLL_MS = 2;

/**
 * Compiles a filter beside this thread, for it may take seconds; what then uses it in this process finds it done.
 * @param stop nobody wants it any more
 * @throws CaromError (usage) for one that can't be compiled
 */
export async function compileFilter(expression: string, stop?: AbortSignal): Promise<void> {
  if (expression === "") return;
  const hasEnded = call("compile a filter", () => addon().compileBeside(expression));
  while (!stop?.aborted && !call("compile a filter", hasEnded)) await sleep(COMPILE_POLL_MS);
}

/** What a filter is made of. @throws CaromError */
export function explainFilter(expression: string, engine: string): FilterExplanation {
  return call("explain a filter", () => addon().explainFilter(expression, engine));
}

/** The packet filter's engines, from the reference to the fastest. */
export function filterEngines(): FilterEngine[] {
  return addon().filterEngines();
}

/**
 * Everything is open: every thread of this process gives up its capabilities, and can get no others. Threads that
 * need some (native/core/privileges.h) have said so before. The kernel is asked what is left.
 * @throws CaromError (environment) when more is left
 */
export function confineProcess(): void {
  call("drop capabilities", () => addon().confineProcess());
}

/** Of every thread of this process. @throws CaromError (environment) */
export function privileges(): ThreadPrivileges[] {
  return call("read what this process may do", () => addon().privileges());
}

/** This process is killed when the one that started it ends, however that ends. */
export function endWithParent(): void {
  call("end with the parent process", () => addon().endWithParent());
}

/** A small process that has everything put back when this one is killed: native/io/watcher.h. */
export interface Watcher {
  /**
   * Has it put back now what nobody holds, and waits for that; for a process that has given up its privileges.
   * @returns whether all of it has worked
   */
  putBack(): boolean;
  /** What was changed is put back: this holder needs it no more. */
  release(): void;
}

/** To be called before something is changed that outlives this process. @throws CaromError (environment) */
export function holdWatcher(operation: string): Watcher {
  const native = call(operation, () => addon().holdWatcher(operation));
  return { putBack: () => native(false), release: () => void native(true) };
}

/**
 * Takes the lock of an open file, which the kernel gives back when the file is closed, however the process ends.
 * @returns false when another process has it
 * @throws CaromError
 */
export function tryLock(descriptor: number): boolean {
  return call("lock a file", () => addon().tryLock(descriptor));
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
