/** carom generate: the generator alone. */

import { resolveValues } from "../config/file.js";
import { ioOptions } from "../config/io.js";
import { strategyOptions } from "../config/strategy.js";
import { isFlatOut, isOpen, sendOptions } from "../generator/config.js";
import { CaromError } from "../native/error.js";
import { certificateOptions } from "../run/certificate.js";
import { outputOptions, runAndReport } from "../run/command.js";
import { captureOptions, linkOptions, runOptions } from "../run/plan.js";
import { stampOptions } from "../run/stamps.js";
import { defineCommand } from "./command.js";
import { present, progress, samePlan } from "./run.js";

const options = {
  ...linkOptions,
  ...sendOptions,
  threshold: {
    ...strategyOptions.threshold,
    description: "prices lie on either side of this one",
    group: "What is sent",
  },
  ...certificateOptions,
  ...ioOptions,
  ...outputOptions,
  ...captureOptions,
  ...stampOptions,
} as const;

export const command = defineCommand({
  name: "generate",
  summary: "the generator alone: sends ticks, expects no answers",
  description:
    "Sends ticks at a rate, on an absolute schedule, and reports how well it was held. No answer is waited for " +
    "and no ledger of answers is kept.",
  options,
  examples: [
    [
      "carom generate --interface eth1 --rate 100k --duration 10s",
      "to the multicast group, on eth1's network",
    ],
    ["carom generate --lab mylab --rate 1k", "into a lab of carom lab up, where your program listens"],
  ],
  async run(values, context) {
    if (values.interface === undefined && values.lab === undefined) {
      throw new CaromError(
        "usage",
        "carom generate",
        "neither --interface nor --lab was given",
        "say where to send",
      );
    }
    if (!isOpen(values) && !isFlatOut(values)) {
      throw new CaromError(
        "usage",
        "carom generate",
        "none of --rate, --profile and --streams was given",
        "say how many ticks a second, --rate 100k for one",
      );
    }
    // The options about answers stay at their defaults: no answer is looked at.
    const outcome = await runAndReport(
      "generate",
      { ...resolveValues(runOptions, new Map()), ...values },
      progress(context),
      { onPlan: samePlan(context) },
    );
    return present(outcome, values, context);
  },
});
