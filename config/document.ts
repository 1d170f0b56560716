/** A YAML document whose every value is a text, and where in the file each of them stands. */

import { closeSync, openSync, readSync } from "node:fs";
import {
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  Lexer,
  LineCounter,
  type Node,
  parseDocument,
  visit,
  type Document as YamlDocument,
} from "yaml";
import { CaromError } from "../native/error.js";

const FILE_SIZE_MAX = 1 << 20; // bytes
const SIZE_MAX = 1 << 20; // characters
const FLOW_DEPTH_MAX = 32;
const COLUMN_MAX = 200; // of a key or a dash: bounds the depth of block collections
const ALIASES_MAX = 1000; // values that aliases may add, so that a small file can't become a huge one

type Path = readonly PropertyKey[];

export interface Document {
  /** Maps, lists and texts: numbers too are texts, read by whoever knows what they mean. */
  readonly value: unknown;
  /** "FILE:LINE:COLUMN" of the value at a path, or of the closest one around it when there is none. */
  place(path: Path): string;
  /** The same of a key in the map at a path. */
  placeOfKey(path: Path, key: string): string;
}

/**
 * Reads a YAML document.
 * @throws CaromError (usage) with file, line and column
 */
export function readDocument(text: string, file: string): Document {
  if (text.length > SIZE_MAX) throw new CaromError("usage", file, `larger than ${SIZE_MAX} characters`);
  const lines = new LineCounter();
  const at = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return `${file}:${Math.max(line, 1)}:${Math.max(col, 1)}`;
  };
  refuseDeep(text, file);
  // The failsafe schema knows only texts (YAML 1.2.2 §10.1): `payload: 0011` keeps its zeros.
  const document = parseDocument(text, { schema: "failsafe", lineCounter: lines, prettyErrors: false });
  const problem = document.errors[0] ?? document.warnings[0];
  if (problem !== undefined) throw new CaromError("usage", at(problem.pos[0]), oneLine(problem.message));
  visit(document, {
    Pair: (_, { key }) => {
      const offset = isNode(key) ? key.range?.[0] : undefined;
      if (!isScalar(key)) throw new CaromError("usage", at(offset ?? 0), "a key must be a plain text");
    },
    Alias: (_, alias) => {
      const offset = alias.range?.[0] ?? 0;
      if (alias.resolve(document) === undefined) {
        throw new CaromError(
          "usage",
          at(offset),
          `no anchor &${alias.source} comes before the alias *${alias.source}`,
        );
      }
    },
  });
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: ALIASES_MAX });
  } catch (error) {
    throw new CaromError("usage", file, oneLine((error as Error).message));
  }
  return {
    value,
    place: (path) => at(nodeAt(document, path)?.range?.[0] ?? 0),
    placeOfKey: (path, key) => {
      const map = nodeAt(document, path);
      const pair = isMap(map) ? map.items.find((item) => textOf(item.key) === key) : undefined;
      const node = isNode(pair?.key) ? pair.key : map;
      return at(node?.range?.[0] ?? 0);
    },
  };
}

/**
 * The text of a file of up to 1 MiB, read no further.
 * @param what it is, for the error
 * @throws CaromError (usage)
 */
export function readBounded(file: string, what: string): string {
  const bytes = Buffer.alloc(FILE_SIZE_MAX + 1);
  let size = 0;
  try {
    const fd = openSync(file, "r");
    try {
      for (let count = -1; count !== 0 && size < bytes.length; size += count) {
        count = readSync(fd, bytes, size, bytes.length - size, null);
      }
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new CaromError("usage", `${what} ${file}`, code ?? message, "check the name of the file");
  }
  if (size > FILE_SIZE_MAX)
    throw new CaromError("usage", `${what} ${file}`, `larger than ${FILE_SIZE_MAX} bytes`);
  return bytes.toString("utf8", 0, size);
}

/** The node at a path, or the deepest one on the way to it. */
function nodeAt(document: YamlDocument.Parsed, path: Path): Node | undefined {
  let node: Node | undefined = document.contents ?? undefined;
  for (const step of path) {
    const inner: unknown = isMap(node)
      ? node.items.find((item) => textOf(item.key) === String(step))?.value
      : isSeq(node)
        ? node.items[Number(step)]
        : undefined;
    const next = isAlias(inner) ? inner.resolve(document) : inner;
    if (!isNode(next)) return node;
    node = next;
  }
  return node;
}

function textOf(key: unknown): string {
  return isScalar(key) ? String(key.value) : String(key);
}

/** The parser recurses: what is nested deeper than anybody needs is refused before it gets there. */
function refuseDeep(text: string, file: string): void {
  let depth = 0;
  let line = 1;
  let column = 1;
  let isText = false; // the token after a unit separator is a scalar's text
  for (const token of new Lexer().lex(text)) {
    if (!isText && (token === "[" || token === "{")) depth++;
    if (!isText && (token === "]" || token === "}")) depth = Math.max(0, depth - 1);
    const block = !isText && depth === 0 && (token === "-" || token === "?" || token === ":");
    if (depth > FLOW_DEPTH_MAX || (block && column > COLUMN_MAX)) {
      throw new CaromError(
        "usage",
        `${file}:${line}:${column}`,
        "nested too deeply",
        `${FLOW_DEPTH_MAX} levels are allowed`,
      );
    }
    isText = token === "\x1f";
    if (token === "\x02" || token === "\x18" || token === "\x1f") continue;
    const newline = token.lastIndexOf("\n");
    if (newline < 0) column += token.length;
    else {
      line += token.split("\n").length - 1;
      column = token.length - newline;
    }
  }
}

function oneLine(message: string): string {
  return message.replace(/\s*\n\s*/g, " ").trim();
}
