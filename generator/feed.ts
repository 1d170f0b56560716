/** The feed of a run: what its options, and its profile if it has one, make of arrival and content. */

import { isIP } from "node:net";
import type { Values } from "../config/option.js";
import { optionGroup } from "../config/option.js";
import { choice, filePath, rate, scale } from "../config/values.js";
import { CaromError } from "../native/error.js";
import type { ScheduleConfig, TickConfig } from "../native/index.js";
import { type FrameShape, linkRate, PLAIN } from "./frames.js";
import { loadProfile, type Profile } from "./profile.js";

const profiles = optionGroup("Profile");

export const SCALE_MAX = 1000;
export const FASTEST_LINK = 1e12; // bit/s

export const profileOptions = {
  scale: profiles(scale(0.001, SCALE_MAX), "so many times as much of it, such as 2x or 0.5x", "factor"),
  scaleBy: profiles(
    choice("gaps", "bursts"),
    "how: gaps made smaller, or each tick several times over (default: gaps)",
    "how",
  ),
  linkSpeed: profiles(
    rate(FASTEST_LINK),
    "what the link carries, in bit/s: the ceiling of a profile",
    "bit/s",
    "10G",
  ),
} as const;

export const namedProfile = profiles(
  filePath(),
  "open loop: arrival, symbols and prices by the name of a profile, or from a file (carom profile)",
  "name|file",
);

export interface FeedValues extends Values<typeof profileOptions> {
  readonly profile?: string | undefined;
  readonly rate?: number | undefined;
  readonly seed?: bigint | undefined;
  readonly triggerRatio?: number | undefined;
  readonly feedSymbols?: readonly string[] | undefined;
  readonly priceSpan?: number | undefined;
  readonly threshold: number;
  readonly match?: string | undefined;
  readonly size?: number | undefined;
}

export interface Feed {
  readonly profile: Profile | null;
  readonly scale: number;
  readonly rate_pps: number; // on average
  readonly peak_pps: number; // what 50 ms hardly ever exceed
  readonly carried_pps: number; // what the link carries of its frames
  readonly schedule: ScheduleConfig;
  readonly ticks: TickConfig;
  readonly shape: FrameShape;
}

const DEFAULTS = {
  seed: 1n,
  triggerRatio: 0.9,
  feedSymbols: ["AAPL", "MSFT", "GOOG", "AMZN", "NVDA", "META", "TSLA", "INTC"],
  priceSpan: 1000,
};

/**
 * @param destination address that ticks go to: IPv6 has longer frames
 * @throws CaromError (usage) for a profile that can't be, and options that contradict it
 */
export function feedOf(values: FeedValues, destination: string, vlan: number | undefined): Feed {
  const sized = (shape: FrameShape) =>
    values.size === undefined ? shape : { ...shape, sizes: [values.size] };
  const carried = (shape: FrameShape) =>
    linkRate(values.linkSpeed, isIP(destination) === 6, vlan !== undefined, sized(shape));
  const profile = values.profile === undefined ? null : loadProfile(values.profile, carried);
  refuseContradictions(values, profile);
  const { scale: factor = 1, scaleBy = "gaps" } = values;
  // As fast as it goes is at most what the link carries.
  const rate = values.rate === Number.POSITIVE_INFINITY ? carried(PLAIN) : values.rate;
  const rate_pps = (profile?.mean ?? rate ?? 1) * factor;
  const ceiling = profile?.ceiling ?? 0;
  if (ceiling > 0 && rate_pps > ceiling) {
    const shown = (value: number) => Math.floor(value).toLocaleString("en-US");
    const detail = `${shown(rate_pps)} ticks/s on average do not fit under the ceiling of ${shown(ceiling)}`;
    throw new CaromError("usage", `--scale ${factor}x`, detail, "lower it, or raise --link-speed");
  }
  const peak_pps = (profile?.peak ?? rate ?? 1) * factor;
  const seed = values.seed ?? profile?.seed ?? DEFAULTS.seed;
  const isEven = profile?.arrival.kind === "constant" && scaleBy === "gaps";
  const universe = profile?.universe ?? { symbols: values.feedSymbols ?? DEFAULTS.feedSymbols, weights: 0 };
  return {
    profile,
    scale: factor,
    rate_pps,
    peak_pps: ceiling > 0 ? Math.min(peak_pps, ceiling) : peak_pps,
    carried_pps: carried(profile?.shape ?? PLAIN),
    shape: sized(profile?.shape ?? PLAIN),
    schedule: {
      arrival: profile?.arrival ?? {
        kind: "constant",
        rateMilliHz: Math.round((rate ?? 1) * 1000),
      },
      seed,
      scaleThousandths: Math.round(factor * 1000),
      scaleBursts: scaleBy === "bursts",
      // A fixed rate below it never meets it.
      ceilingMilliHz: isEven ? 0 : Math.floor(ceiling * 1000),
    },
    ticks: {
      seed,
      triggerRatio: values.triggerRatio ?? profile?.triggerRatio ?? DEFAULTS.triggerRatio,
      symbols: universe.symbols,
      weights: universe.weights,
      priceSpan: values.priceSpan ?? DEFAULTS.priceSpan,
      threshold: values.threshold,
      uniquePrices: values.match === "price",
      walk: profile?.walk ?? null,
      lot: profile?.lots?.lot ?? 100,
      lotsMin: profile?.lots?.min ?? 1,
      lotsMax: profile?.lots?.max ?? 10,
    },
  };
}

function refuseContradictions(values: FeedValues, profile: Profile | null): void {
  const refuse = (operation: string, detail: string, hint: string): never => {
    throw new CaromError("usage", operation, detail, hint);
  };
  if (profile !== null && values.rate !== undefined) {
    refuse(
      "--rate with --profile",
      "a rate is the profile steady",
      "give one of them; --scale makes it more",
    );
  }
  const isPaced = values.rate !== undefined && values.rate !== Number.POSITIVE_INFINITY;
  if (profile === null && !isPaced && (values.scale ?? values.scaleBy) !== undefined) {
    refuse("--scale", "there is nothing to scale", "add --profile or --rate");
  }
  if (values.scaleBy === "bursts" && (values.scale ?? 1) < 1) {
    refuse("--scale-by bursts", "a tick can't come less than once", "use --scale-by gaps");
  }
  if (values.scaleBy !== undefined && values.scale === undefined) {
    refuse("--scale-by", "it says how --scale is done", "add --scale");
  }
  if (profile?.shape.packing !== undefined && values.size !== undefined) {
    refuse("--size", "a packed frame is as long as the ticks in it", "leave it out");
  }
  if (profile?.universe !== undefined && values.feedSymbols !== undefined) {
    refuse("--feed-symbols with --profile", "the profile has symbols of its own", "leave one of them out");
  }
  if (profile?.walk !== undefined && values.priceSpan !== undefined) {
    refuse("--price-span with --profile", "the profile has prices of its own", "leave one of them out");
  }
  if (profile?.walk !== undefined && values.match === "price") {
    refuse("--match price", "prices that walk are not unique", "use --match clordid or fifo");
  }
}
