/** The configuration file: key=value lines, # comments. A mistake in it names file, line and what is allowed. */

import { readFileSync } from "node:fs";
import { CaromError } from "../native/error.js";
import { keyName, nameOfKey, type OptionTable, type Values } from "./option.js";

const MAX_SIZE = 1 << 20; // bytes

/** Texts by option name, each with the place it came from ("--rate" or "carom.conf:3: rate"). */
export type Texts = Map<string, { readonly text: string; readonly place: string }>;

/**
 * Reads a configuration file.
 * @throws CaromError (usage) for an unreadable file, a line that is no key=value, an unknown key, a key given twice
 */
export function readConfigFile(path: string, table: OptionTable): Texts {
  let content: string;
  try {
    content = readFileSync(path, "utf8");
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new CaromError(
      "usage",
      `configuration file ${path}`,
      code ?? message,
      "check the path given with --config",
    );
  }
  return parseConfig(content, path, table);
}

/** @throws CaromError as readConfigFile does */
export function parseConfig(content: string, path: string, table: OptionTable): Texts {
  if (content.length > MAX_SIZE) {
    throw new CaromError("usage", `configuration file ${path}`, `larger than ${MAX_SIZE} bytes`);
  }
  const texts: Texts = new Map();
  for (const [index, raw] of content.split(/\r?\n/).entries()) {
    const line = raw.replace(/(^|\s)#.*$/, "").trim();
    if (line === "") continue;
    const place = `${path}:${index + 1}`;
    const equals = line.indexOf("=");
    if (equals < 1) throw new CaromError("usage", place, `${JSON.stringify(line)} is not key=value`);
    const key = line.slice(0, equals).trim();
    const name = nameOfKey(key);
    if (!Object.hasOwn(table, name) || keyName(name) !== key) {
      const allowed = Object.keys(table).map(keyName).sort().join(", ");
      throw new CaromError("usage", place, `unknown key ${JSON.stringify(key)}`, `allowed are: ${allowed}`);
    }
    const earlier = texts.get(name);
    if (earlier !== undefined) {
      throw new CaromError(
        "usage",
        place,
        `${key} was given already at ${earlier.place}`,
        "keep one of the two",
      );
    }
    texts.set(name, { text: line.slice(equals + 1).trim(), place: `${place}: ${key}` });
  }
  return texts;
}

/**
 * Texts to values, defaults filled in.
 * @throws CaromError (usage) that names the place and what is allowed
 */
export function resolveValues<T extends OptionTable>(table: T, texts: Texts): Values<T> {
  const values: Record<string, unknown> = {};
  for (const [name, option] of Object.entries(table)) {
    const given = texts.get(name);
    const text = given?.text ?? option.fallback;
    if (text === undefined) {
      values[name] = undefined;
      continue;
    }
    const result = option.type.safeParse(text);
    if (!result.success) {
      const detail = result.error.issues.map((issue) => issue.message).join("; ");
      throw new CaromError("usage", given?.place ?? `default of ${name}`, detail);
    }
    values[name] = result.data;
  }
  return values as Values<T>;
}
