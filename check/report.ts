/** What a run found, for people and as JSON. */

import pc from "picocolors";
import { formatNs } from "../config/values.js";
import { escaped } from "../native/escape.js";
import { decodeFrame } from "../wire/decode.js";
import type { Expectation, Fault, ReceivedOrder, Row } from "./judge.js";
import { type CaseResult, type Outcome, type RunResult, type SentDatagram, summarize } from "./result.js";
import type { Case, Script } from "./script.js";

const NAME_WIDTH = 76; // columns, before the time
const FAULTS_SHOWN = 3; // of a case, unless everything is to be told
const SENT_SHOWN = 3;
const ORDER_FIELDS = ["symbol", "price", "quantity", "side", "timestamp", "clOrdId"];

const MACHINE = /^(stall|wakeup)/; // counters that tell of the machine, not of the case

const MARKS: Readonly<Record<Outcome, string>> = {
  passed: pc.green("✓"),
  failed: pc.red("✗"),
  skipped: pc.yellow("–"),
  error: pc.red("!"),
};

/** The heading of a script. */
export function scriptLines(script: Script): string[] {
  const file = pc.dim(escaped(script.file));
  const name = pc.bold(escaped(script.name));
  return [
    "",
    script.description === "" ? `${name}  ${file}` : `${name}  ${escaped(script.description)}  ${file}`,
  ];
}

/** A line for a case, and what is to be told of a failed one. */
export function caseLines(result: CaseResult, verbose: boolean): string[] {
  const { outcome, reason } = result;
  const name = escaped(result.case.name);
  const time = pc.dim(formatNs(result.duration_ns));
  const head = `  ${MARKS[outcome]} ${name.padEnd(NAME_WIDTH)}`;
  if (outcome === "skipped") return [`  ${MARKS.skipped} ${name}: skipped, ${escaped(reason)}`];
  if (outcome === "error") return [`  ${MARKS.error} ${name}`, `      could not be run: ${reason}`];
  const lines = [`${head} ${time}`];
  if (outcome === "failed") lines.push(...detailLines(result, verbose).map((line) => `      ${line}`));
  else if (verbose) lines.push(...contextLines(result, verbose).map((line) => `      ${line}`));
  return lines;
}

/** What is said of a case that an answer made fail after it had ended. */
export function amendedLines(result: CaseResult): string[] {
  return [`  ${MARKS.failed} ${escaped(result.case.name)}`, `      ${result.faults.at(-1)?.reason ?? ""}`];
}

/** Why a case failed: each reason with the fields side by side, and what was sent. Without colours it is the JUnit text. */
export function detailLines(result: CaseResult, verbose: boolean): string[] {
  const { faults } = result;
  const shown = verbose ? faults : faults.slice(0, FAULTS_SHOWN);
  const lines = shown.flatMap((fault) => faultLines(fault, verbose));
  if (shown.length < faults.length)
    lines.push(`and ${faults.length - shown.length} more faults (--verbose shows all)`);
  return [...lines, ...contextLines(result, verbose)];
}

function faultLines({ reason, rows }: Fault, verbose: boolean): string[] {
  const isOneSided = rows.every(({ ok }) => !ok); // a missing or surplus order: nothing to mark
  const wanted = rows.filter(
    ({ field, ok }) => verbose || ORDER_FIELDS.includes(field) || (!ok && !isOneSided),
  );
  if (wanted.length === 0) return [reason];
  const cells = wanted.map((row) => [
    `${row.ok || isOneSided ? " " : "✗"} ${row.field}`,
    row.tick,
    row.expected,
    row.received,
  ]);
  return [reason, ...columns([["", "tick", "expected", "received"], ...cells])];
}

function contextLines(result: CaseResult, verbose: boolean): string[] {
  const { sent, received, notes, counters } = result;
  const shown = verbose ? sent : sent.slice(0, SENT_SHOWN);
  const lines = shown.map((datagram) => `sent ${sentText(datagram)}`);
  if (shown.length < sent.length) lines.push(`sent ${sent.length - shown.length} more`);
  if (result.settings !== "") lines.push(`settings: ${result.settings}`);
  if (verbose) lines.push(...received.map((order) => `received ${orderText(order)}`));
  lines.push(...notes.map((note) => `seen: ${note}`));
  const changed = Object.entries(counters)
    .filter(([name]) => !MACHINE.test(name))
    .map(([name, value]) => `${name} +${value}`);
  if (changed.length > 0) lines.push(`responder: ${changed.join(", ")}`);
  if (verbose) lines.push(...sent.map(({ frame }) => `frame ${frame.toString("hex")}`));
  return lines;
}

function sentText({ way, frame, isProbe, ticks }: SentDatagram): string {
  const { vlans, ip, udp, ethernet } = decodeFrame(frame);
  const tags = vlans.map(({ id }) => ` vlan ${id}`).join("");
  const type = ethernet === undefined || ip !== undefined ? "" : ` type 0x${ethernet.type.toString(16)}`;
  const port = (value: number | undefined) => (value === undefined ? "" : ` port ${value}`);
  const path = ip && ` ${ip.source}${port(udp?.sourcePort)} → ${ip.destination}${port(udp?.destinationPort)}`;
  const count = `${ticks.length} ${ticks.length === 1 ? "tick" : "ticks"}`;
  return `${isProbe ? "the probe, " : ""}${frame.length} bytes by ${way}, ${count}:${tags}${type}${path ?? " no IP"}`;
}

function orderText({ symbol, price, quantity, side, clOrdId, arrival }: ReceivedOrder): string {
  const { ip, udp } = arrival.frame;
  const action = side === 0 ? "buy" : side === 1 ? "sell" : `side ${side}`;
  const from = `${ip?.source} port ${udp?.sourcePort}`;
  return `${action} ${quantity} ${JSON.stringify(symbol.trimEnd())} at ${price}, clOrdId ${JSON.stringify(clOrdId)}, from ${from}`;
}

function columns(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join("  ")
      .trimEnd(),
  );
}

/** "41 cases: 38 passed, 1 failed, 2 skipped in 2.1 s, against …". */
export function summaryLine(run: RunResult): string {
  const { total, passed, failed, skipped, error } = summarize(run.cases);
  const parts = [
    pc.green(`${passed} passed`),
    ...(failed > 0 ? [pc.red(`${failed} failed`)] : []),
    ...(error > 0 ? [pc.red(`${error} could not be run`)] : []),
    ...(skipped > 0 ? [pc.yellow(`${skipped} skipped`)] : []),
  ];
  const stopped = run.interrupted ? ", interrupted" : "";
  return `${total} ${total === 1 ? "case" : "cases"}: ${parts.join(", ")} in ${formatNs(run.duration_ns)}${stopped}, against ${run.device}`;
}

/** The report as JSON (docs/check.md). Timestamps are texts: they have more digits than a JSON number keeps. */
export function runAsJson(run: RunResult) {
  const scripts = [...new Set(run.cases.map(({ script }) => script))];
  return {
    schema: "carom.check",
    version: 1,
    started: run.started.toISOString(),
    duration_ns: Math.round(run.duration_ns),
    device: run.device,
    backend: run.backend ?? null,
    interrupted: run.interrupted,
    capabilities: run.privileges,
    summary: summarize(run.cases),
    scripts: scripts.map((script) => ({
      name: script.name,
      file: script.file,
      description: script.description,
      cases: run.cases.filter((result) => result.script === script).map(caseAsJson),
    })),
  };
}

function caseAsJson(result: CaseResult) {
  return {
    name: result.case.name,
    place: result.case.place,
    outcome: result.outcome,
    reason: result.outcome === "failed" ? (result.faults[0]?.reason ?? "") : result.reason,
    settings: result.settings,
    duration_ns: Math.round(result.duration_ns),
    sent: result.sent.map(sentAsJson),
    expected: result.expectations.map(expectationAsJson),
    received: result.received.map(orderAsJson),
    faults: result.faults.map(({ kind, reason, rows }) => ({ kind, reason, fields: rows.map(rowAsJson) })),
    notes: result.notes,
    counters: result.counters,
  };
}

function sentAsJson({ way, frame, ticks, isProbe, time_ns }: SentDatagram) {
  return {
    way,
    probe: isProbe,
    time_ns: String(time_ns),
    frame: frame.toString("hex"),
    ticks: ticks.map(({ spec, timestamp, clOrdId }) => ({
      symbol: spec.symbol.toString("latin1"),
      price: spec.price,
      quantity: spec.quantity,
      timestamp: String(timestamp),
      clOrdId,
    })),
  };
}

function expectationAsJson({ symbol, price, quantity, side, clOrdId, tickNumber, isProbe }: Expectation) {
  return { answers: tickNumber, probe: isProbe, symbol, price, quantity, side, clOrdId };
}

function orderAsJson({ symbol, price, quantity, side, timestamp, clOrdId, arrival }: ReceivedOrder) {
  const time_ns = String(arrival.time_ns);
  return { symbol, price, quantity, side, timestamp: String(timestamp), clOrdId, time_ns };
}

function rowAsJson({ field, tick, expected, received, ok }: Row) {
  return { field, tick, expected, received, ok };
}

/** What there is to run, for --list. */
export function listLines(script: Script, cases: readonly Case[]): string[] {
  return [...scriptLines(script), ...cases.map(({ name }) => `  ${escaped(name)}`)];
}
