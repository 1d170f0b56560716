/** What carom replay is given, and what is planned from it; the UI's screen Replay takes the same. */

import { resolveValues } from "../config/file.js";
import { ioOptions } from "../config/io.js";
import { flagName, optionGroup, type Values } from "../config/option.js";
import { strategyOptions } from "../config/strategy.js";
import { flag } from "../config/values.js";
import { answerOptions, sendOptions } from "../generator/config.js";
import { refuseReplay, replayOptions } from "../generator/replay.js";
import { CaromError } from "../native/error.js";
import { certificateOptions } from "./certificate.js";
import { outputOptions } from "./command.js";
import { linkOptions, type ReplayRequest, type RunValues, runOptions } from "./plan.js";

const LEDGER_RATE = 200_000; // ticks a second for which the ledger has room

const answers = optionGroup("Answers");

const { fast, ...otherStrategy } = strategyOptions;
const { responder, responderBackend, responderCpu, queues } = runOptions;
const { duration, startAt, late, lateThreshold, scheduleClock, pacing, launchLead } = sendOptions;
const { multicast, multicastGroup, targetPort } = sendOptions;
const { responsePort, timeout, timestamps } = answerOptions;
const { vlan: _, ttl: __, dscp: ___, ...otherIo } = ioOptions;

const inAnswers = <T extends { readonly group: string }>(option: T, description: string): T => ({
  ...option,
  description,
  group: answers(flag(), "").group,
});

export const replayRunOptions = {
  ...linkOptions,
  ...replayOptions,
  duration: { ...duration, description: "end after this long, even if there is more" },
  startAt,
  late: {
    ...late,
    description: "a late frame goes at once, is left out, or moves the rest (default: catch-up)",
  },
  lateThreshold: { ...lateThreshold, description: "a frame sent later than this counts as late" },
  scheduleClock,
  pacing,
  launchLead,
  expect: answers(
    flag(),
    "the captured ticks are to be answered: orders are timed and judged, as in carom run",
    "",
    "false",
  ),
  multicast: inAnswers(multicast, "the ticks go to the multicast group, where the lab's responder listens"),
  multicastGroup: inAnswers(multicastGroup, "that group"),
  targetPort: inAnswers(targetPort, "UDP port that the captured ticks go to"),
  responsePort,
  timeout,
  timestamps,
  responder,
  responderBackend,
  responderCpu,
  queues,
  ...otherStrategy,
  fastTicks: fast, // --fast is another thing here
  ...certificateOptions,
  ...otherIo,
  ...outputOptions,
} as const;

export type ReplayRunValues = Values<typeof replayRunOptions>;

/** @throws CaromError (usage) */
function refuseBackend({ backend, expect, late }: ReplayRunValues): void {
  const refuse = (operation: string, detail: string, hint: string): never => {
    throw new CaromError("usage", operation, detail, hint);
  };
  if (backend === "udp") refuse("--backend udp", "it makes its frames itself", "use af_xdp or af_packet");
  if (backend !== "xdp_live") return;
  const ahead = "its frames are made ahead of the program in the kernel that sends them";
  if (expect) refuse("--expect with xdp_live", ahead, "use af_xdp or af_packet");
  if (late === "skip") refuse("--late skip with xdp_live", ahead, "use catch-up or slip");
}

/** @throws CaromError (usage) for options that contradict each other */
export function replayRun(
  files: readonly string[],
  values: ReplayRunValues,
): {
  readonly given: RunValues & Values<typeof outputOptions>;
  readonly replay: ReplayRequest & { readonly expect: boolean };
} {
  refuseReplay(files, values);
  refuseBackend(values);
  const unplanned = (["late", "tolerance", "arrivals", "scheduleClock"] as const).find(
    (name) => values[name] !== undefined,
  );
  if (values.fast && unplanned !== undefined) {
    const detail = "without a schedule there is nothing to be held";
    throw new CaromError("usage", `--${flagName(unplanned)} with --fast`, detail, "leave one of them out");
  }
  if (values.expect && values.fast) {
    const detail = "answers are timed from when their ticks were planned, and nothing is";
    throw new CaromError("usage", "--expect with --fast", detail, "use --rate");
  }
  const { vlan, ttl, rate, fast: isFast, fastTicks, ...others } = values;
  const given = {
    ...resolveValues(runOptions, new Map()),
    ...others,
    fast: fastTicks,
    rate: isFast ? Number.POSITIVE_INFINITY : (rate ?? LEDGER_RATE),
    ...(typeof vlan === "number" ? { vlan } : {}),
  };
  return { given, replay: { files, values, expect: values.expect } };
}
