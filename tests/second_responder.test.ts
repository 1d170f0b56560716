/** A second responder where one runs already, or where another XDP program is: refused, with who is there. */

import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Lab } from "../lab/lab.js";
import { ask, socketPath } from "../responder/control.js";
import { backendsOf, backendTest, carom, type Running, startCarom } from "./cli_support.js";
import { halt, labTest, launch, PATIENCE_MS, PREFIX, withLab } from "./lab_support.js";

const FIRST = `${PREFIX}-first`;
const SECOND = `${PREFIX}-second`;
const NATIVE = new URL("../native/index.js", import.meta.url).href;
const BRIEF = ["--duration", "50ms", "--cpu", "none"] as const;

const at = ({ responder }: Lab) =>
  ["--namespace", responder.namespace, "--interface", responder.interfaceName] as const;

/** The first responder, for the time of an action. */
async function withFirst(
  lab: Lab,
  options: readonly string[],
  action: (first: Running) => Promise<void>,
): Promise<void> {
  const first = startCarom("respond", ...at(lab), "--name", FIRST, "--cpu", "none", ...options);
  try {
    await first.said("answering ticks to");
    await action(first);
  } finally {
    first.child.kill("SIGCONT");
    first.child.kill("SIGKILL");
    await first.end;
    rmSync(socketPath(FIRST), { force: true }); // a killed one can't
  }
}

function second(lab: Lab, ...options: string[]) {
  return carom("respond", ...at(lab), "--name", SECOND, ...BRIEF, ...options);
}

for (const backend of backendsOf("responder")) {
  backendTest(`${backend}: a second one on the same interface is told who holds it`, [backend], () =>
    withLab({}, (lab) =>
      withFirst(lab, ["--backend", backend], async ({ child }) => {
        const held = `held by the responder ${FIRST}, process ${child.pid}, since 2\\S+Z, backend ${backend}`;
        for (const other of backendsOf("responder")) {
          const { status, stderr } = await second(lab, "--backend", other);
          assert.is(status, 3, `${other}: ${stderr}`);
          assert.match(stderr, new RegExp(`respond on dut0: ${held}\\b.*carom stop --name ${FIRST} ends it`));
        }
        const detached = await second(lab, "--backend", backend, "--detach");
        assert.is(detached.status, 3);
        assert.match(detached.stderr, new RegExp(held));
        assert.not.ok(existsSync(socketPath(SECOND)));
        const { pid } = (await ask(FIRST, "status")) as { pid: number };
        assert.is(pid, child.pid, "the first one runs on");
      }),
    ),
  );

  backendTest(`${backend}: a second one of the same name is refused, wherever it is to run`, [backend], () =>
    withLab({}, (lab) =>
      withFirst(lab, ["--backend", backend], async () => {
        const there = ["--namespace", lab.generator.namespace, "--interface", "gen0"];
        for (const where of [at(lab), there]) {
          const { status, stderr } = await carom(
            "respond",
            ...where,
            "--name",
            FIRST,
            ...BRIEF,
            "--backend",
            backend,
          );
          assert.is(status, 3);
          assert.match(stderr, new RegExp(`a responder of the name ${FIRST} is running; carom stop --name`));
        }
      }),
    ),
  );

  backendTest(`${backend}: the socket of a killed one keeps nobody away`, [backend], () =>
    withLab({}, async (lab) => {
      const first = startCarom("respond", ...at(lab), "--name", FIRST, "--backend", backend, "--cpu", "none");
      try {
        await first.said("answering ticks to");
        first.child.kill("SIGKILL");
        await first.end;
        assert.ok(existsSync(socketPath(FIRST)), "it left its socket");
        const { status, stderr } = await second(lab, "--backend", backend);
        assert.is(status, 0, stderr);
      } finally {
        first.child.kill("SIGKILL");
        rmSync(socketPath(FIRST), { force: true });
      }
    }),
  );
}

backendTest("an interface of the same name in another namespace is another one", ["af_xdp", "udp"], () =>
  withLab({}, (lab) =>
    withLab({}, (elsewhere) =>
      withFirst(lab, [], async () => {
        for (const backend of ["af_xdp", "udp"]) {
          const { status, stderr } = await second(elsewhere, "--backend", backend);
          assert.is(status, 0, stderr);
        }
      }),
    ),
  ),
);

backendTest("another port is free, but an interface has one XDP program", ["af_xdp", "udp"], () =>
  withLab({}, (lab) =>
    withFirst(lab, [], async () => {
      const sockets = await second(lab, "--backend", "udp", "--target-port", "7000");
      assert.is(sockets.status, 0, sockets.stderr);
      const xdp = await second(lab, "--target-port", "7000");
      assert.is(xdp.status, 3);
      assert.match(xdp.stderr, /one process serves several queues of an interface/);
    }),
  ),
);

backendTest("one that hangs holds up nobody else, and is named as who holds the interface", ["af_xdp"], () =>
  withLab({}, (lab) =>
    withFirst(lab, [], async ({ child }) => {
      await halt(child.pid!);
      const begun = performance.now();
      const there = ["--namespace", lab.generator.namespace, "--interface", "gen0"];
      const free = await carom("respond", ...there, "--name", SECOND, ...BRIEF, "--backend", "udp");
      assert.is(free.status, 0, free.stderr);
      assert.ok(performance.now() - begun < PATIENCE_MS, "it does not wait for the other one");
      // From the kernel, as the first one says nothing.
      const { status, stderr } = await second(lab, "--target-port", "7000");
      assert.is(status, 3);
      const holder = `program \\d+, redirect, is attached by process ${child.pid} \\(carom respond\\)`;
      assert.match(stderr, new RegExp(`attach the program.*${holder}; carom stop --name ${FIRST} ends it`));
    }),
  ),
);

backendTest("an XDP program of another process is named, and so is the process", ["af_xdp", "xdp"], () =>
  withLab({}, async (lab) => {
    const script = `
      import { attachXdpPass } from ${JSON.stringify(NATIVE)};
      attachXdpPass(${JSON.stringify(lab.responder)});
      console.log("attached");
      setInterval(() => {}, 1000);`;
    const holder = launch([process.execPath, "--input-type=module", "-e", script]);
    try {
      assert.is(await holder.firstLine, "attached");
      for (const backend of ["af_xdp", "xdp"]) {
        const { status, stderr } = await second(lab, "--backend", backend);
        assert.is(status, 3, stderr);
        const process = `program \\d+, pass, is attached by process ${holder.child.pid} \\(\\S+\\)`;
        assert.match(stderr, new RegExp(`EBUSY.*${process}; end that process`));
      }
    } finally {
      holder.child.kill("SIGKILL");
      await holder.end;
    }
    assert.is((await second(lab)).status, 0, "it went with its process");
  }),
);

/** An XDP program that passes everything, compiled as anybody would; returns the object file. */
function compilePass(folder: string): string {
  const source = `
    __attribute__((section("xdp"), used)) int let_pass(void* context) { return 2; }
    char license_text[] __attribute__((section("license"), used)) = "GPL";`;
  const object = join(folder, "pass.o");
  execFileSync("clang", ["-O2", "-g", "-target", "bpf", "-x", "c", "-c", "-", "-o", object], {
    input: source,
  });
  return object;
}

for (const [mode, off] of [
  ["xdpdrv", "xdp off"],
  ["xdpgeneric", "xdpgeneric off"],
] as const) {
  labTest(`an XDP program that ip attached (${mode}) is named, with what detaches it`, () =>
    withLab({}, async (lab) => {
      const folder = mkdtempSync(join(tmpdir(), "carom-second-"));
      try {
        const { namespace } = lab.responder;
        const set = ["link", "set", "dev", "dut0", mode, "obj", compilePass(folder), "sec", "xdp"];
        execFileSync("nsenter", [`--net=${namespace}`, "ip", ...set]);
        const { status, stderr } = await second(lab);
        assert.is(status, 3);
        const [, hint] = /program \d+, let_pass, is attached, and no process holds it; (.*) detaches it/.exec(
          stderr,
        ) ?? [stderr, ""];
        assert.is(hint, `nsenter --net=${namespace} ip link set dev dut0 ${off}`, stderr);
        const [command = "", ...args] = hint!.split(" ");
        assert.is(spawnSync(command, args).status, 0);
        assert.is((await second(lab)).status, 0, "what the hint says helps");
      } finally {
        rmSync(folder, { recursive: true });
      }
    }),
  );
}

test.run();
