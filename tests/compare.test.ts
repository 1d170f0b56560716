/** carom compare: the test keeps its level on runs of no difference, finds a true one, and says what it can't tell. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Compared, compareAll, compareRuns } from "../history/compare.js";
import { compareLines } from "../history/compare_text.js";
import { contenderOf } from "../history/contender.js";
import { drawCurves } from "../history/curve.js";
import { compareSections, holm, sectionsOf, testSections } from "../history/quantile_test.js";
import { CaromError } from "../native/error.js";
import { carom, jsonOf } from "./cli_support.js";
import {
  AT_THE_CLIFF,
  DRIFTING,
  encodedParts,
  parts,
  reportWith,
  type Shape,
  STEADY,
} from "./compare_support.js";
import { casesOf, seeded } from "./random.js";

const folder = mkdtempSync(join(tmpdir(), "carom-compare-"));
test.after(() => rmSync(folder, { recursive: true }));

const LEVEL = 0.05;
const COMPARISONS = casesOf(200, 5000);
const FALSE_ALARMS_MAX = LEVEL * COMPARISONS; // as often as the level says, and no more
const PERCENTILES = [50, 99];

/** How many of many comparisons call the second run worse. */
function alarms(first: Shape, second: Shape, threshold: number, comparisons = COMPARISONS): number {
  let found = 0;
  for (let round = 0; round < comparisons; round++) {
    const random = seeded(round);
    const [one, other] = [first, second].map((shape) => sectionsOf(parts(shape, random), 0));
    const differences = testSections(one!, other!, PERCENTILES, { threshold, level: LEVEL });
    if (differences.some(({ worse }) => worse)) found++;
  }
  return found;
}

test("runs of no difference are called worse no more often than the level says", () => {
  let all = 0;
  for (const shape of [STEADY, DRIFTING, AT_THE_CLIFF]) {
    const found = alarms(shape, shape, 0);
    all += found;
    assert.ok(found <= FALSE_ALARMS_MAX, `${found} false alarms in ${COMPARISONS}: ${JSON.stringify(shape)}`);
  }
  assert.ok(all > 0, "it is not deaf");
  // Slower by just the threshold is not slower by more.
  assert.ok(alarms(STEADY, { ...STEADY, factor: 1.05 }, 0.05) <= FALSE_ALARMS_MAX, "at the threshold");
});

test("a true shift is found, in the middle and in the tail alone", () => {
  const rounds = 40;
  assert.is(alarms(STEADY, { ...STEADY, factor: 1.1 }, 0.05, rounds), rounds, "10 % slower");
  assert.ok(alarms(DRIFTING, { ...DRIFTING, factor: 1.15 }, 0.05, rounds) >= 0.9 * rounds, "15 % slower");
  // Three in a hundred are slow now: the median does not see it.
  const tail = alarms(STEADY, { ...STEADY, slow: 0.003 }, 0.05, rounds);
  assert.ok(tail >= 0.9 * rounds, `${tail} of ${rounds} in the tail`);
  assert.is(alarms({ ...STEADY, factor: 1.1 }, STEADY, 0, rounds), 0, "faster is not worse");
});

test("the interval holds the true ratio, and the figures are those of the values", () => {
  const random = seeded(11);
  let inside = 0;
  for (let round = 0; round < COMPARISONS; round++) {
    const [one, other] = [STEADY, { ...STEADY, factor: 1.2 }].map((shape) =>
      sectionsOf(parts(shape, random), 0),
    );
    const [median] = compareSections(one!, other!, [50], { threshold: 0, level: LEVEL });
    assert.ok(Math.abs(median!.first_ns / 2500 - 1) < 0.02, `${median!.first_ns}`);
    assert.ok(Math.abs(median!.ratio - 0.2) < 0.02, `${median!.ratio}`);
    if (median!.from! <= 0.2 && median!.to! >= 0.2) inside++;
  }
  assert.ok(inside >= 0.88 * COMPARISONS && inside < COMPARISONS, `${inside} of ${COMPARISONS} intervals`);
});

test("Holm's step-down: the smallest p-value has to be smallest by most", () => {
  assert.equal(holm([0.01, 0.04, 0.03], 0.05), [true, false, false]);
  assert.equal(holm([0.01, 0.02, 0.03], 0.05), [true, true, true]);
  assert.equal(holm([0.02, 0.02, 0.03], 0.05), [false, false, false]);
  assert.equal(holm([], 0.05), []);
});

const TEST = { threshold: 0.05, level: 0.01 };

/** Two runs: the second is changed. */
function compared(
  changes: object,
  verdicts: object = {},
  percentiles: readonly number[] = PERCENTILES,
  before: object = {},
): Compared {
  const texts = encodedParts(STEADY, seeded(3));
  const first = contenderOf("run 1", reportWith(texts, {}, before));
  return compareRuns(first, contenderOf("run 2", reportWith(texts, changes, verdicts)), percentiles, TEST);
}

test("ticks that were never answered count, and so do faults", () => {
  const same = compared({});
  assert.equal(same.worse, []);
  assert.equal(same.untested, []);
  const wrong = compared({}, { wrong: 3 });
  assert.equal(wrong.worse, ["3 wrong, and none before"]);
  const faults = (before: number, after: number) =>
    compared({}, { late: after }, PERCENTILES, { late: before }).worse;
  assert.equal(faults(1, 4), [], "few are chance");
  assert.equal(faults(400, 700), [], "not twice as many");
  assert.equal(faults(5, 60), ["60 late, 12.0 times as many of all ticks as before"]);
  assert.equal(faults(60, 5), [], "fewer are not worse");
  const missing = compared({}, { missing: 400 }); // 3 %
  assert.ok(
    missing.worse.includes("p99 lies among the ticks that were never answered"),
    missing.worse.join(),
  );
  assert.is(missing.rows.find(({ percentile }) => percentile === 99)!.values_ns[1], null);
  assert.match(missing.untested[0]!.reason, "never answered");
});

test("what can't be told is said", () => {
  const few = compared({}, {}, [50, 99.99]);
  assert.equal(few.untested, [{ percentile: 99.99, reason: "fewer than 100 samples of run 1 lie above it" }]);
  const other = compared({ environment: { host: "there", kernel: "6.1", cpu: "some", cores: 2 } });
  assert.equal(other.notes, ["host: here, then there"]);
  const refused = (changes: object, message: RegExp) =>
    assert.throws(
      () => compared(changes),
      (error: unknown) =>
        error instanceof CaromError && error.code === "usage" && message.test(error.message),
    );
  const texts = encodedParts(STEADY, seeded(3));
  const histograms = reportWith(texts).histograms;
  refused(
    { histograms: { ...histograms, parts: { of: "actual", histograms: texts.slice(0, 7) } } },
    /7 parts/,
  );
  const open = {
    ...histograms,
    latency_planned: histograms.latency_actual,
    parts: { of: "planned", histograms: texts },
  };
  refused({ histograms: open }, /a closed one, run 2 is an open loop/);
  refused({ histograms: { ...histograms, latency_actual: null } }, /no tick was answered/);
  refused({ histograms: { ...histograms, latency_actual: "HISTFAAA" } }, /can't be read/);
  refused({ histograms: undefined }, /no report with histograms/);
  refused({ version: 2 }, /no report/);
});

test("two curves can be told apart without colour", () => {
  const flat = (height: number) => ({ at: () => height });
  const text = (rows: ReturnType<typeof drawCurves>) =>
    rows.map((row) => row.map((cell) => cell.text).join(""));
  const cells = drawCurves([flat(1), flat(0)], 8, 2);
  assert.equal(text(cells), ["⠉⠉⠉⠉⠉⠉⠉⠉", "⣀⣀  ⣀⣀  "]);
  assert.is(cells[0]![0]!.owner, 0);
  assert.is(cells[1]![0]!.owner, 1);
  const four = drawCurves([flat(1), flat(0.7), flat(0.4), flat(0)], 8, 4);
  assert.is(new Set(text(four)).size, 4, "each is broken in its own way");
  // A step is a line up; where nothing is, nothing is drawn.
  const step = { at: (part: number) => (part < 0.5 ? 0 : 1) };
  assert.equal(text(drawCurves([step], 4, 2)), ["  ⡏⠉", "⣀⣀⠇ "]);
});

test("the lines for people show both, the test, and the verdict", () => {
  const texts = encodedParts(STEADY, seeded(3));
  const slower = encodedParts({ ...STEADY, factor: 1.2 }, seeded(4));
  const [first, second] = [contenderOf("run 1", reportWith(texts)), contenderOf("run 2", reportWith(slower))];
  const lines = compareLines(compareAll([first, second], PERCENTILES, TEST), [first, second]);
  const text = lines.join("\n");
  assert.match(
    text,
    /^ {2}p50 +2\.5\d µs +(2\.9|3\.0)\d µs +\+(19|2[01])\.\d % +\+1[89]\.\d % to \+2[0-2]\.\d % {2}worse$/m,
  );
  assert.match(text, "af_xdp → xdp, 5.0 s, 12,800 of 12,800 answered, no faults");
  assert.match(text, /run 2 is worse: p50 is (19|2[01])\.\d % higher, which is more than 5 %/);
  assert.match(text, "Mood's test");
  const far = contenderOf("run 3", reportWith(encodedParts({ ...STEADY, factor: 30 }, seeded(4))));
  const factor = compareLines(compareAll([first, far], PERCENTILES, TEST), [first, far]).join("\n");
  assert.match(factor, /run 3 is worse: p50 is (29|3[01]) times as high, which is more than 5 %/);
  // Where both have ticks that were never answered, the axis goes as far as the curves do.
  const lost = [first, second].map((run) => ({ ...run, verdicts: { ...run.verdicts, missing: 1000 } }));
  const labels = compareLines(compareAll(lost, PERCENTILES, TEST), lost)
    .join("\n")
    .match(/^ +[\d.]+ [nµm]s (?=[ \u2800-\u28ff])/gm)!;
  assert.is.not(labels[0], labels.at(-1), labels.join());
});

test("several runs are compared with the first, and the level is shared out among them", () => {
  const at = (factor: number, seed: number) => reportWith(encodedParts({ ...STEADY, factor }, seeded(seed)));
  const runs = [at(1, 1), at(1, 2), at(1.2, 3)].map((report, index) =>
    contenderOf(`run ${index + 1}`, report),
  );
  const comparisons = compareAll(runs, PERCENTILES, TEST);
  assert.equal(
    comparisons.map(({ worse, test: { level } }) => [worse.length > 0, level]),
    [
      [false, TEST.level / 2],
      [true, TEST.level / 2],
    ],
  );
  const text = compareLines(comparisons, runs).join("\n");
  assert.match(text, "carom compare · run 1, run 2 and run 3 ·");
  assert.match(text, /^ +run 1 +run 2 +run 3$/m);
  assert.match(text, /^ {2}p50 +2\.5\d µs +2\.5\d µs +[+−]\d\.\d % +(2\.9|3\.0)\d µs +\+(19|2[01])\.\d %✗$/m);
  assert.match(text, /run 2 is not significantly worse\n +run 3 is worse: p50/);
  const many = Array.from({ length: 5 }, () => runs[0]!);
  assert.throws(() => compareAll(many, PERCENTILES, TEST), /compare 5 runs: 4 are compared at the most/);
});

test("carom compare on files: its exit status gates a job", async () => {
  const write = (name: string, value: unknown) => {
    const path = join(folder, name);
    writeFileSync(path, typeof value === "string" ? value : JSON.stringify(value));
    return path;
  };
  const base = write("base.json", reportWith(encodedParts(STEADY, seeded(1))));
  const again = write("again.json", reportWith(encodedParts(STEADY, seeded(2))));
  const slow = write("slow.json", reportWith(encodedParts({ ...STEADY, factor: 1.1 }, seeded(3))));
  const run = (...args: string[]) => carom("compare", ...args, "--json");
  const [same, worse, allowed, unsure, absent, bad] = await Promise.all([
    run(base, again),
    run(base, slow),
    run(base, slow, "--threshold", "20%"),
    run(base, again, "--percentile", "p50,p99.99"),
    run(base, join(folder, "absent.json")),
    run(base, write("bad.json", "{")),
  ]);
  assert.is(same!.status, 0, same!.stderr);
  assert.is(worse!.status, 1);
  assert.match((jsonOf(worse!) as unknown as Compared).worse.join(), /^p50 is (9|10)\.\d % higher/);
  assert.is((jsonOf(worse!) as unknown as Compared).schema, "carom.compare");
  assert.is(allowed!.status, 0);
  assert.is(unsure!.status, 2);
  assert.match(unsure!.stderr, "not all that was asked for could be tested");
  assert.is(absent!.status, 2);
  assert.match(absent!.stderr, /absent\.json: ENOENT/);
  assert.is(bad!.status, 2);
  assert.match(bad!.stderr, "it is no JSON");
});

test.run();
