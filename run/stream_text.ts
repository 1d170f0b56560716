/** The table of a report with several streams: a line for each. */

import pc from "picocolors";
import { formatNs } from "../config/values.js";
import type { Distribution } from "../native/histogram.js";
import type { Report } from "./report.js";

export function streamLines({ streams }: Report): string[] {
  if (streams.length < 2) return [];
  const count = (value: number) => value.toLocaleString("en-US");
  const percentile = (data: Distribution, wanted: number) => {
    const found = data.percentiles.find(({ percentile: p }) => p === wanted);
    if (data.count === 0 || found === undefined) return "–";
    return found.value_ns === null ? "missing" : formatNs(found.value_ns);
  };
  const judged = streams.some(({ latency }) => latency !== null);
  const head = ["stream", "to", "thread", "sent"];
  const more = ["answered", "correct", "wrong", "missing", "late", "duplicate", "p50", "p99", "max"];
  const rows = streams.map(({ name, address, port, vlan, thread, ticks, verdicts, latency }) => {
    const place = `${address.includes(":") ? `[${address}]` : address}:${port}${vlan < 0 ? "" : ` VLAN ${vlan}`}`;
    const row = [name, place, String(thread), count(ticks.sent)];
    if (latency === null) return row;
    const { correct, wrong, missing, late, duplicate } = verdicts;
    const counts = [ticks.answered, correct, wrong, missing, late, duplicate].map(count);
    const { actual } = latency;
    const max = actual.count === 0 ? "–" : formatNs(actual.max_ns);
    return [...row, ...counts, percentile(actual, 50), percentile(actual, 99), max];
  });
  const table = [judged ? [...head, ...more] : head, ...rows];
  const widths = table[0]!.map((_, column) => Math.max(...table.map((row) => row[column]!.length)));
  // Names to the left, numbers to the right.
  const [title, ...lines] = table.map((row) =>
    row
      .map((cell, column) => (column < 2 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
      .join("  "),
  );
  return ["", pc.dim(`  ${title}`), ...lines.map((text) => `  ${text}`)];
}
