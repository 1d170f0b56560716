/** Waiting for a process: however slow it is as long as it does something, and not for one that does nothing. */

import { spawn } from "node:child_process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { waitForProcess } from "../lab/progress.js";

const PATIENCE_MS = 300; // fifteen looks
const LOOKS = 40; // after which what works is ready; what does nothing never is, however late it begins with that

for (const [what, script, expected, readyAfter] of [
  ["is busy is waited for", "while :; do :; done", "ready", LOOKS],
  ["works now and then is waited for", "while :; do sleep 0.02; done", "ready", LOOKS],
  ["does nothing is given up", "exec sleep 600", "idle", Number.POSITIVE_INFINITY],
  ["has ended is not waited for", "exit 0", "ended", Number.POSITIVE_INFINITY],
] as const) {
  test(`a process that ${what}`, async () => {
    const child = spawn("sh", ["-c", script], { stdio: "ignore" });
    try {
      let looks = 0;
      const state = await waitForProcess(child.pid!, async () => ++looks > readyAfter, PATIENCE_MS);
      assert.is(state, expected);
    } finally {
      child.kill("SIGKILL");
    }
  });
}

test.run();
