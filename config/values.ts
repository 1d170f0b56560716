/** The kinds of value that an option can have, each from its text, with what is allowed said in its errors. */

import { fstatSync, statSync } from "node:fs";
import { isIPv4, isIPv6 } from "node:net";
import { z } from "zod";

const NS: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  min: 60e9,
  h: 3600e9,
};
/** The XDP programs have room for the sockets of so many. */
export const MAX_QUEUE = 63;

const SCALE: Readonly<Record<string, number>> = { "": 1, k: 1e3, M: 1e6, G: 1e9 };

export function fromText<T>(allowed: string, read: (text: string) => T | undefined) {
  return z.string().transform((text, context): T => {
    const value = read(text.trim());
    if (value !== undefined) return value;
    context.addIssue({ code: "custom", message: `${JSON.stringify(text)} is not ${allowed}` });
    return z.NEVER;
  });
}

/** A time in ns: "10s", "200us", "1.5ms". A number needs its unit. */
export function duration(min_ns = 0, max_ns = 7 * 24 * 3600e9) {
  const allowed = `a time such as 200us, 1.5ms or 10s, from ${formatNs(min_ns)} to ${formatNs(max_ns)}`;
  return fromText(allowed, (text) => {
    const match =
      /^(\d+(?:\.\d+)?)(ns|us|µs|ms|s|min|m|h)$/.exec(text) ?? (text === "0" ? ["", "0", "ns"] : null);
    if (match === null) return undefined;
    const value_ns = Math.round(Number(match[1]) * (NS[match[2]!] ?? Number.NaN));
    return value_ns >= min_ns && value_ns <= max_ns ? value_ns : undefined;
  });
}

/** A whole number; k, M and G are accepted as factors. */
export function integer(min: number, max: number) {
  return fromText(`a whole number from ${min} to ${max}`, (text) => {
    const value = scaled(text);
    return value !== undefined && Number.isInteger(value) && value >= min && value <= max ? value : undefined;
  });
}

/** A whole number that may be negative. */
export function signedInteger(min: number, max: number) {
  return fromText(`a whole number from ${min} to ${max}`, (text) => {
    const value = /^[+-]?\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    return value >= min && value <= max ? value : undefined;
  });
}

/** A core of this machine by its number; "auto" has one chosen, "none" leaves it to the scheduler. */
export function core() {
  return fromText("a core's number, auto or none", (text): number | "auto" | "none" | undefined => {
    if (text === "auto" || text === "none") return text;
    return /^\d{1,4}$/.test(text) ? Number(text) : undefined;
  });
}

/** Cores by their numbers, one for each thread ("2-4,7"); or auto or none. */
export function cores() {
  return fromText(
    "cores' numbers such as 2-4,7, or auto or none",
    (text): number[] | "auto" | "none" | undefined =>
      text === "auto" || text === "none" ? text : readRanges(text, 9999),
  );
}

/** Queues of an interface: "0", "0-3", "0,2". */
export function queues() {
  return fromText(`different queues from 0 to ${MAX_QUEUE} such as 0, 0-3 or 0,2`, (text) => {
    const numbers = readRanges(text, MAX_QUEUE);
    return numbers !== undefined && new Set(numbers).size === numbers.length ? numbers : undefined;
  });
}

/** The same, or all that there are. */
export function queuesOrAll() {
  return fromText(`all, or different queues from 0 to ${MAX_QUEUE} such as 0, 0-3 or 0,2`, (text) => {
    if (text === "all") return "all" as const;
    const numbers = queues().safeParse(text);
    return numbers.success ? numbers.data : undefined;
  });
}

/** "0-2,5" as [0, 1, 2, 5]. */
function readRanges(text: string, max: number): number[] | undefined {
  const result: number[] = [];
  for (const part of text.split(",")) {
    const match = /^(\d{1,4})(?:-(\d{1,4}))?$/.exec(part.trim());
    if (match === null) return undefined;
    const [first, last] = [Number(match[1]), Number(match[2] ?? match[1])];
    if (first > last || last > max) return undefined;
    for (let number = first; number <= last; number++) result.push(number);
  }
  return result;
}

/** Different whole numbers, separated by commas. */
export function integers(min: number, max: number) {
  return fromText(`different whole numbers from ${min} to ${max}, separated by commas`, (text) => {
    const values = text.split(",").map((part) => scaled(part.trim()) ?? Number.NaN);
    const isValid = values.every((value) => Number.isInteger(value) && value >= min && value <= max);
    return isValid && new Set(values).size === values.length ? values : undefined;
  });
}

/** A power of two. */
export function powerOfTwo(min: number, max: number) {
  return fromText(`a power of two from ${min} to ${max}`, (text) => {
    const value = scaled(text);
    const fits = value !== undefined && Number.isInteger(Math.log2(value)) && value >= min && value <= max;
    return fits ? value : undefined;
  });
}

/** A number, with the factors k, M and G. */
export function decimal(min: number, max: number) {
  return fromText(`a number from ${min} to ${max}`, (text) => {
    const value = scaled(text);
    return value !== undefined && value >= min && value <= max ? value : undefined;
  });
}

/** A part of a whole: "0.001" or "0.1%". */
export function ratio(max: number) {
  return fromText(`a part such as 0.001 or 0.1%, from 0 to ${100 * max}%`, (text) => {
    const match = /^(\d+(?:\.\d+)?)( ?%)?$/.exec(text);
    const value = Number(match?.[1]) / (match?.[2] === undefined ? 1 : 100);
    return value <= max ? value : undefined;
  });
}

/** Percentiles such as "p50,p99.9", each once. */
export function percentiles(max: number) {
  return fromText(`1 to ${max} different percentiles such as p50,p99.9`, (text) => {
    const values = text
      .split(",")
      .map((part) => Number(/^p(\d{1,2}(?:\.\d{1,4})?)$/.exec(part.trim())?.[1] ?? Number.NaN));
    const isValid = values.every((value) => value > 0 && value < 100) && values.length <= max;
    return isValid && new Set(values).size === values.length ? values : undefined;
  });
}

/** A rate in packets or ticks a second: "200k", "1.5M". */
/** The same, or as fast as it goes: Infinity. */
export function rateOrMax(max: number) {
  return fromText(`a rate a second such as 200k or 1.5M, above 0 and up to ${max}, or max`, (text) =>
    text === "max" ? Number.POSITIVE_INFINITY : rate(max).safeParse(text).data,
  );
}

export function rate(max: number) {
  return fromText(`a rate a second such as 200k or 1.5M, above 0 and up to ${max}`, (text) => {
    const value = scaled(text.replace(/\/s$/, ""));
    return value !== undefined && value >= 0.001 && value <= max ? value : undefined;
  });
}

/** A factor such as 8x or 0.5x, with up to three decimals. */
export function scale(min: number, max: number) {
  return fromText(
    `a factor such as 2x or 0.5x, from ${min}x to ${max}x, with up to three decimals`,
    (text) => {
      const match = /^(\d{1,4}(?:\.\d{1,3})?)x$/.exec(text);
      const value = Number(match?.[1]);
      return value >= min && value <= max ? value : undefined;
    },
  );
}

export function choice<const T extends readonly string[]>(...allowed: T) {
  return fromText(`one of ${allowed.join(", ")}`, (text): T[number] | undefined =>
    allowed.find((name) => name === text),
  );
}

/** Different ones of these, separated by commas. */
export function choices<const T extends readonly string[]>(...allowed: T) {
  return fromText(`different ones of ${allowed.join(", ")}, separated by commas`, (text) => {
    const parts = text.split(",").map((part) => part.trim());
    const isKnown = parts.every((part) => allowed.includes(part)) && new Set(parts).size === parts.length;
    return isKnown ? (parts as T[number][]) : undefined;
  });
}

/** A list of FIRST or FIRST:SECOND, each from what is allowed there; no pair twice. */
export function pairs<const T extends readonly string[], const U extends readonly string[]>(
  first: T,
  second: U,
) {
  const allowed =
    `a list of NAME or NAME:NAME, each once, the first one of ${first.join(", ")}, ` +
    `the second one of ${second.join(", ")}`;
  return fromText(allowed, (text): (readonly [T[number], U[number] | undefined])[] | undefined => {
    const parts = text.split(",").map((part) => part.trim());
    if (new Set(parts).size !== parts.length) return undefined;
    const found = parts.map((part) => {
      const [one, other, more] = part.split(":");
      const isKnown = first.some((name) => name === one) && more === undefined;
      if (!isKnown || (other !== undefined && !second.some((name) => name === other))) return undefined;
      return [one as T[number], other as U[number] | undefined] as const;
    });
    return found.every((pair) => pair !== undefined) ? found : undefined;
  });
}

export function flag() {
  return fromText("true or false", (text) => (text === "true" ? true : text === "false" ? false : undefined));
}

export function ipAddress() {
  return fromText("an IPv4 or IPv6 address", (text) => (isIPv4(text) || isIPv6(text) ? text : undefined));
}

export function multicastGroup() {
  return fromText("a multicast address (224.0.0.0 to 239.255.255.255, or ff00::/8)", (text) =>
    isMulticast(text) ? text : undefined,
  );
}

/** Multicast addresses separated by commas. */
export function multicastGroups(max: number) {
  return fromText(
    `1 to ${max} different multicast addresses (224.0.0.0 to 239.255.255.255, or ff00::/8), separated by commas`,
    (text) => {
      const groups = text.split(",").map((group) => group.trim());
      const fits = groups.length <= max && new Set(groups).size === groups.length;
      return fits && groups.every(isMulticast) ? groups : undefined;
    },
  );
}

export function isMulticast(address: string): boolean {
  if (isIPv4(address)) {
    const first = Number(address.split(".")[0]);
    return first >= 224 && first <= 239;
  }
  return isIPv6(address) && /^ff/i.test(address);
}

/** RFC 2474 §4.2.2 (class selectors), RFC 2597 §6 (assured), RFC 3246 §2.7 (expedited), RFC 5865 §2 (voice admit). */
const DSCP_NAMES: ReadonlyMap<string, number> = new Map([
  ["DF", 0],
  ...Array.from({ length: 8 }, (_, selector) => [`CS${selector}`, 8 * selector] as const),
  ...[1, 2, 3, 4].flatMap((of) => [1, 2, 3].map((drop) => [`AF${of}${drop}`, 8 * of + 2 * drop] as const)),
  ["EF", 46],
  ["VA", 44],
]);

/** A differentiated services code point by its name or number. */
export function dscp() {
  return fromText("a code point: DF, EF, VA, AF11 to AF43, CS0 to CS7, or a number from 0 to 63", (text) => {
    const number = /^\d{1,2}$/.test(text) ? Number(text) : DSCP_NAMES.get(text.toUpperCase());
    return number !== undefined && number <= 63 ? number : undefined;
  });
}

export function macAddress() {
  return fromText("a MAC address such as 02:00:00:00:00:01", (text) =>
    /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(text) ? text.toLowerCase() : undefined,
  );
}

/** Or an alternative one (ip link property add … altname), which may be longer. */
export function interfaceName() {
  return fromText("an interface name (1 to 127 characters, no / and no space)", (text) =>
    /^[^/\s]{1,127}$/.test(text) && text !== "." && text !== ".." ? text : undefined,
  );
}

export function filePath() {
  return fromText("a file name", (text) => (text.length > 0 && !text.includes("\0") ? text : undefined));
}

/** A file for frames: "-" where it is standard output by whatever name, so that no words get between them. */
export function framesFile() {
  return filePath().transform((path) => (isStandardOutput(path) ? "-" : path));
}

/** A file for what comes beside the report, so it can't be standard output, which has that. */
export function besideReport() {
  return fromText("a file name other than standard output's, which has the report", (text) =>
    text.length > 0 && !text.includes("\0") && !isStandardOutput(text) ? text : undefined,
  );
}

/**
 * "-", /dev/stdout and the like, and any other path to what standard output is. /dev/null and terminals bear two
 * writers.
 */
function isStandardOutput(path: string): boolean {
  if (path === "-" || /^\/dev\/(stdout|fd\/1)$|^\/proc\/(self|thread-self)\/fd\/1$/.test(path)) return true;
  try {
    const [named, own] = [statSync(path), fstatSync(1)];
    return named.dev === own.dev && named.ino === own.ino && !named.isCharacterDevice();
  } catch {
    return false; // one of them isn't there, or can't be looked at: whoever opens it says why
  }
}

export const FILTER_MAX = 1_000_000; // characters: more than the 65,536 symbols that a set may have

/** What help says of a filter's language. */
export const FILTER_LANGUAGE =
  "as tcpdump has them (pcap-filter), joined with terms such as symbol AAPL, price < 100.00 (carom filter --help)";

/** A filter of libpcap's language and of market data; whether it is one, the native core says. */
export function packetFilter() {
  return fromText(`a filter of 1 to ${FILTER_MAX} characters`, (text) =>
    text.length > 0 && text.length <= FILTER_MAX && !text.includes("\0") ? text : undefined,
  );
}

/** Symbols separated by commas: 1 to 8 printable ASCII characters each. */
export function symbolList(max: number) {
  return fromText(
    `1 to ${max} different symbols of 1 to 8 printable ASCII characters, separated by commas`,
    (text) => readSymbols(text, max),
  );
}

/** The same, or a number of symbols. A list of one symbol of digits alone ends with a comma: "7203,". */
export function symbols(max: number, maxCount: number) {
  return fromText(
    `1 to ${max} different symbols of 1 to 8 printable ASCII characters, separated by commas, or a number of ` +
      `symbols from 1 to ${maxCount}`,
    (text): number | string[] | undefined => {
      if (!/^\d+$/.test(text)) return readSymbols(text.replace(/,$/, ""), max);
      const count = Number(text);
      return count >= 1 && count <= maxCount ? count : undefined;
    },
  );
}

function readSymbols(text: string, max: number): string[] | undefined {
  const names = text.split(",").map((name) => name.trim());
  const valid = names.every((name) => /^[\x21-\x7e]{1,8}$/.test(name));
  return valid && names.length <= max && new Set(names).size === names.length ? names : undefined;
}

/** A limit of what may be wrong at a percentile of gaps; 100 is the largest of all. */
export interface Tolerance {
  readonly percentile: number;
  readonly limit_ns: number;
}

/** Limits such as "2us@p99" or "1us@p50,20us@p99.9,1ms@max". */
export function tolerances() {
  const limit = duration(1, 60e9);
  const wanted = "limits such as 2us@p99 or 1us@p50,20us@p99.9,1ms@max, each percentile once";
  return fromText(wanted, (text): readonly Tolerance[] | undefined => {
    const found: Tolerance[] = [];
    for (const part of text.split(",")) {
      const match = /^([^@]+)@(?:p(\d{1,2}(?:\.\d{1,4})?)|max)$/.exec(part.trim());
      const time = limit.safeParse(match?.[1] ?? "");
      const percentile = Number(match?.[2] ?? 100);
      if (!time.success || percentile <= 0) return undefined;
      if (found.some((other) => other.percentile === percentile)) return undefined;
      found.push({ percentile, limit_ns: time.data });
    }
    return found;
  });
}

/** A name for a lab or a responder: it becomes part of file and namespace names. */
export function name() {
  return fromText(
    "a name of 1 to 24 lower-case letters, digits and dashes, with a letter or digit first",
    (text) => (/^[a-z0-9][a-z0-9-]{0,23}$/.test(text) ? text : undefined),
  );
}

/** A time for people: "2.31 µs". */
export function formatNs(value_ns: number): string {
  const units = [
    [1e9, "s"],
    [1e6, "ms"],
    [1e3, "µs"],
  ] as const;
  for (const [factor, unit] of units) {
    if (Math.abs(value_ns) >= factor) return `${trim(value_ns / factor)} ${unit}`;
  }
  return `${trim(value_ns)} ns`;
}

function trim(value: number): string {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  const text = value.toFixed(digits);
  return Number.isInteger(value) ? String(value) : text;
}

function scaled(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)([kMG]?)$/.exec(text);
  if (match === null) return undefined;
  // Rounded at the 9th digit, so that 1.1k is 1100 and not 1100.0000000000002.
  return Number((Number(match[1]) * (SCALE[match[2] ?? ""] ?? Number.NaN)).toPrecision(15));
}

const BYTES: Readonly<Record<string, number>> = {
  "": 1,
  B: 1,
  kB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
};

/** A number of bytes: "100MB", "64MiB", "1500". */
export function byteSize(min: number, max: number) {
  const allowed = `a size such as 1500, 100MB or 64MiB, from ${min} to ${max} bytes`;
  return fromText(allowed, (text) => {
    const match = /^(\d+(?:\.\d+)?) ?([kKMG]?i?B|)$/.exec(text);
    const value = Math.round(Number(match?.[1]) * (BYTES[match?.[2] ?? ""] ?? Number.NaN));
    return value >= min && value <= max ? value : undefined;
  });
}

/** One end of a lab: its name, and the generator's end or, with :responder, the other one. */
export function labEnd() {
  const allowed = "a lab's name, or that with :generator or :responder";
  return fromText(allowed, (text) => {
    const [lab = "", end = "generator", ...more] = text.split(":");
    const known = name().safeParse(lab);
    if (!known.success || more.length > 0 || (end !== "generator" && end !== "responder")) return undefined;
    return { lab: known.data, end } as const;
  });
}

/** A seed: a whole number of up to 64 bits. */
export function seed() {
  return fromText("a whole number from 0 to 18446744073709551615", (text) => {
    if (!/^\d{1,20}$/.test(text)) return undefined;
    const value = BigInt(text);
    return value < 2n ** 64n ? value : undefined;
  });
}
