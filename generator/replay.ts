/** The options of a replay: which captures, when, how changed; and the native configuration made from them. */

import { addressMaps, groupMaps, moment, portMaps, speed } from "../config/capture_values.js";
import { flagName, optionGroup, type Values } from "../config/option.js";
import {
  choice,
  duration,
  FILTER_LANGUAGE,
  flag,
  fromText,
  integer,
  macAddress,
  packetFilter,
  rate,
} from "../config/values.js";
import { CaromError } from "../native/error.js";
import type { ReplayConfig } from "../native/index.js";
import { MAX_RATE } from "./config.js";

const when = optionGroup("When");
const what = optionGroup("What is sent");
const change = optionGroup("What is changed");

const FILES_MAX = 64;
const GAP_MAX_NS = 24 * 3600e9;
const LONGEST_GAP_NS = 60e9; // that nobody has to ask for
const DEFAULT_BURST_GAP_NS = 100_000;

export const replayOptions = {
  speed: when(speed(0.001, 1000), "as captured, so many times as fast (default: 1)", "factor"),
  gap: when(duration(0, GAP_MAX_NS), "the same gap between any two frames", "time"),
  rate: when(rate(MAX_RATE), "evenly, so many frames a second", "frames/s"),
  fast: when(flag(), "no schedule: as fast as it goes", "", "false"),
  preserveBursts: when(
    flag(),
    "with --speed or --rate: gaps within a burst stay as they were captured",
    "",
    "false",
  ),
  burstGap: when(
    duration(1, GAP_MAX_NS),
    "the frames of a burst are less apart than this (default: 100us)",
    "time",
  ),
  maxGap: when(
    duration(1, GAP_MAX_NS),
    "cut longer gaps in a capture to this; without it one over 60 s ends the replay",
    "time",
  ),
  loop: when(passes(), "so many times, or forever", "times", "1"),
  loopGap: when(
    duration(0, GAP_MAX_NS),
    "between the last frame and the first one of the next time (default: as between the others, on average)",
    "time",
  ),
  align: when(flag(), "several files begin together, and not when they were taken", "", "false"),
  from: what(
    moment(),
    "leave out what is before this: 10s after the first frame, or a time of the day",
    "time",
  ),
  to: what(moment(), "leave out this and what is after it", "time"),
  filter: what(packetFilter(), `only those of this filter, ${FILTER_LANGUAGE}`, "expression"),
  oversize: what(
    choice("refuse", "cut", "skip"),
    "frames larger than the link carries: the replay ends, or they are cut off, or left out",
    "how",
    "refuse",
  ),
  truncated: what(
    choice("pad", "skip", "send"),
    "frames that the snap length cut off: filled up with zeros, left out, or sent as they are",
    "how",
    "pad",
  ),
  sourceMac: change(macAddress(), "source MAC address of every frame", "address"),
  targetMac: change(
    macAddress(),
    "destination MAC address of frames to one host (with --expect in the lab: its far end)",
    "address",
  ),
  mapIp: change(addressMaps(), "source and destination addresses: OLD=NEW or OLD/PREFIX=NEW, …", "maps"),
  mapGroup: change(groupMaps(), "multicast groups, with their MAC addresses: OLD=NEW, …", "maps"),
  mapPort: change(portMaps(), "UDP and TCP ports: OLD=NEW, …", "maps"),
  vlan: change(tag(), "VLAN identifier of every frame, or none to take the tags off", "id|none"),
  ttl: change(integer(1, 255), "time to live, or hop limit", "hops"),
  checksums: change(
    choice("keep", "mend"),
    "keep: what was right stays right, and wrong wrong; mend: all are made anew",
    "how",
    "keep",
  ),
} as const;

export type ReplayValues = Values<typeof replayOptions>;

/** How often the captures are sent; 0: without an end. */
function passes() {
  return fromText("a number from 1 to 1000000000, or forever", (text) => {
    if (text === "forever" || text === "0") return 0;
    return /^\d{1,10}$/.test(text) && Number(text) <= 1e9 ? Number(text) : undefined;
  });
}

function tag() {
  return fromText("a VLAN identifier from 1 to 4094, or none", (text): number | "none" | undefined => {
    if (text === "none") return text;
    return /^\d{1,4}$/.test(text) && Number(text) >= 1 && Number(text) <= 4094 ? Number(text) : undefined;
  });
}

/** @throws CaromError (usage) for options that contradict each other */
export function refuseReplay(files: readonly string[], values: ReplayValues): void {
  const refuse = (operation: string, detail: string, hint: string): never => {
    throw new CaromError("usage", operation, detail, hint);
  };
  if (files.length === 0) refuse("carom replay", "no capture was given", "name one, or - for standard input");
  if (files.length > FILES_MAX)
    refuse("carom replay", `${FILES_MAX} captures at the most`, "merge some of them");
  if (files.filter((file) => file === "-").length > 1)
    refuse("carom replay", "standard input was given twice", "leave one out");
  const timings = (["speed", "gap", "rate"] as const).filter((name) => values[name] !== undefined);
  const given = [...timings, ...(values.fast ? (["fast"] as const) : [])];
  if (given.length > 1)
    refuse(`--${given[0]} with --${given[1]}`, "each says when frames are sent", "give one of them");
  if (values.preserveBursts && values.speed === undefined && values.rate === undefined)
    refuse("--preserve-bursts", "without another speed all gaps stay as they are", "add --speed or --rate");
  if (values.burstGap !== undefined && !values.preserveBursts)
    refuse("--burst-gap", "it says what a burst is", "add --preserve-bursts");
  if (values.loopGap !== undefined && values.loop === 1)
    refuse("--loop-gap", "they are sent once", "add --loop");
  const unplanned = (["loopGap", "maxGap"] as const).find((name) => values[name] !== undefined);
  if (values.fast && unplanned !== undefined)
    refuse(
      `--${flagName(unplanned)} with --fast`,
      "there are no gaps without a schedule",
      "give one of them",
    );
  const planned = (["gap", "rate"] as const).find((name) => values[name] !== undefined);
  if (values.maxGap !== undefined && planned !== undefined)
    refuse(`--max-gap with --${planned}`, "the capture's gaps are not what is sent", "give one of them");
  if (files.includes("-") && values.loop !== 1)
    refuse("--loop", "standard input can't be read again", "save it to a file first");
}

interface Circumstances {
  readonly tickPort: number;
  readonly defaultTargetMac: string; // "": frames keep theirs
  readonly ownTargetMac: string;
}

/** @throws CaromError (usage) for options that contradict each other */
export function replayConfig(
  files: readonly string[],
  values: ReplayValues,
  found: Circumstances,
): ReplayConfig {
  refuseReplay(files, values);
  const { speed: millionths, gap, rate: rate_pps, fast, loopGap, maxGap, vlan } = values;
  return {
    files,
    aligns: values.align,
    passes: values.loop,
    timing: fast ? "fast" : gap !== undefined ? "gap" : rate_pps !== undefined ? "rate" : "captured",
    speedMillionths: millionths ?? 1_000_000,
    gapNs: gap ?? 0,
    rateMilliHz: Math.round((rate_pps ?? 1) * 1000),
    keepsBursts: values.preserveBursts,
    burstGapNs: values.burstGap ?? DEFAULT_BURST_GAP_NS,
    maxGapNs: maxGap ?? LONGEST_GAP_NS,
    cutsGaps: maxGap !== undefined,
    loopGapNs: loopGap ?? -1,
    from: values.from ?? null,
    to: values.to ?? null,
    filter: values.filter ?? "",
    sourceMac: values.sourceMac ?? "",
    targetMac: values.targetMac ?? found.defaultTargetMac,
    ownTargetMac: values.targetMac ?? found.ownTargetMac,
    addresses: [...(values.mapGroup ?? []), ...(values.mapIp ?? [])],
    ports: values.mapPort ?? [],
    vlan: vlan === undefined ? -2 : vlan === "none" ? -1 : vlan,
    ttl: values.ttl ?? -1,
    mendsChecksums: values.checksums === "mend",
    oversize: values.oversize,
    truncated: values.truncated,
    tickPort: found.tickPort,
  };
}
