/** carom profile: what a profile looks like, without sending it. */

import pc from "picocolors";
import { optionGroup } from "../config/option.js";
import { writeAsked } from "../config/output.js";
import { strategyOptions } from "../config/strategy.js";
import { besideReport, duration, formatNs } from "../config/values.js";
import { sendOptions } from "../generator/config.js";
import { type Feed, feedOf, profileOptions } from "../generator/feed.js";
import { type FeedSampled, sampleFigures } from "../generator/figures.js";
import { type FrameShape, linkRate, shapeLines } from "../generator/frames.js";
import { loadProfile, readyProfiles } from "../generator/profile.js";
import { feedSvg } from "../generator/svg.js";
import { rateText } from "../run/lines.js";
import { overTimeLines, shareLines } from "../run/picture.js";
import { aSecond } from "../run/rate.js";
import { type Context, defineCommand } from "./command.js";
import { formatTable } from "./table.js";

const sample = optionGroup("Sample");

const options = {
  duration: sample(duration(1e6, 24 * 3600e9), "how much of it to plan", "time", "10s"),
  svg: sample(besideReport(), "draw it into a file", "file"),
  seed: { ...sendOptions.seed, group: "Profile" },
  ...profileOptions,
  threshold: {
    ...strategyOptions.threshold,
    description: "prices are mirrored at this one for the trigger ratio",
    group: "Profile",
  },
} as const;

export const command = defineCommand({
  name: "profile",
  summary: "what a profile looks like: rate over time, gaps, symbols; without sending anything",
  description:
    "Plans the ticks of a profile, as a run would, and draws them: how many a second over time and in windows of " +
    "1 ms, the times between neighbours, and how the ticks fall on the symbols. Without a name, lists the profiles " +
    "that come with carom.",
  arguments: "[name|file]",
  options,
  examples: [
    ["carom profile", "the profiles that there are"],
    ["carom profile opening --duration 1m --svg opening.svg", "a minute of one of them, as a picture, too"],
    ["carom profile ./mine.yaml --scale 8x --scale-by bursts --json", "your own, eight times as much"],
  ],
  async run(values, context) {
    const [given] = context.args;
    if (given === undefined) return listProfiles(values.linkSpeed, context);
    const feed = feedOf({ ...values, profile: given }, "", undefined);
    const found = sampleFigures(feed, values.duration);
    for (const line of profileLines(feed, found)) context.say(line);
    const { gapBins: _, shares: __, ...figures } = found;
    const { profile, scale, rate_pps: offered_pps, schedule } = feed;
    context.result({
      schema: "carom.profile",
      version: 1,
      name: profile!.name,
      description: profile!.description,
      seed: schedule.seed.toString(),
      scale,
      offered_pps,
      ceiling_pps: profile!.ceiling,
      ...figures,
    });
    if (values.svg !== undefined) await writeAsked(values.svg, feedSvg(profile!.name, found));
    return 0;
  },
});

function listProfiles(linkSpeed: number, context: Context): number {
  const carried = (shape: FrameShape) => linkRate(linkSpeed, false, false, shape);
  const profiles = [...readyProfiles().keys()].map((name) => loadProfile(name, carried));
  for (const line of formatTable(profiles.map(({ name, description }) => [name, description]))) {
    context.say(line);
  }
  context.result({ profiles: profiles.map(({ name, description }) => ({ name, description })) });
  return 0;
}

function profileLines(feed: Feed, found: FeedSampled): string[] {
  const { profile, scale, rate_pps, schedule } = feed;
  const count = (value: number) => value.toLocaleString("en-US", { maximumFractionDigits: 0 });
  const head = [
    `carom profile ${profile!.name}${scale === 1 ? "" : ` × ${scale}`}`,
    `${found.duration_s} s`,
    `seed ${schedule.seed}`,
  ];
  const { percentiles, max } = found.windows;
  const windows = percentiles.map(({ percentile, ticks }) => `p${percentile} ${count(ticks)}`);
  const gaps = found.gaps.percentiles.map(
    ({ percentile, value_ns }) => `p${percentile} ${formatNs(value_ns)}`,
  );
  const tops = found.symbols.top.map(({ symbols, share }) => `top ${symbols} ${(100 * share).toFixed(1)} %`);
  const ceiling = profile!.ceiling === 0 ? "none" : `${count(Math.floor(profile!.ceiling))} ticks a second`;
  const seen = `${count(found.symbols.seen)} of ${count(found.symbols.count)} seen`;
  return [
    pc.bold(head.join(" · ")),
    ...(profile!.description === "" ? [] : [`  ${profile!.description}`]),
    "",
    row("ticks", `${count(found.ticks)}, ${aSecond(found.rate_pps)}; ${rateText(rate_pps)} on average`),
    row("ceiling", ceiling),
    ...shapeLines(feed.shape).map(([name, text]) => row(name, text)),
    ...(feed.shape.packing === undefined
      ? []
      : [row("datagrams", `${found.ticks_per_datagram.toFixed(2)} ticks each on average`)]),
    row("in 1 ms", [...windows, `max ${count(max)}`].join("   ")),
    row("gaps", gaps.join("   ")),
    row("symbols", [...tops, seen].join("   ")),
    row("triggering", `${(100 * found.below_threshold).toFixed(1)} % are below the threshold`),
    "",
    ...overTimeLines(
      "ticks a second",
      found.rate_over_time.map(({ rate_pps: rate }) => rate),
      found.duration_s * 1e9,
    ),
    "",
    ...shareLines("time between neighbours", found.gapBins),
  ];
}

function row(name: string, text: string): string {
  return `  ${pc.dim(name.padEnd(12))}${text}`;
}
