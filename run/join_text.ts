/** A joined report for people. */

import pc from "picocolors";
import { formatNs } from "../config/values.js";
import type { Distribution } from "../native/histogram.js";
import type { Joined, Way } from "./join.js";
import { count, row } from "./lines.js";

export function joinLines(joined: Joined): string[] {
  const { clocks, up, down, responder, round_trip } = joined;
  const bound = clocks.bound_ns === null ? "" : `, each way ±${formatNs(clocks.bound_ns)}`;
  return [
    pc.bold(
      `carom join · ${joined.run_id ?? "two hosts"} · ${count(joined.common_ticks)} ticks seen at both ends${bound}`,
    ),
    "",
    ...joined.ends.map(({ role, host, report, started, carom }) =>
      row(role, `${report} · ${host} · carom ${carom} · ${started}`),
    ),
    "",
    row("up", wayText(up, "ticks")),
    ...(down === null ? [] : [row("down", wayText(down, "orders"))]),
    "",
    ...tableLines([
      ["up", up.one_way],
      ["responder", responder],
      ["down", down?.one_way ?? null],
      ["round trip", round_trip],
    ]),
    "",
    row("stamps", stampsText(joined)),
    row("clocks", clocksText(joined)),
    ...offsetLines(joined),
    ...joined.notes.map((note, index) => row(index === 0 ? "notes" : "", note)),
    "",
    joined.faults.length === 0
      ? `  ${pc.green("all as expected")}`
      : joined.faults.map((fault) => `  ${pc.red("not as expected")}: ${fault}`).join("\n"),
  ];
}

function wayText({ followed, lost, sent_counted, received_counted }: Way, what: string): string {
  const stamped = `${count(followed)} ${what} followed, ${lost === null ? "not known how many were" : count(lost)} lost`;
  return `${stamped}; by the counters of both ends ${count(sent_counted)} sent, ${count(received_counted)} received`;
}

function stampsText({ clocks: { stamps } }: Joined): string {
  return stamps === "hardware"
    ? "the NICs': from when a frame left the one until it came to the other"
    : "the loops', by the TSC: what NICs, drivers and kernels take is in the ways";
}

function clocksText({ clocks: { reasons, bounds_ns, one_machine } }: Joined): string {
  const shown = bounds_ns.map((bound) => (bound === null ? "no bound" : `±${formatNs(bound)}`));
  if (one_machine && reasons[0] === reasons[1]) return `${reasons[0]}; read to ${shown.join(" and ")}`;
  return `generator ${shown[0]} (${reasons[0]}), responder ${shown[1]} (${reasons[1]})`;
}

function offsetLines({ clocks: { offset_least_ns, offset_most_ns } }: Joined): string[] {
  if (offset_least_ns === null || offset_most_ns === null) return [];
  const text = `the responder's less the generator's is from ${formatNs(offset_least_ns)} to ${formatNs(offset_most_ns)}, as nothing comes before it was sent`;
  return [row("", text)];
}

function tableLines(columns: readonly (readonly [string, Distribution | null])[]): string[] {
  const shown = columns.filter((column): column is readonly [string, Distribution] => column[1] !== null);
  if (shown.length === 0) return [];
  const cells = (texts: readonly string[]) => texts.map((text) => text.padStart(15)).join("");
  const line = (name: string, of: (distribution: Distribution) => string) =>
    `  ${name.padEnd(10)}${cells(shown.map(([, distribution]) => of(distribution)))}`;
  return [
    pc.dim(`  ${"".padEnd(10)}${cells(shown.map(([name]) => name))}`),
    line("min", ({ min_ns }) => formatNs(min_ns)),
    line("mean", ({ mean_ns }) => formatNs(mean_ns)),
    ...shown[0]![1].percentiles.map(({ percentile }, index) =>
      line(`p${percentile}`, ({ percentiles }) => {
        const { value_ns, few } = percentiles[index]!;
        return `${formatNs(value_ns ?? 0)}${few ? "*" : ""}`;
      }),
    ),
    line("max", ({ max_ns }) => formatNs(max_ns)),
    line("samples", ({ count: samples }) => count(samples)),
  ];
}
