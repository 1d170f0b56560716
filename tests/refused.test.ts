/** Frames that the link or the kernel does not take: told and counted, and all others go, on every backend. */

import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Link, openFrameSocket } from "../native/index.js";
import type { Report } from "../run/report.js";
import { buildFrame } from "../wire/frame.js";
import { pcapOf } from "./capture_support.js";
import { backendsOf, backendTest, carom, type Ended, jsonOf, reportOf, startCarom } from "./cli_support.js";
import { ip, until } from "./lab_support.js";
import { captured, fieldsOf, hexOf, isOurs, lab, message, write } from "./replay_support.js";

const CASES = join(import.meta.dirname, "../../tests/cases");

/** Captured frames, of which some are longer than one end of the lab takes, when that takes 600 bytes. */
const mixed = captured(6, 100_000n).map((record, index) =>
  index % 3 === 1
    ? { ...record, frame: buildFrame(fieldsOf(index, { payload: Buffer.alloc(800) })) }
    : record,
);
const small = mixed.filter(({ frame }) => frame.length < 600).map(({ frame }) => frame);

const mtu = ({ namespace, interfaceName }: Link, bytes: number) =>
  ip(namespace, "link", "set", interfaceName, "mtu", String(bytes));

const reportIn = (ended: Ended) => jsonOf(ended) as unknown as Report;

/**
 * Replays these frames.
 * @param meanwhile called with what counts those that have arrived, and what ends it
 */
async function replayed(
  backend: string,
  more: readonly string[],
  meanwhile: (arrived: () => number, stop: () => void) => Promise<void> = async () => {},
) {
  const path = write(`mixed-${backend}.pcap`, pcapOf(mixed));
  const far = openFrameSocket({ link: lab.responder, holdPort: 0 });
  const frames: string[] = [];
  const take = () => {
    const came = far.receive().map(({ frame }) => frame);
    frames.push(...hexOf(came.filter(isOurs)));
    return frames.length;
  };
  const options = ["--lab", lab.name, "--backend", backend, "--no-history", "--json", ...more];
  const running = startCarom("replay", path, ...options);
  try {
    await meanwhile(take, () => running.child.kill("SIGINT"));
    const ended = await running.end;
    take();
    assert.is(ended.status, 1, message(ended));
    return { report: reportIn(ended), frames };
  } finally {
    running.child.kill("SIGKILL");
    far.close();
  }
}

for (const backend of backendsOf("generator").filter((name) => name !== "udp")) {
  backendTest(`${backend}: frames that the far end drops are told; all others go`, [backend], async () => {
    mtu(lab.responder, 600);
    try {
      const { report, frames } = await replayed(backend, ["--gap", "1ms"]);
      assert.equal(frames, hexOf(small));
      assert.match(report.faults.join(), /gen0 drops does not hold \(gen0 dropped 0 in, \d+ out/);
      assert.not.match(report.notes.join(), /they arrived/);
      // As its frames come back, AF_PACKET drops them itself, after a while.
      const refused = backend === "af_packet" ? 2 : 0;
      assert.is(report.links.generator.refused, refused);
      assert.is(report.ticks.sent, mixed.length - refused);
    } finally {
      mtu(lab.responder, lab.responder.mtu);
    }
  });
}

backendTest("xdp_live: what the kernel does not hand to the driver is counted", ["xdp_live"], async () => {
  try {
    const endless = ["--gap", "10ms", "--loop", "forever"];
    const { report, frames } = await replayed("xdp_live", endless, async (arrived, stop) => {
      await until("the first frame arrives", () => arrived() > 0);
      mtu(lab.generator, 600);
      const enough = arrived() + 2 * mixed.length;
      await until("short ones arrive", () => arrived() >= enough);
      stop();
    });
    const { refused } = report.certificate!;
    assert.ok(refused.driver > 0);
    assert.is(frames.length + refused.driver, report.replay!.frames);
  } finally {
    mtu(lab.generator, lab.generator.mtu);
  }
});

/** Of kinds that nobody at the far end takes any further, as its kernel counts them with what it drops. */
const whole = [
  ["R11-qinq.pcap", 10, []],
  ["R02-loop5.pcap", 15, ["--loop", "3"]],
  ["R10-ten.pcap", 10, []],
] as const;

for (const backend of backendsOf("generator").filter((name) => name !== "udp")) {
  backendTest(`${backend}: captures that all arrive are all as expected`, [backend], async () => {
    for (const [name, frames, more] of whole) {
      const options = ["--lab", lab.name, "--backend", backend, "--gap", "1ms", "--no-history", "--json"];
      const ended = await carom("replay", join(CASES, name), ...options, ...more);
      assert.is(ended.status, 0, message(ended));
      const { ticks, certificate, faults } = reportOf(ended);
      assert.equal([ticks.sent, certificate!.receiver!.ticks, faults], [frames, frames, []], name);
    }
  });
}

backendTest(
  "udp: a datagram that the kernel refuses for good keeps no other one waiting",
  ["udp"],
  async () => {
    // To a broadcast address, which a socket must not send to unasked (EACCES).
    const path = write(
      "two.yaml",
      Buffer.from(`- { name: good, rate: 1000 }
- { name: bad, rate: 1000, target: 198.18.0.255, target_mac: "ff:ff:ff:ff:ff:ff" }
`),
    );
    const options = ["--lab", lab.name, "--backend", "udp", "--count", "200", "--warmup", "0", "--json"];
    const ended = await carom("generate", "--streams", path, ...options);
    assert.is(ended.status, 1, message(ended));
    const { ticks, links, interfaces } = reportIn(ended);
    const { refused } = links.generator;
    assert.ok(refused > 0 && ticks.sent > 0);
    assert.is(ticks.sent + refused, 200);
    assert.ok(interfaces.responder!.rx_packets >= ticks.sent, "all others arrived");
  },
);

test.run();
