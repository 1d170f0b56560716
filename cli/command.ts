/** What a command is, and how its table of options becomes flags, a configuration file and help. */

import { Command } from "commander";
import pc from "picocolors";
import { readConfigFile, resolveValues, type Texts } from "../config/file.js";
import { flagName, keyName, type OptionTable, type Values } from "../config/option.js";
import { CaromError } from "../native/error.js";
import { escapedLines } from "../native/escape.js";

export interface CommandSpec<T extends OptionTable = OptionTable> {
  readonly name: string; // "run", or "lab up" for a command within a command
  readonly summary: string; // one line
  readonly description: string; // what --help says before the options
  readonly arguments?: string; // as commander writes them: "<role> [command...]"; what follows -- comes through as it is
  readonly options: T;
  readonly examples?: readonly (readonly [command: string, says: string])[];
  /** @returns the exit status */
  run(values: Values<T>, context: Context): Promise<number>;
}

export interface Context {
  readonly args: readonly string[];
  /** The options that were given, as texts by name, those from a configuration file, too. */
  readonly given: Readonly<Record<string, string>>;
  /** Set where a run of the history is made again: its number, and the digest of its plan. */
  readonly repeats?: { readonly id: number; readonly plan: string };
  readonly json: boolean;
  /** One line for people: on standard error with --json, so that standard output holds the one object alone. */
  say(line: string): void;
  /** The command's result; printed with --json only. */
  result(value: unknown): void;
}

/** Keeps the types of the options through to run(). */
export function defineCommand<T extends OptionTable>(spec: CommandSpec<T>): CommandSpec {
  return spec as unknown as CommandSpec;
}

/** The commander command for a spec; its action resolves the values and sets the exit status. */
export function buildCommand(spec: CommandSpec, onStatus: (status: number) => void): Command {
  const command = new Command(spec.name.split(" ").at(-1));
  command.summary(spec.summary).description(spec.description);
  if (spec.arguments !== undefined) command.arguments(spec.arguments);
  command.helpOption("-h, --help", "show this help");
  command.optionsGroup("General:");
  for (const [group, names] of groups(spec.options)) {
    command.optionsGroup(`${group}:`);
    for (const name of names) addOption(command, name, spec.options);
  }
  command.optionsGroup("General:");
  command.option("--config <file>", "read options from a file of key=value lines; flags win over it");
  command.option("--json", "one JSON object on standard output, everything else on standard error");
  command.addHelpText("after", () => epilogue(spec));
  command.allowExcessArguments(false);
  command.action(async (...parameters: unknown[]) => {
    // One parameter for each declared argument, a list for the last if it repeats; then the options and the command.
    const args = parameters
      .slice(0, -2)
      .flat()
      .filter((argument) => typeof argument === "string");
    const given = command.opts() as Record<string, unknown>;
    const texts = collect(spec.options, given);
    const context = makeContext(args, texts, given.json === true);
    onStatus(await spec.run(resolveValues(spec.options, texts), context));
  });
  return command;
}

function addOption(command: Command, name: string, table: OptionTable): void {
  const option = table[name]!;
  const description =
    option.fallback === undefined
      ? option.description
      : `${option.description} (default: ${option.fallback})`;
  const flags = `--${flagName(name)} <${option.value}>`;
  if (option.repeats === true) {
    command.option(flags, description, (text, before: string | undefined) =>
      before === undefined ? text : `${before},${text}`,
    );
  } else if (option.value !== "") {
    command.option(flags, description);
  } else {
    command.option(`--${flagName(name)}`, description);
    // Without a default, "not given" is a third state: it can be turned off, too.
    if (option.fallback !== "false")
      command.option(`--no-${flagName(name)}`, `turns --${flagName(name)} off`);
  }
}

/** Texts from the configuration file, then from the flags, which win. */
function collect(table: OptionTable, given: Record<string, unknown>): Texts {
  const texts: Texts = new Map();
  if (typeof given.config === "string") {
    for (const [name, entry] of readConfigFile(given.config, table)) texts.set(name, entry);
  }
  for (const name of Object.keys(table)) {
    const value = given[name];
    if (value !== undefined) texts.set(name, { text: String(value), place: `--${flagName(name)}` });
  }
  return texts;
}

function groups(table: OptionTable): Map<string, string[]> {
  const result = new Map<string, string[]>();
  for (const [name, option] of Object.entries(table)) {
    result.set(option.group, [...(result.get(option.group) ?? []), name]);
  }
  return result;
}

function epilogue(spec: CommandSpec): string {
  const lines = [""];
  if (spec.examples !== undefined) {
    lines.push("Examples:");
    for (const [example, says] of spec.examples) lines.push(`  ${example}`, `      ${says}`);
    lines.push("");
  }
  const first = Object.keys(spec.options).find((name) => /[A-Z]/.test(name));
  if (first !== undefined) {
    lines.push(`In a configuration file the same names are written with underscores: ${keyName(first)}=…`);
  }
  lines.push(
    "Exit status: 0 all as expected, 1 not as expected (the report says what), 2 bad usage or configuration,",
    "3 this machine can't do it.",
  );
  return lines.join("\n");
}

/** Lines for a terminal: no control character of a name or a file gets there. */
export function shown(lines: string): string {
  return escapedLines(lines, pc.isColorSupported);
}

/** What went wrong on the way, on standard error. */
export function complain(message: string): void {
  process.stderr.write(`carom: ${escapedLines(message, false)}\n`);
}

function makeContext(args: readonly string[], texts: Texts, json: boolean): Context {
  return {
    args,
    given: Object.fromEntries([...texts].map(([name, { text }]) => [name, text])),
    json,
    say: (line) => (json ? process.stderr : process.stdout).write(`${shown(line)}\n`),
    result: (value) => {
      if (json) process.stdout.write(`${JSON.stringify(value)}\n`);
    },
  };
}

/** Two options that exclude each other. @throws CaromError (usage) */
export function refuseTogether(first: string, second: string, why: string): never {
  throw new CaromError("usage", `--${flagName(first)} with --${flagName(second)}`, why, "give one of them");
}
