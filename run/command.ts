/** What `run` and `generate` have in common: plan, measure, report, and what is written where. */

import { optionGroup, type Values } from "../config/option.js";
import { writeAsked } from "../config/output.js";
import { besideReport, flag, integer } from "../config/values.js";
import { asCaromError, CaromError } from "../native/error.js";
import { ClockTies } from "./clock_ties.js";
import { encodeHistograms } from "./histograms.js";
import { hdrLog } from "./hlog.js";
import type { Measurement } from "./measure.js";
import { MeasuringProcess } from "./measuring_process.js";
import { nicClockReport } from "./nic_clock.js";
import { fedStreams, type Plan, planRun, type ReplayRequest, type RunValues } from "./plan.js";
import { untilReadable } from "./readable.js";
import { makeReport, type Report, reportAsJson } from "./report.js";
import { writeStamps } from "./stamps.js";

const output = optionGroup("Output");

export const outputOptions = {
  hlog: output(besideReport(), "write the histograms as an HdrHistogram log", "file"),
  history: output(flag(), "keep the run in the history (carom history)", "", "true"),
  historyKeep: output(integer(1, 100_000), "how many runs the history keeps", "runs", "500"),
} as const;

type OutputValues = Values<typeof outputOptions>;

export interface Outcome {
  readonly report: Report;
  readonly plan: Plan;
  readonly found: Measurement;
  /** The report as JSON, with the histograms: some 50 KB. */
  json(): Record<string, unknown>;
  /** Set when a file could not be written: the figures are there all the same. */
  readonly failure: CaromError | undefined;
}

interface Circumstances {
  readonly replay?: ReplayRequest & { readonly expect: boolean };
  /** May refuse what was planned. */
  readonly onPlan?: (plan: Plan) => void;
}

/** Runs, reports, and gives everything back, however it ends. @throws CaromError before anything is sent */
export async function runAndReport(
  command: "run" | "generate" | "replay",
  values: RunValues & OutputValues,
  onProgress: ((line: { elapsed_s: number; counters: Readonly<Record<string, number>> }) => void) | undefined,
  { replay, onPlan }: Circumstances = {},
): Promise<Outcome> {
  // While nothing else is there, and a signal ends this process: a file that is read may be a pipe.
  const streams = fedStreams(values);
  const inputsOpened = await untilReadable(replay?.files ?? []);
  const measuring = new MeasuringProcess();
  let plan: Plan | undefined;
  let outcome: Outcome;
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  // Until it is measured there is nothing to wait for; what there is goes with this process (lab/end.ts).
  let stop = (number: number): void => process.exit(128 + number);
  const onSignal = (_: NodeJS.Signals, number: number) => stop(number);
  for (const signal of signals) process.on(signal, onSignal);
  try {
    plan = await planRun(values, replay?.expect ?? command === "run", { replay, streams });
    onPlan?.(plan);
    const found = await measuring.measure(plan, {
      onProgress:
        onProgress && (({ elapsed_s, generator }) => onProgress({ elapsed_s, counters: generator })),
      onStopRequest: (request) => {
        inputsOpened();
        stop = request;
      },
    });
    outcome = outcomeOf(command, plan, withNicBack(plan, found));
  } finally {
    await measuring.close();
    inputsOpened();
    plan?.release();
    for (const signal of signals) process.off(signal, onSignal); // by now nothing is left to give back
  }
  const { report, found, failure } = outcome;
  return { ...outcome, failure: failure ?? (await writeHlog(values.hlog, report, found)) };
}

/**
 * What a run found, with nothing written yet but its capture and its stamps.
 * @throws CaromError (usage) when a replay sent nothing
 */
export function outcomeOf(command: Report["command"], plan: Plan, found: Measurement): Outcome {
  refuseUnsent(found);
  const { stamps, failure } = keepStamps(plan, found);
  const report = makeReport(command, plan, found, stamps);
  const json = () => ({ ...reportAsJson(report), histograms: encodeHistograms(plan, found) });
  return { report, plan, found, json, failure: captureFailure(found) ?? failure };
}

/** The NIC is as it was, or the report says what is not. */
function withNicBack({ nic, generator }: Plan, found: Measurement): Measurement {
  const operation = `put ${generator.io.link.interfaceName} back`;
  const problems = (nic?.release() ?? []).map((detail) => new CaromError("environment", operation, detail));
  return { ...found, problems: [...found.problems, ...problems] };
}

function keepStamps(plan: Plan, { generator, ties, phc, daemons = null }: Measurement) {
  if (plan.stamps === null || ties === null) return { stamps: null, failure: undefined };
  try {
    return {
      stamps: writeStamps(
        plan.stamps,
        { ...generator, nic_sent: generator.nicSent, nic_received: generator.nicReceived },
        ClockTies.of(ties).report(plan.stamps.clock_error_ns, daemons),
        daemons,
        nicClockReport(plan.generator.io.link.interfaceName, phc),
      ),
      failure: undefined,
    };
  } catch (error) {
    return { stamps: null, failure: asCaromError(error, `write ${plan.stamps.path}`) };
  }
}

/** Why the capture is not whole. */
function captureFailure({ generator: { capture } }: Measurement): CaromError | undefined {
  if (capture === null || capture.failure === null) return undefined;
  return asCaromError(capture.failure, `write ${capture.lastFile}`);
}

/** What made a replay end before its first frame. @throws CaromError (usage) */
function refuseUnsent({ generator: { replay } }: Measurement): void {
  if (replay === null || replay.refusal === null || replay.frames > 0) return;
  const { detail, hint } = replay.refusal;
  throw new CaromError("usage", "carom replay", `${detail}; nothing was sent`, hint);
}

async function writeHlog(
  path: string | undefined,
  report: Report,
  found: Measurement,
): Promise<CaromError | undefined> {
  if (path === undefined) return undefined;
  const { generator } = found;
  const entries = [
    { tag: "latency_planned", data: generator.latencyPlanned },
    { tag: "latency_actual", data: generator.latencyActual },
    { tag: "send_lateness", data: generator.lateness },
    { tag: "warmup", data: generator.warmup },
  ].filter(({ data }) => data.count > 0);
  const text = hdrLog(entries, Date.parse(report.started), Math.round(report.elapsed_s * 1000));
  const hint = "the figures above are complete; free space or choose another path";
  try {
    await writeAsked(path, text, hint, 0o600);
    return undefined;
  } catch (error) {
    return asCaromError(error, `write ${path}`);
  }
}
