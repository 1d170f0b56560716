/** What the native core is asked about captures, and what it says. Times are ns since the epoch. */

import type { HistogramData } from "./result.js";

export interface InspectConfig {
  readonly path: string; // "-" is standard input
  readonly filter: string; // of libpcap's language; "" for all
  readonly fromNs: number; // after the first frame
  readonly toNs: number;
  readonly tickPort: number;
  readonly orderPort: number;
}

/** What is left out when frames are compared. */
export interface IgnoredFields {
  readonly mac: boolean;
  readonly vlan: boolean;
  readonly ttl: boolean;
  readonly dscp: boolean;
  readonly checksum: boolean;
  readonly ip: boolean;
  readonly port: boolean;
  readonly timestamp: boolean;
  readonly padding: boolean;
}

export interface CompareConfig {
  readonly pathA: string;
  readonly pathB: string;
  readonly filter: string;
  readonly ignore: IgnoredFields;
  readonly tickPort: number;
  readonly orderPort: number;
}

export interface CaptureFileInfo {
  readonly format: string;
  readonly compression: string;
  readonly linkType: string;
  readonly interfaces: number; // of pcapng
  readonly frames: number; // read, whether wanted or not
  readonly bytes: number; // decompressed
  readonly broken: string; // where and how; "" when it is whole
  readonly remarks: readonly CaptureRemark[];
}

/** About frames of a capture that are left out, or not taken just as they are in the file. */
export interface CaptureRemark {
  readonly kind: string;
  readonly text: string; // what is said of them
  readonly frames: number;
  readonly first_frame: number; // the number of the first one in the file, from 1
  readonly is_left_out: boolean;
  readonly is_fault: boolean; // the file is damaged, or says what can't be
}

export interface FrameCount {
  readonly frames: number;
  readonly bytes: number; // on the wire
}

/** The most frequent entries of a table, up to 100, and what is known of the others. */
export interface TopTable<Entry> {
  readonly count: number; // entries that are still told apart
  readonly dropped: number; // entries that were not any more; one may have come again
  readonly droppedFrames: number;
  readonly top: readonly Entry[];
}

export interface ConversationEntry extends FrameCount {
  readonly a: Buffer; // 4 or 16 bytes
  readonly b: Buffer;
  readonly portA: number | null;
  readonly portB: number | null;
  readonly protocol: number;
  readonly framesFromA: number;
}

export interface GroupEntry extends FrameCount {
  readonly address: Buffer;
  readonly port: number | null;
}

export interface SymbolEntry {
  readonly symbol: Buffer;
  readonly ticks: number;
  readonly orders: number;
}

export interface InspectCounters extends FrameCount {
  readonly captured: number; // bytes of the frames that are in the file
  readonly truncated: number;
  readonly empty: number;
  readonly unconverted: number;
  readonly shortest: number;
  readonly longest: number;
  readonly first_ns: bigint;
  readonly earliest_ns: bigint;
  readonly latest_ns: bigint;
  readonly backwards: number;
  readonly backwardsMax_ns: number;
  readonly backwardsFrame: number;
  readonly filtered: number;
  readonly outside: number;
  readonly kinds: Readonly<Record<string, number>>;
  readonly badChecksums: Readonly<Record<string, number>>;
  readonly sizes: readonly FrameCount[]; // below 20, 40, 80, …, 5120 bytes, and longer ones
}

export interface TradingFound {
  readonly tickDatagrams: number;
  readonly ticks: number;
  readonly tickCopies: number;
  readonly partialTicks: number;
  readonly orderDatagrams: number;
  readonly orders: number;
  readonly partialOrders: number;
  readonly buys: number;
  readonly sells: number;
  readonly otherSides: number;
  readonly matched: number;
  readonly repeated: number;
  readonly unmatched: number;
  readonly badIds: number;
  readonly early: number;
  readonly unfinished: number;
  readonly refused: Readonly<Record<string, number>>;
  readonly roundTrips: HistogramData;
  readonly symbols: TopTable<SymbolEntry>;
}

export interface BurstFound extends FrameCount {
  readonly width_ns: number;
  readonly from_ns: bigint; // its first frame
  readonly to_ns: bigint; // its last one
}

export interface InspectFound {
  readonly file: CaptureFileInfo;
  readonly counters: InspectCounters;
  readonly gaps: HistogramData;
  readonly rate: { readonly width_ns: number; readonly frames: Float64Array; readonly bytes: Float64Array };
  readonly bursts: readonly BurstFound[];
  readonly trading: TradingFound;
  readonly conversations: TopTable<ConversationEntry>;
  readonly groups: TopTable<GroupEntry>;
}

export interface ComparedSide {
  readonly file: CaptureFileInfo;
  readonly frames: number; // that the filter let through
  readonly filtered: number;
  readonly first_ns: bigint;
  readonly last_ns: bigint;
}

export interface LoneFrame {
  readonly number: number; // in its file, from 1
  readonly time_ns: bigint;
}

export interface CompareFound {
  readonly a: ComparedSide;
  readonly b: ComparedSide;
  readonly matched: number;
  readonly missing: number;
  readonly added: number;
  readonly reordered: number;
  readonly inOrder: number;
  readonly gapError: HistogramData;
  readonly longer: number;
  readonly shorter: number;
  readonly firstOffsets: Float64Array; // ns, B less A, of up to 1000 first frames, and as many last ones
  readonly lastOffsets: Float64Array;
  readonly firstMissing: readonly LoneFrame[]; // up to 10
  readonly firstAdded: readonly LoneFrame[];
  readonly spanA_ns: number; // from the first to the last frame that both have in order
  readonly spanB_ns: number;
}

/** A frame of a capture, with an Ethernet header if it can have one. */
export interface ListedFrame {
  readonly number: number; // in the file, from 1
  readonly time_ns: bigint;
  readonly after_ns: bigint; // the first frame of the file
  readonly length: number; // bytes on the wire
  readonly frame: Buffer;
  readonly isWhole: boolean;
  readonly isEthernet: boolean; // otherwise they are the bytes of the file, and the link type says of what
  readonly linkType: string;
}

export interface FrameBatch {
  readonly frames: readonly ListedFrame[]; // none at the end
  readonly broken: string;
  readonly remarks: readonly CaptureRemark[]; // so far
}

/** The beginning of a capture: up to 50,000 frames, or 16 MiB of them. */
export interface CapturePreview {
  readonly format: string;
  readonly compression: string;
  readonly linkType: string;
  readonly frames: number;
  readonly bytes: number; // on the wire
  readonly span_ns: number; // from the first to the last of them
  readonly isWhole: boolean; // there are no more
  readonly part: number; // of the file that was read for it, from 0 to 1
  readonly first: readonly ListedFrame[];
  readonly broken: string;
  readonly remarks: readonly CaptureRemark[]; // on those that were read
}

export interface CaptureProgress {
  readonly frames: number;
  readonly bytesRead: number; // of the file on the disk
  readonly bytesTotal: number; // 0: not known
}
