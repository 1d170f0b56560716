/** Which cases of which scripts are run, and why the others are not. */

import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { resolveValues, type Texts } from "../config/file.js";
import { keyName, type OptionTable } from "../config/option.js";
import { CaromError } from "../native/error.js";
import type { Selection } from "./runner.js";
import { type Case, type Script, SETTINGS } from "./script.js";

/** The scripts that come with carom, in the order of their names. */
export function shippedScripts(): string[] {
  // Compiled, this file is dist/check/select.js; the scripts stay where they are.
  const directory = fileURLToPath(new URL("../../check/scripts", import.meta.url));
  const files = readdirSync(directory).filter((file) => file.endsWith(".yaml"));
  return files.sort().map((file) => join(directory, file));
}

/**
 * The cases whose names, or whose script's name, contain a text; all for "".
 * @throws CaromError (usage) when there are none
 */
export function selectCases(scripts: readonly Script[], only: string): Selection[] {
  const wanted = (script: Script, item: Case) => script.name.includes(only) || item.name.includes(only);
  const selections = scripts.map((script) => ({
    script,
    cases: script.cases.filter((item) => wanted(script, item)).map((item) => ({ item, skip: "" })),
  }));
  const found = selections.filter(({ cases }) => cases.length > 0);
  if (found.length > 0) return found;
  throw new CaromError(
    "usage",
    `--only ${JSON.stringify(only)}`,
    "no case has this in its name",
    "--list shows their names",
  );
}

/**
 * "threshold=20000 side=sell", as settings of the device.
 * @throws CaromError (usage)
 */
export function parseSettings(text: string, place: string, table: OptionTable): Texts {
  const texts: Texts = new Map();
  for (const part of text.split(/\s+/).filter((word) => word !== "")) {
    const [key = "", ...rest] = part.split("=");
    const name = SETTINGS.find((candidate) => keyName(candidate) === key);
    if (name === undefined || rest.length === 0) {
      const hint = `allowed are: ${SETTINGS.map((candidate) => `${keyName(candidate)}=…`).join(" ")}`;
      throw new CaromError("usage", place, `${JSON.stringify(part)} is not a setting`, hint);
    }
    texts.set(name, { text: rest.join("="), place: `${place}: ${key}` });
  }
  resolveValues(table, texts);
  return texts;
}

/**
 * Skips the cases for which the device would have to be set differently.
 * @param assumed what it is set to; what is left out has its default
 * @param overrides where the device is, whatever a script says
 */
export function skipOtherSettings(
  selections: readonly Selection[],
  assumed: Texts,
  overrides: Texts,
  table: OptionTable,
): Selection[] {
  const resolved = (settings: Texts) => {
    const values: Readonly<Record<string, unknown>> = resolveValues(
      table,
      new Map([...settings, ...overrides]),
    );
    return SETTINGS.map((name) => [name, JSON.stringify(values[name])] as const);
  };
  const has = new Map(resolved(assumed));
  return selections.map(({ script, cases }) => ({
    script,
    cases: cases.map(({ item, skip }) => {
      const others = resolved(item.settings).filter(([name, value]) => has.get(name) !== value);
      const texts = others.map(
        ([name]) => `${keyName(name)}=${item.settings.get(name)?.text ?? "(its default)"}`,
      );
      const why =
        others.length === 0
          ? ""
          : `needs ${texts.join(" ")}, which the device is not taken to have (--assume)`;
      return { item, skip: skip === "" ? why : skip };
    }),
  }));
}
