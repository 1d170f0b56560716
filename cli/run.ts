/** carom run: one measured run. */

import { optionGroup } from "../config/option.js";
import { flag } from "../config/values.js";
import { isInUserNamespace, reexecInUserNamespace } from "../lab/user_namespace.js";
import { type Outcome, outputOptions, runAndReport } from "../run/command.js";
import { runOptions } from "../run/plan.js";
import { reportAsJson } from "../run/report.js";
import { progressLine, reportLines } from "../run/text.js";
import { type Context, defineCommand } from "./command.js";

const where = optionGroup("Where it runs");

const options = {
  userNamespace: where(
    flag(),
    "without root: make the lab in a user namespace (af_packet, udp)",
    "",
    "false",
  ),
  ...runOptions,
  ...outputOptions,
} as const;

export const command = defineCommand({
  name: "run",
  summary: "one measured run: market data out, orders back, each one timed and judged",
  description:
    "Sends ticks, takes the orders that come back, times each round trip and judges each order. " +
    "By default in the built-in lab, against carom's own responder, as a closed loop with one tick in flight; " +
    "--rate makes it an open loop on an absolute schedule, --interface drives a device on a real link.",
  options,
  examples: [
    ["carom run", "how fast is the path here: one tick in flight, 5 seconds"],
    [
      "carom run --rate 200k --duration 60s",
      "a fixed schedule; late, lost and wrong answers are all counted",
    ],
    ["carom run --backend udp --responder-backend af_xdp", "kernel sockets on the generator's side"],
    [
      "carom run --interface eth1 --rate 50k --hlog run.hlog --json",
      "a device that joined 239.1.1.1 on eth1's network",
    ],
    ["carom run --interface eth1 --no-multicast --target-ip 198.18.0.2", "a device at one address"],
  ],
  async run(values, context) {
    if (values.userNamespace && !isInUserNamespace()) return reexecInUserNamespace(process.argv.slice(2));
    const outcome = await runAndReport("run", values, progress(context));
    return present(outcome, context);
  },
});

/** Prints what a run found. @returns the exit status */
export function present(outcome: Outcome, context: Context): number {
  const { report, plan, found, failure } = outcome;
  for (const line of reportLines(report, plan, found)) context.say(line);
  context.result(reportAsJson(report));
  if (failure !== undefined) {
    process.stderr.write(`carom: ${failure.message}\n`);
    return failure.exitStatus;
  }
  return report.faults.length === 0 ? 0 : 1;
}

/** A line a second on a terminal; without one, nothing disturbs the run. */
export function progress(context: Context) {
  if (context.json || !process.stderr.isTTY) return undefined;
  return ({ elapsed_s, counters }: { elapsed_s: number; counters: Readonly<Record<string, number>> }) => {
    process.stderr.write(`\r\x1b[K${progressLine(elapsed_s, counters)}\r`);
  };
}
