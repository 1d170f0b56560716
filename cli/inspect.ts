/** carom inspect: what is in captures, and how two of them differ. */

import { once } from "node:events";
import type { Values } from "../config/option.js";
import { optionGroup } from "../config/option.js";
import {
  choices,
  duration,
  FILTER_LANGUAGE,
  flag,
  integer,
  packetFilter,
  tolerances,
} from "../config/values.js";
import { compareLines, compareReport } from "../inspect/compare.js";
import { frameJson, frameLine } from "../inspect/frame_line.js";
import { type InspectedFile, inspectedFile } from "../inspect/report.js";
import { inspectLines } from "../inspect/text.js";
import { asCaromError, CaromError } from "../native/error.js";
import { escaped } from "../native/escape.js";
import {
  type CaptureProgress,
  compareCaptures,
  type IgnoredFields,
  type InspectConfig,
  inspectCapture,
  listFrames,
} from "../native/index.js";
import { remarkFaults, remarkText } from "../run/remarks.js";
import { printable } from "../run/text.js";
import { type Context, complain, defineCommand } from "./command.js";

const frames = optionGroup("Which frames");
const listing = optionGroup("Frame by frame");
const comparing = optionGroup("Two captures");

const LONGEST_NS = 9e18; // what a capture's times can be apart by
const BATCH = 512; // frames that are listed at a time
const IGNORED = ["mac", "vlan", "ttl", "dscp", "checksum", "ip", "port", "timestamp", "padding"] as const;

const options = {
  filter: frames(packetFilter(), `only those of this filter, ${FILTER_LANGUAGE}`, "expr"),
  from: frames(duration(0, LONGEST_NS), "from so long after the first frame on", "time"),
  to: frames(duration(0, LONGEST_NS), "up to so long after the first frame", "time"),
  tickPort: frames(integer(1, 65_535), "UDP port of ticks", "port", "8080"),
  orderPort: frames(integer(1, 65_535), "UDP port of orders", "port", "9999"),
  decode: listing(flag(), "a line for each frame, decoded, and no figures", "", "false"),
  count: listing(integer(1, 1e12), "end after so many", "frames"),
  compare: comparing(flag(), "how the second capture differs from the first", "", "false"),
  ignore: comparing(
    choices(...IGNORED),
    `what may differ in frames that are the same: ${IGNORED.join(", ")}`,
    "fields",
  ),
  tolerance: comparing(
    tolerances(),
    "limits of the gaps' errors, at percentiles, such as 2us@p99,1ms@max; exit status 1 beyond",
    "limits",
  ),
} as const;

type InspectValues = Values<typeof options>;

export const command = defineCommand({
  name: "inspect",
  summary: "what is in a capture: rates, gaps, bursts, ticks and orders; how two differ",
  description:
    "Reads pcap and pcapng, plain, gzip or zstd, or - for standard input, in one pass and bounded memory: " +
    "frames, rate over time, gaps, sizes, conversations, groups, ticks and orders with their round trips, and " +
    "the busiest 1 ms, 100 µs and 10 µs. With --compare A B: what B lacks, adds or has in another order, and " +
    "how its timing differs. With --decode: a line for each frame.",
  arguments: "<file...>",
  options,
  examples: [
    ["carom inspect feed.pcap", "what is in it, drawn in the terminal"],
    ["carom inspect feed.pcap.zst --filter 'dst host 239.1.1.1' --json", "one group alone, as JSON"],
    ["carom inspect feed.pcap --decode --count 20", "the first twenty frames, decoded"],
    [
      "carom inspect --compare sent.pcapng received.pcapng --ignore mac,ttl --tolerance 2us@p99",
      "whether all came through, in order and in time",
    ],
  ],
  async run(values, context) {
    refuseContradictions(values, context.args);
    if (values.compare) return compare(values, context);
    if (values.decode) return decode(values, context);
    return inspect(values, context);
  },
});

function refuseContradictions(values: InspectValues, paths: readonly string[]): void {
  const refuse = (operation: string, detail: string, hint: string): never => {
    throw new CaromError("usage", operation, detail, hint);
  };
  if (values.compare && values.decode)
    refuse("--compare with --decode", "they are two things", "give one of them");
  if (values.compare && paths.length !== 2) {
    refuse("--compare", `${paths.length} captures were given`, "give two: carom inspect --compare A B");
  }
  const [only, what] = values.compare
    ? [["from", "to", "count"] as const, "it compares whole captures; take parts with --filter"]
    : [["ignore", "tolerance"] as const, "it says how captures are compared; add --compare"];
  for (const name of only) {
    if (values[name] !== undefined) refuse(`--${name}`, "it has no meaning here", what);
  }
  if (!values.compare && !values.decode && values.count !== undefined) {
    refuse("--count", "it says how many frames are listed", "add --decode, or leave it out");
  }
  if (values.from !== undefined && values.to !== undefined && values.from >= values.to) {
    refuse("--to", "it is not after --from", "make it later");
  }
  if (paths.filter((path) => path === "-").length > 1) {
    refuse("-", "standard input can be read once", "give it once");
  }
}

async function inspect(values: InspectValues, context: Context): Promise<number> {
  const files: InspectedFile[] = [];
  const unread: { path: string; error: CaromError }[] = [];
  for (const path of context.args) {
    try {
      const found = await inspectCapture(configOf(values, path), progress(path, context)).finally(() =>
        clear(context),
      );
      const file = inspectedFile(path, found);
      if (files.length > 0) context.say("");
      for (const line of inspectLines(file, found.gaps)) context.say(line);
      files.push(file);
    } catch (error) {
      unread.push({ path, error: asCaromError(error, `inspect ${path}`) });
    }
  }
  const [first] = unread;
  const messages = new Set(unread.map(({ error }) => error.message)); // a wrong filter has one for all
  if (first !== undefined && files.length === 0) {
    messages.delete(first.error.message);
    sayErrors(messages);
    throw first.error;
  }
  sayErrors(messages);
  const broken = files.filter((file) => file.broken !== null).map((file) => `${file.path}: ${file.broken}`);
  const damaged = files.flatMap(({ path, remarks }) =>
    remarkFaults(remarks).map((text) => `${path}: ${text}`),
  );
  const faults = [...broken, ...damaged, ...messages];
  context.result({ schema: "carom.inspect", version: 1, files, unread, faults });
  return first?.error.exitStatus ?? (faults.length === 0 ? 0 : 1);
}

function sayErrors(messages: Iterable<string>): void {
  for (const message of messages) complain(message);
}

async function compare(values: InspectValues, context: Context): Promise<number> {
  const [pathA, pathB] = context.args as [string, string];
  const { filter = "", ignore = [], tolerance = [], tickPort, orderPort } = values;
  const ignored = Object.fromEntries(IGNORED.map((name) => [name, ignore.includes(name)]));
  const config = { pathA, pathB, filter, ignore: ignored as unknown as IgnoredFields, tickPort, orderPort };
  const found = await compareCaptures(config, progress(`${pathA} and ${pathB}`, context)).finally(() =>
    clear(context),
  );
  const report = compareReport([pathA, pathB], found, ignore, tolerance);
  for (const line of compareLines(report)) context.say(line);
  context.result(report);
  return report.faults.length === 0 ? 0 : 1;
}

/** @returns 1 where a file is broken, after what is whole of it */
async function decode(values: InspectValues, context: Context): Promise<number> {
  const { count = Number.POSITIVE_INFINITY } = values;
  let status = 0;
  for (const path of context.args) {
    const next = listFrames(configOf(values, path));
    if (context.args.length > 1) context.say(escaped(path));
    let left = count;
    for (let isOver = false; !isOver && left > 0; ) {
      const batch = next(Math.min(BATCH, left));
      const line = context.json ? frameJson : frameLine;
      const texts = batch.frames.map((frame) => line(frame, values));
      left -= texts.length;
      isOver = texts.length === 0;
      // Waits for a reader that is slower.
      if (!isOver && !process.stdout.write(`${texts.join("\n")}\n`)) await once(process.stdout, "drain");
      if (isOver) {
        for (const remark of batch.remarks) complain(`${path}: ${printable(remarkText(remark))}`);
        if (batch.remarks.some(({ is_fault }) => is_fault)) status = 1;
      }
      if (batch.broken === "") continue;
      complain(`${path}: ${printable(batch.broken)}`);
      isOver = true;
      status = 1;
    }
  }
  return status;
}

function configOf(values: InspectValues, path: string): InspectConfig {
  const { filter = "", from = 0, to = LONGEST_NS, tickPort, orderPort } = values;
  return { path, filter, fromNs: from, toNs: to, tickPort, orderPort };
}

/** A line now and then on a terminal. */
function progress(path: string, context: Context) {
  if (context.json || !process.stderr.isTTY) return undefined;
  return ({ frames: read, bytesRead, bytesTotal }: CaptureProgress) => {
    const share = bytesTotal === 0 ? "" : `, ${((100 * bytesRead) / bytesTotal).toFixed(0)} %`;
    process.stderr.write(`\r\x1b[K${escaped(path)}: ${read.toLocaleString("en-US")} frames${share}\r`);
  };
}

function clear(context: Context): void {
  if (!context.json && process.stderr.isTTY) process.stderr.write("\r\x1b[K");
}
