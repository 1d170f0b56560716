/** What the native core gives back. */

import type { CaptureRemark } from "./capture.js";

/** Who made a turn of a loop slow, in the order of native/core/turn_watch.h. */
export const CAUSES = ["machine", "link", "carom", "unexplained"] as const;
export type Cause = (typeof CAUSES)[number];

export interface TurnFigures {
  readonly count: number;
  readonly total_ns: number;
  readonly max_ns: number;
}

/** Turns of a loop that took long: times in ns since the addon was loaded, on one timeline for all threads. */
export interface SlowTurns extends TurnFigures {
  readonly by_cause: Readonly<Record<Cause, TurnFigures>>;
  readonly first_ns: number; // when the loop began
  readonly observed_ns: number; // how long it ran
  readonly threshold_ns: number;
  readonly starts_ns: Float64Array; // of those that were logged: the log is bounded
  readonly ends_ns: Float64Array;
  readonly causes: Uint8Array; // indices of CAUSES
  readonly evidence: Evidence;
}

/** What the system could be asked of a thread that took long. */
export interface Evidence {
  readonly cpu_time: boolean; // and context switches
  readonly run_delay: boolean;
  readonly interrupts: boolean;
  readonly why_no_interrupts: string; // "" where they could be seen
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

/** The places of a histogram that have anything, and how much. */
export interface HistogramPart {
  readonly indices: Uint32Array; // growing
  readonly counts: Uint32Array;
}

/** The same of a histogram that may still be written to. */
export interface RecordedSoFar {
  readonly indices: Uint32Array; // growing
  readonly counts: Float64Array;
  readonly max: number;
}

export interface GeneratorSnapshot {
  readonly latency: RecordedSoFar; // of the round trips that the parts are of
  readonly lateness: RecordedSoFar;
}

/** How often the user interface was drawn, and the round trips, from the actual send, that overlapped that. */
export interface RefreshFindings {
  readonly count: number;
  readonly total_ns: number;
  readonly max_ns: number;
  readonly overlapping: HistogramData; // none with xdp_live, whose program in the kernel measures
}

/** What was changed while the run went on. */
export interface RunChange {
  readonly what: "rate" | "window";
  readonly after_ns: number; // the beginning of the measured part; less than 0: in the warm-up
  readonly from: number; // ticks a second, or in flight
  readonly to: number;
}

/** Pairs of times in ns, on the timeline of SlowTurns. */
export interface Intervals {
  readonly starts_ns: Float64Array;
  readonly ends_ns: Float64Array;
}

export type Counters = Readonly<Record<string, number>>;

/** An order that was wrong or unexpected, or a tick whose order is missing. */
export interface Example {
  readonly verdict: "wrong" | "missing" | "duplicate" | "unexpected" | "late" | "unjudged";
  readonly tick: Uint8Array | null; // the 24 bytes, when the order could be tied to one
  readonly expected: Uint8Array | null; // the 41 bytes that should have come (timestamp 0)
  readonly received: Uint8Array | null; // the 41 bytes that came
}

/** What a capture has written. */
export interface Captured {
  readonly frames: number;
  readonly bytes: number; // of the files
  readonly files: number;
  readonly lastFile: string;
  readonly dropped: number; // frames that are missing: the writer was behind, or could not write
  readonly failure: unknown; // why not all could be written, as an error of the core; null
}

export interface CaptureResult {
  readonly counters: Counters;
  readonly captured: Captured;
  readonly first_ns: bigint; // since the epoch, 0 for none
  readonly last_ns: bigint;
  readonly failure: unknown; // what ended it early, as an error of the core; null
  readonly notes: readonly string[];
}

export interface GeneratorResult {
  readonly counters: Counters;
  readonly latencyPlanned: HistogramData;
  readonly latencyActual: HistogramData;
  readonly lateness: HistogramData;
  readonly gapErrors: HistogramData; // open loop: of the gap before each tick, as those below
  readonly firstErrors: Float64Array; // ns after their time, of up to 1000 first ticks, and as many last ones
  readonly lastErrors: Float64Array;
  readonly warmup: HistogramData; // round trips of the warm-up, kept apart
  readonly parts: readonly HistogramPart[]; // of the measured round trips, in their order
  readonly changes: readonly RunChange[];
  readonly schedule: ScheduleFindings;
  readonly turns: SlowTurns;
  readonly slowest: Intervals; // planned and received time of the slowest round trips
  readonly latest: Intervals; // planned and actual time of the latest sends
  readonly refreshes: RefreshFindings;
  readonly recent: readonly Example[]; // those that nobody has taken while it ran
  readonly examples: readonly Example[];
  readonly sends: BigUint64Array; // rows of tick timestamp, planned, handed to the backend, returned
  readonly answers: BigUint64Array; // rows of tick timestamp, the order's timestamp, received, that timestamp as it came
  readonly nicSent: BigUint64Array; // rows of tick timestamp, the NIC's stamp, handed to the backend, 0
  readonly nicReceived: BigUint64Array; // the same of orders, by their ticks: the third is when they were taken up
  readonly unlogged: number; // rows of all of these for which there was no room
  readonly lines: readonly LineCounts[]; // of each stream its lines; of a plain one nothing is counted here
  readonly streams: readonly StreamCounts[]; // empty where there is one: it has all
  readonly capture: Captured | null;
  readonly notes: readonly string[]; // what the backend found out at open: mode, queue, stamps
  readonly replay: ReplayFindings | null; // of a replay
}

/** What the schedule of an open loop went by. */
export interface ScheduleFindings {
  readonly readings: number; // of its clock; 0 where a program in the kernel reads it itself
  readonly correctedNs: number; // by how much the schedule was made later on the TSC, from the first measured tick on
  readonly errorNs: number; // of the schedule against its clock, at the last reading; above 0: behind it
  readonly errorMaxNs: number;
}

/** Of one capture, over all passes. */
export interface ReplayedFile {
  readonly path: string;
  readonly format: string;
  readonly compression: string;
  readonly link_type: string;
  readonly broken: string; // where and how; "" when it is whole
  readonly remarks: readonly CaptureRemark[];
  readonly frames: number; // read; each is taken, or one of the next four
  readonly taken: number;
  readonly outside: number; // the span of time
  readonly filtered: number;
  readonly skipped: number; // too large, or cut off when it was captured, as it was asked for
  readonly unusable: number; // nothing that can be an Ethernet frame
  readonly padded: number; // had been cut off when they were captured
  readonly cut: number; // were too large
  readonly oversized: number;
  readonly truncated: number;
  readonly backwards: number; // older than one before: planned for the time of that one
}

/** What became of the captures. */
export interface ReplayFindings {
  readonly files: readonly ReplayedFile[];
  readonly frames: number; // handed to the wire
  readonly bytes: number;
  readonly passes: number; // read to their end
  readonly starved: number; // how often nothing was ready, although there was more to read
  readonly cuts: number; // gaps longer than allowed
  readonly crowded: number; // bursts that the ones before them pushed back
  readonly restamped: number; // ticks that got another timestamp
  readonly span_ns: number; // planned, from the first frame to the last that was read
  readonly sent_passes: number; // sent to their end
  readonly sent_span_ns: number; // planned, from the first frame to the last that was sent
  readonly complete: boolean; // all of it was sent: it did not end early
  readonly refusal: { readonly detail: string; readonly hint: string } | null; // why it ended early
}

/** What became of an interface while it was watched. */
export interface LinkFindings {
  readonly outages: number; // how often its link went down
  readonly down_ns: number; // in all; not of outages that were over before the kernel told of them
  readonly first_ns: number; // when the first one began, after the watch
  readonly gone: boolean; // removed, or in another namespace
  readonly gone_ns: number; // when, after the watch began
  readonly resets: number; // its driver began to count anew, as some do when the link comes back
  /** What it had counted until then, as far as the kernel told it: to be added. */
  readonly lost: Readonly<
    Record<"rx_packets" | "rx_errors" | "rx_dropped" | "tx_packets" | "tx_errors" | "tx_dropped", number>
  >;
}

/** What an XDP program at the receiving end saw of the measured ticks. */
export interface ArrivalFindings {
  readonly ticks: number;
  readonly gapCounts: Float64Array; // errors of the gaps, in the order of HistogramData
  readonly gapMin: number;
  readonly gapMax: number;
  readonly gapSum: number;
  readonly firstErrors: Float64Array; // ns, less the first one's, of up to 1000 first ticks, and as many last ones
  readonly lastErrors: Float64Array;
  readonly clockDrift: number; // ns that the kernel's clock ran ahead of the TSC between first and last
  readonly elapsed: number; // ns, from the first to the last
}

/** What the ledger has of one stream, measured ticks only. An order that answers no tick is of no stream. */
export interface StreamCounts {
  readonly sent: number;
  readonly withheld: number; // lost or spoilt on purpose
  readonly quiet: number; // must not be answered
  readonly correct: number;
  readonly wrong: number;
  readonly late: number;
  readonly missing: number;
  readonly duplicate: number;
  readonly unexpected: number;
  readonly reordered: number;
  readonly latencyPlanned: HistogramData;
  readonly latencyActual: HistogramData;
}

/** What became of the datagrams of a line when their time came, the warm-up included. */
export interface LineCounts {
  readonly datagrams: number; // sent or lost; copies not counted
  readonly ticks: number; // in them
  readonly frames: number; // handed to the wire, copies included
  readonly lost: number; // datagrams, on purpose, as all that follows
  readonly lost_ticks: number;
  readonly duplicated: number; // frames: the copies
  readonly reordered: number;
  readonly corrupted: number; // frames, copies included
}

export interface ResponderResult {
  readonly counters: Counters;
  readonly processing: HistogramData; // ns of each tick, from when its batch was taken up until the orders of that were handed over
  readonly passages: BigUint64Array; // rows of tick timestamp, taken up, order handed to the backend (all ones: no order), returned
  readonly nicSent: BigUint64Array; // rows of tick timestamp, the NIC's stamp of its order, handed to the backend, 0
  readonly nicReceived: BigUint64Array; // the same of the ticks: the third is when they were taken up
  readonly unlogged: number; // rows for which there was no room
  readonly turns: SlowTurns;
  readonly notes: readonly string[];
}

/** One engine, or libpcap's interpreter, on the frames of a capture. */
export interface EngineFigure {
  readonly name: string;
  readonly reason: string; // why it can't be had; "" if it was measured
  readonly accepted: number;
  readonly nsPerPacket: readonly number[]; // a figure a round
}

export interface FilterCaptureResult {
  readonly engine: string;
  readonly never: boolean; // no frame can be accepted, whatever it is
  readonly always: boolean;
  readonly frames: number;
  readonly accepted: number;
  readonly acceptedBytes: number;
  readonly written: number; // frames
  readonly readerGone: boolean; // of the pipe that is written to: it has seen enough
  readonly notEthernet: number; // left out, as they can't have an Ethernet header
  readonly linkType: string;
  readonly remarks: readonly CaptureRemark[];
  readonly broken: string; // where and how the capture breaks off; "" if it does not
  readonly cancelled: boolean;
  readonly measuredFrames: number;
  readonly figures: readonly EngineFigure[];
}

/** What a filter is made of, as text. */
export interface FilterExplanation {
  readonly engine: string;
  readonly never: boolean;
  readonly always: boolean;
  readonly program: string; // classic BPF
  readonly simplified: string;
  readonly head: string; // what is decided by the first 64 bytes of a frame; "" if nothing is
  readonly code: string; // machine code
  readonly codeBytes: number;
  readonly compileNs: number; // from the expression to classic BPF
  readonly makeNs: number; // from there to machine code
}

export interface FilterEngine {
  readonly name: string;
  readonly says: string;
  readonly reason: string; // why it can't be had here; "" if it can
}
