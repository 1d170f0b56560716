/** The process that measures a run: what it may still do meanwhile, and how it and the one that started it end. */

import { existsSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Lab, listLabs } from "../lab/lab.js";
import { ask, socketPath } from "../responder/control.js";
import { file, SCRIPT } from "./check_support.js";
import {
  backendsOf,
  backendTest,
  type Ended,
  jsonOf,
  launch,
  type Running,
  reportOf,
  startCarom,
} from "./cli_support.js";
import { labTest, MAIN, PREFIX, withLab } from "./lab_support.js";
import { measuring, read, threadsOf, until } from "./measuring_support.js";

const ENDLESS = ["--duration", "10m", "--cpu", "none", "--responder-cpu", "none", "--no-history", "--json"];
const NET_ADMIN = 1n << 12n;
const BPF = 1n << 39n;

for (const backend of backendsOf("generator")) {
  backendTest(
    `${backend}: no thread that measures keeps a capability but what it needs`,
    [backend],
    async () => {
      const run = startCarom("run", "--backend", backend, ...ENDLESS);
      const pid = await measuring(run);
      const threads = threadsOf(pid);
      const wanted = (name: string) => (name === "carom-sender" ? BPF | NET_ADMIN : 0n);
      assert.ok(threads.length >= 8, `${threads.length} threads: those of Node, too`);
      for (const { name, permitted, effective, noNewPrivileges } of threads) {
        assert.is(permitted, wanted(name), name);
        assert.is(effective, wanted(name), name);
        assert.ok(noNewPrivileges, name);
      }
      assert.ok(threadsOf(run.child.pid!).some(({ effective }) => (effective & NET_ADMIN) !== 0n));
      // As a terminal does: to both.
      process.kill(pid, "SIGINT");
      run.child.kill("SIGINT");
      const { capabilities, interrupted } = reportOf(await run.end);
      assert.ok(interrupted);
      assert.is(capabilities!.no_new_privileges, true);
      assert.ok(capabilities!.threads >= 8);
      const kept = [{ thread: "carom-sender", capabilities: ["CAP_NET_ADMIN", "CAP_BPF"] }];
      assert.equal(capabilities!.kept, backend === "xdp_live" ? kept : []);
      assert.not.ok(existsSync(`/proc/${pid}`), "its process has ended");
    },
  );
}

labTest("when what measures is killed, that is an error, and the lab goes", async () => {
  const run = startCarom("run", "--backend", "udp", ...ENDLESS);
  process.kill(await measuring(run), "SIGKILL");
  const ended = await run.end;
  assert.is(ended.status, 3);
  const { error } = jsonOf(ended) as { error: Record<string, string> };
  assert.is(error.code, "environment");
  assert.match(error.detail!, /the process that measures was ended by SIGKILL; what it had measured is lost/);
  assert.match(error.hint!, /dmesg/);
  assert.equal(labsOf(run), []);
});

labTest("when carom itself is killed, what measures for it goes, and so does the lab", async () => {
  const run = startCarom("run", "--backend", "af_packet", ...ENDLESS);
  const pid = await measuring(run);
  run.child.kill("SIGKILL");
  await run.end;
  await until("the process goes", () =>
    /^\d+ \(.*\) [^ZX]/.test(read(`/proc/${pid}/stat`)) ? undefined : true,
  );
  await until("the lab goes", () => (labsOf(run).length === 0 ? true : undefined));
});

const labsOf = ({ child }: Running) => listLabs().filter(({ pid }) => pid === child.pid);

/** Runs a program whose capset(2) does nothing: it fails with an error, or says with 0 that it has worked. */
const WITHOUT_CAPSET = `
import ctypes, os, struct, sys
code = [(0x20, 0, 0, 0), (0x15, 0, 1, 126), (0x06, 0, 0, 0x50000 | int(sys.argv[1])), (0x06, 0, 0, 0x7fff0000)]
text = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in code))
program = ctypes.create_string_buffer(struct.pack("H6xQ", len(code), ctypes.addressof(text)))
if ctypes.CDLL(None).prctl(22, 2, ctypes.c_void_p(ctypes.addressof(program)), 0, 0) != 0: sys.exit(77)
os.execvp(sys.argv[2], sys.argv[2:])`;

function withoutCapset(error: number, ...args: string[]): Promise<Ended> {
  return launch(["python3", "-c", WITHOUT_CAPSET, String(error), process.execPath, MAIN, ...args]).end;
}

labTest("capabilities that stay are an error, also when the kernel says that they went", () =>
  withLab({}, async (lab: Lab) => {
    const respond = [
      "respond",
      "--namespace",
      lab.responder.namespace,
      "--interface",
      "dut0",
      "--backend",
      "udp",
    ];
    const run = ["run", "--lab", lab.name, "--backend", "udp", "--cpu", "none", "--no-history", "--json"];
    const cases = [
      [1, run, /^EPERM/],
      [0, run, /still has capabilities, mask [0-9a-f]+$/],
      [0, [...respond, "--name", `${PREFIX}-cap`, "--json"], /still has capabilities/],
      [0, ["check", file("capset.yaml", SCRIPT), "--backend", "udp", "--json"], /still has capabilities/],
    ] as const;
    for (const [number, args, detail] of cases) {
      const end = args[0] === "check" ? [] : ["--duration", "1s"];
      const ended = await withoutCapset(number, ...args, ...end);
      assert.is(ended.status, 3, ended.stderr);
      const { error } = jsonOf(ended) as { error: Record<string, string> };
      assert.is(error.code, "environment");
      assert.match(error.operation!, /drop the capabilities/);
      assert.match(error.detail!, detail);
      assert.match(error.hint!, /seccomp/);
    }
  }),
);

labTest("a responder gives up what it does not need, and says so", () =>
  withLab({}, async (lab) => {
    const name = `${PREFIX}-left`;
    const where = ["--namespace", lab.responder.namespace, "--interface", "dut0", "--name", name];
    const responder = startCarom("respond", ...where, "--backend", "udp", "--cpu", "none", "--json");
    try {
      await responder.said("answering ticks to");
      const { capabilities } = (await ask(name, "status")) as { capabilities: Record<string, unknown> };
      const threads = threadsOf(responder.child.pid!);
      assert.equal(capabilities, { threads: threads.length, no_new_privileges: true, kept: [] });
      for (const thread of threads) assert.is(thread.effective | thread.permitted, 0n, thread.name);
      await ask(name, "config", { threshold: "5000" });
      await ask(name, "stop");
      assert.is((await responder.end).status, 0);
      assert.not.ok(existsSync(socketPath(name)));
    } finally {
      responder.child.kill("SIGKILL");
    }
  }),
);

test.run();
