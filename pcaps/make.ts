/** Makes the samples of this folder again: npm run pcaps. */

import { readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { samples } from "./samples.js";

// Compiled, this file is dist/pcaps/make.js; the samples are where it was written.
const FOLDER = fileURLToPath(new URL("../../pcaps", import.meta.url));

const made = await samples();
for (const name of readdirSync(FOLDER)) {
  if (/\.pcap(ng)?(\.|$)/.test(name) && !made.has(name)) rmSync(join(FOLDER, name));
}
for (const [name, bytes] of made) writeFileSync(join(FOLDER, name), bytes);
const total = [...made.values()].reduce((sum, { length }) => sum + length, 0);
process.stdout.write(`${made.size} captures, ${total.toLocaleString("en-US")} bytes, in ${FOLDER}\n`);
