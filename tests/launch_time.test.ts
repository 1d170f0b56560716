/** Pacing by the NIC: what can't launch frames is refused by name; that one which can does, tests/vm has (deed `paced`). */

import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { launchRefusal, refuseOther, rootQdisc } from "../lab/launch_time.js";
import { NIC_DIRECTORY } from "../lab/nic_changes.js";
import { watchNic } from "../lab/nic_watch.js";
import type { Link } from "../native/index.js";
import { carom, caromHere } from "./cli_support.js";
import { labTest, programTest, thrown, withLab } from "./lab_support.js";

const LAUNCH = ["--pacing", "launch-time"];

function qdiscOf({ namespace, interfaceName }: Link): string {
  const args = [`--net=${namespace}`, "--", "tc", "-json", "qdisc", "show", "dev", interfaceName];
  return execFileSync("nsenter", args, { encoding: "utf8" });
}

labTest("an interface without a clock launches nothing, and is refused by name", async () => {
  for (const backend of ["udp", "af_packet"]) {
    const args = ["--backend", backend, "--rate", "1k", ...LAUNCH, "--no-history", "--json"];
    const { status, stderr, stdout } = await caromHere("run", ...args);
    assert.is(status, 3, stderr);
    assert.match(stderr, /--pacing launch-time: gen0 has no hardware clock/);
    assert.is(stdout, "", "there was no run");
  }
});

test("what contradicts launch times is refused", async () => {
  const cases: readonly (readonly [args: readonly string[], says: RegExp])[] = [
    [["--backend", "udp", ...LAUNCH], /without a schedule there is no planned time; add --rate/],
    [["--backend", "udp", "--rate", "max", ...LAUNCH], /without a schedule there is no planned time/],
    [["--rate", "1k", ...LAUNCH], /launch-time with af_xdp: it goes by SO_TXTIME.*af_packet or udp/],
    [["--rate", "1k", "--backend", "xdp_live", ...LAUNCH], /launch-time with xdp_live/],
    [["--rate", "1k", "--backend", "udp", "--late", "skip", ...LAUNCH], /launch-time with --late skip/],
    [["--rate", "1k", "--backend", "udp", "--dscp", "EF", ...LAUNCH], /launch-time with --dscp/],
    [
      ["--rate", "1k", "--backend", "udp", "--schedule-clock", "tai", ...LAUNCH],
      /the NIC goes by its own clock/,
    ],
    [["--rate", "1k", "--backend", "udp", "--launch-lead", "1ms"], /--launch-lead: no NIC launches anything/],
    [["--rate", "1k", "--backend", "udp", ...LAUNCH, "--launch-lead", "1s"], /--launch-lead/],
  ];
  for (const [args, says] of cases) {
    const { status, stderr } = await caromHere("run", ...args);
    assert.is(status, 2, stderr);
    assert.match(stderr, says);
  }
  const fast = await carom("replay", "pcaps/steady.pcap", "--fast", "--backend", "af_packet", ...LAUNCH);
  assert.is(fast.status, 2, fast.stderr);
  assert.match(fast.stderr, /without a schedule there is no planned time/);
});

programTest(
  "tc",
  "a driver, or a kernel, that does not offload etf is told of, and the device is as it was",
  async () => {
    await withLab({}, async ({ generator: link }) => {
      const before = qdiscOf(link);
      for (const queues of [1, 4]) {
        // A veth launches nothing.
        const refused = thrown(() => watchNic(link, [{ kind: "launch", queues, delta_ns: 100_000 }]));
        const { message } = launchRefusal(link, refused);
        assert.match(
          message,
          /--pacing launch-time on gen0: its driver, or the kernel, refuses the qdisc etf/,
        );
        assert.match(message, /unknown|support|offload/);
      }
      assert.is(qdiscOf(link), before);
      const held = existsSync(NIC_DIRECTORY) ? readdirSync(NIC_DIRECTORY) : [];
      const left = held.filter((file) =>
        readFileSync(join(NIC_DIRECTORY, file), "utf8").includes(JSON.stringify(link.namespace)),
      );
      assert.equal(left, []);
    });
  },
  labTest,
);

test("a qdisc that somebody has put there is not replaced", () => {
  const link = { interfaceName: "eth1" } as Link;
  const shown = (kind: string, handle: string) =>
    `[{"kind":"fq_codel","handle":"0:","parent":":1"},{"kind":"${kind}","handle":"${handle}","root":true,"options":{}}]`;
  for (const kind of ["mq", "noqueue", "pfifo_fast"])
    assert.not.throws(() => refuseOther(link, rootQdisc(shown(kind, "0:"))));
  assert.not.throws(() => refuseOther(link, rootQdisc("[]")));
  for (const kind of ["etf", "fq", "mqprio"]) {
    const says = new RegExp(
      `launch-time on eth1: eth1 has a qdisc of its own, ${kind} 8001:.*tc qdisc del dev eth1 root`,
    );
    assert.throws(() => refuseOther(link, rootQdisc(shown(kind, "8001:"))), says);
  }
});

test.run();
