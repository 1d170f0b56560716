/** Several streams at once: the file that lists them, and what each has instead of the command line's options. */

import { dirname, join } from "node:path";
import { type Document, readBounded, readDocument } from "../config/document.js";
import { ioOptions } from "../config/io.js";
import { line, list, map, validateDocument, whole } from "../config/shape.js";
import { ipAddress, rate } from "../config/values.js";
import { asCaromError, CaromError } from "../native/error.js";
import { MAX_RATE, sendOptions } from "./config.js";
import { readyProfiles } from "./profile.js";

export const STREAMS_MAX = 64; // of a run
export const THREADS_MAX = 16;

const { type: portType } = sendOptions.targetPort;

const streamSchema = map("a stream", {
  name: line("a name").optional(),
  thread: whole(0, THREADS_MAX - 1).optional(),
  profile: sendOptions.profile.type.optional(),
  rate: rate(MAX_RATE).optional(), // of several streams none can have all that goes
  scale: sendOptions.scale.type.optional(),
  scale_by: sendOptions.scaleBy.type.optional(),
  seed: sendOptions.seed.type.optional(),
  trigger_ratio: sendOptions.triggerRatio.type.optional(),
  feed_symbols: sendOptions.feedSymbols.type.optional(),
  price_span: sendOptions.priceSpan.type.optional(),
  size: sendOptions.size.type.optional(),
  group: sendOptions.multicastGroup.type.optional(),
  target: ipAddress().optional(),
  target_mac: sendOptions.targetMac.type.optional(),
  port: portType.optional(),
  source_port: portType.optional(),
  flows: sendOptions.flows.type.optional(),
  vlan: ioOptions.vlan.type.optional(),
  dscp: ioOptions.dscp.type.optional(),
});

type StreamDocument = (typeof streamSchema)["_output"];

/** What a stream may have instead of what the command line says. */
export interface StreamValues {
  readonly streams?: string | undefined;
  readonly profile?: string | undefined;
  readonly rate?: number | undefined;
  readonly scale?: number | undefined;
  readonly scaleBy?: "gaps" | "bursts" | undefined;
  readonly seed?: bigint | undefined;
  readonly triggerRatio?: number | undefined;
  readonly feedSymbols?: string[] | undefined;
  readonly priceSpan?: number | undefined;
  readonly size?: number | undefined;
  readonly multicast: boolean;
  readonly multicastGroup: string;
  readonly targetIp?: string | undefined;
  readonly targetMac?: string | undefined;
  readonly targetPort: number;
  readonly sourcePort?: number | undefined;
  readonly flows: number;
  readonly vlan?: number | undefined;
  readonly dscp: number;
}

export interface StreamEntry<V> {
  readonly name: string; // "" when it is the only one, and not from a file
  readonly thread: number;
  readonly values: V; // the command line's, with what the file says of this stream
  /** Does something for this stream: what is wrong with it is told with its place in the file. */
  within<T>(action: () => T): T;
}

/** The streams of a run: those of the file, or the one that the options describe. @throws CaromError (usage) */
export function streamEntries<V extends StreamValues>(values: V): StreamEntry<V>[] {
  if (values.streams === undefined) return [{ name: "", thread: 0, values, within: (action) => action() }];
  return parseStreams(readBounded(values.streams, "streams"), values.streams, values);
}

/** @throws CaromError (usage) with file, line and column */
export function parseStreams<V extends StreamValues>(
  content: string,
  file: string,
  values: V,
): StreamEntry<V>[] {
  const document = readDocument(content, file);
  const read = validateDocument(list("streams", streamSchema, STREAMS_MAX), document);
  const entries = read.map((stream, index) => entryOf(stream, index, document, file, values));
  refuseTwice(entries, document);
  refuseGaps(entries, document);
  return entries;
}

function entryOf<V extends StreamValues>(
  read: StreamDocument,
  index: number,
  document: Document,
  file: string,
  values: V,
): StreamEntry<V> {
  const refuse = (detail: string, hint: string, key?: string): never => {
    const place = key === undefined ? document.place([index]) : document.placeOfKey([index], key);
    throw new CaromError("usage", place, detail, hint);
  };
  if ((read.profile === undefined) === (read.rate === undefined)) {
    const detail = read.profile === undefined ? "neither profile nor rate" : "both profile and rate";
    refuse(`the stream has ${detail}`, "give one of them", read.profile === undefined ? undefined : "rate");
  }
  if (read.group !== undefined && read.target !== undefined) {
    refuse("the stream has both group and target", "give one of them", "target");
  }
  const own: StreamValues = {
    ...values,
    streams: undefined,
    profile: read.profile && besideFile(read.profile, file),
    rate: read.rate,
    scale: read.scale,
    scaleBy: read.scale_by,
    // Streams of one kind that would send the same ticks at the same times are hardly what is wanted.
    seed: read.seed ?? ((values.seed ?? 1n) + BigInt(index)) % 2n ** 64n,
    triggerRatio: read.trigger_ratio ?? values.triggerRatio,
    feedSymbols: read.feed_symbols ?? (read.profile === undefined ? values.feedSymbols : undefined),
    priceSpan: read.price_span ?? (read.profile === undefined ? values.priceSpan : undefined),
    size: read.size ?? values.size,
    multicast: read.group !== undefined || (read.target === undefined && values.multicast),
    multicastGroup: read.group ?? values.multicastGroup,
    targetIp: read.target ?? (read.group === undefined ? values.targetIp : undefined),
    targetMac: read.target_mac ?? values.targetMac,
    targetPort: read.port ?? values.targetPort,
    sourcePort: read.source_port ?? values.sourcePort,
    flows: read.flows ?? values.flows,
    vlan: read.vlan ?? values.vlan,
    dscp: read.dscp ?? values.dscp,
  };
  return {
    name: read.name ?? `${index + 1}`,
    thread: read.thread ?? 0,
    values: own as V,
    within: (action) => {
      try {
        return action();
      } catch (error) {
        const { code, operation, detail, hint } = asCaromError(error, "stream");
        throw new CaromError(code, `${document.place([index])}: ${operation}`, detail, hint);
      }
    },
  };
}

/** A profile that is no ready one is a file, and looked for beside the list. */
function besideFile(profile: string, file: string): string {
  return readyProfiles().has(profile) || profile.startsWith("/") ? profile : join(dirname(file), profile);
}

function refuseTwice<V>(entries: readonly StreamEntry<V>[], document: Document): void {
  const names = entries.map(({ name }) => name);
  const again = names.findIndex((name, index) => names.indexOf(name) < index);
  if (again < 0) return;
  const detail = `two streams have the name ${JSON.stringify(names[again])}`;
  throw new CaromError("usage", document.place([again, "name"]), detail, "give each a name of its own");
}

function refuseGaps<V>(entries: readonly StreamEntry<V>[], document: Document): void {
  const used = new Set(entries.map(({ thread }) => thread));
  const beyond = entries.findIndex(({ thread }) => thread >= used.size);
  if (beyond < 0) return;
  const detail = `threads are counted from 0, and there are only ${used.size}`;
  const hint = `${used.size - 1} is the highest number`;
  throw new CaromError("usage", document.place([beyond, "thread"]), detail, hint);
}
