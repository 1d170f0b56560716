/** The symbols of a profile: made up, listed, or in a file; and how often each of them comes. */

import { resolve } from "node:path";
import { readBounded } from "../config/document.js";
import { list, map, text, whole } from "../config/shape.js";
import { decimal, filePath } from "../config/values.js";
import { CaromError } from "../native/error.js";

const SYMBOLS_MAX = 100_000;
const LETTERS = 26;
const NAME_LENGTH = 4; // 26^4 are more than SYMBOLS_MAX
const WEIGHT = /^\d{1,9}(\.\d{1,9})?$/;

const symbol = text("a symbol of 1 to 8 printable ASCII characters", (value) =>
  /^[\x21-\x7e]{1,8}$/.test(value) ? value : undefined,
);

export const symbolsSchema = map("symbols", {
  count: whole(1, SYMBOLS_MAX).optional(),
  list: list("symbols", symbol, SYMBOLS_MAX).optional(),
  file: filePath().optional(),
  exponent: decimal(0, 10).optional(),
});

export interface Universe {
  readonly symbols: readonly string[];
  /** One for each symbol; or the exponent s of weights 1 / rank^s. */
  readonly weights: number | Float64Array;
}

interface SymbolsDocument {
  readonly count?: number | undefined;
  readonly list?: readonly string[] | undefined;
  readonly file?: string | undefined;
  readonly exponent?: number | undefined;
}

/**
 * @param fail called with what is wrong, and the key it is about
 * @throws CaromError (usage) for a file that is no list of symbols
 */
export function readUniverse(
  node: SymbolsDocument,
  directory: string,
  fail: (detail: string, key?: string) => never,
): Universe {
  const given = (["count", "list", "file"] as const).filter((key) => node[key] !== undefined);
  if (given.length !== 1) {
    fail(
      given.length === 0
        ? "one of count, list, file is missing"
        : `${given.join(" and ")} exclude each other`,
    );
  }
  const exponent = node.exponent ?? 0;
  if (node.count !== undefined) return { symbols: madeUp(node.count), weights: exponent };
  if (node.list !== undefined) {
    const twice = node.list.find((name, index) => node.list!.indexOf(name) !== index);
    if (twice !== undefined) fail(`${twice} is listed twice`, "list");
    return { symbols: node.list, weights: exponent };
  }
  const universe = readSymbolFile(resolve(directory, node.file!));
  if (typeof universe.weights !== "number" && node.exponent !== undefined) {
    fail("the file has weights of its own", "exponent");
  }
  return typeof universe.weights === "number" ? { ...universe, weights: exponent } : universe;
}

/** AAAA, AAAB, …: the first is the most frequent one. */
function madeUp(count: number): string[] {
  return Array.from({ length: count }, (_, index) => {
    let name = "";
    for (let rest = index, length = 0; length < NAME_LENGTH; length++, rest = Math.floor(rest / LETTERS)) {
      name = String.fromCharCode(65 + (rest % LETTERS)) + name;
    }
    return name;
  });
}

/** Lines `symbol` or `symbol,weight`. @throws CaromError (usage) with file, line and column */
function readSymbolFile(file: string): Universe {
  return parseSymbols(readBounded(file, "symbols"), file);
}

/** @throws CaromError (usage) with file, line and column */
export function parseSymbols(content: string, file: string): Universe {
  const symbols = new Map<string, number>();
  const weights: number[] = [];
  for (const [index, raw] of content.split(/\r?\n/).entries()) {
    const line = raw.trim();
    if (line === "" || line.startsWith("#")) continue;
    const fail = (column: number, detail: string): never => {
      throw new CaromError("usage", `${file}:${index + 1}:${column + 1}`, detail);
    };
    const [name = "", weight, ...rest] = line.split(",").map((part) => part.trim());
    const weightAt = raw.indexOf(",") + 1;
    if (!symbol.safeParse(name).success || rest.length > 0) {
      fail(
        0,
        `${JSON.stringify(line)} is not a symbol of up to 8 printable ASCII characters, or one and a weight`,
      );
    }
    const earlier = symbols.get(name);
    if (earlier !== undefined) fail(0, `${name} was listed already in line ${earlier}`);
    if (weight !== undefined && !(WEIGHT.test(weight) && Number(weight) > 0)) {
      fail(weightAt, `${JSON.stringify(weight)} is not a weight above 0`);
    }
    if ((weight !== undefined ? 1 : 0) !== Math.sign(weights.length) && symbols.size > 0) {
      fail(0, "either each symbol has a weight or none");
    }
    symbols.set(name, index + 1);
    if (weight !== undefined) weights.push(Number(weight));
    if (symbols.size > SYMBOLS_MAX) fail(0, `more than ${SYMBOLS_MAX} symbols`);
  }
  if (symbols.size === 0) throw new CaromError("usage", file, "it has no symbols");
  return { symbols: [...symbols.keys()], weights: weights.length > 0 ? Float64Array.from(weights) : 0 };
}
