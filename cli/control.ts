/** carom status, enable, disable, config, stats, reset, stop: control of a running responder. */

import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { optionGroup } from "../config/option.js";
import { duration, flag, formatNs, name } from "../config/values.js";
import { CaromError } from "../native/error.js";
import { ask, type Command, isAnswered } from "../responder/control.js";
import { type CommandSpec, defineCommand } from "./command.js";
import { formatTable } from "./table.js";

const which = optionGroup("Which responder");
const output = optionGroup("Output");
const options = { name: which(name(), "its name, as given to carom respond", "name", "responder") } as const;
const STOP_MS = 5000;
const STOP_POLL_MS = 20;

interface Simple {
  readonly name: Command;
  readonly summary: string;
  readonly description: string;
}

const SIMPLE: readonly Simple[] = [
  {
    name: "status",
    summary: "what a running responder is, does and has counted",
    description: "Shows a running responder: settings, packets, errors by reason, processing time.",
  },
  {
    name: "enable",
    summary: "let a running responder answer again",
    description: "From the next packet on, ticks are answered.",
  },
  {
    name: "disable",
    summary: "let a running responder answer nothing for now",
    description: "From the next packet on, ticks are counted and thrown away.",
  },
  {
    name: "reset",
    summary: "set a running responder's counters to zero",
    description: "The counters shown begin at zero; none is lost, as they are only shown from here on.",
  },
];

const simple: readonly CommandSpec[] = SIMPLE.map(({ name: command, summary, description }) =>
  defineCommand({
    name: command,
    summary,
    description,
    options,
    async run(values, context) {
      const result = await ask(values.name, command);
      context.result(result);
      for (const line of textOf(result)) context.say(line);
      if (command !== "status") context.say(`${values.name}: ${command} done`);
      return 0;
    },
  }),
);

const config = defineCommand({
  name: "config",
  summary: "show or change the settings of a running responder",
  description:
    "Without arguments shows all settings. With key=value changes those that can change without a restart, all of " +
    "them between two packets, or none.",
  arguments: "[key=value...]",
  options,
  examples: [["carom config threshold=5000 side=sell", "from the next packet on"]],
  async run(values, context) {
    const settings: Record<string, string> = {};
    for (const argument of context.args) {
      const equals = argument.indexOf("=");
      if (equals < 1)
        throw new CaromError("usage", "carom config", `${JSON.stringify(argument)} is not key=value`);
      const key = argument.slice(0, equals);
      if (Object.hasOwn(settings, key))
        throw new CaromError("usage", "carom config", `${key} is given twice`, "give it once");
      settings[key] = argument.slice(equals + 1);
    }
    const result = await ask(values.name, "config", settings);
    context.result(result);
    const { settings: now, changeable } = result as { settings: object; changeable: string[] };
    for (const line of textOf(now)) context.say(line);
    context.say(`${changeable.join(", ")} can change while it runs, the others need a restart`);
    return 0;
  },
});

const stats = defineCommand({
  name: "stats",
  summary: "the counters of a running responder, once or again and again",
  description: "Shows every counter that is not zero, and the processing time.",
  options: {
    ...options,
    watch: output(flag(), "show them again and again, until Ctrl-C", "", "false"),
    every: output(duration(1e8, 3600e9), "with --watch: how often", "time", "1s"),
  },
  async run(values, context) {
    const show = async () => {
      const result = await ask(values.name, "stats");
      context.result(result);
      const { counters, ...rest } = result as { counters: Record<string, number> };
      const nonzero = Object.fromEntries(Object.entries(counters).filter(([, value]) => value !== 0));
      for (const line of textOf({ ...nonzero, ...rest })) context.say(line);
    };
    await show();
    while (values.watch) {
      await sleep(values.every / 1e6);
      context.say("");
      await show();
    }
    return 0;
  },
});

const stop = defineCommand({
  name: "stop",
  summary: "end a running responder",
  description: "Asks it to end, and waits until it has.",
  options,
  async run(values, context) {
    const { pid } = (await ask(values.name, "status")) as { pid: number };
    await ask(values.name, "stop");
    for (const end = performance.now() + STOP_MS; performance.now() < end; await sleep(STOP_POLL_MS)) {
      if ((await isAnswered(values.name)) || isRunning(pid)) continue;
      context.say(`${values.name} has ended`);
      context.result({ stopped: values.name });
      return 0;
    }
    throw new CaromError(
      "environment",
      `stop the responder ${values.name}`,
      `it is still there after ${STOP_MS / 1000} s`,
    );
  },
});

/** Whether there is such a process; one that has ended and that its parent has not asked after is none. */
function isRunning(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) [ZX] /s.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

export const commands: ReadonlyMap<string, CommandSpec> = new Map(
  [...simple, config, stats, stop].map((command) => [command.name, command]),
);

/** An answer for people: a line a value, times with their units. */
function textOf(result: unknown): string[] {
  if (typeof result !== "object" || result === null) return [];
  return formatTable(rows("", result));
}

const TEXT_MAX = 100; // characters of a value

/** Keys of numbers that count nothing: they are written without separators. */
const IDENTIFIER = /(^|_)(pid|port|id|namespace)$/;

/** A filter may have a million characters; --json has all of them. */
function shortened(text: string): string {
  return text.length > TEXT_MAX ? `${text.slice(0, TEXT_MAX)}…` : text;
}

function rows(prefix: string, value: object): string[][] {
  return Object.entries(value).flatMap(([key, item]: [string, unknown]) => {
    const name = prefix + key.replace(/_ns$/, "").replaceAll("_", " ");
    if (Array.isArray(item) && typeof item[0] === "object") {
      // "threads" of two are "thread 0" and "thread 1".
      const each = (index: number) => name.replace(/s$/, item.length === 1 ? "" : ` ${index}`);
      return item.flatMap((element: object, index) => rows(`${each(index)}: `, element));
    }
    if (Array.isArray(item) && item.length === 0) return [[`  ${name}`, "none"]];
    if (Array.isArray(item)) return [[`  ${name}`, item.join(key === "mode" ? "; " : ", ")]];
    if (typeof item === "object" && item !== null) return rows(`${name}: `, item);
    if (typeof item === "number" && key.endsWith("_ns")) return [[`  ${name}`, formatNs(item)]];
    const isCount = typeof item === "number" && !IDENTIFIER.test(key);
    const text = isCount ? item.toLocaleString("en-US") : item === null ? "–" : shortened(String(item));
    return [[`  ${name}`, text]];
  });
}
