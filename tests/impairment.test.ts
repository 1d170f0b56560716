/** Packing, frame sizes, lines A and B and impairment: what was done on purpose is what arrives, and nobody is blamed. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openFrameSocket } from "../native/index.js";
import type { Report } from "../run/report.js";
import { decodeTick } from "../wire/codec.js";
import {
  backendsOf,
  backendTest,
  carom,
  caromHere,
  FEED_BACKENDS,
  launchIn,
  ROOMY,
  reportOf,
} from "./cli_support.js";
import { labTest, withLab } from "./lab_support.js";

const directory = mkdtempSync(join(tmpdir(), "carom-test-"));
test.after(() => rmSync(directory, { recursive: true }));

/** The path of a profile of so many ticks a second, with more lines. */
function profile(rate: string, ...lines: string[]): string {
  const path = join(directory, `p${Math.random().toString(36).slice(2)}.yaml`);
  writeFileSync(path, ["arrival:", `  poisson: { rate: ${rate} }`, ...lines, ""].join("\n"));
  return path;
}

const HARSH =
  "impairment: { loss: 5%, duplicate: 5%, reorder: { ratio: 5%, by: 2 }, delay: 20us, jitter: 50us, corrupt: { ratio: 5%, bytes: 8-11 } }";
const EXACT = ["--warmup", "0", "--count", "2000", ...ROOMY];

/** Nobody is blamed for what was done on purpose. */
function assertBlameless(report: Report): void {
  const { verdicts, ticks } = report;
  assert.equal(report.faults, []);
  assert.equal(verdicts, {
    correct: ticks.answered,
    wrong: 0,
    missing: 0,
    duplicate: 0,
    unexpected: 0,
    late: 0,
  });
  assert.is(ticks.sent, ticks.answered + ticks.quiet + ticks.withheld);
}

for (const backend of FEED_BACKENDS.filter((name) => name !== "udp")) {
  for (const responder of backend === "af_xdp" ? ["xdp", "af_xdp"] : ["af_packet", "udp"]) {
    const name = `${backend} to ${responder}: impairment on purpose is known, not blamed, and the same again`;
    backendTest(name, [backend, responder], async () => {
      const path = profile("5k", HARSH);
      const args = ["--profile", path, "--backend", backend, "--responder-backend", responder, ...EXACT];
      const [first, second] = [
        reportOf(await caromHere("run", ...args)),
        reportOf(await caromHere("run", ...args)),
      ];
      assertBlameless(first);
      const [line] = first.impairment!.lines;
      const { lost, duplicated, reordered, corrupted, datagrams, frames } = line!;
      for (const [what, count] of Object.entries({ lost, duplicated, reordered, corrupted })) {
        assert.ok(count > 50 && count < 200, `${count} of ${datagrams} ${what}: about 5 %`);
      }
      assert.is(frames, datagrams - lost + duplicated);
      assert.ok(first.ticks.withheld >= lost && first.ticks.withheld <= lost + corrupted);
      assert.ok(first.ticks.answered_copies > 50, "copies are answered, and that is no fault");
      assert.ok(first.ticks.reordered > 50, "answers came in the order of arrival");
      const counters = first.counters.responder!;
      const refused = (counters.bad_udp_checksum ?? 0) + (counters.unfinished_checksum ?? 0);
      // Kernel sockets never show what the kernel refused.
      if (responder !== "udp")
        assert.is(refused, corrupted, "each corrupted frame was refused for its checksum");
      assert.is(first.interfaces.responder!.rx_packets >= frames, true);
      assert.equal(second.impairment, first.impairment, "the same seed, the same numbers");
      assert.is(second.ticks.withheld, first.ticks.withheld);
      const other = reportOf(await caromHere("run", ...args, "--seed", "99"));
      assert.not.equal(other.impairment, first.impairment, "another seed, others");
    });
  }
}

backendTest("udp: loss, copies and order are user space's work", ["udp"], async () => {
  const path = profile("5k", "impairment: { loss: 10%, duplicate: 10%, reorder: { ratio: 10%, by: 1 } }");
  const report = reportOf(await caromHere("run", "--profile", path, "--backend", "udp", ...EXACT));
  assertBlameless(report);
  assert.ok(report.ticks.withheld > 100 && report.ticks.answered_copies > 100);
  assert.is(report.ticks.withheld, report.impairment!.lines[0]!.lost);
});

backendTest(
  "kernel timestamps find their ticks in packed and impaired datagrams",
  ["af_packet"],
  async () => {
    const path = profile(
      "5k",
      "packing: { within: 500us, most: 4 }",
      "impairment: { duplicate: 20%, loss: 5% }",
    );
    const more = ["--backend", "af_packet", "--timestamps", "kernel"];
    const report = reportOf(await caromHere("run", "--profile", path, ...more, ...EXACT));
    assertBlameless(report);
    const { stamped, unstamped } = report.clock;
    assert.is(stamped + unstamped, report.ticks.answered);
    assert.ok(stamped > 0, `${stamped} of ${report.ticks.answered}`);
  },
);

/** Receives on a group until it is told to stop, and prints the hex of each datagram. */
const listener = (group: string, port = 8080) => `
  const socket = require("node:dgram").createSocket({ type: "udp4", reuseAddr: true, recvBufferSize: 2 ** 22 });
  socket.on("message", (data) => process.stdout.write(data.toString("hex") + "\\n"));
  socket.bind(${port}, "${group}", () => { socket.addMembership("${group}", "198.18.0.2"); console.log("ready"); });
  process.on("SIGTERM", () => socket.close());`;

const TWO_LINES = [
  "packing: { within: 2ms, most: 5 }",
  "lines:",
  "  a: { loss: 10% }",
  "  b: { group: 239.1.1.2, port: 8181, skew: 100us, loss: 20%, duplicate: 10%, reorder: { ratio: 10% } }",
];

for (const backend of FEED_BACKENDS) {
  backendTest(`${backend}: two lines of one feed come to two groups, each with its own gaps`, [backend], () =>
    withLab({}, async (lab) => {
      const a = launchIn(lab.responder.namespace, listener("239.1.1.1"));
      const b = launchIn(lab.responder.namespace, listener("239.1.1.2", 8181));
      try {
        await Promise.all([a.said("ready"), b.said("ready")]);
        const args = ["--profile", profile("2k", ...TWO_LINES), "--lab", lab.name, "--backend", backend];
        const ended = await carom("generate", ...args, "--warmup", "0", "--count", "1000", "--json");
        const report = reportOf(ended);
        assert.is(ended.status, 0, ended.stderr);
        const [lineA, lineB] = report.impairment!.lines;
        await Promise.all([a.printed(1 + lineA!.frames), b.printed(1 + lineB!.frames)]);
        for (const { child } of [a, b]) child.kill("SIGTERM");
        const received = async ({ end }: typeof a) =>
          (await end).stdout
            .trim()
            .split("\n")
            .slice(1)
            .map((line) => Buffer.from(line, "hex"));
        const [onA, onB] = [await received(a), await received(b)];
        assert.equal([lineA!.address, lineA!.port], ["239.1.1.1", 8080]);
        assert.equal([lineB!.address, lineB!.port], ["239.1.1.2", 8181]);
        assert.is(onA.length, lineA!.frames);
        assert.is(onB.length, lineB!.frames);
        assert.is(onA.length, lineA!.datagrams - lineA!.lost);
        const ticksOf = (datagrams: Buffer[]) =>
          datagrams.flatMap((datagram) => {
            assert.ok(datagram.length % 24 === 0 && datagram.length <= 120, `${datagram.length} bytes`);
            return Array.from({ length: datagram.length / 24 }, (_, at) =>
              decodeTick(datagram.subarray(24 * at)),
            );
          });
        const stamps = (datagrams: Buffer[]) => ticksOf(datagrams).map(({ timestamp }) => timestamp);
        const [stampsA, stampsB] = [stamps(onA), stamps(onB)];
        assert.ok(
          onA.some((datagram) => datagram.length > 24),
          "several ticks in a datagram",
        );
        assert.is(stampsA.length, lineA!.ticks - lineA!.lost_ticks);
        assert.is(report.ticks.withheld, lineA!.lost_ticks, "the device listens to A");
        assert.ok(
          stampsA.every((stamp, index) => index === 0 || stamp > stampsA[index - 1]!),
          "A keeps the order",
        );
        assert.is(new Set(stampsB).size, lineB!.ticks - lineB!.lost_ticks, "each tick has its own timestamp");
        assert.ok(
          stampsB.some((stamp, index) => index > 0 && stamp < stampsB[index - 1]!),
          "B does not",
        );
        const [setA, setB] = [new Set(stampsA), new Set(stampsB)];
        const onlyB = [...setB].filter((stamp) => !setA.has(stamp)).length;
        assert.ok(onlyB > 30, `${onlyB} ticks came on B alone`);
        const both = onA.filter((datagram) => onB.some((other) => other.equals(datagram))).length;
        assert.ok(both > 0.6 * onA.length, "and most on both, in the same datagrams");
      } finally {
        for (const { child } of [a, b]) child.kill("SIGKILL");
      }
    }),
  );
}

backendTest("--dut-lines b: the lab's responder listens to line B", ["af_xdp"], async () => {
  const path = profile("2k", ...TWO_LINES);
  const ended = await caromHere("run", "--profile", path, "--dut-lines", "b", ...EXACT);
  const report = reportOf(ended);
  assertBlameless(report);
  assert.equal(report.impairment!.dut_lines, ["B"]);
  const [, b] = report.impairment!.lines;
  assert.is(report.ticks.withheld, b!.lost_ticks);
  assert.ok(report.ticks.answered_copies > 50);
});

/** Takes both lines, answers the first copy of each tick, and nothing else. */
const ARBITER = `
  const seen = new Set();
  const answer = (datagram, from) => {
    for (let at = 0; at < datagram.length; at += 24) {
      const tick = datagram.subarray(at, at + 24);
      const stamp = tick.readBigUInt64LE(16);
      if (seen.has(stamp)) continue;
      seen.add(stamp);
      if (tick.readUInt32LE(8) >= 10000) continue;
      const order = Buffer.alloc(41);
      tick.copy(order, 0, 0, 8);
      order.writeUInt32LE(tick.readUInt32LE(8) + 1, 8);
      order.writeUInt32LE(100, 12);
      order.writeBigUInt64LE(1n, 17);
      order.write(stamp.toString(16).padStart(16, "0"), 25);
      a.send(order, 9999, from.address);
      if (process.argv[1] === "twice") a.send(order, 9999, from.address);
    }
  };
  const dgram = require("node:dgram");
  const [a, b] = [dgram.createSocket("udp4"), dgram.createSocket("udp4")];
  a.on("message", answer);
  b.on("message", answer);
  a.bind(8080, () => {
    a.addMembership("239.1.1.1", "198.18.0.2");
    b.bind(8181, () => { b.addMembership("239.1.1.2", "198.18.0.2"); console.log("ready"); });
  });
  process.on("SIGTERM", () => process.exit());`;

backendTest(
  "--dut-lines both: a device that arbitrates owes one answer for what came on either",
  ["af_packet"],
  () =>
    withLab({}, async (lab) => {
      const path = profile("1k", ...TWO_LINES);
      const args = ["--profile", path, "--lab", lab.name, "--no-responder", "--backend", "af_packet"];
      const both = [...args, "--dut-lines", "both", "--warmup", "0", "--count", "1000", "--json"];
      for (const script of [ARBITER, ARBITER.replace("process.argv[1]", '"twice"')]) {
        const device = launchIn(lab.responder.namespace, script);
        try {
          await device.said("ready");
          const report = reportOf(await carom("run", ...both));
          const [a, b] = report.impairment!.lines;
          assert.equal(report.impairment!.dut_lines, ["A", "B"]);
          assert.ok(
            report.ticks.withheld > 0 && report.ticks.withheld < Math.min(a!.lost_ticks, b!.lost_ticks),
          );
          assert.is(report.verdicts.missing, 0);
          assert.is(report.verdicts.correct, report.ticks.answered);
          assert.is(
            report.verdicts.duplicate,
            script === ARBITER ? 0 : report.ticks.answered,
            "one answer, no more",
          );
          assert.is(report.ticks.answered_copies, 0);
        } finally {
          device.child.kill("SIGKILL");
        }
      }
    }),
);

for (const backend of backendsOf("generator").filter((name) => name !== "udp")) {
  backendTest(`${backend}: frames have the sizes of the profile at the far side`, [backend], () =>
    withLab({}, async (lab) => {
      const far = openFrameSocket({ link: lab.responder, holdPort: 8080 });
      try {
        const lengths = async (...args: string[]) => {
          const ended = await carom(
            "generate",
            "--lab",
            lab.name,
            "--backend",
            backend,
            "--warmup",
            "0",
            ...args,
          );
          assert.is(ended.status, 0, ended.stderr);
          const frames = far.receive().map(({ frame }) => frame);
          return frames.filter((frame) => frame[30] === 239).map((frame) => frame.length + 4);
        };
        const turns = [70, 128, 256, 512, 1024, 1280, 1518];
        assert.equal(await lengths("--profile", "rfc2544", "--scale", "0.01x", "--count", "14"), [
          ...turns,
          ...turns,
        ]);
        assert.equal(await lengths("--rate", "1k", "--size", "333", "--count", "3"), [333, 333, 333]);
        assert.equal(await lengths("--rate", "1k", "--count", "2"), [70, 70]);
      } finally {
        far.close();
      }
    }),
  );
  for (const responder of backend === "af_xdp" ? ["xdp", "af_xdp"] : ["af_packet", "udp"]) {
    backendTest(`${backend} to ${responder}: padded frames are answered`, [backend, responder], async () => {
      const args = ["--backend", backend, "--responder-backend", responder, ...ROOMY];
      for (const more of [
        ["--size", "1518"],
        ["--profile", "rfc2544", "--scale", "0.05x"],
      ]) {
        const report = reportOf(await carom("run", ...args, ...more, "--count", "700"));
        assert.equal(report.faults, []);
        assert.is(report.verdicts.correct, report.ticks.answered);
        assert.ok(report.ticks.answered > 500);
      }
    });
  }
}

const LINES = ["lines:", "  a: { duplicate: 1% }", "  b: { group: 239.1.1.2 }"];

const REFUSED: readonly (readonly [args: string[], lines: string[], says: RegExp])[] = [
  [
    ["--size", "64"],
    [],
    /--size 64: a tick of 24 bytes with Ethernet, IPv4, UDP and the FCS has 70 bytes; the smallest/,
  ],
  [["--size", "1519"], [], /--size 1519: an MTU of 1500 makes frames of up to 1518 bytes/],
  [["--size", "100", "--backend", "udp"], [], /--size: with udp the kernel makes the frames/],
  [["--vlan", "5", "--size", "73"], [], /IPv4 and a VLAN tag, UDP and the FCS has 74 bytes/],
  [
    [],
    ["packing: { within: 1ms, most: 62 }"],
    /packing: 62 ticks do not fit into an MTU of 1500, 61 do; write most: 61/,
  ],
  [
    ["--match", "fifo"],
    ["packing: { within: 1ms }"],
    /--match fifo: ticks that are packed, lost, copied or put out of/,
  ],
  [
    ["--flows", "2", "--backend", "af_packet"],
    ["packing: { within: 1ms }"],
    /--flows: a datagram holds ticks of several/,
  ],
  [["--dut-lines", "b"], [], /--dut-lines b: the feed has one line/],
  [["--dut-lines", "both"], LINES, /--dut-lines both: carom's own responder answers every copy/],
  [["--multicast-group", "239.1.1.2"], LINES, /lines: both go to the same group and port/],
  [
    ["--strategy", "book"],
    LINES,
    /duplicate: book remembers each tick, and would take a copy for another one/,
  ],
  [
    ["--strategy", "crossover", "--backend", "xdp_live"],
    ["packing: { within: 1ms }"],
    /packing: what crossover remembers is in the kernel, where only single ticks are decided/,
  ],
  [
    ["--backend", "udp"],
    ["impairment: { corrupt: { ratio: 1% } }"],
    /corrupt: with udp the kernel makes the checksum/,
  ],
  [
    [],
    ["lines:", "  a: {}", "  b: { group: 'ff02::5' }"],
    /lines: group ff02::5 is IPv6, the feed goes to IPv4/,
  ],
  [
    [],
    ["impairment: { delay: 10s }", "ceiling: none"],
    /delay, skew and packing: up to [\d,]+ ticks are held back/,
  ],
];

for (const [args, lines, says] of REFUSED) {
  labTest(`refused: ${says.source.slice(0, 60)}`, async () => {
    const path = profile(lines.some((line) => line.includes("10s")) ? "1M" : "1k", ...lines);
    const ended = await caromHere("run", "--profile", path, ...args);
    assert.is(ended.status, 2, ended.stderr);
    assert.match(ended.stderr, says);
  });
}

test.run();
