/** The processes that run the cases of carom check: what they may still do, and how they and the one that started them end. */

import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { namespaceName } from "../lab/lab.js";
import { file, type Report } from "./check_support.js";
import { backendsOf, backendTest, jsonOf, type Running, startCarom } from "./cli_support.js";
import { labTest } from "./lab_support.js";
import { childrenOf, read, threadsOf, until } from "./measuring_support.js";

const MAIN = "checking_main";

const script = file(
  "process.yaml",
  `cases:
  - { name: first, send: [{ tick: { price: 1 } }], expect: [{ order: {} }] }
  - { name: long, quiet: 30s, send: [{ tick: { price: 1 } }], expect: [{ order: {} }] }
  - { name: next, send: [{ tick: { price: 1 } }], expect: [{ order: {} }] }
`,
);

/** The process that runs the cases, when the first is over. */
async function checking({ child, said }: Running): Promise<number> {
  await said("✓ first");
  return until("a case is run", () => {
    assert.is(child.exitCode, null, "it runs");
    return childrenOf(child.pid!, MAIN).find((pid) => {
      const threads = threadsOf(pid);
      return threads.length > 0 && threads.every(({ noNewPrivileges }) => noNewPrivileges);
    });
  });
}

const isGone = (pid: number) => !/^\d+ \(.*\) [^ZX]/.test(read(`/proc/${pid}/stat`));

for (const backend of backendsOf("responder")) {
  backendTest(
    `${backend}: nothing that runs cases keeps a capability, nor ends the others with it`,
    [backend],
    async () => {
      const check = startCarom("check", script, "--backend", backend, "--json");
      const pid = await checking(check);
      const threads = threadsOf(pid);
      assert.ok(threads.length >= 8, `${threads.length} threads: those of Node, too`);
      for (const { name, permitted, effective } of threads) assert.is(permitted | effective, 0n, name);
      assert.ok(threadsOf(check.child.pid!).some(({ effective }) => effective !== 0n));
      process.kill(pid, "SIGKILL");
      const ended = await check.end;
      assert.is(ended.status, 3, ended.stderr);
      const { scripts, capabilities } = jsonOf(ended) as unknown as Report & {
        capabilities: Record<string, unknown>;
      };
      const [, long, next] = scripts[0]!.cases;
      assert.is(long!.outcome, "error");
      assert.match(long!.reason, /the process that runs the cases was ended by SIGKILL/);
      assert.is(next!.outcome, "passed", next!.reason);
      assert.is(capabilities.no_new_privileges, true);
      assert.equal(capabilities.kept, []);
    },
  );
}

labTest("with carom the process that runs the cases goes", async () => {
  const check = startCarom("check", script, "--backend", "udp");
  const pid = await checking(check);
  check.child.kill("SIGTERM");
  assert.is((await check.end).status, 143);
  await until("its process goes", () => (isGone(pid) ? true : undefined));
  const namespace = namespaceName(`p${check.child.pid}-1`, "generator");
  assert.not.ok(existsSync(join("/run/netns", namespace)), "and the lab");
});

test.run();
