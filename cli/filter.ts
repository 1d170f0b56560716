/** carom filter: a capture through the packet filter: counted, written, explained, measured. */

import pc from "picocolors";
import { optionGroup } from "../config/option.js";
import { choice, FILTER_MAX, flag, framesFile, integer } from "../config/values.js";
import { CaromError } from "../native/error.js";
import { escaped } from "../native/escape.js";
import {
  compileFilter,
  explainFilter,
  type FilterCaptureResult,
  type FilterExplanation,
  filterCapture,
} from "../native/index.js";
import { remarkColour, remarkText } from "../run/remarks.js";
import { defineCommand, refuseTogether, shown } from "./command.js";
import { formatTable } from "./table.js";

const filter = optionGroup("Filter");
const output = optionGroup("Output");
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
const HEAD = { schema: "carom.filter", version: 1 } as const;
const ENGINES = ["auto", "interpret", "jit", "simd", "simd-avx2", "simd-avx512", "simd-head"] as const;

const options = {
  engine: filter(
    choice(...ENGINES),
    "what decides: auto takes the fastest that this processor has; all give the same verdicts",
    "name",
    "auto",
  ),
  explain: filter(flag(), "show the filter as classic BPF, simplified, and as machine code", "", "false"),
  bench: filter(flag(), "measure every engine on the frames of the capture", "", "false"),
  rounds: filter(integer(1, 1000), "with --bench: how often each is measured, in turn", "n", "9"),
  write: output(framesFile(), "write the frames that match, as pcapng; - is standard output", "file"),
} as const;

export const command = defineCommand({
  name: "filter",
  summary: "a capture through the packet filter: counted, written, explained, measured",
  description:
    "Counts the frames of a capture that match an expression of libpcap's language (pcap-filter), which may " +
    "hold terms about market data, too: symbol AAPL, symbol in (AAPL, MSFT), price < 100.00, quantity >= 500. " +
    "The capture may be pcap or pcapng, compressed or not; - is standard input.",
  arguments: "<expression> [capture]",
  options,
  examples: [
    ["carom filter 'udp dst port 8080' day.pcapng", "how many frames are ticks"],
    [
      "carom filter 'symbol in (AAPL, MSFT) and price < 100.00' day.pcap --write some.pcapng",
      "and keep them",
    ],
    ["carom filter 'udp dst port 8080' --explain", "what becomes of the expression"],
    ["carom filter 'udp dst port 8080' day.pcapng --bench", "how long each engine takes for a packet"],
  ],
  async run(values, context) {
    const [expression = "", path] = context.args;
    if (expression.length > FILTER_MAX || expression.includes("\0")) {
      throw new CaromError("usage", "read the filter", "it is too long, or holds a NUL character");
    }
    if (path === undefined && !values.explain) {
      throw new CaromError("usage", "filter", "no capture is given", "name one, or give --explain");
    }
    if (values.bench && values.write !== undefined) {
      refuseTogether("bench", "write", "what is measured is kept in memory, and only the beginning");
    }
    if (values.write === "-" && context.json)
      throw new CaromError("usage", "--write - with --json", "both go to standard output", "write to a file");
    if (values.write === "-" && process.stdout.isTTY)
      throw new CaromError("usage", "--write -", "standard output is a terminal", "pipe it into a program");
    // The frames themselves have standard output.
    const say =
      values.write === "-" ? (line: string) => process.stderr.write(`${shown(line)}\n`) : context.say;
    await compileFilter(expression);
    const explained = values.explain ? explainFilter(expression, values.engine) : undefined;
    if (explained !== undefined) for (const line of explanation(explained)) say(line);
    if (path === undefined) {
      context.result({ ...HEAD, expression, explained: explained && explanationJson(explained) });
      return 0;
    }
    const { write = "", engine } = values;
    const rounds = values.bench ? values.rounds : 0;
    const found = await untilSignal((stop) =>
      filterCapture({ expression, engine, path, write, rounds }, stop),
    );
    for (const line of summary(expression, path, write, found)) say(line);
    context.result(resultOf({ expression, path, write }, found, explained));
    const isWhole = found.broken === "" && !found.remarks.some(({ is_fault }) => is_fault);
    return isWhole && !found.cancelled ? 0 : 1;
  },
});

async function untilSignal<T>(action: (stop: AbortSignal) => Promise<T>): Promise<T> {
  const stop = new AbortController();
  const onSignal = () => stop.abort();
  // It waits here for the capture's beginning, which a pipe may never send: until then a signal ends carom.
  const running = action(stop.signal);
  for (const signal of SIGNALS) process.on(signal, onSignal);
  try {
    return await running;
  } finally {
    for (const signal of SIGNALS) process.off(signal, onSignal);
  }
}

const n = (value: number) => value.toLocaleString("en-US");

function* summary(
  expression: string,
  path: string,
  write: string,
  found: FilterCaptureResult,
): Iterable<string> {
  const shown = expression.length > 60 ? `${expression.slice(0, 60)}…` : expression;
  yield pc.bold(`carom filter · ${shown === "" ? "every frame" : shown} · ${found.engine}`);
  const part = found.frames === 0 ? 0 : (100 * found.accepted) / found.frames;
  yield `  read       ${n(found.frames)} frames of ${escaped(path)} (${found.linkType})`;
  yield `  matching   ${n(found.accepted)} frames, ${part.toFixed(2)} %; ${n(found.acceptedBytes)} bytes`;
  if (write !== "")
    yield `  written    ${n(found.written)} frames to ${write === "-" ? "standard output" : escaped(write)}`;
  yield* remarks(found);
  if (found.figures.length > 0) yield* benchLines(found);
}

/** What one might overlook. */
function* remarks(found: FilterCaptureResult): Iterable<string> {
  if (found.never) yield pc.yellow("  note       no frame can ever match this expression");
  if (found.always) yield pc.yellow("  note       every frame matches this expression");
  if (found.notEthernet > 0)
    yield `  left out   ${n(found.notEthernet)} frames that can't have an Ethernet header`;
  for (const remark of found.remarks) {
    if (remark.kind === "link_type" || remark.kind === "no_ethertype")
      yield `             ${remarkText(remark)}`;
    else yield remarkColour(remark)(`  note       ${remarkText(remark)}`);
  }
  if (found.broken !== "") yield pc.red(`  broken     ${found.broken}`);
  if (found.cancelled) yield pc.red("  ended      before the end of the capture");
  if (found.readerGone) yield "  ended      when the reader of what is written had seen enough";
}

function* benchLines(found: FilterCaptureResult): Iterable<string> {
  yield "";
  yield `  ns a packet, of ${n(found.measuredFrames)} frames in memory, in turn:`;
  const rows = found.figures.map(({ name, reason, nsPerPacket, accepted }) => {
    if (reason !== "") return [name, "", "", reason];
    const sorted = [...nsPerPacket].sort((a, b) => a - b);
    const median = sorted[Math.floor(sorted.length / 2)] ?? 0;
    const range = `${(sorted[0] ?? 0).toFixed(2)}–${(sorted.at(-1) ?? 0).toFixed(2)}`;
    return [name, median.toFixed(2).padStart(8), `(${range})`, `${n(accepted)} match`];
  });
  for (const line of formatTable(rows)) yield `  ${line}`;
}

function* explanation(found: FilterExplanation): Iterable<string> {
  const us = (ns: number) => `${(ns / 1000).toFixed(0)} µs`;
  yield pc.bold("classic BPF");
  yield found.program.trimEnd();
  yield "";
  yield pc.bold("simplified");
  yield found.simplified.trimEnd();
  if (found.head !== "") {
    yield "";
    yield pc.bold("by the first 64 bytes, for IP headers without options");
    yield found.head.trimEnd();
  }
  if (found.code !== "") {
    yield "";
    yield pc.bold(`machine code (${found.engine}, ${n(found.codeBytes)} bytes)`);
    yield found.code.trimEnd();
  }
  yield "";
  yield `compiled in ${us(found.compileNs)}, made in ${us(found.makeNs)}`;
  if (found.never) yield pc.yellow("no frame can ever match this expression");
  if (found.always) yield pc.yellow("every frame matches this expression");
  yield "";
}

function resultOf(
  { expression, path, write }: Readonly<Record<"expression" | "path" | "write", string>>,
  found: FilterCaptureResult,
  explained: FilterExplanation | undefined,
) {
  const { figures, engine, never, always, frames, accepted, cancelled } = found;
  const bench = figures.map(({ nsPerPacket, reason, ...figure }) => ({
    ...figure,
    reason: reason || null,
    ns_a_packet: nsPerPacket,
  }));
  return {
    ...HEAD,
    expression,
    path,
    link_type: found.linkType,
    engine,
    never,
    always,
    frames,
    accepted,
    accepted_bytes: found.acceptedBytes,
    not_ethernet: found.notEthernet,
    remarks: found.remarks,
    broken: found.broken || null,
    cancelled,
    ...(write !== "" && { written: found.written, reader_gone: found.readerGone }),
    ...(figures.length > 0 && { measured_frames: found.measuredFrames, bench }),
    ...(explained !== undefined && { explained: explanationJson(explained) }),
  };
}

function explanationJson({ head, code, codeBytes, compileNs, makeNs, ...texts }: FilterExplanation) {
  return {
    ...texts,
    head: head || null,
    code: code || null,
    code_bytes: codeBytes,
    compile_ns: compileNs,
    make_ns: makeNs,
  };
}
