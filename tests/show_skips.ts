/** Loaded before a test file: has each skipped test say its name, which holds the reason. uvu only counts them. */

import { test } from "uvu";

const skip = test.skip as (name?: unknown) => void;
test.skip = ((name?: unknown) => {
  process.stdout.write(`skipped: ${String(name)}\n`);
  skip(name);
}) as typeof test.skip;
