/** What a user can set of `carom limit`: the search's own options, and those of a run that stay as they are. */

import { GENERATOR_BACKENDS, RESPONDER_BACKENDS } from "../config/io.js";
import { optionGroup, type Values } from "../config/option.js";
import { besideReport, duration, integer, integers, pairs, rate, ratio } from "../config/values.js";
import { SIZE_MAX } from "../generator/frames.js";
import { CaromError } from "../native/error.js";
import { runOptions } from "./plan.js";

const search = optionGroup("Search");
const output = optionGroup("Output");

export const HIGHEST = 1e9; // ticks/s
const LONGEST_NS = 3600e9;

const {
  // Of these a limit has its own.
  backend: _backend,
  responderBackend: _responderBackend,
  rate: _rate,
  duration: _duration,
  size: _size,
  triggerRatio: _triggerRatio, // every tick has to be answered
  // A trial is one rate held for a time.
  count: _count,
  window: _window,
  quiet: _quiet,
  profile: _profile,
  scale: _scale,
  scaleBy: _scaleBy,
  breakdown: _breakdown,
  late: _late,
  tolerance: _tolerance,
  arrivals: _arrivals,
  streams: _streams,
  capture: _capture,
  captureBuffer: _captureBuffer,
  startAt: _startAt,
  stamps: _stamps,
  stampEvery: _stampEvery,
  stampRoom: _stampRoom,
  runId: _runId,
  clockError: _clockError,
  ...shared
} = runOptions;

export const limitOptions = {
  backends: search(
    pairs(GENERATOR_BACKENDS, RESPONDER_BACKENDS),
    "what to compare: the generator's backend, or with the responder's as af_xdp:xdp, separated by commas",
    "list",
    "af_xdp",
  ),
  sizes: search(
    integers(64, SIZE_MAX),
    "frame sizes with the FCS, separated by commas; padded behind the tick (default: what a tick needs)",
    "bytes",
  ),
  loss: search(ratio(0.5), "a trial passes with up to this part of the ticks not answered", "part", "0"),
  resolution: search(
    ratio(0.5),
    "the search ends when the rates that passed and failed are this close",
    "part",
    "1%",
  ),
  maxRate: search(rate(HIGHEST), "the first rate tried (default: what --link-speed carries)", "ticks/s"),
  minRate: search(rate(HIGHEST), "no rate below this is tried", "ticks/s", "1k"),
  trial: search(
    duration(10e6, LONGEST_NS),
    "how long a trial of the search is (RFC 2544: 60s)",
    "time",
    "2s",
  ),
  final: search(
    duration(10e6, LONGEST_NS),
    "how long those are that confirm a rate and measure latency (default: as --trial; RFC 2544: 60s and 120s)",
    "time",
  ),
  pause: search(
    duration(0, LONGEST_NS),
    "between two trials (default: 5s as in RFC 2544; 100ms with carom's responder, new for each trial)",
    "time",
  ),
  trials: search(
    integer(1, 1000),
    "how often all is done, to give the median and the spread (RFC 2544, latency: 20)",
    "number",
    "1",
  ),
  atLeast: search(rate(HIGHEST), "exit status 1 when a limit is lower", "ticks/s"),
  svg: output(besideReport(), "draw throughput and latency into a file", "file"),
  ...shared,
  linkSpeed: { ...runOptions.linkSpeed, group: "Search", description: "what the link carries, in bit/s" },
} as const;

export type LimitValues = Values<typeof limitOptions>;

/** @throws CaromError (usage) for what contradicts itself */
export function refuseContradictions(values: LimitValues, max_pps: number): void {
  const refuse = (operation: string, detail: string, hint: string): never => {
    throw new CaromError("usage", operation, detail, hint);
  };
  if (values.minRate > max_pps) {
    const detail = `it is above the highest rate of ${Math.floor(max_pps).toLocaleString("en-US")} ticks a second`;
    refuse("--min-rate", detail, "lower it, or raise --max-rate");
  }
  if (values.resolution < 0.0001) refuse("--resolution", "it is below 0.01%", "raise it");
  const ticks = (values.minRate * Math.min(values.trial, values.final ?? values.trial)) / 1e9;
  if (ticks < 100) {
    refuse(
      "--min-rate",
      `at that rate a trial has ${Math.floor(ticks)} ticks, which says little`,
      "raise it, or --trial",
    );
  }
  const isForeign = values.interface !== undefined || !values.responder;
  const second = values.backends.find(([, responder]) => responder !== undefined);
  if (isForeign && second !== undefined) {
    refuse(
      `--backends ${second.join(":")}`,
      "the second is the responder's in the lab, and another device answers",
      `give ${second[0]}`,
    );
  }
}
