/** npm run bench: carom beside other tools, interleaved in one run, with medians and spread. */

import { cpus, release } from "node:os";
import { Command, InvalidArgumentError } from "commander";
import { asCaromError } from "../native/error.js";
import { attribution } from "./attribution.js";
import { captured } from "./capture.js";
import { drifting } from "./drift.js";
import { filterEngines } from "./filter.js";
import { flood } from "./flood.js";
import { kernel } from "./kernel.js";
import { openLoop } from "./openloop.js";
import { pacing } from "./pacing.js";
import { pipeline } from "./pipeline.js";
import { replaying } from "./replay.js";
import { roundTrip } from "./roundtrip.js";
import { sending } from "./sending.js";
import { goalLine, type SuiteResult } from "./spread.js";
import { startup } from "./startup.js";
import { switching } from "./switch.js";
import { tickPath } from "./tick.js";
import { traced } from "./trace.js";
import { underUi } from "./tui.js";

interface Options {
  readonly rounds: number;
  readonly seconds: number;
  readonly minute: number;
  readonly rate: string;
  readonly json?: boolean;
}

type Say = (line: string) => void;

const SUITES: Readonly<
  Record<string, { title: string; run: (options: Options, say: Say) => Promise<SuiteResult> }>
> = {
  tick: { title: "one tick through parse, strategy and order bytes", run: (_, say) => tickPath(say) },
  startup: { title: "how long one waits", run: (options, say) => startup(2 * options.rounds, say) },
  roundtrip: {
    title: "round trip beside sockperf and a bare AF_XDP echo, interleaved",
    run: (options, say) => roundTrip(options.rounds, options.seconds, say),
  },
  openloop: {
    title: "open loop on an absolute schedule",
    run: (options, say) => openLoop(options.rate, options.minute, say),
  },
  pacing: {
    title: "gaps of a Poisson schedule at the far end, beside a bare loop and tcpreplay, interleaved",
    run: (options, say) => pacing(options.rounds, options.seconds, say),
  },
  attribution: { title: "whose fault a delay is, beside who made it", run: (_, say) => attribution(say) },
  drift: {
    title: "drift of a schedule against the system's clock, by a meter that shares nothing with carom",
    run: (options, say) => drifting(options.rounds, options.seconds, say),
  },
  replay: {
    title: "gaps of a capture at the far end, and frames a second, beside tcpreplay, interleaved",
    run: (options, say) => replaying(options.rounds, options.seconds, say),
  },
  kernel: {
    title: "round trip to the kernel beside a program that only swaps addresses, interleaved",
    run: (options, say) => kernel(options.rounds, options.seconds, say),
  },
  filter: {
    title: "the packet filter's engines beside libpcap and DPDK, in turn",
    run: (options, say) => filterEngines(options.rounds, say),
  },
  pipeline: {
    title: "the responder's whole way in user space, on frames in memory",
    run: (options, say) => pipeline(options.rounds, say),
  },
  flood: {
    title: "ticks a second, and where each one went",
    run: (options, say) => flood(options.rounds, options.seconds, say),
  },
  sending: {
    title: "ticks a second from one core beside other tools, counted at the receiver, interleaved",
    run: (options, say) => sending(options.rounds, options.seconds, say),
  },
  capture: {
    title: "500,000 packets a second into a file, beside dumpcap and tcpdump, interleaved",
    run: (options, say) => captured(options.rounds, options.seconds, say),
  },
  trace: {
    title: "round trip with carom trace on and off, interleaved",
    run: (options, say) => traced(options.rounds, options.seconds, say),
  },
  tui: {
    title: "round trip under the UI and without it, interleaved",
    run: (options, say) => underUi(options.rounds, options.seconds, say),
  },
  switch: {
    title: "enable and disable in force, under load",
    run: (_, say) => switching(say),
  },
};

async function main(names: readonly string[], options: Options): Promise<number> {
  const say: Say = (line) => (options.json === true ? process.stderr : process.stdout).write(`${line}\n`);
  const unknown = names.find((name) => SUITES[name] === undefined);
  if (unknown !== undefined) {
    process.stderr.write(
      `bench: there is no suite ${unknown}; there are ${Object.keys(SUITES).join(", ")}\n`,
    );
    return 2;
  }
  const machine = `Linux ${release()}, ${cpus().length} cores, ${cpus()[0]?.model ?? "unknown"}`;
  say(machine);
  const results: SuiteResult[] = [];
  for (const name of names.length > 0 ? names : Object.keys(SUITES)) {
    const suite = SUITES[name]!;
    say(`\n${name}: ${suite.title}`);
    const result = await suite.run(options, say);
    for (const goal of result.goals) say(goalLine(goal));
    results.push(result);
  }
  if (options.json === true)
    process.stdout.write(`${JSON.stringify({ schema: "carom.bench", version: 1, machine, results })}\n`);
  return results.every(({ goals }) => goals.every(({ met }) => met)) ? 0 : 1;
}

function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0 && value <= 3600))
    throw new InvalidArgumentError("a number above 0, up to 3600, is wanted");
  return value;
}

const command = new Command("bench")
  .description("Measures carom beside other tools. Exit status 1: a goal was missed.")
  .argument("[suite...]", `which: ${Object.keys(SUITES).join(", ")} (default: all)`)
  .option("--rounds <n>", "how often each contestant is measured, in turn", positive, 7)
  .option("--seconds <s>", "how long each is measured in a round", positive, 2)
  .option("--minute <s>", "how long the open loop runs", positive, 60)
  .option("--rate <ticks/s>", "rate of the open loop", "200k")
  .option("--json", "one JSON object on standard output")
  .parse();

try {
  process.exitCode = await main(command.args, command.opts<Options>());
} catch (error) {
  const failure = asCaromError(error, "bench");
  process.stderr.write(`bench: ${failure.message}\n`);
  process.exitCode = failure.exitStatus;
}
