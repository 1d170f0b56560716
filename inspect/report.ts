/** What is in a capture, as it is reported: figures from the native counts. docs/inspect.md has each field. */

import { bucketRange, type Distribution, summarize } from "../native/histogram.js";
import type {
  BurstFound,
  CaptureFileInfo,
  CaptureRemark,
  ConversationEntry,
  GroupEntry,
  HistogramData,
  InspectFound,
  TopTable,
  TradingFound,
} from "../native/index.js";
import { formatIp4, formatIp6 } from "../wire/address.js";

const COLUMNS = 64; // of the rate over time
const PER_DECADE = 3; // bars of gaps

export interface InspectedFile {
  readonly path: string;
  readonly format: string;
  readonly compression: string;
  readonly link_type: string;
  readonly interfaces: number | null; // pcap has none
  readonly broken: string | null; // where and how the file broke off
  readonly remarks: readonly CaptureRemark[]; // frames that are left out, or not taken just as they are
  readonly frames: number; // that were wanted, as all that follows
  readonly filtered: number; // not wanted, by the filter
  readonly outside: number; // not wanted, by the time
  readonly bytes: number; // on the wire
  readonly captured_bytes: number;
  readonly truncated: number; // frames of which not all is in the file
  readonly empty: number; // without a byte
  readonly undecoded: number; // without an Ethernet header, that can't get one
  readonly first_ns: string | null; // since the epoch, of the earliest one
  readonly last_ns: string | null;
  readonly duration_ns: number;
  readonly rate_pps: number;
  readonly bits_per_s: number;
  readonly rate_over_time: readonly RatePoint[];
  readonly gaps: Gaps;
  readonly clock: {
    readonly backwards: number; // frames earlier than the one before them
    readonly largest_ns: number;
    readonly first_frame: number | null; // its number in the file, from 1
  };
  readonly sizes: {
    readonly shortest: number;
    readonly mean: number;
    readonly longest: number;
    readonly ranges: readonly SizeRange[];
  };
  readonly protocols: Readonly<Record<string, number>>; // only those that were there
  readonly bad_checksums: Readonly<Record<string, number>>; // as well
  readonly conversations: Table<Conversation>;
  readonly groups: Table<Group>;
  readonly ticks: Ticks;
  readonly orders: Orders;
  readonly symbols: Table<SymbolCounts>;
  readonly round_trips: Distribution | null; // from a tick to its order, by the times of the capture
  readonly bursts: readonly Burst[];
}

export interface RatePoint {
  readonly time_s: number;
  readonly rate_pps: number;
  readonly bits_per_s: number;
}

export type Gaps = Omit<Distribution, "missing" | "jitter_ns">;

export interface SizeRange {
  readonly from: number; // bytes
  readonly below: number | null;
  readonly frames: number;
  readonly bytes: number;
}

export interface Table<Entry> {
  readonly count: number;
  /** Entries that the table had no room for any more, and their frames. */
  readonly others: { readonly entries: number; readonly frames: number };
  readonly top: readonly Entry[]; // up to 100
}

export interface Conversation {
  readonly a: string; // the lower address
  readonly b: string;
  readonly protocol: string;
  readonly frames: number;
  readonly frames_from_a: number;
  readonly bytes: number;
}

export interface Group {
  readonly group: string;
  readonly frames: number;
  readonly bytes: number;
}

export interface SymbolCounts {
  readonly symbol: string;
  readonly ticks: number;
  readonly orders: number;
}

export interface Ticks {
  readonly count: number;
  readonly datagrams: number;
  readonly copies: number; // with a timestamp that was there before
  readonly partial: number; // datagrams with bytes behind the last whole one
  readonly refused: Readonly<Record<string, number>>; // datagrams to the ports of ticks and orders, by reason
  readonly unfinished_checksums: number; // of datagrams that count: left to a NIC
}

export interface Orders {
  readonly count: number;
  readonly datagrams: number;
  readonly partial: number;
  readonly buys: number;
  readonly sells: number;
  readonly other_sides: number;
  readonly matched: number; // the first for a tick that came before
  readonly repeated: number;
  readonly unmatched: number;
  readonly bad_ids: number;
  readonly early: number; // matched, but timed before its tick
}

export interface Burst {
  readonly width_ns: number;
  readonly frames: number;
  readonly bytes: number;
  readonly bits_per_s: number; // over the width
  readonly after_ns: number; // the capture's earliest frame
  readonly span_ns: number; // from its first frame to its last
}

export function inspectedFile(path: string, found: InspectFound): InspectedFile {
  const { file, counters, rate } = found;
  const { frames, bytes, first_ns, earliest_ns, latest_ns } = counters;
  const duration_ns = Number(latest_ns - earliest_ns);
  const rate_pps = duration_ns === 0 ? 0 : ((frames - 1) * 1e9) / duration_ns;
  const mean = frames === 0 ? 0 : bytes / frames;
  return {
    path,
    ...fileFields(file),
    frames,
    filtered: counters.filtered,
    outside: counters.outside,
    bytes,
    captured_bytes: counters.captured,
    truncated: counters.truncated,
    empty: counters.empty,
    undecoded: counters.unconverted,
    first_ns: frames === 0 ? null : String(earliest_ns),
    last_ns: frames === 0 ? null : String(latest_ns),
    duration_ns,
    rate_pps,
    bits_per_s: 8 * mean * rate_pps,
    rate_over_time: rateOverTime(rate, Number(latest_ns - first_ns)),
    gaps: gapsOf(found.gaps),
    clock: {
      backwards: counters.backwards,
      largest_ns: counters.backwardsMax_ns,
      first_frame: counters.backwards === 0 ? null : counters.backwardsFrame,
    },
    sizes: { shortest: counters.shortest, mean, longest: counters.longest, ranges: ranges(counters.sizes) },
    protocols: present(counters.kinds),
    bad_checksums: present(counters.badChecksums),
    conversations: table(found.conversations, conversation),
    groups: table(found.groups, group),
    ...tradingFields(found.trading),
    bursts: found.bursts.filter((burst) => burst.frames > 0).map((burst) => burstOf(burst, earliest_ns)),
  };
}

export function fileFields(file: CaptureFileInfo) {
  return {
    format: file.format,
    compression: file.compression,
    link_type: file.linkType,
    interfaces: file.format === "pcapng" ? file.interfaces : null,
    broken: file.broken === "" ? null : file.broken,
    remarks: file.remarks,
  };
}

/** The bins' frames, spread over columns of equal width: what lies across an edge counts on both sides. */
function rateOverTime(rate: InspectFound["rate"], duration_ns: number): RatePoint[] {
  if (duration_ns <= 0) return [];
  const column_ns = duration_ns / COLUMNS;
  const [frames, bytes] = [new Float64Array(COLUMNS), new Float64Array(COLUMNS)];
  for (const [bin, count] of rate.frames.entries()) {
    if (count === 0) continue;
    // The last frame is at the end itself: its bin is cut off there.
    const from = Math.min(bin * rate.width_ns, duration_ns);
    const to = Math.min(from + rate.width_ns, duration_ns);
    const [first, last] = [from, to].map((at) => Math.min(COLUMNS - 1, Math.floor(at / column_ns)));
    for (let column = first!; column <= last!; column++) {
      const inside = Math.min(to, (column + 1) * column_ns) - Math.max(from, column * column_ns);
      const share = to === from ? 1 : Math.max(0, inside) / (to - from);
      frames[column]! += share * count;
      bytes[column]! += share * rate.bytes[bin]!;
    }
  }
  return Array.from(frames, (count, column) => ({
    time_s: (column * column_ns) / 1e9,
    rate_pps: (count * 1e9) / column_ns,
    bits_per_s: (8e9 * bytes[column]!) / column_ns,
  }));
}

function gapsOf(data: HistogramData): Gaps {
  const { missing: _, jitter_ns: __, ...gaps } = summarize(data);
  return gaps;
}

/** Three bars a decade, from the shortest gap to the longest; gaps of 0 come first. */
export function gapBars(data: HistogramData): { from_ns: number; count: number }[] {
  const bars = new Map<number, number>();
  for (const [index, count] of data.counts.entries()) {
    if (count === 0 || index === 0) continue;
    const [lowest, highest] = bucketRange(index);
    const bar = Math.floor(Math.log10((lowest + highest) / 2) * PER_DECADE + 1e-9);
    bars.set(bar, (bars.get(bar) ?? 0) + count);
  }
  const zero = data.counts[0] ?? 0;
  const result = zero > 0 ? [{ from_ns: 0, count: zero }] : [];
  const [first, last] = [Math.min(...bars.keys()), Math.max(...bars.keys())];
  for (let bar = first; bar <= last; bar++) {
    result.push({ from_ns: Number((10 ** (bar / PER_DECADE)).toPrecision(2)), count: bars.get(bar) ?? 0 });
  }
  return result;
}

function ranges(sizes: InspectFound["counters"]["sizes"]): SizeRange[] {
  return sizes
    .map(({ frames, bytes }, index) => ({
      from: index === 0 ? 0 : 10 * 2 ** index,
      below: index === sizes.length - 1 ? null : 20 * 2 ** index,
      frames,
      bytes,
    }))
    .filter(({ frames }) => frames > 0);
}

function present(counts: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0));
}

function table<From, To>(found: TopTable<From>, make: (entry: From) => To): Table<To> {
  const { count, dropped, droppedFrames, top } = found;
  return { count, others: { entries: dropped, frames: droppedFrames }, top: top.map(make) };
}

const PROTOCOLS: Readonly<Record<number, string>> = {
  1: "icmp",
  2: "igmp",
  6: "tcp",
  17: "udp",
  58: "icmpv6",
};

function conversation(entry: ConversationEntry): Conversation {
  return {
    a: endpoint(entry.a, entry.portA),
    b: endpoint(entry.b, entry.portB),
    protocol: PROTOCOLS[entry.protocol] ?? `protocol ${entry.protocol}`,
    frames: entry.frames,
    frames_from_a: entry.framesFromA,
    bytes: entry.bytes,
  };
}

function group({ address, port, frames, bytes }: GroupEntry): Group {
  return { group: endpoint(address, port), frames, bytes };
}

function endpoint(address: Buffer, port: number | null): string {
  const text = address.length === 16 ? formatIp6(address, 0) : formatIp4(address, 0);
  if (port === null) return text;
  return address.length === 16 ? `[${text}]:${port}` : `${text}:${port}`;
}

function tradingFields(
  found: TradingFound,
): Pick<InspectedFile, "ticks" | "orders" | "symbols" | "round_trips"> {
  return {
    ticks: {
      count: found.ticks,
      datagrams: found.tickDatagrams,
      copies: found.tickCopies,
      partial: found.partialTicks,
      refused: present(found.refused),
      unfinished_checksums: found.unfinished,
    },
    orders: {
      count: found.orders,
      datagrams: found.orderDatagrams,
      partial: found.partialOrders,
      buys: found.buys,
      sells: found.sells,
      other_sides: found.otherSides,
      matched: found.matched,
      repeated: found.repeated,
      unmatched: found.unmatched,
      bad_ids: found.badIds,
      early: found.early,
    },
    symbols: table(found.symbols, ({ symbol, ticks, orders }) => ({
      symbol: symbol.toString("latin1").replace(/ +$/, ""),
      ticks,
      orders,
    })),
    round_trips: found.roundTrips.count === 0 ? null : summarize(found.roundTrips),
  };
}

function burstOf({ width_ns, frames, bytes, from_ns, to_ns }: BurstFound, earliest_ns: bigint): Burst {
  return {
    width_ns,
    frames,
    bytes,
    bits_per_s: (8e9 * bytes) / width_ns,
    after_ns: Number(from_ns - earliest_ns),
    span_ns: Number(to_ns - from_ns),
  };
}
