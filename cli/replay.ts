/** carom replay: captures sent as they were taken, or at another pace. */

import { resolveValues } from "../config/file.js";
import { ioOptions } from "../config/io.js";
import { optionGroup, type Values } from "../config/option.js";
import { strategyOptions } from "../config/strategy.js";
import { flag } from "../config/values.js";
import { answerOptions, sendOptions } from "../generator/config.js";
import { refuseReplay, replayOptions } from "../generator/replay.js";
import { CaromError } from "../native/error.js";
import { certificateOptions } from "../run/certificate.js";
import { outputOptions, runAndReport } from "../run/command.js";
import { linkOptions, runOptions } from "../run/plan.js";
import { replayProgress } from "../run/replay_report.js";
import { defineCommand } from "./command.js";
import { present, progress, samePlan } from "./run.js";

const answers = optionGroup("Answers");

const { fast, ...otherStrategy } = strategyOptions;
const { responder, responderBackend, responderCpu, queues } = runOptions;
const { duration, late, lateThreshold, multicast, multicastGroup, targetPort } = sendOptions;
const { responsePort, timeout, timestamps } = answerOptions;
const { vlan: _, ttl: __, dscp: ___, ...otherIo } = ioOptions;

const inAnswers = <T extends { readonly group: string }>(option: T, description: string): T => ({
  ...option,
  description,
  group: answers(flag(), "").group,
});

const options = {
  ...linkOptions,
  ...replayOptions,
  duration: { ...duration, description: "end after this long, even if there is more" },
  late: {
    ...late,
    description: "a late frame goes at once, is left out, or moves the rest (default: catch-up)",
  },
  lateThreshold: { ...lateThreshold, description: "a frame sent later than this counts as late" },
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

/** @throws CaromError (usage) */
function refuseBackend({ backend, expect, late }: Values<typeof options>): void {
  const refuse = (operation: string, detail: string, hint: string): never => {
    throw new CaromError("usage", operation, detail, hint);
  };
  if (backend === "udp") refuse("--backend udp", "it makes its frames itself", "use af_xdp or af_packet");
  if (backend !== "xdp_live") return;
  const ahead = "its frames are made ahead of the program in the kernel that sends them";
  if (expect) refuse("--expect with xdp_live", ahead, "use af_xdp or af_packet");
  if (late === "skip") refuse("--late skip with xdp_live", ahead, "use catch-up or slip");
}

const LEDGER_RATE = 200_000; // ticks a second for which the ledger has room

export const command = defineCommand({
  name: "replay",
  summary: "sends captures with the timing they were taken with, or another",
  description:
    "Sends the frames of captures (pcap and pcapng, plain, gzip or zstd; - is standard input) to the nanosecond of " +
    "the file, and reports how well that was held. Several are merged on one timeline. By default in the built-in " +
    "lab, where the far end stamps what arrives.",
  arguments: "<file...>",
  options,
  examples: [
    ["carom replay day.pcap.zst --interface eth1", "as it was captured"],
    [
      "carom replay day.pcap --speed 8 --from 10s --to 70s",
      "a minute of it, eight times as fast, in the lab",
    ],
    ["carom replay a.pcap b.pcap --loop forever --rate 1M", "both, merged, at an even rate, until Ctrl-C"],
    [
      "carom replay day.pcap --interface eth1 --map-ip 10.1.0.0/16=198.18.0.0 --target-mac 02:00:00:00:00:02",
      "to other addresses, checksums mended",
    ],
    [
      "carom replay ticks.pcapng --expect",
      "the lab's responder answers the ticks in it; its orders are judged",
    ],
  ],
  async run(values, context) {
    refuseReplay(context.args, values);
    refuseBackend(values);
    const unplanned = (["late", "tolerance", "arrivals"] as const).find((name) => values[name] !== undefined);
    if (values.fast && unplanned !== undefined) {
      const detail = "without a schedule there is nothing to be held";
      throw new CaromError("usage", `--${unplanned} with --fast`, detail, "leave one of them out");
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
    const isShown = progress(context) !== undefined;
    const outcome = await runAndReport(
      "replay",
      given,
      isShown
        ? ({ elapsed_s, counters }) =>
            process.stderr.write(`\r\x1b[K${replayProgress(elapsed_s, counters, values.loop)}\r`)
        : undefined,
      { replay: { files: context.args, values, expect: values.expect }, onPlan: samePlan(context) },
    );
    return present(outcome, values, context);
  },
});
