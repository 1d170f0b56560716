/** carom replay: captures sent as they were taken, or at another pace. */

import { runAndReport } from "../run/command.js";
import { replayRun, replayRunOptions } from "../run/replay.js";
import { replayProgress } from "../run/replay_report.js";
import { defineCommand } from "./command.js";
import { present, progress, samePlan } from "./run.js";

export const command = defineCommand({
  name: "replay",
  summary: "sends captures with the timing they were taken with, or another",
  description:
    "Sends the frames of captures (pcap and pcapng, plain, gzip or zstd; - is standard input) to the nanosecond of " +
    "the file, and reports how well that was held. Several are merged on one timeline. By default in the built-in " +
    "lab, where the far end stamps what arrives.",
  arguments: "<file...>",
  options: replayRunOptions,
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
    const { given, replay } = replayRun(context.args, values);
    const isShown = progress(context) !== undefined;
    const outcome = await runAndReport(
      "replay",
      given,
      isShown
        ? ({ elapsed_s, counters }) =>
            process.stderr.write(`\r\x1b[K${replayProgress(elapsed_s, counters, values.loop)}\r`)
        : undefined,
      { replay, onPlan: samePlan(context) },
    );
    return present(outcome, values, context);
  },
});
