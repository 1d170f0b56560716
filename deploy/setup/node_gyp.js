/** node-gyp, called so that it downloads nothing where Node's headers are installed. */

import { existsSync, realpathSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";

/**
 * The command that has node-gyp do something in a folder.
 * @param {string} root where node_modules is
 * @param {string} directory where binding.gyp is
 * @param {readonly string[]} actions "configure", "build", "rebuild"
 */
export function nodeGyp(root, directory, actions) {
  const script = join(root, "node_modules/node-gyp/bin/node-gyp.js");
  const headers = installedHeaders();
  return [
    process.execPath,
    script,
    ...actions,
    "-C",
    directory,
    "--loglevel",
    "warn",
    "--jobs",
    String(availableParallelism()),
    ...(headers === undefined ? [] : ["--nodedir", headers]),
  ];
}

/** The prefix under which Node and its headers are, if it has them. */
function installedHeaders() {
  const prefixes = [process.execPath, realpathSync(process.execPath)].map((file) => dirname(dirname(file)));
  return prefixes.find((prefix) => existsSync(join(prefix, "include/node/node_api.h")));
}
