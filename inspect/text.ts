/** What is in a capture, for people. */

import pc from "picocolors";
import { formatNs } from "../config/values.js";
import { escaped } from "../native/escape.js";
import { HIGHEST_NS } from "../native/histogram.js";
import type { HistogramData } from "../native/index.js";
import { count, counted, rateText, row } from "../run/lines.js";
import { overTimeLines, shareLines } from "../run/picture.js";
import { remarkColour, remarkText } from "../run/remarks.js";
import { printable } from "../run/text.js";
import { type Gaps, gapBars, type InspectedFile, type Table } from "./report.js";

const SHOWN = 8; // entries of a table
const NS_PER_S = 1_000_000_000n;
const SHOWN_PERCENTILES: readonly number[] = [50, 90, 99, 99.9];

type Percentiles = Pick<Gaps, "count" | "min_ns" | "max_ns" | "percentiles">;

export function inspectLines(found: InspectedFile, gaps: HistogramData): string[] {
  const lines = [pc.bold(headline(found)), "", ...fileLines(found)];
  if (found.frames === 0) return [...lines, row("frames", "none"), ...unwantedLines(found)];
  lines.push(...frameLines(found), ...unwantedLines(found), ...contentLines(found), ...tradingLines(found));
  lines.push(...burstLines(found), ...tableLines(found));
  if (found.rate_over_time.length > 0) {
    const rates = found.rate_over_time.map(({ rate_pps }) => rate_pps);
    lines.push("", ...overTimeLines("frames a second", rates, found.duration_ns));
  }
  if (gaps.count > 0) lines.push("", ...shareLines("time between neighbours", gapBars(gaps)));
  return [...lines, ...footnote(found.gaps, found.round_trips)];
}

/** "52.8 Mbit/s" */
export function bitRate(value: number): string {
  const units = [
    [1e9, "Gbit/s"],
    [1e6, "Mbit/s"],
    [1e3, "kbit/s"],
  ] as const;
  const [factor, unit] = units.find(([least]) => value >= least) ?? [1, "bit/s"];
  return `${rateText(value / factor)} ${unit}`;
}

/** "2026-01-05 14:30:00.000000000 UTC" */
export function utc(time_ns: string): string {
  const time = BigInt(time_ns);
  const date = new Date(Number(time / 1_000_000n)).toISOString();
  return `${date.slice(0, 10)} ${date.slice(11, 19)}.${String(time % NS_PER_S).padStart(9, "0")} UTC`;
}

/** A distribution in one line; what few samples lie above is marked. */
export function distributionText({ count: samples, min_ns, percentiles, max_ns }: Percentiles): string {
  const shown = percentiles.filter(({ percentile }) => SHOWN_PERCENTILES.includes(percentile));
  const texts = shown.map(
    ({ percentile, value_ns, few }) =>
      `p${percentile} ${percentileText(value_ns ?? max_ns)}${few ? "*" : ""}`,
  );
  return samples === 0
    ? "none"
    : [`min ${formatNs(min_ns)}`, ...texts, `max ${formatNs(max_ns)}`].join("   ");
}

/** Histograms tell no times apart that are longer than theirs. */
export function percentileText(value_ns: number): string {
  return value_ns > HIGHEST_NS ? `over ${formatNs(HIGHEST_NS)}` : formatNs(value_ns);
}

/** What the mark says, where there is one. */
export function footnote(...distributions: readonly (Percentiles | null)[]): string[] {
  const isMarked = distributions.some(
    (data) =>
      data !== null &&
      data.count > 0 &&
      data.percentiles.some(({ percentile, few }) => few && SHOWN_PERCENTILES.includes(percentile)),
  );
  return isMarked ? ["", pc.dim("  * fewer than 100 samples lie above it")] : [];
}

function headline(found: InspectedFile): string {
  const { path, format, compression, link_type, frames, duration_ns } = found;
  const packed = compression === "none" ? [] : [compression];
  const parts = [`carom inspect ${escaped(path)}`, format, ...packed, link_type, counted(frames, "frame")];
  return [...parts, ...(frames > 1 ? [formatNs(duration_ns)] : [])].join(" · ");
}

function fileLines({ broken, interfaces, remarks }: InspectedFile): string[] {
  const lines = interfaces === null || interfaces < 2 ? [] : [row("interfaces", count(interfaces))];
  lines.push(
    ...remarks.map((remark, index) =>
      row(index === 0 ? "notes" : "", remarkColour(remark)(remarkText(remark))),
    ),
  );
  return broken === null ? lines : [...lines, row("broken", pc.red(printable(broken)))];
}

function frameLines(found: InspectedFile): string[] {
  const { frames, bytes, rate_pps, bits_per_s, gaps, clock, sizes } = found;
  const rate = rate_pps === 0 ? "" : `; ${rateText(rate_pps)} a second, ${bitRate(bits_per_s)}`;
  const lines = [
    row("frames", `${count(frames)}, ${count(bytes)} bytes${rate}`),
    row("first", utc(found.first_ns!)),
    row("last", utc(found.last_ns!)),
    row(
      "lengths",
      `${count(sizes.shortest)} to ${count(sizes.longest)} bytes, mean ${count(Math.round(sizes.mean))}`,
    ),
    ...sizes.ranges.map((range) => row("", sizeText(range, frames))),
  ];
  if (gaps.count > 0) lines.push(row("gaps", distributionText(gaps)));
  if (clock.backwards > 0) {
    const first = `first at frame ${count(clock.first_frame!)}, at most by ${formatNs(clock.largest_ns)}`;
    lines.push(row("clock", pc.yellow(`goes backwards ${times(clock.backwards)}, ${first}`)));
  }
  const cut = count(found.bytes - found.captured_bytes);
  if (found.truncated > 0)
    lines.push(
      row("cut short", `${counted(found.truncated, "frame")}, of which ${cut} bytes are not in the file`),
    );
  if (found.empty > 0) lines.push(row("empty", `${counted(found.empty, "frame")} without a byte`));
  return lines;
}

function sizeText({ from, below, frames }: InspectedFile["sizes"]["ranges"][number], all: number): string {
  const range = below === null ? `${count(from)} and more` : `${count(from)} to ${count(below - 1)}`;
  const share = ((100 * frames) / all).toFixed(1);
  return `${range.padEnd(16)} ${count(frames).padStart(11)}  ${share.padStart(5)} %`;
}

function unwantedLines({ filtered, outside, undecoded }: InspectedFile): string[] {
  const parts = [
    ...(filtered > 0 ? [`${counted(filtered, "frame")} by the filter`] : []),
    ...(outside > 0 ? [`${counted(outside, "frame")} by their time`] : []),
  ];
  const lines = parts.length === 0 ? [] : [row("left out", parts.join(", "))];
  const text = `${counted(undecoded, "frame")} without an Ethernet header, that can't get one`;
  return undecoded === 0 ? lines : [...lines, row("not decoded", text)];
}

const KIND_TEXTS: Readonly<Record<string, string>> = {
  ipv4: "IPv4",
  ipv6: "IPv6",
  vlan: "VLAN",
  arp: "ARP",
  udp: "UDP",
  tcp: "TCP",
  icmp: "ICMP",
  igmp: "IGMP",
  other_ethertype: "of another EtherType",
  other_protocol: "of another protocol",
  bad_ip: "with a bad IP header",
  runt: "without a whole Ethernet header",
  fragment: "fragments",
  ip_options: "with IP options",
};

function contentLines({ protocols, bad_checksums }: InspectedFile): string[] {
  const kinds = Object.entries(protocols).map(
    ([name, value]) => `${KIND_TEXTS[name] ?? name} ${count(value)}`,
  );
  const lines = [row("protocols", kinds.join("   ") || "none")];
  const { unfinished = 0, ...bad } = bad_checksums;
  const shown = Object.entries(bad).map(([name, value]) => `${name.toUpperCase()} ${count(value)}`);
  if (shown.length > 0) lines.push(row("checksums", pc.red(`wrong: ${shown.join("   ")}`)));
  if (unfinished > 0)
    lines.push(row("", `${count(unfinished)} were left to a NIC, as where a frame is captured before it`));
  return lines;
}

function tradingLines({ ticks, orders, symbols, round_trips }: InspectedFile): string[] {
  const lines: string[] = [];
  const refused = Object.entries(ticks.refused).map(([reason, value]) => `${reason} ${count(value)}`);
  if (ticks.datagrams > 0) {
    const copies = ticks.copies > 0 ? `, ${count(ticks.copies)} of them copies of earlier ones` : "";
    lines.push(row("ticks", `${count(ticks.count)} in ${counted(ticks.datagrams, "datagram")}${copies}`));
    if (ticks.partial > 0)
      lines.push(row("", pc.red(`${counted(ticks.partial, "datagram")} with part of a tick at the end`)));
  }
  if (orders.datagrams > 0) {
    const sides = `${count(orders.buys)} buy, ${count(orders.sells)} sell`;
    const other = orders.other_sides > 0 ? `, ${count(orders.other_sides)} neither` : "";
    lines.push(
      row("orders", `${count(orders.count)} in ${counted(orders.datagrams, "datagram")}: ${sides}${other}`),
    );
    const fates: [number, string][] = [
      [orders.matched, "for a tick"],
      [orders.repeated, "for the same once more"],
      [orders.unmatched, "for none that came before"],
      [orders.bad_ids, "with a clOrdId that is none"],
      [orders.early, "timed before their tick"],
    ];
    const told = fates.filter(([value]) => value > 0).map(([value, what]) => `${count(value)} ${what}`);
    if (told.length > 0) lines.push(row("", told.join(", ")));
    if (orders.partial > 0)
      lines.push(row("", pc.red(`${counted(orders.partial, "datagram")} with part of an order at the end`)));
  }
  if (refused.length > 0)
    lines.push(row("refused", pc.red(`datagrams to these ports: ${refused.join(", ")}`)));
  if (symbols.count > 0) {
    const shown = symbols.top.slice(0, SHOWN).map(({ symbol, ticks: t, orders: o }) => {
      return `${printable(symbol)} ${count(t)}${o > 0 ? ` → ${count(o)}` : ""}`;
    });
    lines.push(row("symbols", `${count(symbols.count)}: ${shown.join("   ")}${more(symbols)}`));
  }
  if (round_trips !== null) lines.push(row("round trips", distributionText(round_trips)));
  return lines;
}

function burstLines({ bursts }: InspectedFile): string[] {
  return bursts.map(({ width_ns, frames, bits_per_s, after_ns, span_ns }, index) => {
    const where = `from ${(after_ns / 1e9).toFixed(9)} s, within ${formatNs(span_ns)}`;
    const amount = `${counted(frames, "frame")}, ${bitRate(bits_per_s)}`;
    const text = `${formatNs(width_ns).padEnd(7)} ${amount}, ${where}`;
    return row(index === 0 ? "busiest" : "", text);
  });
}

function tableLines({ groups, conversations }: InspectedFile): string[] {
  const lines: string[] = [];
  const amount = (frames: number, bytes: number) =>
    `${count(frames).padStart(12)} ${count(bytes).padStart(15)}`;
  const head = (name: string, entries: Table<unknown>) =>
    pc.dim(`  ${`${name} (${count(entries.count)}${more(entries)})`.padEnd(56)}      frames           bytes`);
  if (groups.count > 0) {
    lines.push("", head("groups", groups));
    for (const { group, frames, bytes } of groups.top.slice(0, SHOWN))
      lines.push(`  ${group.padEnd(54)}${amount(frames, bytes)}`);
  }
  if (conversations.count > 0) {
    lines.push("", head("conversations", conversations));
    for (const entry of conversations.top.slice(0, SHOWN)) {
      const { a, b, protocol, frames, frames_from_a, bytes } = entry;
      const arrow = frames_from_a === frames ? "→" : frames_from_a === 0 ? "←" : "↔";
      lines.push(`  ${`${a} ${arrow} ${b} ${protocol}`.padEnd(54)}${amount(frames, bytes)}`);
    }
  }
  return lines;
}

function more({ others, count: known }: Table<unknown>): string {
  if (others.entries > 0)
    return `, and ${count(others.entries)} rare ones with ${count(others.frames)} frames`;
  return known > SHOWN ? ", the most frequent ones" : "";
}

const times = (value: number) => (value === 1 ? "once" : `${count(value)} times`);
