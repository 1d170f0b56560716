/** What of the native core plays a part in a run, as it is seen from TypeScript. */

import type { Link, StrategyConfig } from "./config.js";
import type {
  CaptureResult,
  Counters,
  Example,
  GeneratorResult,
  GeneratorSnapshot,
  HistogramData,
  ResponderResult,
} from "./result.js";

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
  /** Whether its loop has taken up the trace: each packet from now on is seen by it. */
  isTracing(): boolean;
  /** What was traced since the last call, oldest first, and how many records ever found no room. */
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
