/** The generator in the kernel: what it needs, what it leaves to user space, and that it leaves nothing behind. */

import { setTimeout as sleep } from "node:timers/promises";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { run } from "../lab/ip.js";
import { namespaceArguments } from "../lab/lab.js";
import { assertAllRight, backendTest, carom, launchIn, ROOMY, reportOf, startCarom } from "./cli_support.js";
import { arrivedIn, halt, until, withLab } from "./lab_support.js";
import { measuring } from "./measuring_support.js";

const LIVE = ["--backend", "xdp_live"];

function ip(namespace: string, ...args: string[]): string {
  return run(`ip ${args.join(" ")}`, [...namespaceArguments(namespace), "ip", ...args]);
}

backendTest(
  "a driver that takes no redirected frames is refused, and not sent into the void",
  ["xdp_live"],
  () =>
    withLab({}, async ({ generator }) => {
      const link = ["--interface", generator.interfaceName, "--namespace", generator.namespace];
      const { status, stderr } = await carom(
        "generate",
        ...link,
        ...LIVE,
        "--rate",
        "1k",
        "--duration",
        "100ms",
      );
      assert.is(status, 3, stderr);
      assert.match(
        stderr,
        /xdp_live on gen0: send live frames: the driver of gen0 takes no redirected frames/,
      );
      assert.match(stderr, /use --backend af_xdp/);
    }),
);

backendTest("frames that the driver does not take are counted", ["xdp_live"], () =>
  withLab({}, async (lab) => {
    const args = [
      "--lab",
      lab.name,
      ...LIVE,
      "--rate",
      "20k",
      "--duration",
      "10m",
      "--timeout",
      "100ms",
      "--json",
    ];
    const running = startCarom("run", ...args);
    await arrivedIn(lab.name, 8000);
    ip(lab.responder.namespace, "link", "set", lab.responder.interfaceName, "down");
    await sleep(500);
    running.child.kill("SIGINT");
    const ended = await running.end;
    assert.is(ended.status, 1, ended.stderr);
    const report = JSON.parse(ended.stdout) as ReturnType<typeof reportOf>;
    const refused = report.counters.generator.xdp_tx_errors!;
    assert.ok(refused > 0, `${refused} frames were refused`);
    assert.ok(report.verdicts.missing > 0 && report.verdicts.missing <= refused);
    const { sent, not_left, answered, quiet } = report.ticks;
    assert.is(sent + not_left, answered + quiet + report.verdicts.missing);
  }),
);

for (const headers of [
  [],
  ["--vlan", "7"],
  ["--multicast-group", "ff02::101"],
  ["--vlan", "7", "--multicast-group", "ff02::101"],
]) {
  backendTest(
    `every tick is answered: ${headers.join(" ") || "IPv4, untagged"}`,
    ["xdp_live", "af_packet"],
    async () => {
      const args = ["--rate", "5k", "--count", "500", "--warmup", "0", "--responder-backend", "af_packet"];
      const report = reportOf(await carom("run", ...LIVE, ...args, ...headers, "--json"));
      assertAllRight(report);
      assert.is(report.ticks.sent, 500);
      const { refused } = report.certificate!;
      assert.equal(refused, {
        ring_full: 0,
        again: 0,
        invalid: 0,
        driver: 0,
        dropped: 0,
        errors: 0,
        launch_missed: 0,
      });
    },
  );
}

backendTest(
  "a pause that ends after the run would have is not caught up with, and blamed on nobody",
  ["xdp_live"],
  () =>
    withLab({}, async (lab) => {
      const args = ["--rate", "2500", "--duration", "4s", "--warmup", "0", ...ROOMY];
      const running = startCarom("run", "--lab", lab.name, ...LIVE, ...args);
      await arrivedIn(lab.name, 500);
      const pid = await measuring(running);
      await halt(pid);
      await sleep(4000);
      process.kill(pid, "SIGCONT");
      const report = reportOf(await running.end);
      assertAllRight(report);
      assert.is(report.ticks.sent, 10_000);
      const { count, paused_ns } = report.certificate!.pauses;
      assert.ok(count >= 1 && paused_ns > 3.9e9, `${count}, ${paused_ns} ns`);
    }),
);

for (const late of ["skip", "slip"]) {
  backendTest(`--late ${late}: each has a cause, and every tick a fate`, ["xdp_live"], () =>
    withLab({}, async (lab) => {
      // Without a warm-up: a loaded machine does not get beyond one in time, and then has not sent anything.
      const args = ["--rate", "12M", "--duration", "500ms", "--warmup", "0", "--late", late, "--json"];
      const report = reportOf(await carom("generate", "--lab", lab.name, ...LIVE, ...args));
      const found = report.certificate!;
      const { skipped, slips, sends, machine, link, carom: own, unexplained } = found.late;
      assert.ok(late === "skip" ? skipped > 0 : slips > 0, JSON.stringify(found.late));
      assert.is(machine + link + own + unexplained, skipped + slips + sends);
      assert.is(found.planned, report.ticks.sent + report.ticks.unsent + skipped);
      assert.ok(report.ticks.sent > 0);
      assert.is(report.verdicts.missing, 0, "nobody was asked to answer");
      assert.equal(report.examples, []);
      assert.is(found.receiver!.ticks, report.ticks.sent, "both ends agree");
    }),
  );
}

/** Answers two ticks with one datagram, the second of every four of them badly: what only user space judges. */
const PAIRING = `
  const socket = require("node:dgram").createSocket("udp4");
  let orders = [];
  socket.on("message", (tick, from) => {
    const order = Buffer.alloc(41);
    tick.copy(order, 0, 0, 8);
    order.writeUInt32LE(tick.readUInt32LE(8) + 1, 8);
    order.writeUInt32LE(100, 12);
    order.write(tick.readBigUInt64LE(16).toString(16).padStart(16, "0"), 25);
    orders.push(order);
    if (orders.length === 2) { socket.send(Buffer.concat(orders), 9999, from.address); orders = []; }
  });
  socket.bind(8080, () => { socket.addMembership("239.1.1.1", "198.18.0.2"); console.log("ready"); });
  process.on("SIGTERM", () => socket.close());`;

backendTest("orders that share a datagram are judged, too, by the time of their coming", ["xdp_live"], () =>
  withLab({}, async (lab) => {
    const device = launchIn(lab.responder.namespace, PAIRING);
    try {
      await device.said("ready");
      const args = ["--rate", "400", "--count", "200", "--warmup", "0", "--trigger-ratio", "1", "--json"];
      const ended = await carom("run", "--lab", lab.name, "--no-responder", ...LIVE, ...args);
      const report = reportOf(ended);
      assertAllRight(report);
      assert.is(report.ticks.answered, 200);
      assert.is(report.clock.stamped, 200);
      // Every other tick waited for the next one, 2.5 ms later.
      assert.ok(report.latency!.actual.max_ns > 2e6, `${report.latency!.actual.max_ns}`);
    } finally {
      device.child.kill("SIGKILL");
    }
  }),
);

backendTest("what the program does not send is refused before anything starts", ["xdp_live"], async () => {
  for (const [args, says] of [
    [["--match", "fifo"], /--match fifo with xdp_live/],
    [["--breakdown"], /--breakdown with xdp_live/],
    [["--timestamps", "tsc"], /--timestamps tsc with xdp_live/],
  ] as const) {
    const { status, stderr } = await carom("run", ...LIVE, ...args);
    assert.is(status, 2, stderr);
    assert.match(stderr, says);
  }
});

for (const signal of ["SIGINT", "SIGKILL"] as const) {
  backendTest(`ended by ${signal} it leaves no program behind`, ["xdp_live"], () =>
    withLab({}, async (lab) => {
      const running = startCarom(
        "run",
        "--lab",
        lab.name,
        ...LIVE,
        "--window",
        "64",
        "--warmup",
        "0",
        "--duration",
        "10m",
        "--json",
      );
      const shown = () => ip(lab.generator.namespace, "link", "show", "dev", lab.generator.interfaceName);
      await arrivedIn(lab.name, 1000);
      assert.match(shown(), "xdp");
      running.child.kill(signal);
      const ended = await running.end;
      if (signal === "SIGINT") {
        const report = reportOf(ended);
        assert.is(report.interrupted, true);
        assertAllRight(report);
      }
      await until("no program is left", () => !shown().includes("xdp"));
    }),
  );
}

test.run();
