/** Values that options about captures have: speeds, moments, maps. */

import { isIP, isIPv6 } from "node:net";
import type { AddressMap, CaptureMoment } from "../native/index.js";
import { duration, fromText, isMulticast } from "./values.js";

const MAPS_MAX = 64;
const LATEST_NS = 2n ** 62n;
const MILLIONTHS = 1e6;

/** A factor such as 2, 0.5 or 8x, in millionths: what is planned by it is exact. */
export function speed(min: number, max: number) {
  return fromText(`a speed such as 2, 0.5 or 8, from ${min} to ${max}, with up to six decimals`, (text) => {
    const match = /^(\d{1,6})(?:\.(\d{1,6}))?x?$/.exec(text);
    if (match === null) return undefined;
    const millionths = Number(match[1]) * MILLIONTHS + Number((match[2] ?? "").padEnd(6, "0"));
    return millionths >= min * MILLIONTHS && millionths <= max * MILLIONTHS ? millionths : undefined;
  });
}

/** A moment of a capture: "10s" after its first frame, "2026-01-31T09:30:00.000000001Z", or "@1767225600.5". */
export function moment() {
  const wanted =
    "a time after the first frame such as 10s, or of the day: 2026-01-31T09:30:00.5Z, or @ and seconds since 1970";
  const after = duration(0, 1e15);
  return fromText(wanted, (text): CaptureMoment | undefined => {
    const offset = after.safeParse(text);
    if (offset.success) return { kind: "offset", ns: BigInt(offset.data) };
    const seconds = /^@(\d{1,10})(?:\.(\d{1,9}))?$/.exec(text);
    if (seconds !== null) return absolute(BigInt(seconds[1]!), seconds[2]);
    const day = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$/.exec(text);
    const time_ms = day === null ? Number.NaN : Date.parse(`${day[1]}${day[3]}`);
    return Number.isNaN(time_ms) || time_ms < 0 ? undefined : absolute(BigInt(time_ms / 1000), day![2]);
  });
}

function absolute(seconds: bigint, fraction = ""): CaptureMoment | undefined {
  const ns = seconds * 1_000_000_000n + BigInt(fraction.padEnd(9, "0"));
  return ns < LATEST_NS ? { kind: "absolute", ns } : undefined;
}

/** Addresses, or prefixes of them, and what becomes of them: "10.0.0.1=198.18.0.1,10.1.0.0/16=198.18.0.0". */
export function addressMaps() {
  const wanted = `up to ${MAPS_MAX} of OLD=NEW, addresses of one family, OLD with a prefix such as /16 for many`;
  return fromText(wanted, (text): readonly AddressMap[] | undefined => mapsOf(text, addressMap));
}

/** The same of multicast groups. */
export function groupMaps() {
  const wanted = `up to ${MAPS_MAX} of OLD=NEW, multicast groups of one family`;
  return fromText(wanted, (text): readonly AddressMap[] | undefined =>
    mapsOf(text, (part) => {
      const map = addressMap(part);
      return map !== undefined && isMulticast(map.from) && isMulticast(map.to) ? map : undefined;
    }),
  );
}

/** Ports, and what becomes of them: "8080=9090". */
export function portMaps() {
  const wanted = `up to ${MAPS_MAX} of OLD=NEW, ports from 0 to 65535`;
  return fromText(wanted, (text): readonly (readonly [number, number])[] | undefined =>
    mapsOf(text, (part) => {
      const match = /^(\d{1,5})=(\d{1,5})$/.exec(part);
      const [from, to] = [Number(match?.[1]), Number(match?.[2])];
      return from <= 65_535 && to <= 65_535 ? ([from, to] as const) : undefined;
    }),
  );
}

function addressMap(text: string): AddressMap | undefined {
  const [old = "", to = "", more] = text.split("=");
  const [from = "", prefixText, rest] = old.split("/");
  const family = isIP(from);
  if (family === 0 || isIP(to) !== family || more !== undefined || rest !== undefined) return undefined;
  const longest = isIPv6(from) ? 128 : 32;
  const prefix = prefixText === undefined ? longest : /^\d{1,3}$/.test(prefixText) ? Number(prefixText) : 999;
  return prefix <= longest ? { from, to, prefix } : undefined;
}

function mapsOf<T>(text: string, read: (part: string) => T | undefined): T[] | undefined {
  const maps = text.split(",").map((part) => read(part.trim()));
  const isGood = maps.length <= MAPS_MAX && maps.every((map) => map !== undefined);
  return isGood ? (maps as T[]) : undefined;
}
