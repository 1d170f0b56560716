/** carom history: the runs that were kept. */

import { chdir } from "node:process";
import pc from "picocolors";
import { resolveValues, type Texts } from "../config/file.js";
import { flagName, type OptionTable, optionGroup } from "../config/option.js";
import { flag, formatNs, integer } from "../config/values.js";
import { type Entry, type History, historyPath, type Listed, openHistory } from "../history/store.js";
import { localTime } from "../history/summary.js";
import { CaromError } from "../native/error.js";
import { escaped, quotedWord } from "../native/escape.js";
import { type CommandSpec, type Context, defineCommand } from "./command.js";
import { formatTable } from "./table.js";

const shown = optionGroup("History");
const NAMES = "A run is named by its number, or as last, last~1 (the one before it) and so on.";

function withHistory<T>(action: (history: History) => T): T {
  const history = openHistory();
  try {
    return action(history);
  } finally {
    history.close();
  }
}

const list = defineCommand({
  name: "history",
  summary: "the runs that were kept: list, show, repeat, remove",
  description:
    "Lists the runs that were kept, newest first. carom run, generate and replay keep each run with what it was " +
    `given, its environment, histograms and verdicts. ${NAMES}`,
  options: { limit: shown(integer(1, 100_000), "how many to list", "runs", "20") },
  examples: [
    ["carom history show last", "the latest run's report"],
    ["carom compare last~1 last", "whether the latest is slower than the one before"],
  ],
  async run({ limit }, context) {
    const [runs, total] = withHistory((history) => [history.list(limit), history.count()]);
    context.result({ path: historyPath(), total, runs });
    if (runs.length === 0) context.say("no run is kept; carom run makes the first one");
    else for (const line of formatTable([HEAD, ...runs.map(cells)])) context.say(line);
    if (total > runs.length) context.say(pc.dim(`${total - runs.length} more: --limit ${total} lists all`));
    return 0;
  },
});

const HEAD = ["run", "started", "command", "what", "backends", "time", "sent", "p50", "p99", "result"];

function cells({ id, started, command, summary }: Listed): string[] {
  const { loop, backends, elapsed_s, sent, p50_ns, p99_ns, faults } = summary;
  const time = (value_ns: number | null) => (value_ns === null ? "–" : formatNs(value_ns));
  return [
    String(id),
    localTime(started),
    command,
    loop,
    backends,
    `${elapsed_s.toFixed(1)} s`,
    sent.toLocaleString("en-US"),
    time(p50_ns),
    time(p99_ns),
    faults === 0 ? "as expected" : `${faults} ${faults === 1 ? "fault" : "faults"}`,
  ];
}

/** The command line that gives the same options; texts with blanks are quoted. */
function commandLine({ command, args, options }: Entry): string {
  const flags = Object.entries(options).map(([name, text]) =>
    text === "true"
      ? `--${flagName(name)}`
      : text === "false"
        ? `--no-${flagName(name)}`
        : `--${flagName(name)} ${quotedWord(text)}`,
  );
  return ["carom", command, ...args.map(quotedWord), ...flags].join(" ");
}

const show = defineCommand({
  name: "history show",
  summary: "the report of a run",
  description: `Shows a run's report as it was printed; with --json as carom run --json prints it. ${NAMES}`,
  arguments: "<run>",
  options: {},
  async run(_, context) {
    const entry = withHistory((history) => history.get(context.args[0]!));
    const { id, options, directory, report, text } = entry;
    context.result({ ...report, history: id, options, directory });
    const { host, kernel, cpu, carom } = report.environment as Record<string, string>;
    context.say(`run ${id} · ${localTime(entry.started)} · in ${escaped(directory)}`);
    context.say(commandLine(entry));
    context.say(`carom ${carom} on ${host}, Linux ${kernel}, ${cpu}`);
    context.say("");
    context.say(text);
    return 0;
  },
});

const COMMANDS = {
  run: () => import("./run.js"),
  generate: () => import("./generate.js"),
  replay: () => import("./replay.js"),
};

const repeat = defineCommand({
  name: "history repeat",
  summary: "makes a run once more: same options, same seed, same plan",
  description:
    "Makes a run again with the options it was given, in the folder in which it was started, and refuses if that " +
    `would send anything else than it sent. ${NAMES}`,
  arguments: "<run>",
  options: {},
  async run(_, context) {
    const entry = withHistory((history) => history.get(context.args[0]!));
    if (Array.isArray(entry.report.changes) && entry.report.changes.length > 0) {
      const detail = "its rate or window was changed while it went on";
      throw new CaromError("usage", `repeat run ${entry.id}`, detail, "carom run makes a new one");
    }
    const { command } = await COMMANDS[entry.command]();
    try {
      chdir(entry.directory);
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      throw new CaromError("usage", `repeat run ${entry.id}`, `${entry.directory}: ${code ?? message}`);
    }
    context.say(commandLine(entry));
    const values = resolveValues(command.options, textsOf(entry, command.options));
    return command.run(values, again(context, entry));
  },
});

function again(context: Context, { id, plan, args, options }: Entry): Context {
  return { ...context, args, given: options, repeats: { id, plan } };
}

function textsOf({ id, options }: Entry, table: OptionTable): Texts {
  const texts: Texts = new Map();
  for (const [name, text] of Object.entries(options)) {
    if (!Object.hasOwn(table, name)) {
      const detail = `this carom has no option --${flagName(name)}`;
      throw new CaromError("usage", `repeat run ${id}`, detail, "use the carom that made it");
    }
    texts.set(name, { text, place: `run ${id}: --${flagName(name)}` });
  }
  return texts;
}

const remove = defineCommand({
  name: "history rm",
  summary: "removes runs from the history",
  description: `Removes the runs that are named, all of them or none; with --all every one. ${NAMES}`,
  arguments: "[run...]",
  options: { all: shown(flag(), "remove every run", "", "false") },
  async run({ all }, context) {
    const names = context.args;
    if (all === names.length > 0) {
      const detail = all ? "runs were named, and --all given" : "no run was named";
      throw new CaromError("usage", "carom history rm", detail, "name runs, or give --all");
    }
    const removed = withHistory((history) => (all ? history.removeAll() : history.remove(names)));
    context.result({ removed });
    context.say(removed === 1 ? "1 run was removed" : `${removed} runs were removed`);
    return 0;
  },
});

export const commands: readonly CommandSpec[] = [list, show, repeat, remove];
