/** A profile: what a feed looks like, from a file or by the name of one that comes with carom. */

import { existsSync, readdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { z } from "zod";
import { type Document, readBounded, readDocument } from "../config/document.js";
import { line, map, text, validateDocument, whole } from "../config/shape.js";
import { decimal, rate, seed } from "../config/values.js";
import { CaromError } from "../native/error.js";
import type { ArrivalConfig, PriceWalk } from "../native/index.js";
import { type Arrival, ArrivalReader, arrivalSchema } from "./arrival.js";
import {
  type FrameShape,
  impairmentSchema,
  linesSchema,
  PLAIN_LINE,
  packingSchema,
  readImpairment,
  readLine,
  sizesSchema,
} from "./frames.js";
import { readUniverse, symbolsSchema, type Universe } from "./symbols.js";

const U32_MAX = 0xffff_ffff;
const STEP_MAX = 2 ** 31 - 1;

const profileSchema = map("a profile", {
  description: line("a description").optional(),
  seed: seed().optional(),
  ceiling: text("link, none or a rate a second such as 1M", (value) =>
    value === "link" || value === "none" ? value : rate(1e9).safeParse(value).data,
  ).optional(),
  arrival: arrivalSchema,
  symbols: symbolsSchema.optional(),
  prices: map("prices", {
    low: whole(0, U32_MAX),
    high: whole(0, U32_MAX),
    step: whole(1, STEP_MAX),
    start: whole(0, U32_MAX).optional(),
  }).optional(),
  quantity: map("quantity", {
    lot: whole(1, U32_MAX).optional(),
    min: whole(0, U32_MAX),
    max: whole(0, U32_MAX),
  }).optional(),
  trigger_ratio: text("a number from 0 to 1, or walk", (value) =>
    value === "walk" ? ("walk" as const) : decimal(0, 1).safeParse(value).data,
  ).optional(),
  packing: packingSchema.optional(),
  sizes: sizesSchema.optional(),
  lines: linesSchema.optional(),
  impairment: impairmentSchema.optional(),
});

type ProfileDocument = z.output<typeof profileSchema>;

export interface Profile {
  readonly name: string;
  readonly description: string;
  readonly seed: bigint | undefined;
  readonly ceiling: number; // ticks a second; 0 for none
  readonly arrival: ArrivalConfig;
  readonly mean: number; // ticks a second
  readonly peak: number; // what 50 ms hardly ever exceed
  readonly universe: Universe | undefined; // undefined: --feed-symbols, each as often as the others
  readonly walk: PriceWalk | undefined; // undefined: prices by chance within --price-span
  readonly lots: { readonly lot: number; readonly min: number; readonly max: number } | undefined;
  readonly triggerRatio: number | undefined; // -1: as the walk goes
  readonly shape: FrameShape;
}

/** How many ticks the link carries in a second, when they become frames like this. */
export type LinkRate = (shape: FrameShape) => number;

/** The profiles that come with carom: names, each with its file. */
export function readyProfiles(): ReadonlyMap<string, string> {
  // Compiled, this file is dist/generator/profile.js; the profiles stay where they are.
  const directory = fileURLToPath(new URL("../../generator/profiles", import.meta.url));
  const files = readdirSync(directory).filter((file) => file.endsWith(".yaml"));
  return new Map(files.sort().map((file) => [basename(file, ".yaml"), join(directory, file)]));
}

/**
 * A profile by its name, or from a file: a text with a dot or a slash in it is one.
 * @param carried what the link carries
 * @throws CaromError (usage) that names file, line and column, and what is allowed there
 */
export function loadProfile(given: string, carried: LinkRate): Profile {
  const ready = readyProfiles();
  const file = ready.get(given) ?? given;
  if (!ready.has(given) && !/[./]/.test(given) && !existsSync(given)) {
    const hint = `there are ${[...ready.keys()].join(", ")}; or give a file`;
    throw new CaromError("usage", `profile ${given}`, "there is no such profile", hint);
  }
  return parseProfile(readBounded(file, "profile"), file, carried);
}

/** @throws CaromError as loadProfile does */
export function parseProfile(content: string, file: string, carried: LinkRate): Profile {
  const document = readDocument(content, file);
  const read = validateDocument(profileSchema, document);
  const fail = (path: readonly PropertyKey[], detail: string, hint = ""): never => {
    throw new CaromError("usage", document.place(path), detail, hint);
  };
  const shape = shapeOf(read, fail);
  const linkRate = carried(shape);
  const arrival = new ArrivalReader(document, dirname(file), linkRate).read(read.arrival, ["arrival"]);
  const universe =
    read.symbols &&
    readUniverse(read.symbols, dirname(file), (detail, key) =>
      fail(key === undefined ? ["symbols"] : ["symbols", key], detail),
    );
  if (read.trigger_ratio === "walk" && read.prices === undefined) {
    fail(["trigger_ratio"], "walk leaves it to the prices, and there are none", "add prices:");
  }
  return {
    name: basename(file).replace(/\.ya?ml$/, ""),
    description: read.description ?? "",
    seed: read.seed,
    ceiling: ceilingOf(read, document, arrival, linkRate),
    arrival: arrival.config,
    mean: arrival.mean,
    peak: arrival.peak,
    universe,
    walk: walkOf(read, fail),
    lots: lotsOf(read, fail),
    triggerRatio: read.trigger_ratio === "walk" ? -1 : read.trigger_ratio,
    shape,
  };
}

type Fail = (path: readonly PropertyKey[], detail: string, hint?: string) => never;

function shapeOf(read: ProfileDocument, fail: Fail): FrameShape {
  const { packing, sizes = [], lines, impairment } = read;
  if (lines !== undefined && impairment !== undefined) {
    fail(["impairment"], "each line has its own", "write it below lines");
  }
  if (packing !== undefined && sizes.length > 0) {
    fail(["sizes"], "a packed frame is as long as the ticks in it", "leave out packing or sizes");
  }
  const one = { ...PLAIN_LINE, impairment: impairment === undefined ? null : readImpairment(impairment) };
  return {
    packing: packing && { withinNs: packing.within, most: packing.most },
    sizes,
    lines: lines === undefined ? [one] : [readLine("A", lines.a), readLine("B", lines.b)],
  };
}

function ceilingOf(read: ProfileDocument, document: Document, arrival: Arrival, linkRate: number): number {
  if (read.ceiling === "none") return 0;
  const ceiling = read.ceiling === undefined || read.ceiling === "link" ? linkRate : read.ceiling;
  if (arrival.mean <= ceiling) return ceiling;
  const shown = (value: number) => Math.floor(value).toLocaleString("en-US");
  const detail = `${shown(arrival.mean)} ticks/s on average do not fit under the ceiling of ${shown(ceiling)}`;
  throw new CaromError("usage", document.place(["arrival"]), detail, "lower the rate, or raise --link-speed");
}

function walkOf({ prices }: ProfileDocument, fail: Fail): PriceWalk | undefined {
  if (prices === undefined) return undefined;
  const { low, high, step, start } = prices;
  if (low >= high) fail(["prices", "high"], `${high} is not above low, ${low}`);
  if (step > high - low) fail(["prices", "step"], `${step} is more than from low to high, ${high - low}`);
  if (start !== undefined && (start < low || start > high)) {
    fail(["prices", "start"], `${start} is not between low and high, ${low} and ${high}`);
  }
  return { low, high, step, start: start ?? -1 };
}

const LOTS_MAX = 65_535;

function lotsOf({ quantity }: ProfileDocument, fail: Fail): Profile["lots"] {
  if (quantity === undefined) return undefined;
  const { lot = 100, min, max } = quantity;
  for (const [key, value] of [
    ["min", min],
    ["max", max],
  ] as const) {
    if (value % lot !== 0) fail(["quantity", key], `${value} is no whole number of lots of ${lot}`);
  }
  if (max < min) fail(["quantity", "max"], `${max} is below min, ${min}`);
  if (max / lot > LOTS_MAX) fail(["quantity", "max"], `more than ${LOTS_MAX} lots of ${lot}`);
  return { lot, min: min / lot, max: max / lot };
}
