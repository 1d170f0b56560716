/** A file of stamps, read back with the report that names it: hostile until it is what the report says. */

import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { CaromError } from "../native/error.js";
import { MAGIC, ROW, SECTIONS, type StampSections, type StampsReport } from "./stamps.js";

/**
 * @param report the path of the report: the file is where that says, or, copied from another machine, beside it
 * @throws CaromError (usage) for one that is not the report's
 */
export function readStamps(
  report: string,
  { file, sha256, rows }: Pick<StampsReport, "file" | "sha256" | "rows">,
): StampSections {
  const beside = join(dirname(report), basename(file));
  const path = existsSync(beside) ? beside : file;
  const operation = `read the stamps ${path}`;
  const bytes = read(path, operation, beside);
  const refuse = (detail: string): never => {
    throw new CaromError("usage", operation, detail, `copy the file that was written with ${report}`);
  };
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) refuse("it is none of carom's, or of another version");
  if (createHash("sha256").update(bytes).digest("hex") !== sha256) refuse("it is not the one of the report");
  let at = MAGIC.length + 8 * SECTIONS.length;
  const found = SECTIONS.map((section): BigUint64Array => {
    const length = 8 * ROW * rows[section];
    if (at + length > bytes.length) refuse("it is shorter than the report says");
    // A copy, as the numbers have to begin at a multiple of their size.
    const numbers = new BigUint64Array(new Uint8Array(bytes.subarray(at, at + length)).buffer);
    at += length;
    return numbers;
  });
  return Object.fromEntries(SECTIONS.map((section, index) => [section, found[index]])) as StampSections;
}

function read(path: string, operation: string, beside: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new CaromError("usage", operation, code ?? message, `it has to be there, or ${beside}`);
  }
}
