/** Frames whose checksums were left to a NIC that never was: counted, told of, and how it ends. */

import { execFileSync, spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Lab, resolveLink } from "../lab/lab.js";
import { interfaceFindings } from "../lab/nic.js";
import { socketPath } from "../responder/control.js";
import { encodeTick } from "../wire/codec.js";
import { backendTest, caromHere, jsonOf, launchIn, reportOf, startCarom } from "./cli_support.js";
import { ip, labTest, PREFIX, until, withLab } from "./lab_support.js";

const NOTE = (frames: string, device: string) =>
  new RegExp(
    `${frames} refused for an unfinished checksum, .*; at the other end of ${device}: ethtool -K INTERFACE tx off`,
  );

function offload(namespace: string, device: string, state: "on" | "off"): void {
  execFileSync("nsenter", [`--net=${namespace}`, "ethtool", "-K", device, "tx", state], { stdio: "ignore" });
}

/** Sends a tick from a plain socket. */
async function sendTick({ generator, responder }: Lab): Promise<void> {
  const tick = encodeTick({ symbol: "AAPL", price: 9000, quantity: 1, timestamp: 1n }).toString("hex");
  const script = `const socket = require("node:dgram").createSocket("udp4");
    socket.send(Buffer.from("${tick}", "hex"), 8080, "${responder.address4}", () => socket.close());`;
  const { status, stderr } = await launchIn(generator.namespace, script).end;
  assert.is(status, 0, stderr);
}

backendTest("respond says once what ends it, and status has it; then it answers", ["af_xdp"], () =>
  withLab({}, async (lab) => {
    offload(lab.generator.namespace, "gen0", "on");
    const running = startCarom("respond", "--lab", lab.name, "--name", PREFIX, "--backend", "af_xdp");
    try {
      await running.said("answering ticks to");
      await sendTick(lab);
      await running.said(NOTE("1 frame was", "dut0"));
      await sendTick(lab);
      const status = async () => jsonOf(await caromHere("status", "--name", PREFIX, "--json"));
      await until("both are counted", async () => {
        const { errors } = (await status()) as { errors: Record<string, number> };
        return errors.unfinished_checksum === 2;
      });
      assert.match(((await status()).notes as string[]).join(), NOTE("2 frames were", "dut0"));
      offload(lab.generator.namespace, "gen0", "off");
      await sendTick(lab);
      await until("one is answered", async () => {
        const { packets } = (await status()) as { packets: Record<string, number> };
        return packets.answered === 1;
      });
      running.child.kill("SIGINT");
      const { status: end, stdout, stderr } = await running.end;
      assert.is(end, 0, stderr);
      assert.is(stdout.match(/^note: /gm)?.length, 1, stdout);
      assert.match(stdout, /unfinished checksum +2\n/);
    } finally {
      running.child.kill("SIGKILL");
      await running.end;
      rmSync(socketPath(PREFIX), { force: true });
    }
  }),
);

backendTest("a run says it of orders from plain sockets", ["af_xdp", "udp"], () =>
  withLab({}, async (lab) => {
    offload(lab.responder.namespace, "dut0", "on");
    const options = ["--lab", lab.name, "--responder-backend", "udp", "--timeout", "100ms"];
    const ended = await caromHere("run", ...options, "--duration", "200ms", "--warmup", "0ms", "--json");
    const { notes, counters, verdicts } = reportOf(ended);
    assert.is(ended.status, 1);
    assert.is(verdicts.correct, 0);
    assert.ok((counters.generator.unfinished_checksum ?? 0) > 0);
    assert.match(notes.join("\n"), /^generator: .*at the other end of gen0: ethtool -K INTERFACE tx off/m);
  }),
);

labTest("the doctor looks at the other end, and its command ends it", () =>
  withLab({}, async (lab) => {
    const otherEnd = (link = lab.responder) =>
      interfaceFindings(link, 0, false).find(({ name }) => name === "other end");
    assert.equal([otherEnd()?.status, otherEnd()?.value], ["ok", "gen0, tx checksums off"]);
    offload(lab.generator.namespace, "gen0", "on");
    const { status, value, change } = otherEnd()!;
    assert.is(status, "note");
    assert.match(value, /^gen0 has TX checksum offload on/);
    const [file = "", ...rest] = change.split(" ");
    execFileSync(file, rest, { stdio: "ignore" });
    assert.is(otherEnd()?.status, "ok");
    assert.is(otherEnd(resolveLink("lo")), undefined, "a veth alone has such an end");

    // Both ends in one namespace, and one in a namespace without a name, as a container's is.
    const { namespace } = lab.responder;
    const inside = (...args: string[]) => execFileSync("nsenter", [`--net=${namespace}`, "ip", ...args]);
    const other = spawn("unshare", ["--net", "sleep", "600"], { stdio: "ignore" });
    try {
      inside("link", "add", "near0", "type", "veth", "peer", "name", "near1");
      inside("link", "set", "near0", "up");
      inside("link", "set", "near1", "up");
      const near = { ...lab.responder, interfaceName: "near0" };
      assert.is(otherEnd(near)?.change, `nsenter --net=${namespace} -- ethtool -K near1 tx off`);
      const own = execFileSync("readlink", ["/proc/self/ns/net"], { encoding: "utf8" });
      await until("there is a namespace", () => {
        const path = `/proc/${other.pid}/ns/net`;
        return execFileSync("readlink", [path], { encoding: "utf8" }) !== own;
      });
      inside("link", "set", "near1", "netns", String(other.pid));
      assert.is(ip(namespace, "link", "show", "dev", "near0").length, 1);
      assert.match(otherEnd(near)?.value ?? "", /^in a namespace that has no name here/);
      assert.is(otherEnd(near)?.change, "there: ethtool -K INTERFACE tx off");
    } finally {
      other.kill("SIGKILL");
    }
  }),
);

test.run();
