/** carom run against a device under test that is not carom's: the verdict on each of its faults. */

import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Lab } from "../lab/lab.js";
import type { Report } from "../run/report.js";
import { clOrdIdOf, type Tick } from "../wire/codec.js";
import { assertAllRight, backendsOf, backendTest, carom, launchIn, reportOf } from "./cli_support.js";
import { labTest, withLab } from "./lab_support.js";

/**
 * A device under test on plain sockets that answers as it should, but for some ticks: every 10th below the threshold
 * with a wrong price, every 10th + 1 twice, every 10th + 2 not at all, and the first above it although it must not.
 * It prints what it did.
 */
const DEVICE = `
  const socket = require("node:dgram").createSocket({ type: "udp4", recvBufferSize: 2 ** 22 });
  const did = { right: 0, wrong: 0, twice: 0, silent: 0, needless: 0, quiet: 0 };
  let below = 0;
  let above = 0;
  socket.on("message", (tick, from) => {
    const order = Buffer.alloc(41);
    tick.copy(order, 0, 0, 8);
    const price = tick.readUInt32LE(8);
    order.writeUInt32LE(price + 1, 8);
    order.writeUInt32LE(100, 12);
    order.writeBigUInt64LE(1n, 17);
    order.write(tick.readBigUInt64LE(16).toString(16).padStart(16, "0"), 25);
    const send = () => socket.send(order, 9999, from.address);
    if (price >= 10000) {
      if (above++ === 0) { did.needless++; send(); } else did.quiet++;
      return;
    }
    switch (below++ % 10) {
      case 0: did.wrong++; order.writeUInt32LE(price + 2, 8); send(); break;
      case 1: did.twice++; send(); send(); break;
      case 2: did.silent++; break;
      default: did.right++; send();
    }
  });
  socket.bind(8080, () => { socket.addMembership("239.1.1.1", "198.18.0.2"); console.log("ready"); });
  process.on("SIGTERM", () => { socket.close(); console.log(JSON.stringify(did)); });`;

function runAgainst(lab: Lab, ...more: string[]) {
  return carom("run", "--lab", lab.name, "--no-responder", "--warmup", "0", "--json", ...more);
}

for (const backend of backendsOf("generator")) {
  backendTest(`${backend}: each fault of a device under test gets its verdict`, [backend], () =>
    withLab({}, async (lab) => {
      const device = launchIn(lab.responder.namespace, DEVICE);
      try {
        await device.said("ready");
        const args = ["--rate", "500", "--count", "200", "--timeout", "2s", "--backend", backend];
        const ended = await runAgainst(lab, ...args);
        device.child.kill("SIGTERM");
        const did = JSON.parse((await device.end).stdout.replace("ready\n", "")) as Record<string, number>;
        const report = reportOf(ended);
        assert.equal(report.verdicts, {
          correct: did.right! + did.twice!,
          wrong: did.wrong,
          missing: did.silent,
          duplicate: did.twice,
          unexpected: did.needless,
          late: 0,
        });
        assert.is(report.ticks.quiet, did.quiet! + did.needless!);
        assert.is(ended.status, 1);
        assert.is(report.latency!.planned.missing, did.silent);
        assertExamples(report);
        assert.match(ended.stderr, /not as expected: \d+ wrong; \d+ missing; \d+ duplicate; 1 unexpected/);
      } finally {
        device.child.kill("SIGKILL");
      }
    }),
  );
}

function assertExamples({ examples }: Report): void {
  const of = (wanted: string) => {
    const found = examples.find(({ verdict }) => verdict === wanted);
    assert.ok(found !== undefined, `there is an example that is ${wanted}`);
    return found!;
  };
  const wrong = of("wrong");
  assert.is(wrong.expected?.price, (wrong.tick as Tick).price + 1);
  assert.is(wrong.received?.price, (wrong.tick as Tick).price + 2);
  assert.is(wrong.received?.clOrdId, clOrdIdOf(BigInt((wrong.tick as Tick).timestamp)));
  assert.is(of("missing").received, null);
  assert.is(of("missing").expected?.quantity, 100);
  assert.is(of("unexpected").expected, null);
  assert.is(of("duplicate").received?.symbol, of("duplicate").tick?.symbol);
}

labTest("answers after the timeout are late, and not lost", () =>
  withLab({}, async (lab) => {
    const slow = DEVICE.replace(
      "const send = () => socket.send(order, 9999, from.address);",
      "const send = () => setTimeout(() => socket.send(order, 9999, from.address), 60);",
    ).replace("below++ % 10", "9");
    const device = launchIn(lab.responder.namespace, slow);
    try {
      await device.said("ready");
      const args = [
        "--rate",
        "100",
        "--count",
        "50",
        "--timeout",
        "20ms",
        "--trigger-ratio",
        "1",
        "--backend",
        "udp",
      ];
      const ended = await runAgainst(lab, ...args);
      const report = reportOf(ended);
      assert.is(ended.status, 1);
      // The last ones come when nobody waits any more.
      assert.is(report.verdicts.late + report.verdicts.missing, 50);
      assert.ok(report.verdicts.late > 0, `${report.verdicts.late} were late`);
      assert.ok(report.latency!.actual.min_ns > 55e6, "and their times are known");
    } finally {
      device.child.kill("SIGKILL");
    }
  }),
);

for (const match of ["price", "fifo"]) {
  labTest(`a device that can't echo clOrdId is matched by ${match}`, () =>
    withLab({}, async (lab) => {
      const mute = DEVICE.replace(/order\.write\(tick\.readBig.*\n/, "\n").replace("below++ % 10", "9");
      const device = launchIn(lab.responder.namespace, mute.replace("above++ === 0", "false"));
      try {
        await device.said("ready");
        const args = [
          "--rate",
          "100",
          "--count",
          "50",
          "--timeout",
          "10s",
          "--match",
          match,
          "--backend",
          "udp",
        ];
        const ended = await runAgainst(lab, ...args);
        const report = reportOf(ended);
        assertAllRight(report);
        assert.is((report.plan as { generator: { match: string } }).generator.match, match);
        assert.is(ended.status, 0);
      } finally {
        device.child.kill("SIGKILL");
      }
    }),
  );
}

test.run();
