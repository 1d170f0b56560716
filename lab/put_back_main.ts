/**
 * What the process that watches over another one of carom's runs when that was killed (native/io/watcher.h): what the
 * next carom would do first. What can't be done is left to that.
 */

import { restoreTimestamping } from "../native/index.js";
import { sweepLabs } from "./lab.js";
import { restoreNics } from "./nic_changes.js";

for (const putBack of [restoreTimestamping, restoreNics, sweepLabs]) {
  try {
    putBack();
  } catch {
    process.exitCode = 1;
  }
}
