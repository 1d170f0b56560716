/** carom limit: the highest rate that a device takes, and its latency below it. */

import { writeAsked } from "../config/output.js";
import { measureLimit } from "../run/limit.js";
import { limitOptions } from "../run/limit_options.js";
import type { LimitReport } from "../run/limit_report.js";
import { limitSvg } from "../run/limit_svg.js";
import { beginLine, limitLines, trialLine } from "../run/limit_text.js";
import { type Context, defineCommand } from "./command.js";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

export const command = defineCommand({
  name: "limit",
  summary: "the highest rate without loss, and the latency at parts of it (RFC 2544)",
  description:
    "Searches the highest rate of ticks of which no more than --loss stay without an answer, and measures the " +
    "latency at 10, 50, 90 and 100 % of it, after RFC 2544. Every tick has to be answered. Says so when it is the " +
    "generator, and not the device, that takes no more. Exit status 1: no rate passed, a limit is below --at-least, or " +
    "it was stopped early.",
  options: limitOptions,
  examples: [
    ["carom limit", "af_xdp to af_xdp in the lab"],
    [
      "carom limit --backends af_xdp:xdp,af_packet,udp --svg limit.svg",
      "three pairs of backends, drawn, too",
    ],
    [
      "carom limit --trial 60s --final 120s --warmup 2s --timeout 2s --pause 5s --trials 20",
      "by the letter of RFC 2544",
    ],
    [
      "carom limit --interface eth1 --at-least 500k --json",
      "a device on eth1's network, as a gate: exit status 1",
    ],
  ],
  async run(values, context) {
    let stop = () => {};
    const onSignal = () => stop();
    for (const signal of SIGNALS) process.on(signal, onSignal);
    let report: LimitReport;
    try {
      report = await measureLimit(values, {
        ...progress(context),
        onStopRequest: (request) => {
          stop = request;
        },
      });
    } finally {
      for (const signal of SIGNALS) process.off(signal, onSignal);
    }
    for (const line of limitLines(report)) context.say(line);
    context.result(report);
    if (values.svg !== undefined) await writeAsked(values.svg, limitSvg(report));
    return statusOf(report);
  },
});

function statusOf({ results, faults }: LimitReport): number {
  if (results.some(({ error }) => error !== null)) return 3;
  return faults.length === 0 ? 0 : 1;
}

/** On a terminal, what is tried and what it has shown; never while a trial goes on. */
function progress({ json }: Context) {
  if (json || !process.stderr.isTTY) return {};
  const write = (text: string) => process.stderr.write(`\r\x1b[K${text}`);
  return {
    onBegin: (begun: Parameters<typeof beginLine>[0]) => write(`${beginLine(begun)}\r`),
    onEnd: (...ended: Parameters<typeof trialLine>) => write(`${trialLine(...ended)}\n`),
  };
}
