/** What was found, kept from one call to the next. */

import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Kept, Result } from "./cells.js";

/** What a guest has written: the cells that it has ended, and the one that it was at. */
export function parseLines(text: string): { readonly results: Result[]; readonly begun: string | undefined } {
  const results: Result[] = [];
  let begun: string | undefined;
  for (const line of text.split("\n")) {
    const found = parseLine(line);
    if (found === undefined) continue;
    if ("begun" in found) begun = found.begun;
    else {
      results.push(found);
      begun = undefined;
    }
  }
  return { results, begun };
}

/** Undefined for a line that is not whole: the guest may have been ended while it wrote. */
export function parseLine(line: string): Result | { readonly begun: string } | undefined {
  try {
    return JSON.parse(line) as Result | { readonly begun: string };
  } catch {
    return undefined;
  }
}

export class KeptResults {
  private readonly results: Map<string, Kept>;

  constructor(private readonly file: string) {
    this.results = new Map(readKept(file).map((result) => [result.id, result]));
  }

  get all(): ReadonlyMap<string, Kept> {
    return this.results;
  }

  /** Keeps one, at once: the next call goes on from there. */
  add(result: Kept): void {
    this.results.set(result.id, result);
    mkdirSync(dirname(this.file), { recursive: true });
    const making = `${this.file}.new`;
    writeFileSync(making, JSON.stringify([...this.results.values()], undefined, 1));
    renameSync(making, this.file);
  }

  /** The release on which a kernel of this name was tried last. */
  releaseOf(kernel: string): string {
    const last = [...this.results.values()].filter(({ id }) => id.startsWith(`${kernel}/`)).at(-1);
    return last?.release ?? kernel;
  }
}

function readKept(file: string): Kept[] {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Kept[];
  } catch {
    return []; // nothing was tried here yet
  }
}

/** A digest of what a guest runs: carom as it is built, the programs of tests/vm in it, and the module's text. */
export function stateOf(root: string, module: string): string {
  const hash = createHash("sha256");
  const add = (folder: string, isPart: (path: string) => boolean) => {
    for (const path of readdirSync(folder, { recursive: true, encoding: "utf8" }).sort())
      if (isPart(path)) hash.update(`${path}\0`).update(readFileSync(join(folder, path)));
  };
  const isRun = (path: string) =>
    !/^(tests|bench|tui|pcaps)\//.test(path) || path.startsWith("tests/vm/inside/");
  add(join(root, "dist"), (path) => path.endsWith(".js") && isRun(path));
  add(join(root, "native/build/Release"), (path) => path === "carom.node");
  add(module, (path) => /\.[ch]$|^Kbuild$|^Makefile$/.test(path));
  return hash.digest("hex").slice(0, 16);
}
