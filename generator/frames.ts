/** How ticks become frames: packing, sizes, the lines they go out on, and what is done to them there on purpose. */

import { list, map, text, whole } from "../config/shape.js";
import { decimal, duration, formatNs, multicastGroup } from "../config/values.js";
import type { Impairment, Packing } from "../native/index.js";
import { ETHERNET_SIZE, IP4_SIZE, IP6_SIZE, UDP_SIZE, VLAN_SIZE } from "../wire/frame.js";
import { marketData } from "../wire/schema.js";

export const FCS_SIZE = 4; // IEEE 802.3 §3.1.1
const FRAME_MIN = 64; // IEEE 802.3 §4.4.2, FCS included
export const BETWEEN_FRAMES = 20; // preamble and start 8, gap 12: IEEE 802.3 §3.1.1, §4.4.2
const LONGEST_NS = 10e9; // that anything may be held back
const REORDER_MAX = 0.5;
const REORDER_BY_MAX = 64; // what is held back meanwhile has room in native/generate/feed.cpp
const MOST = 2048;
export const SIZE_MAX = 9234; // bytes: an MTU of 9,216, and the frame around it

export const packingSchema = map("packing", {
  within: duration(0, LONGEST_NS),
  most: whole(1, MOST).optional(),
});

export const sizesSchema = list("frame sizes in bytes, with the FCS", whole(FRAME_MIN, SIZE_MAX), 64);

const part = (max = 1) =>
  text(`a part from 0 to ${max}, such as 0.001 or 0.1%`, (value) => {
    const percent = /^(\d+(?:\.\d+)?)%$/.exec(value);
    if (percent !== null) {
      const ratio = Number(percent[1]) / 100;
      return ratio <= max ? ratio : undefined;
    }
    return decimal(0, max).safeParse(value).data;
  });

const bytes = text(`a range of the ${marketData.size} bytes of a tick, such as 8-11`, (value) => {
  const match = /^(\d{1,2})-(\d{1,2})$/.exec(value);
  const [from, to] = [Number(match?.[1]), Number(match?.[2])];
  return from <= to && to < marketData.size ? ([from, to] as const) : undefined;
});

const impairmentShape = {
  loss: part().optional(),
  duplicate: part().optional(),
  reorder: map("reorder", { ratio: part(REORDER_MAX), by: whole(1, REORDER_BY_MAX).optional() }).optional(),
  delay: duration(0, LONGEST_NS).optional(),
  jitter: duration(0, LONGEST_NS).optional(),
  corrupt: map("corrupt", { ratio: part(), bytes: bytes.optional() }).optional(),
};
const lineSchema = map("a line", {
  group: multicastGroup().optional(),
  port: whole(1, 65_535).optional(),
  skew: duration(0, LONGEST_NS).optional(),
  ...impairmentShape,
});

export const impairmentSchema = map("an impairment", impairmentShape);
export const linesSchema = map("lines", { a: lineSchema, b: lineSchema });

type ImpairmentDocument = (typeof impairmentSchema)["_output"];
type LineDocument = (typeof lineSchema)["_output"];

/** A line as a profile has it: what is not given is as for a feed of one line. */
export interface ProfileLine {
  readonly name: string; // "A", "B"; "" when there is one
  readonly group: string | undefined;
  readonly port: number | undefined;
  readonly skewNs: number;
  readonly impairment: Impairment | null;
}

/** How the ticks of a feed become frames. */
export interface FrameShape {
  readonly packing: { readonly withinNs: number; readonly most: number | undefined } | undefined;
  readonly sizes: readonly number[]; // with the FCS, in turn; empty: as long as the ticks need
  readonly lines: readonly ProfileLine[];
}

export const PLAIN_LINE: ProfileLine = {
  name: "",
  group: undefined,
  port: undefined,
  skewNs: 0,
  impairment: null,
};
export const PLAIN: FrameShape = { packing: undefined, sizes: [], lines: [PLAIN_LINE] };

/** What is done on purpose; null when nothing is. */
export function readImpairment(read: ImpairmentDocument): Impairment | null {
  const done = {
    loss: read.loss ?? 0,
    duplicate: read.duplicate ?? 0,
    reorder: read.reorder?.ratio ?? 0,
    reorderBy: read.reorder?.by ?? 1,
    delayNs: read.delay ?? 0,
    jitterNs: read.jitter ?? 0,
    corrupt: read.corrupt?.ratio ?? 0,
    corruptFrom: read.corrupt?.bytes?.[0] ?? 0,
    corruptTo: read.corrupt?.bytes?.[1] ?? marketData.size - 1,
  };
  const { loss, duplicate, reorder, delayNs, jitterNs, corrupt } = done;
  return [loss, duplicate, reorder, delayNs, jitterNs, corrupt].some((value) => value > 0) ? done : null;
}

export function readLine(name: string, read: LineDocument): ProfileLine {
  const { group, port, skew = 0 } = read;
  return { name, group, port, skewNs: skew, impairment: readImpairment(read) };
}

/** Bytes of a frame of so many ticks, without the FCS. */
export function frameSize(ticks: number, isIp6: boolean, isTagged: boolean): number {
  const headers = ETHERNET_SIZE + (isTagged ? VLAN_SIZE : 0) + (isIp6 ? IP6_SIZE : IP4_SIZE) + UDP_SIZE;
  return headers + ticks * marketData.size;
}

/** How many ticks one datagram holds on a link. */
export function ticksThatFit(mtu: number, isIp6: boolean): number {
  return Math.floor((mtu - (isIp6 ? IP6_SIZE : IP4_SIZE) - UDP_SIZE) / marketData.size);
}

/** Where no link is known yet. */
export const USUAL_MTU = 1500;

/** How many ticks a link carries in a second, as this feed has them: packed, padded, on its lines. */
export function linkRate(bitsPerSecond: number, isIp6: boolean, isTagged: boolean, shape = PLAIN): number {
  const copies = shape.lines.reduce((sum, { impairment }) => sum + 1 + (impairment?.duplicate ?? 0), 0);
  const rateOf = (ticks: number) => {
    const own = Math.max(FRAME_MIN, frameSize(ticks, isIp6, isTagged) + FCS_SIZE);
    const sizes = shape.sizes.length === 0 ? [own] : shape.sizes.map((size) => Math.max(size, own));
    const mean = sizes.reduce((sum, size) => sum + size, 0) / sizes.length;
    return (ticks * bitsPerSecond) / (8 * (mean + BETWEEN_FRAMES) * copies);
  };
  if (shape.packing === undefined) return rateOf(1);
  const { withinNs, most = ticksThatFit(USUAL_MTU, isIp6) } = shape.packing;
  // A datagram is as full as the ticks come close together, which is what the rate says.
  for (let ticks = most; ticks > 1; ticks--) {
    const rate = rateOf(ticks);
    if (rate * (withinNs / 1e9) >= ticks - 1) return rate;
  }
  return rateOf(1);
}

/** Whether every tick goes out alone, on one line, at its time, and nothing is done to it. */
export function isPlain({ packing, lines }: FrameShape): boolean {
  return (
    packing === undefined && lines.length === 1 && lines[0]!.skewNs === 0 && lines[0]!.impairment === null
  );
}

/** The longest time that a tick may be held back, at a rate of ticks a second. */
export function holdNs({ packing, lines }: FrameShape, rate_pps: number): number {
  const most = packing?.most ?? (packing === undefined ? 1 : ticksThatFit(USUAL_MTU, false));
  const held = lines.map(({ skewNs, impairment }) => {
    if (impairment === null) return skewNs;
    const { delayNs, jitterNs, reorder, reorderBy } = impairment;
    const overtaken = reorder === 0 ? 0 : (4 * reorderBy * most * 1e9) / Math.max(rate_pps, 0.001);
    return skewNs + delayNs + jitterNs + overtaken;
  });
  return Math.ceil(Math.min(3600e9, (packing?.withinNs ?? 0) + Math.max(...held)));
}

/** A feed's way into frames in words: a line for each thing that is not plain. */
export function shapeLines({ packing, sizes, lines }: FrameShape): [name: string, text: string][] {
  const rows: [string, string][] = [];
  if (packing !== undefined) {
    const most = packing.most === undefined ? "as many as fit" : `up to ${packing.most}`;
    rows.push(["packing", `${most} in a datagram, within ${formatNs(packing.withinNs)} of the first`]);
  }
  if (sizes.length > 0) rows.push(["frames", `${sizes.join(", ")} bytes with the FCS, in turn`]);
  if (lines.length > 1 || lines[0]!.impairment !== null) {
    for (const found of lines) {
      const { name, group, port, skewNs } = found;
      const where = [group && `group ${group}`, port && `port ${port}`].filter((word) => word);
      const skew = skewNs > 0 ? [`${formatNs(skewNs)} behind`] : [];
      const words = [...where, ...skew, ...impairmentWords(found.impairment)];
      rows.push([name === "" ? "impairment" : `line ${name}`, words.join(", ") || "as it is"]);
    }
  }
  return rows;
}

function impairmentWords(impairment: Impairment | null): string[] {
  if (impairment === null) return [];
  const { loss, duplicate, reorder, reorderBy, delayNs, jitterNs, corrupt, corruptFrom, corruptTo } =
    impairment;
  const percent = (ratio: number) => `${Number((100 * ratio).toPrecision(6))} %`;
  const words: [number, string][] = [
    [loss, `${percent(loss)} lost`],
    [duplicate, `${percent(duplicate)} twice`],
    [reorder, `${percent(reorder)} overtaken by ${reorderBy}`],
    [delayNs, `${formatNs(delayNs)} later`],
    [jitterNs, `up to ${formatNs(jitterNs)} of jitter`],
    [corrupt, `${percent(corrupt)} with bytes ${corruptFrom} to ${corruptTo} changed`],
  ];
  return words.filter(([value]) => value > 0).map(([, word]) => word);
}

/** What a pack of so many ticks at the most is on a link. */
export function packingOf(shape: FrameShape, mtu: number, isIp6: boolean): Packing {
  const { packing } = shape;
  if (packing === undefined) return { withinNs: 0, most: 1 };
  return { withinNs: packing.withinNs, most: packing.most ?? ticksThatFit(mtu, isIp6) };
}
