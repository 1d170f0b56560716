/** carom run: one measured run. */

import pc from "picocolors";
import { optionGroup, type Values } from "../config/option.js";
import { flag } from "../config/values.js";
import { planDigest } from "../history/digest.js";
import { isInUserNamespace, reexecInUserNamespace } from "../lab/user_namespace.js";
import { asCaromError, CaromError } from "../native/error.js";
import { type Outcome, outputOptions, runAndReport } from "../run/command.js";
import { type Plan, runOptions } from "../run/plan.js";
import { progressLine, reportLines } from "../run/text.js";
import { type Context, defineCommand } from "./command.js";

type HistoryValues = Pick<Values<typeof outputOptions>, "history" | "historyKeep">;

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
    const outcome = await runAndReport("run", values, progress(context), { onPlan: samePlan(context) });
    return present(outcome, values, context);
  },
});

/** Where a run is to be made again: refuses a plan that is another one. */
export function samePlan({ repeats }: Context): (plan: Plan) => void {
  return (plan) => {
    if (repeats === undefined || planDigest(plan) === repeats.plan) return;
    const detail =
      "the same options plan something else now: a file that they name has changed, or carom has";
    throw new CaromError("usage", `repeat run ${repeats.id}`, detail, "carom run makes a new one");
  };
}

/** Prints what a run found, and keeps it. @returns the exit status */
export async function present(outcome: Outcome, values: HistoryValues, context: Context): Promise<number> {
  const { report, plan, found, failure } = outcome;
  const lines = reportLines(report, plan, found);
  for (const line of lines) context.say(line);
  const json = values.history || context.json ? outcome.json() : {};
  const id = values.history ? await remember(outcome, json, lines, values.historyKeep, context) : null;
  context.result({ ...json, history: id });
  if (id !== null) context.say(pc.dim(`  kept as run ${id}: carom history, carom compare`));
  if (failure !== undefined) {
    process.stderr.write(`carom: ${failure.message}\n`);
    return failure.exitStatus;
  }
  return report.faults.length === 0 ? 0 : 1;
}

/** A history that can't be used costs no run its result. @returns the run's number */
async function remember(
  outcome: Outcome,
  json: Record<string, unknown>,
  lines: readonly string[],
  keep: number,
  context: Context,
): Promise<number | null> {
  try {
    const { keepRun } = await import("../history/keep.js"); // SQLite is loaded when the run is over
    return keepRun(outcome, { args: context.args, options: context.given, json, lines, keep });
  } catch (error) {
    process.stderr.write(`carom: ${asCaromError(error, "keep the run").message}\n`);
    return null;
  }
}

/** A line a second on a terminal; without one, nothing disturbs the run. */
export function progress(context: Context) {
  if (context.json || !process.stderr.isTTY) return undefined;
  return ({ elapsed_s, counters }: { elapsed_s: number; counters: Readonly<Record<string, number>> }) => {
    process.stderr.write(`\r\x1b[K${progressLine(elapsed_s, counters)}\r`);
  };
}
