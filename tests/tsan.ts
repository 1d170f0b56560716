/**
 * The tests of native/test under ThreadSanitizer: what threads hand to one another, and whole roles with their
 * threads. npm run test:tsan
 *
 * The addon is not among them: Node is not built with the sanitizer, and what it does to order its threads would
 * not be seen.
 *
 * Exit status: 0 all passed, 1 otherwise.
 */

import { end, nativeTests } from "./sanitizer.js";

nativeTests({
  name: "test-tsan/carom-test",
  // The runtime of gcc 12 does not start where the kernel spreads addresses over 32 bits (vm.mmap_rnd_bits).
  // A test forks a process that starts a thread before it is killed: by itself the runtime would end it.
  prefix: ["env", "TSAN_OPTIONS=die_after_fork=0", "setarch", "--addr-no-randomize"],
  faults: [["--race", "races", "data race"]],
  complaint: ({ status, output }) =>
    status === 0 && !output.includes("WARNING: ThreadSanitizer") ? "" : `${output}\nstatus ${status}`,
});
end();
