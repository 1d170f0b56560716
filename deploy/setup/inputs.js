/** Whether something that was built is still what would be built now: by the contents of its inputs. */

import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";

/**
 * The content of each file, as a hash.
 * @param {string} root to which the names are relative
 * @param {readonly string[]} files
 * @returns {Record<string, string>}
 */
export function hashFiles(root, files) {
  return Object.fromEntries(files.map((file) => [relative(root, file), hashText(readFileSync(file))]));
}

/** @param {string | Buffer} text */
export function hashText(text) {
  return createHash("sha256").update(text).digest("base64url");
}

/**
 * The files below a directory.
 * @param {(name: string) => boolean} isWanted by the file's name
 * @param {(name: string) => boolean} isEntered by a directory's name
 * @returns {string[]}
 */
export function filesBelow(directory, isWanted, isEntered = () => true) {
  const files = [];
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory() && isEntered(entry.name)) files.push(...filesBelow(path, isWanted, isEntered));
    else if (entry.isFile() && isWanted(entry.name)) files.push(path);
  }
  return files.sort();
}

/** What a stamp says, or an empty object when there is none that can be read. */
export function readStamp(path) {
  try {
    const stamp = JSON.parse(readFileSync(path, "utf8"));
    return typeof stamp === "object" && stamp !== null ? stamp : {};
  } catch {
    return {};
  }
}

export function writeStamp(path, stamp) {
  writeFileSync(path, `${JSON.stringify(stamp)}\n`);
}

/** A file as it is now, "" when there is none: tells that it was replaced. */
export function identityOf(path) {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat === undefined ? "" : `${stat.size} ${stat.mtimeMs}`;
}

export function isSame(one, other) {
  return JSON.stringify(one) === JSON.stringify(other);
}
