/** What the native core is given: complete, validated values. */

export type Provenance = "hardware" | "kernel" | "tsc";

/** An interface in a namespace, with its addresses: where a role is attached. */
/** A capture through the packet filter. */
export interface FilterCaptureConfig {
  readonly expression: string;
  readonly engine: string;
  readonly path: string; // "-" is standard input
  readonly write: string; // where the accepted frames go, "" for nowhere
  readonly rounds: number; // each engine is measured so often; 0: none is
}

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
  readonly moreQueues: readonly number[]; // af_xdp, xdp, xdp_live: by which the same thread receives, too
  readonly cpu: number; // core to which the thread is pinned; -1 leaves it to the scheduler
  readonly ringSize: number; // frames in each ring; a power of two
  readonly localPort: number; // UDP port whose datagrams this role takes
  readonly sendPort: number; // UDP port its own datagrams come from
  readonly receives: boolean; // false for a generator that expects no answers
  readonly groups: readonly string[]; // multicast groups to join, at most 16
  readonly vlan: number; // VLAN identifier of the frames that this role takes and answers with, -1 for untagged
  readonly ttl: number;
  readonly dscp: number; // differentiated services code point of what a responder sends, 0 to 63
  readonly busyPollUs: number; // 0 is off
  readonly copyMode: "auto" | "copy" | "zero-copy"; // af_xdp
  readonly xdpMode: "auto" | "native" | "generic"; // af_xdp
  readonly timestamps: Provenance;
  readonly rxStamps: boolean; // whether this role reads the timestamp of what it receives
  readonly txStamps: boolean; // whether it reads back the timestamp of what it sent
  readonly stallThresholdNs: number; // a turn of the loop longer than this is a stall
  readonly stampsArrivals: boolean; // a responder of af_xdp or xdp has its program stamp each tick
  readonly stampsAny: boolean; // or any frame, by what its sender says of it: a replay
  readonly launches: boolean; // the NIC sends each frame at its time (af_packet, udp)
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

/** A capture's file, or files. */
export interface CaptureOutputConfig {
  readonly path: string; // "-": standard output
  readonly keep: number; // of a series, so many files, the newest; 0: all
  readonly fileBytes: number; // the next file of a series begins after so many; 0: no limit
  readonly fileNs: number; // or after so long; 0: no limit
  readonly bufferBytes: number; // between the thread that has a frame and the one that writes it; a power of two
  readonly hardware: string; // what the file says of who wrote it; "" for nothing
  readonly os: string;
  readonly application: string;
  readonly comment: string;
  readonly interfaceComment: string;
}

export interface CaptureConfig {
  readonly link: Link;
  readonly cpu: number; // -1 leaves it to the scheduler
  readonly filter: string; // of libpcap's language; "" for all
  readonly snapLength: number; // bytes kept of each frame
  readonly direction: "both" | "in" | "out";
  readonly promiscuous: boolean;
  readonly ringBytes: number; // of the kernel's ring; a power of two
  readonly timestamps: "kernel" | "hardware";
  readonly count: number; // frames, 0 for no limit
  readonly durationNs: number; // 0 for no limit
  readonly output: CaptureOutputConfig;
}

export interface ResponderConfig {
  readonly io: IoConfig;
  readonly filter: string; // which frames for its port it takes, of libpcap's language and carom's; "" for all
  readonly strategy: StrategyConfig;
  readonly answerLimit: number; // answers a second for each source, 0 for no limit
  readonly responseAddress: string; // "" answers the tick's sender
  readonly responseMac: string; // with responseAddress: where frames to it go
  readonly responsePort: number;
  readonly breakdownEvery: number; // one tick of so many, a power of two, is followed; 0 for none
  readonly passageRoom: number; // so many of those are kept, by each thread
}

/** A late tick goes as soon as possible; or it is not sent; or the rest of the schedule moves by as much. */
export type LatePolicy = "catch-up" | "skip" | "slip";

/** A clock of the kernel (KERNEL_CLOCKS in native/core/clock.h). */
export type KernelClock = "monotonic" | "raw" | "tai";
export type ScheduleClock = KernelClock | "tsc" | `/dev/ptp${number}`;

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

/** How ticks share datagrams. */
export interface Packing {
  readonly withinNs: number; // after the first of them
  readonly most: number; // ticks in one; 1: each goes alone
}

/** What is done to the datagrams of a line on purpose. Ratios are from 0 to 1. */
export interface Impairment {
  readonly loss: number;
  readonly duplicate: number; // sent once more, right behind
  readonly reorder: number;
  readonly reorderBy: number; // how many later ones overtake it
  readonly delayNs: number;
  readonly jitterNs: number; // added to the delay, evenly from 0 to this; the order is kept
  readonly corrupt: number;
  readonly corruptFrom: number; // bytes of the payload, both included
  readonly corruptTo: number;
}

/** Where the ticks of a stream go. */
export interface LineConfig {
  readonly name: string; // "A" or "B"; "" when the stream has one line
  readonly destinationMac: string;
  readonly destinationAddress: string;
  readonly destinationPort: number;
  readonly vlan: number; // VLAN identifier of its frames, -1 for untagged
  readonly dscp: number; // differentiated services code point, 0 to 63
  readonly skewNs: number; // its frames leave so much later
  readonly impairment: Impairment | null;
  readonly judged: boolean; // the device under test listens to it
}

/** Ticks of one source: when, what and where to. */
export interface StreamConfig {
  readonly schedule: ScheduleConfig; // open loop
  readonly ticks: TickConfig;
  readonly sourcePort: number;
  readonly flows: number; // source ports, from sourcePort on; each symbol's ticks come from one
  readonly packing: Packing;
  readonly sizes: readonly number[]; // of the frames, without the FCS, in turn; empty: as long as the ticks need
  readonly lines: readonly LineConfig[];
}

/** A part of a run: a stretch of time, or a number of ticks. Both 0: no parts. */
export interface PartsConfig {
  readonly planned: boolean; // of round trips from the planned time; otherwise from the actual one
  readonly ns: number;
  readonly count: number; // where ns is 0
}

export interface GeneratorConfig {
  readonly io: IoConfig;
  readonly streams: readonly StreamConfig[];
  readonly mode: "closed" | "open" | "max"; // max: as fast as it goes, whatever comes back
  readonly window: number; // closed loop: ticks in flight
  readonly rateMilliHz: number; // open loop: ticks a second on average, times 1000, of all streams of the run
  readonly peakRate: number; // open loop: ticks a second, of all streams
  readonly ledgerTicks: number; // that it remembers until their answers come, a power of two (generator/ledger.ts)
  readonly holdNs: number; // how long a tick may be held back: by packing, skew, delay, jitter and reordering
  readonly arbitrates: boolean; // the device takes the first copy of a tick and ignores the others
  readonly count: number; // ticks to send after the warm-up, 0 for no limit
  readonly durationNs: number; // 0 for no limit
  readonly warmupNs: number;
  readonly timeoutNs: number; // an answer after this is late
  readonly pathNs: number; // of a round trip by kernel or hardware stamps, what is not the device's: subtracted
  readonly quietNs: number; // closed loop: how long a tick that must not be answered is waited for
  readonly match: "clordid" | "price" | "fifo";
  readonly strategy: StrategyConfig;
  readonly lateThresholdNs: number; // a send later than this is a late send
  readonly late: LatePolicy; // open loop: what is done about a tick that is later than that
  readonly thread: number; // the number of this one, from 0
  readonly threads: number; // of the run; more than one only with match clordid
  readonly vlans: readonly number[]; // of other threads' streams: their orders may come to this one; -1: untagged
  readonly capture: CaptureOutputConfig | null; // where what is sent and received is written; of one thread
  readonly scheduleClock: ScheduleClock; // open loop: by which the schedule goes
  readonly breakdownEvery: number; // one tick of so many, a power of two, is followed; 0 for none
  readonly passageRoom: number; // so many of those are kept, by each thread
  readonly launchLeadNs: number; // with io.launches: how long before it a frame is given to the kernel; otherwise 0
  readonly startAtNs: bigint; // when the schedule begins, by CLOCK_REALTIME, ns since the epoch; 0: at once
  readonly parts: PartsConfig; // into which the round trips are cut, up to 64
  readonly replay: ReplayConfig | null; // captures are sent, and not what the streams say
}

/** A moment of a capture: ns after its first frame, or since the epoch. */
export interface CaptureMoment {
  readonly kind: "offset" | "absolute";
  readonly ns: bigint;
}

/** Addresses of the first `prefix` bits of `from` get those of `to`. */
export interface AddressMap {
  readonly from: string;
  readonly to: string;
  readonly prefix: number;
}

/** Captures as they are to be sent. */
export interface ReplayConfig {
  readonly files: readonly string[]; // "-" is standard input
  readonly aligns: boolean; // they begin together, and not when they were taken
  readonly passes: number; // 0: no end
  readonly timing: "captured" | "gap" | "rate" | "fast";
  readonly speedMillionths: number; // captured
  readonly gapNs: number; // gap
  readonly rateMilliHz: number; // rate
  readonly keepsBursts: boolean; // captured and rate: gaps within a burst stay as they are
  readonly burstGapNs: number; // a burst's frames are less apart
  readonly maxGapNs: number; // longer gaps are cut to it, or refused
  readonly cutsGaps: boolean;
  readonly loopGapNs: number; // between two passes; -1: the mean gap of the pass before
  readonly from: CaptureMoment | null;
  readonly to: CaptureMoment | null;
  readonly filter: string; // of libpcap's language; "" for all
  readonly sourceMac: string; // "": as it is
  readonly targetMac: string; // of frames to one host; "": as it is
  readonly ownTargetMac: string; // of frames without a header of Ethernet
  readonly addresses: readonly AddressMap[];
  readonly ports: readonly (readonly [from: number, to: number])[];
  readonly vlan: number; // -2: as it is, -1: untagged
  readonly ttl: number; // -1: as it is
  readonly mendsChecksums: boolean; // all of them; otherwise a wrong one stays wrong
  readonly oversize: "refuse" | "cut" | "skip";
  readonly truncated: "pad" | "skip" | "send";
  readonly tickPort: number; // of ticks in the native format; 0: none are looked for
}
