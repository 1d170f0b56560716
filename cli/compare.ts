/** carom compare: two finished runs side by side. */

import { optionGroup } from "../config/option.js";
import { percentiles, ratio } from "../config/values.js";
import { compareRuns } from "../history/compare.js";
import { compareLines } from "../history/compare_text.js";
import { readContender } from "../history/contender.js";
import { CaromError } from "../native/error.js";
import { defineCommand } from "./command.js";

const test = optionGroup("The test");

export const command = defineCommand({
  name: "compare",
  summary: "two finished runs side by side, and whether the second is worse",
  description:
    "Compares the round trips of two runs of the history, or of two reports that carom run --json wrote. Ends with 1 " +
    "when the second is significantly worse: a percentile is higher by more than the threshold, or there are faults " +
    "of a kind that the first has none of; with 2 when something that was asked for could not be tested.",
  arguments: "<first> <second>",
  options: {
    percentile: test(percentiles(8), "which percentiles are tested", "list", "p50,p99"),
    threshold: test(ratio(10), "what is slower by no more than this is not worse", "part", "5%"),
    level: test(ratio(0.5), "how often at most it is to be called worse when it is not", "part", "1%"),
  },
  examples: [
    ["carom compare last~1 last", "the latest run against the one before"],
    [
      "carom compare baseline.json 17 --threshold 3%",
      "a report from a file against run 17, as a CI job does",
    ],
  ],
  async run(values, context) {
    const [first, second] = [readContender(context.args[0]!), readContender(context.args[1]!)];
    const { threshold, level } = values;
    if (level === 0) throw new CaromError("usage", "--level 0", "nothing is ever worse then", "1% is usual");
    const compared = compareRuns(first, second, values.percentile, { threshold, level });
    for (const line of compareLines(compared, first, second)) context.say(line);
    const told = [first, second].map(({ whole: _, parts, ...run }) => ({ ...run, parts: parts.length }));
    context.result({ ...compared, runs: told });
    return compared.worse.length > 0 ? 1 : compared.untested.length > 0 ? 2 : 0;
  },
});
