/** carom compare: finished runs side by side. */

import { optionGroup } from "../config/option.js";
import { percentiles, ratio } from "../config/values.js";
import { compareAll } from "../history/compare.js";
import { compareLines } from "../history/compare_text.js";
import { readContender } from "../history/contender.js";
import { CaromError } from "../native/error.js";
import { defineCommand } from "./command.js";

const test = optionGroup("The test");

export const command = defineCommand({
  name: "compare",
  summary: "finished runs side by side, and whether one is worse than the first",
  description:
    "Compares the round trips of runs of the history, or of reports that carom run --json wrote, with those of the " +
    "first: up to three others. Ends with 1 when one is significantly worse: a percentile is higher by more than the " +
    "threshold, or there are faults of a kind that the first has none of; with 2 when something that was asked for " +
    "could not be tested.",
  arguments: "<run...>",
  options: {
    percentile: test(percentiles(8), "which percentiles are tested", "list", "p50,p99"),
    threshold: test(ratio(10), "what is slower by no more than this is not worse", "part", "5%"),
    level: test(ratio(0.5), "how often at most it is to be called worse when it is not", "part", "1%"),
  },
  examples: [
    ["carom compare last~1 last", "the latest run against the one before"],
    ["carom compare 12 15 16", "two runs against run 12, the curves of all three over each other"],
    [
      "carom compare baseline.json 17 --threshold 3%",
      "a report from a file against run 17, as a CI job does",
    ],
  ],
  async run(values, context) {
    const { threshold, level } = values;
    if (level === 0) throw new CaromError("usage", "--level 0", "nothing is ever worse then", "1% is usual");
    if (context.args.length < 2)
      throw new CaromError("usage", "carom compare", "two runs are needed", "carom history lists them");
    const runs = context.args.map(readContender);
    const comparisons = compareAll(runs, values.percentile, { threshold, level });
    for (const line of compareLines(comparisons, runs)) context.say(line);
    const told = runs.map(({ whole: _, parts, ...run }) => ({ ...run, parts: parts.length }));
    context.result(
      comparisons.length === 1
        ? { ...comparisons[0], runs: told }
        : { schema: "carom.comparisons", version: 1, comparisons, runs: told },
    );
    const isWorse = comparisons.some(({ worse }) => worse.length > 0);
    return isWorse ? 1 : comparisons.some(({ untested }) => untested.length > 0) ? 2 : 0;
  },
});
