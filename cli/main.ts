#!/usr/bin/env node
/** carom's command line: finds the command, loads only that one, and turns errors into exit statuses. */

import { isUtf8 } from "node:buffer";
import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { asCaromError, CaromError } from "../native/error.js";
import { escapedLines } from "../native/escape.js";
import { buildCommand, type CommandSpec } from "./command.js";

interface Entry {
  readonly group?: string; // its heading in the help, when it is not a measurement
  readonly summary: string;
  readonly load: () => Promise<readonly CommandSpec[]>; // several for a command with subcommands
}

/** Every command: its line in the help, and where it is. */
const COMMANDS: Readonly<Record<string, Entry>> = {
  ui: {
    summary: "the terminal UI: runs, orders, checks, responders, comparisons",
    load: async () => [(await import("./ui.js")).command],
  },
  run: {
    summary: "one measured run: market data out, orders back, each one timed and judged",
    load: async () => [(await import("./run.js")).command],
  },
  respond: {
    summary: "the responder alone: answers ticks with orders until stopped",
    load: async () => [(await import("./respond.js")).command],
  },
  generate: {
    summary: "the generator alone: sends ticks, expects no answers",
    load: async () => [(await import("./generate.js")).command],
  },
  replay: {
    summary: "sends captures with the timing they were taken with, or another",
    load: async () => [(await import("./replay.js")).command],
  },
  limit: {
    summary: "the highest rate without loss, and the latency at parts of it (RFC 2544)",
    load: async () => [(await import("./limit.js")).command],
  },
  calibrate: {
    summary: "how long a cable between two ports is, by their hardware stamps",
    load: async () => [(await import("./calibrate.js")).command],
  },
  profile: {
    summary: "what a profile of market data looks like: rate, gaps, symbols",
    load: async () => [(await import("./profile.js")).command],
  },
  check: {
    summary: "the scripted functional test: what is sent, and what must come back",
    load: async () => [(await import("./check.js")).command],
  },
  capture: {
    group: "Captures:",
    summary: "what goes in and out of an interface, into a pcapng file, with nothing dropped uncounted",
    load: async () => [(await import("./capture.js")).command],
  },
  inspect: {
    group: "Captures:",
    summary: "what is in a capture: rates, gaps, bursts, ticks and orders; how two differ",
    load: async () => [(await import("./inspect.js")).command],
  },
  filter: {
    group: "Captures:",
    summary: "a capture through the packet filter: counted, written, explained, measured",
    load: async () => [(await import("./filter.js")).command],
  },
  history: {
    group: "Finished runs:",
    summary: "finished runs: list, show, repeat, remove",
    load: async () => (await import("./history.js")).commands,
  },
  compare: {
    group: "Finished runs:",
    summary: "finished runs side by side, and whether one is worse than the first",
    load: async () => [(await import("./compare.js")).command],
  },
  join: {
    group: "Finished runs:",
    summary: "the reports of both ends of a run on two hosts: one-way latency, loss each way",
    load: async () => [(await import("./join.js")).command],
  },
  lab: {
    group: "This machine:",
    summary: "a network on this machine that stays: up, down, exec, list",
    load: async () => (await import("./lab.js")).commands,
  },
  ...Object.fromEntries(
    Object.entries({
      status: "what a running responder is, does and has counted",
      enable: "let a running responder answer again",
      disable: "let a running responder answer nothing for now",
      config: "show or change the settings of a running responder",
      stats: "the counters of a running responder, once or again and again",
      reset: "set a running responder's counters to zero",
      stop: "end a running responder",
    }).map(([name, summary]) => [
      name,
      {
        group: "A running responder:",
        summary,
        load: async () => [(await import("./control.js")).commands.get(name)!],
      },
    ]),
  ),
  trace: {
    group: "A running responder:",
    summary: "what becomes of each packet of a running responder, as it comes",
    load: async () => [(await import("./trace.js")).command],
  },
  doctor: {
    group: "This machine:",
    summary: "what this machine can do, and what to change so that it does better",
    load: async () => [(await import("./doctor.js")).command],
  },
};

const EPILOGUE = `
Start here:
  carom run                          closed loop in the built-in lab: one tick in flight, af_xdp on both sides
  carom run --rate 200k --duration 60s     a fixed schedule of 200,000 ticks a second
  carom                              the terminal UI, on a terminal
  carom doctor                       which backends work on this machine, and how quiet its cores are
  carom COMMAND --help               everything a command can do

Exit status: 0 all as expected, 1 not as expected (the report says what), 2 bad usage or configuration,
3 this machine can't do it.`;

async function main(argv: readonly string[]): Promise<number> {
  let status = 0;
  const program = new Command("carom");
  program
    .description(
      "Plays the exchange: sends market data on an exact schedule, times every order that comes back and judges it.",
    )
    .version(await version(argv), "-V, --version", "print the version")
    .helpOption("-h, --help", "show this help")
    .helpCommand(false)
    .showHelpAfterError("(carom --help lists the commands)")
    .addHelpText("after", EPILOGUE);
  const wanted = argv.find((argument) => !argument.startsWith("-"));
  for (const [name, entry] of Object.entries(COMMANDS)) {
    program.commandsGroup(entry.group ?? "Measure and test:");
    if (name === wanted) {
      const command = assemble(name, entry.summary, await entry.load(), (value) => (status = value));
      // Where a command has options and subcommands, what stands behind a subcommand's name is the subcommand's.
      const hasBoth = command.commands.length > 0 && command.options.length > 0;
      program.enablePositionalOptions(hasBoth).addCommand(command.enablePositionalOptions(hasBoth));
    } else {
      program.command(name).summary(entry.summary);
    }
  }
  if (argv.length === 0) program.outputHelp();
  else await exitOverride(program).parseAsync([...argv], { from: "user" });
  return status;
}

function assemble(
  name: string,
  summary: string,
  specs: readonly CommandSpec[],
  onStatus: (s: number) => void,
): Command {
  const own = specs.find((spec) => spec.name === name);
  const parent =
    own !== undefined ? buildCommand(own, onStatus) : new Command(name).summary(summary).description(summary);
  parent.helpOption("-h, --help", "show this help").helpCommand(false);
  for (const spec of specs) if (spec !== own) parent.addCommand(buildCommand(spec, onStatus));
  return parent;
}

function exitOverride(command: Command): Command {
  command.exitOverride();
  command.configureOutput({ outputError: (text, write) => write(escapedLines(text, false)) });
  command.commands.forEach(exitOverride);
  return command;
}

async function version(argv: readonly string[]): Promise<string> {
  if (!argv.includes("-V") && !argv.includes("--version")) return "";
  return (await import("../run/environment.js")).caromVersion();
}

/** Without any, on a terminal, the UI is meant; --plain alone asks for what there is without one. */
function argumentsOf(argv: readonly string[]): readonly string[] {
  const isTerminal = process.stdin.isTTY === true && process.stdout.isTTY === true;
  if (argv.length === 1 && argv[0] === "--plain") return [];
  return argv.length === 0 && isTerminal ? ["ui"] : argv;
}

/**
 * Node replaces bytes of an argument that are not UTF-8, and what is meant can't be opened by what is left.
 * @throws CaromError (usage)
 */
function refuseOtherBytes(argv: readonly string[]): void {
  const given = readFileSync("/proc/self/cmdline");
  if (isUtf8(given)) return;
  const argument = argv.find((text) => text.includes("\ufffd")) ?? "";
  const detail = "it has bytes that are not UTF-8";
  const hint = "rename the file, or give it on standard input: carom inspect - < FILE";
  throw new CaromError("usage", `read the argument ${argument}`, detail, hint);
}

process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(); // a reader that has seen enough ("carom run | head") is no error
  process.stderr.write(`carom: write standard output: ${error.message}\n`);
  process.exit(3);
});
// A log that takes no more, or whose reader has gone, ends nothing: there is nobody left to tell.
process.stderr.on("error", () => {});

try {
  refuseOtherBytes(process.argv.slice(2));
  process.exitCode = await main(argumentsOf(process.argv.slice(2)));
} catch (error) {
  if (error instanceof CommanderError) {
    // Help and --version come here with status 0; everything else is bad usage, and commander has said what.
    process.exitCode = error.exitCode === 0 ? 0 : 2;
    if (error.exitCode !== 0 && process.argv.includes("--json")) {
      const detail = error.message.replace(/^error: /, "");
      const failure = new CaromError(
        "usage",
        "read the command line",
        detail,
        "carom COMMAND --help lists what there is",
      );
      process.stdout.write(`${JSON.stringify({ error: failure })}\n`);
    }
  } else {
    const failure = asCaromError(error, "carom");
    if (process.argv.includes("--json")) process.stdout.write(`${JSON.stringify({ error: failure })}\n`);
    process.stderr.write(`carom: ${failure.message}\n`);
    if (process.connected) process.send?.(failure.toJSON()); // to who has started it in the background
    if (failure.code === "internal" && error instanceof Error) process.stderr.write(`${error.stack}\n`);
    process.exitCode = failure.exitStatus;
  }
}
