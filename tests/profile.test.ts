/** Profiles: what a file may say and what is said of its mistakes, and what the ready ones are like. */

import { test } from "uvu";
import * as assert from "uvu/assert";
import { parseCurve } from "../generator/curve.js";
import { type FeedValues, feedOf } from "../generator/feed.js";
import { sampleFigures } from "../generator/figures.js";
import { linkRate } from "../generator/frames.js";
import { parseProfile, readyProfiles } from "../generator/profile.js";
import { feedSvg } from "../generator/svg.js";
import { parseSymbols } from "../generator/symbols.js";
import { CaromError } from "../native/error.js";
import { sampleFeed } from "../native/index.js";

const LINK = linkRate(10e9, false, false);
const CONSTANT = "arrival: { constant: { rate: 1k } }\n";

function refusal(action: () => unknown): CaromError {
  try {
    action();
  } catch (error) {
    assert.instance(error, CaromError, String(error));
    assert.is((error as CaromError).code, "usage");
    return error as CaromError;
  }
  assert.unreachable("nothing was refused");
  throw new Error();
}

function values(given: Partial<FeedValues>): FeedValues {
  return { scale: undefined, scaleBy: undefined, linkSpeed: 10e9, threshold: 10_000, ...given };
}

test("a link of 10 Gbit/s carries 13.9 million frames of a tick", () => {
  // 14 + 20 + 8 + 24 bytes, 4 of check sequence, 20 of preamble and gap: 90 bytes.
  assert.is(linkRate(10e9, false, false), 10e9 / 720);
  assert.is(linkRate(10e9, false, true), 10e9 / 752);
  assert.is(linkRate(10e9, true, false), 10e9 / 880);
  const shape = (text: string) => parseProfile(`${CONSTANT}${text}`, "p", () => LINK).shape;
  const rate = (text: string) => Math.round(linkRate(10e9, false, false, shape(text)));
  // Sizes have the FCS in them; 20 bytes are between two frames.
  assert.is(rate("sizes: [70, 1518]"), Math.round((2 * 10e9) / (8 * (90 + 1538))));
  assert.is(rate("lines: { a: {}, b: { group: 239.1.1.2 } }"), Math.round(10e9 / 1440));
  assert.is(rate("packing: { within: 1ms, most: 5 }"), Math.round((5 * 10e9) / (8 * (42 + 120 + 24))));
  // Within 100 ns four come at the most: at 30.9 million a second the fourth is 97 ns behind the first.
  assert.is(rate("packing: { within: 100ns, most: 5 }"), Math.round((4 * 10e9) / (8 * (42 + 96 + 24))));
});

test("a profile has what its file says", () => {
  const text = `
description: everything at once
seed: 7
ceiling: 1M
arrival:
  sum:
    - constant: { rate: 1k }
    - poisson: { rate: 2k }
    - bursts: { count: 10, every: 1ms, gap: 1us }
    - microbursts: { size: 20, every: 10ms, gap: 700ns }
    - hawkes: { rate: 500, branching: 0.5, decay: 50us }
symbols: { list: [AAPL, MSFT], exponent: 1 }
prices: { low: 9000, high: 11000, step: 5, start: 10000 }
quantity: { lot: 10, min: 10, max: 50 }
trigger_ratio: 0.25
`;
  const profile = parseProfile(text, "my.yaml", () => LINK);
  assert.is(profile.name, "my");
  assert.is(profile.seed, 7n);
  assert.is(profile.ceiling, 1e6);
  assert.is(profile.mean, 1000 + 2000 + 10_000 + 2000 + 1000);
  assert.equal(profile.universe, { symbols: ["AAPL", "MSFT"], weights: 1 });
  assert.equal(profile.walk, { low: 9000, high: 11_000, step: 5, start: 10_000 });
  assert.equal(profile.lots, { lot: 10, min: 1, max: 5 });
  assert.is(profile.triggerRatio, 0.25);
  assert.is(
    parseProfile(`${CONSTANT}trigger_ratio: walk\nprices: { low: 1, high: 9, step: 1 }`, "p", () => LINK)
      .triggerRatio,
    -1,
  );
});

test("a mistake is told with file, line and column, and what is allowed", () => {
  const cases: readonly (readonly [text: string, says: RegExp])[] = [
    ["", /^p\.yaml:1:1: a profile is a map with the keys: description, seed/],
    ["seed: 1", /^p\.yaml:1:1: arrival is missing/],
    ["arrival: [1", /^p\.yaml:1:12: /],
    ["arrival: constant", /^p\.yaml:1:10: an arrival process is a map with the keys: constant, poisson/],
    ["arrival: {}", /^p\.yaml:1:10: no process is given/],
    [
      "arrival:\n  poison: { rate: 1k }",
      /^p\.yaml:2:3: "poison": no such key in an arrival process; allowed are: constant, poisson, bursts/,
    ],
    ["arrival:\n  poisson: { rate: fast }", /^p\.yaml:2:20: "fast" is not a rate a second such as 200k/],
    [
      "arrival:\n  poisson: { speed: 1k }",
      /^p\.yaml:2:14: "speed": no such key in poisson; allowed are: rate/,
    ],
    ["arrival:\n  poisson: {}", /^p\.yaml:2:12: rate is missing/],
    [
      "arrival:\n  poisson: { rate: 20M }",
      /^p\.yaml:2:20: 20,000,000 ticks\/s are more than the link carries, 13,888,888; lower it, or raise --link-speed/,
    ],
    [
      "arrival:\n  sum:\n    - poisson: { rate: 10M }\n    - poisson: { rate: 10M }",
      /^p\.yaml:2:3: 20,000,000 ticks\/s on average do not fit under the ceiling of 13,888,888/,
    ],
    [
      `${CONSTANT}ceiling: 500`,
      /^p\.yaml:1:10: 1,000 ticks\/s on average do not fit under the ceiling of 500/,
    ],
    [
      "arrival:\n  poisson: { rate: 1k }\n  constant: { rate: 1k }",
      /^p\.yaml:2:3: .* exclude each other; add several/,
    ],
    [
      "arrival:\n  bursts: { count: 9, every: 1us, gap: 1us }",
      /^p\.yaml:2:30: the next burst would begin before/,
    ],
    [
      "arrival:\n  bursts: { count: 100, every: 1us }",
      /^p\.yaml:2:20: 100,000,000 ticks\/s are more than the link/,
    ],
    ["arrival:\n  microbursts: { size: 9, every: 1us, gap: 1us }", /^p\.yaml:2:34: bursts would take longer/],
    [
      "arrival:\n  hawkes: { rate: 1k, branching: 1, decay: 1ms }",
      /^p\.yaml:2:34: "1" is not a number from 0 to 0\.999/,
    ],
    ["arrival:\n  sum: []", /^p\.yaml:2:8: a list of 1 to 16 processes/],
    ["arrival:\n  curve: { file: /nowhere/c.csv }", /^rate curve \/nowhere\/c\.csv: ENOENT/],
    [`${CONSTANT}symbols: { count: 0 }`, /^p\.yaml:2:19: "0" is not a whole number from 1 to 100000/],
    [`${CONSTANT}symbols: { exponent: 1 }`, /^p\.yaml:2:10: one of count, list, file is missing/],
    [`${CONSTANT}symbols: { list: [A, B, A] }`, /^p\.yaml:2:18: A is listed twice/],
    [`${CONSTANT}symbols: { list: [TOOLONGER] }`, /^p\.yaml:2:19: "TOOLONGER" is not a symbol/],
    [`${CONSTANT}prices: { low: 5, high: 5, step: 1 }`, /^p\.yaml:2:25: 5 is not above low, 5/],
    [`${CONSTANT}prices: { low: 5, high: 9, step: 5 }`, /^p\.yaml:2:34: 5 is more than from low to high, 4/],
    [`${CONSTANT}quantity: { min: 150, max: 200 }`, /^p\.yaml:2:18: 150 is no whole number of lots of 100/],
    [`${CONSTANT}trigger_ratio: walk`, /^p\.yaml:2:16: walk leaves it to the prices, and there are none/],
    [`${CONSTANT}trigger_ratio: 2`, /^p\.yaml:2:16: "2" is not a number from 0 to 1, or walk/],
    [`${CONSTANT}seed: 1\nseed: 2`, /^p\.yaml:3:1: /],
    [`${CONSTANT}packing: { most: 5 }`, /^p\.yaml:2:10: within is missing/],
    [
      `${CONSTANT}packing: { within: 1ms, most: 0 }`,
      /^p\.yaml:2:31: "0" is not a whole number from 1 to 2048/,
    ],
    [
      `${CONSTANT}packing: { within: 1ms }\nsizes: [70]`,
      /^p\.yaml:3:8: a packed frame is as long as the ticks/,
    ],
    [`${CONSTANT}sizes: [63]`, /^p\.yaml:2:9: "63" is not a whole number from 64 to 9234/],
    [`${CONSTANT}impairment: { loss: 101% }`, /^p\.yaml:2:21: "101%" is not a part from 0 to 1, such as/],
    [
      `${CONSTANT}impairment: { reorder: { ratio: 0.6 } }`,
      /^p\.yaml:2:33: "0.6" is not a part from 0 to 0.5/,
    ],
    [
      `${CONSTANT}impairment: { corrupt: { ratio: 1%, bytes: 20-24 } }`,
      /^p\.yaml:2:44: "20-24" is not a range of/,
    ],
    [
      `${CONSTANT}impairment: { drop: 1 }`,
      /^p\.yaml:2:15: "drop": no such key in an impairment; allowed are: loss,/,
    ],
    [`${CONSTANT}lines: { a: {} }`, /^p\.yaml:2:8: b is missing/],
    [
      `${CONSTANT}lines: { a: {}, b: { group: 10.0.0.1 } }`,
      /^p\.yaml:2:29: "10.0.0.1" is not a multicast address/,
    ],
    [
      `${CONSTANT}lines: { a: {}, b: {} }\nimpairment: { loss: 1% }`,
      /^p\.yaml:3:13: each line has its own; write it/,
    ],
  ];
  for (const [text, says] of cases) {
    assert.match(refusal(() => parseProfile(text, "p.yaml", () => LINK)).message, says, text);
  }
});

test("a rate curve is read; an empty, unsorted or broken one is refused with line and column", () => {
  const curve = parseCurve("time,rate\n# a day\n34200,1000\n34200.5, 3000 # more\n34201,0\n", "c.csv", LINK);
  assert.equal([...curve.points], [0, 1e6, 0.5e9, 3e6, 1e9, 0]);
  assert.is(curve.mean, 2000);
  assert.is(curve.peak, 3000);
  const cases: readonly (readonly [text: string, says: RegExp])[] = [
    ["", /^c\.csv: the curve is empty/],
    ["time,rate\n\n# nothing\n", /^c\.csv: the curve is empty/],
    ["0,5", /^c\.csv: the curve has one point, and so no length/],
    ["0,5\n1,6\n1,7\n", /^c\.csv:3:1: the time 1 does not come after 1; sort the lines by time/],
    ["0,5\n2,6\n1,7\n", /^c\.csv:3:1: the time 1 does not come after 2/],
    ["0,5\n1\n", /^c\.csv:2:1: "1" is not a time, a comma and a rate/],
    ["0,5\nx,6\n", /^c\.csv:2:1: "x" is not a time in seconds/],
    ["0,5\n1, -6\n", /^c\.csv:2:4: "-6" is not a rate in ticks a second/],
    ["0,5\n1,1e9\n", /^c\.csv:2:3: "1e9" is not a rate/],
    ["0,14000000\n1,0\n", /^c\.csv:1:3: 14000000 ticks\/s are more than the link carries, 13888888/],
    ["0,0\n1,1000\n", /^c\.csv: there is less than one tick in the whole curve/],
  ];
  for (const [text, says] of cases)
    assert.match(refusal(() => parseCurve(text, "c.csv", LINK)).message, says, text);
});

test("a file of symbols is read, with weights or without; mistakes have line and column", () => {
  assert.equal(parseSymbols("AAPL\n# x\nMSFT\n", "s"), { symbols: ["AAPL", "MSFT"], weights: 0 });
  const weighed = parseSymbols("AAPL,3\nMSFT, 0.5\n", "s");
  assert.equal(weighed.weights, Float64Array.from([3, 0.5]));
  for (const [text, says] of [
    ["", /^s: it has no symbols/],
    ["A\nTOOLONGER", /^s:2:1: "TOOLONGER" is not a symbol/],
    ["A\nB\nA", /^s:3:1: A was listed already in line 1/],
    ["A,1\nB,0", /^s:2:3: "0" is not a weight above 0/],
    ["A,1\nB", /^s:2:1: either each symbol has a weight or none/],
    ["A\nB,1", /^s:2:1: either each symbol has a weight or none/],
  ] as const) {
    assert.match(refusal(() => parseSymbols(text, "s")).message, says);
  }
});

test("options that contradict a profile are refused", () => {
  for (const [given, says] of [
    [{ profile: "steady", rate: 1000 }, /^--rate with --profile: a rate is the profile steady/],
    [{ scale: 2 }, /^--scale: there is nothing to scale/],
    [{ profile: "steady", scaleBy: "bursts" }, /^--scale-by: it says how --scale is done/],
    [
      { profile: "steady", scale: 0.5, scaleBy: "bursts" },
      /^--scale-by bursts: a tick can't come less than once/,
    ],
    [{ profile: "opening", feedSymbols: ["A"] }, /^--feed-symbols with --profile/],
    [{ profile: "opening", priceSpan: 5 }, /^--price-span with --profile/],
    [{ profile: "opening", match: "price" }, /^--match price: prices that walk are not unique/],
    [{ profile: "line-rate", scale: 2 }, /^--scale 2x: 27,777,777 ticks\/s on average do not fit/],
    [
      { profile: "steady", linkSpeed: 10e6 },
      /steady\.yaml:4:21: 100,000 ticks\/s are more than the link carries, 13,888/,
    ],
    [
      { profile: "openin" },
      /^profile openin: there is no such profile; there are line-rate, microburst, opening, rfc2544, steady/,
    ],
    [{ profile: "./no.yaml" }, /^profile \.\/no\.yaml: ENOENT/],
  ] as const) {
    assert.match(refusal(() => feedOf(values(given), "", undefined)).message, says);
  }
});

test("the same seed plans the same ticks, whole or in pieces; another seed plans others", () => {
  const feed = feedOf(values({ profile: "opening", seed: 5n }), "", undefined);
  const whole = sampleFeed(feed.schedule, feed.ticks)(50_000);
  const next = sampleFeed(feed.schedule, feed.ticks);
  for (let at = 0; at < 50_000; at += 12_500) {
    const part = next(12_500);
    assert.equal(part.planned_ns, whole.planned_ns.slice(at, at + 12_500));
    assert.equal(part.symbols, whole.symbols.slice(at, at + 12_500));
    assert.equal(part.prices, whole.prices.slice(at, at + 12_500));
  }
  const other = feedOf(values({ profile: "opening", seed: 6n }), "", undefined);
  assert.not.equal(sampleFeed(other.schedule, other.ticks)(1000).planned_ns, whole.planned_ns.slice(0, 1000));
});

test("scaling by gaps divides times, by bursts repeats them, and the ceiling holds", () => {
  const times = (given: Partial<FeedValues>) => {
    const feed = feedOf(values({ profile: "opening", ...given }), "", undefined);
    return sampleFeed({ ...feed.schedule, ceilingMilliHz: 0 }, feed.ticks)(8000).planned_ns;
  };
  const plain = times({});
  assert.equal(
    times({ scale: 8 }),
    plain.map((time) => Math.floor(time / 8)),
  );
  assert.equal(
    times({ scale: 8, scaleBy: "bursts" }),
    plain.map((_, index) => plain[Math.floor(index / 8)]!),
  );
  const feed = feedOf(values({ profile: "opening", scale: 8, scaleBy: "bursts" }), "", undefined);
  const { planned_ns } = sampleFeed(feed.schedule, feed.ticks)(8000);
  for (let index = 10; index < 8000; index++) {
    assert.ok(planned_ns[index]! - planned_ns[index - 10]! > 10 * 72 - 1, "10 frames of 72 ns");
  }
});

test("every ready profile can be drawn, and is what it says on average", () => {
  for (const name of readyProfiles().keys()) {
    const feed = feedOf(values({ profile: name }), "", undefined);
    const found = sampleFigures(feed, name === "line-rate" ? 50e6 : 20e9);
    assert.ok(Math.abs(found.rate_pps / feed.rate_pps - 1) < 0.2, `${name}: ${found.rate_pps} ticks/s`);
    const svg = feedSvg(name, found);
    assert.match(svg, /^<svg .*<\/svg>\n$/s);
    assert.match(svg, /prefers-color-scheme: dark/);
    assert.not.match(svg, /NaN|Infinity|undefined/);
    assert.is(svg.split("<text").length, svg.split("</text>").length);
  }
});

test("opening is like the published figures, as near as docs/profiles.md says", () => {
  const feed = feedOf(values({ profile: "opening" }), "", undefined);
  const found = sampleFigures(feed, 600e9);
  const within = (value: number, target: number, part: number, what: string) =>
    assert.ok(Math.abs(value / target - 1) <= part, `${what}: ${value}, published ${target}`);
  const window = (percentile: number) =>
    found.windows.percentiles.find((entry) => entry.percentile === percentile)!.ticks;
  const gap = (percentile: number) =>
    found.gaps.percentiles.find((entry) => entry.percentile === percentile)!.value_ns;
  assert.is(window(50), 0);
  within(window(90), 8, 0.13, "p90 of 1 ms windows");
  within(window(99), 51, 0.15, "p99 of 1 ms windows");
  within(window(99.9), 253, 0.15, "p99.9 of 1 ms windows");
  within(window(99.99), 363, 0.15, "p99.99 of 1 ms windows");
  within(found.windows.max, 814, 0.15, "the fullest 1 ms window");
  within(gap(5), 676, 0.25, "p5 of the gaps");
  within(gap(10), 1061, 0.15, "p10 of the gaps");
  within(gap(25), 3801, 0.15, "p25 of the gaps");
  within(gap(50), 18_788, 0.15, "p50 of the gaps");
  within(gap(75), 72_398, 0.15, "p75 of the gaps");
  within(found.symbols.top.find(({ symbols }) => symbols === 100)!.share, 0.26, 0.03, "top 100 symbols");
  assert.ok(Math.abs(found.below_threshold - 0.9) < 0.01, "the trigger ratio holds with prices that walk");
});

test.run();
