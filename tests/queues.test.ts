/** A thread a queue: each serves its own, none knows of the others, and what they count is added up. */

import { readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { ask } from "../responder/control.js";
import { backendTest, carom, launchIn, reportOf, startCarom } from "./cli_support.js";
import { carom as caromSync, labTest, PATIENCE_MS, PREFIX, sleep, until, withLab } from "./lab_support.js";

const QUEUES = 4;
const SYMBOLS = ["AAPL", "MSFT", "GOOG", "AMZN"];

for (const queue of [0, 2]) {
  backendTest(
    `ticks of queue ${queue} are its thread's, with orders by the same queue`,
    ["af_xdp"],
    async () => {
      const args = [
        "run",
        "--queues",
        "0-3",
        "--queue",
        String(queue),
        "--rate",
        "2k",
        "--count",
        "300",
        "--json",
      ];
      const report = reportOf(await carom(...args));
      assert.is(report.verdicts.correct, report.ticks.answered);
      assert.is(report.threads.length, QUEUES);
      for (const { queue: served, ticks, orders } of report.threads) {
        assert.is(ticks > 0, served === queue, `queue ${served}: ${ticks} ticks`);
        assert.is(orders > 0, served === queue, `queue ${served}: ${orders} orders`);
      }
      const { responder } = report.counters;
      assert.is(responder?.ticks, report.ticks.sent + report.warmup.sent, "added up");
    },
  );
}

/**
 * Sends ticks from 32 sockets, each symbol's from its own ones, and prints the orders that come as hex: once there
 * are as many as wanted, or no more come.
 */
const client = (address: string, wanted: number) => `
  const dgram = require("node:dgram");
  const receiver = dgram.createSocket("udp4");
  const orders = [];
  receiver.on("message", (message) => orders.push(message.toString("hex")));
  receiver.bind(9999, async () => {
    for (let i = 0; i < 32; i++) {
      const socket = dgram.createSocket("udp4");
      for (let n = 0; n < 4; n++) {
        const tick = Buffer.alloc(24);
        tick.write(${JSON.stringify(SYMBOLS)}[i % 4].padEnd(8));
        tick.writeUInt32LE(9000 + i, 8);
        tick.writeUInt32LE(100, 12);
        tick.writeBigUInt64LE(BigInt(1 + i * 4 + n), 16);
        await new Promise((resolve) => socket.send(tick, 8080, "${address}", resolve));
      }
      socket.close();
    }
    const end = Date.now() + ${PATIENCE_MS};
    while (orders.length < ${wanted} && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 10));
    setTimeout(() => { console.log(JSON.stringify(orders)); process.exit(); }, 100);
  });`;

for (const [backend, named] of [
  ["af_xdp", true],
  ["af_xdp", false],
  ["xdp", true],
  ["xdp", false],
] as const) {
  backendTest(
    `${backend}: flows of plain sockets come in by all queues, ${named ? "a thread for each" : "none named, one thread"}: each tick is answered once`,
    [backend],
    () =>
      withLab({ queues: QUEUES }, async (lab) => {
        const name = `${PREFIX}queues-${backend.replace("_", "")}-${named}`;
        const more = [
          ...(backend === "xdp" ? ["--plain-clients"] : []),
          ...(named ? ["--queues", "0-3"] : []),
        ];
        const where = ["--lab", lab.name, "--name", name, "--backend", backend];
        const responder = startCarom("respond", ...where, "--cpu", "none", ...more, "--json");
        await responder.said("answering");
        const { stdout, stderr } = await launchIn(
          lab.generator.namespace,
          client(lab.responder.address4, 128),
        ).end;
        const orders = JSON.parse(stdout || "null") as string[] | null;
        assert.ok(orders, stderr);
        const answered = orders.map((order) => Buffer.from(order, "hex").toString("latin1", 25, 41)).sort();
        const sent = Array.from({ length: 128 }, (_, index) => (index + 1).toString(16).padStart(16, "0"));
        assert.equal(answered, sent);
        const status = JSON.parse(caromSync("status", "--name", name, "--json").stdout) as {
          queues: number[];
          threads: { queue: number; id: number; ticks: number }[];
          packets: { ticks: number; answered: number; passed_on: number };
          errors: { unserved_queue: number };
          mode: string[];
        };
        assert.equal(status.queues, [0, 1, 2, 3]);
        assert.is(new Set(status.threads.map(({ id }) => id)).size, named ? QUEUES : 1);
        if (!named) assert.match(status.mode.join(), /receives by queues 0, 1, 2, 3, .* sends by queue 0/);
        assert.is(status.errors.unserved_queue ?? 0, 0);
        assert.is(status.packets.ticks, 128);
        assert.is(status.packets.answered, 128);
        if (backend === "af_xdp" && named) {
          const used = status.threads.filter(({ ticks }) => ticks > 0);
          assert.ok(used.length >= 2, "the kernel spreads 32 flows over 4 queues");
          assert.is(
            status.threads.reduce((sum, { ticks }) => sum + ticks, 0),
            128,
          );
        }
        assert.is(caromSync("stop", "--name", name).status, 0);
        const ended = await responder.end;
        assert.is(ended.status, 0, ended.stderr);
      }),
  );
}

/** A device that answers each tick by the strategy echo, from 16 ports in turn, so that its orders are 16 flows. */
const DEVICE = `
  import(${JSON.stringify(new URL("../wire/codec.js", import.meta.url).href)}).then(({ decodeTick, encodeOrder, clOrdIdOf }) => {
    const dgram = require("node:dgram");
    const senders = Array.from({ length: 16 }, () => dgram.createSocket("udp4"));
    const receiver = dgram.createSocket("udp4");
    let next = 0;
    receiver.on("message", (bytes, { address }) => {
      const tick = decodeTick(bytes);
      const order = encodeOrder({ ...tick, price: tick.price + 1, quantity: 100, side: 0, clOrdId: clOrdIdOf(tick.timestamp) });
      senders[next++ % senders.length].send(order, 9999, address);
    });
    receiver.bind(8080, () => { receiver.addMembership("239.1.1.1", "198.18.0.2"); console.log("ready"); });
    process.on("SIGTERM", () => process.exit());
  });`;

for (const backend of ["af_xdp", "xdp_live"]) {
  backendTest(
    `${backend}: orders of many flows come by all queues, and where none is named all are taken`,
    [backend],
    () =>
      withLab({ queues: QUEUES }, async (lab) => {
        const device = launchIn(lab.responder.namespace, DEVICE);
        await device.said("ready");
        const args = ["--lab", lab.name, "--no-responder", "--backend", backend, "--strategy", "echo"];
        const brief = ["--rate", "500", "--count", "96", "--warmup", "0", "--json"];
        const report = reportOf(await carom("run", ...args, ...brief));
        assert.equal(report.faults, []);
        assert.is(report.verdicts.correct, 96);
        assert.match(
          report.notes.join(),
          /receives by queues 0, 1, 2, 3, over which gen0 spreads what comes/,
        );
        const one = reportOf(await carom("run", ...args, ...brief, "--queue", "0", "--timeout", "300ms"));
        assert.ok(one.verdicts.missing > 0, "16 flows do not all come by one queue of four");
        assert.match(
          one.faults.join(),
          /came to gen0 by queues? .*, and queue 0 alone is served: --queue \d/,
        );
        device.child.kill("SIGTERM");
        await device.end;
      }),
  );
}

interface Status {
  readonly packets: { readonly processed: number };
  readonly errors: Record<string, number>;
  readonly last_error: { readonly reason: string } | null;
}

/** What a responder says once this holds and it has told of an error: what the programs count it reads once a second. */
async function statusWhen(name: string, holds: (status: Status) => boolean): Promise<Status> {
  let found!: Status;
  await until("all ticks are counted", async () => {
    found = (await ask(name, "status")) as Status;
    return holds(found) && found.last_error !== null;
  });
  return found;
}

for (const backend of ["af_xdp", "xdp"]) {
  backendTest(`${backend}: ticks of a queue that no thread serves are counted, and told of`, [backend], () =>
    withLab({ queues: QUEUES }, async (lab) => {
      const name = `${PREFIX}unserved-${backend.replace("_", "")}`;
      // With another tag than the ticks have: what xdp can't answer by itself it hands up.
      const where = ["--lab", lab.name, "--name", name, "--backend", backend, "--queues", "1", "--vlan", "7"];
      const responder = startCarom("respond", ...where, "--cpu", "none");
      await responder.said("answering");
      await launchIn(lab.generator.namespace, client(lab.responder.address4, 0)).end;
      const byQueue = (errors: Status["errors"]) =>
        [0, 2, 3].map((queue) => errors[`unserved_queue_${queue}`] ?? 0);
      const sum = (frames: readonly number[]) => frames.reduce((total, one) => total + one, 0);
      const all = ({ packets, errors }: Status) =>
        packets.processed + (errors.unserved_queue ?? 0) === 128 &&
        sum(byQueue(errors)) === errors.unserved_queue;
      const { packets, errors, last_error } = await statusWhen(name, all);
      assert.ok(errors.unserved_queue! > 0, "32 flows do not all come by one queue of four");
      assert.is(errors.wrong_vlan ?? 0, packets.processed);
      assert.match(last_error!.reason, /unserved_queue|wrong_vlan/);
      const others = byQueue(errors);
      assert.is(errors.unserved_queue_1, undefined, "it is served");
      caromSync("stop", "--name", name);
      const { status, stdout } = await responder.end;
      assert.is(status, 1, "what was for it did not come to it");
      const queues = others.flatMap((frames, index) => (frames > 0 ? [[0, 2, 3][index]!] : []));
      const served = [...new Set([1, ...queues])].sort().join(",");
      const told = `port 8080 came to dut0 by queues? .* and queue 1 alone is served: --queues ${served}, or ethtool -N`;
      assert.match(stdout, new RegExp(told));
    }),
  );
}

backendTest("xdp: answers that the driver throws away are counted", ["xdp"], () =>
  withLab({}, async (lab) => {
    const name = `${PREFIX}thrown`;
    // Without a program at its other end, a veth drops what is sent back.
    const responder = startCarom("respond", "--lab", lab.name, "--name", name, "--backend", "xdp");
    await responder.said("answering");
    const { stdout } = await launchIn(lab.generator.namespace, client(lab.responder.address4, 0)).end;
    assert.equal(JSON.parse(stdout), []);
    const { last_error } = await statusWhen(name, ({ errors }) => errors.xdp_tx_errors === 128);
    assert.is(last_error!.reason, "xdp_tx_errors");
    caromSync("stop", "--name", name);
    assert.is((await responder.end).status, 0);
  }),
);

backendTest("a change is in force in every thread", ["af_xdp"], () =>
  withLab({ queues: 2 }, async (lab) => {
    const name = `${PREFIX}change`;
    const responder = startCarom(
      "respond",
      "--lab",
      lab.name,
      "--name",
      name,
      "--queues",
      "0,1",
      "--cpu",
      "none",
    );
    await responder.said("answering");
    assert.is(caromSync("config", "--name", name, "threshold=9000", "price_offset=7").status, 0);
    for (const queue of ["0", "1"]) {
      const same = ["--threshold", "9000", "--price-offset", "7", "--count", "200", "--json"];
      const report = reportOf(
        await carom("run", "--lab", lab.name, "--no-responder", "--queue", queue, ...same),
      );
      assert.is(report.verdicts.correct, report.ticks.answered);
      assert.ok(report.ticks.answered > 100);
    }
    assert.is(caromSync("disable", "--name", name).status, 0);
    for (const queue of ["0", "1"]) {
      const brief = ["--count", "5", "--warmup", "0", "--timeout", "50ms", "--trigger-ratio", "1", "--json"];
      const ended = await carom("run", "--lab", lab.name, "--no-responder", "--queue", queue, ...brief);
      assert.is(ended.status, 1);
      assert.is(reportOf(ended).verdicts.missing, 5);
    }
    caromSync("stop", "--name", name);
    assert.is((await responder.end).status, 0);
  }),
);

labTest("threads are pinned where they are told to, a core for each queue", () =>
  withLab({ queues: 2 }, async (lab) => {
    const name = `${PREFIX}pinned`;
    const where = ["--lab", lab.name, "--name", name, "--backend", "xdp", "--queues", "0-1"];
    const responder = startCarom("respond", ...where, "--cpu", "1,0");
    await responder.said("answering");
    const status = JSON.parse(caromSync("status", "--name", name, "--json").stdout) as {
      pid: number;
      threads: { queue: number; cpu: number; id: number }[];
    };
    for (const { cpu, id } of status.threads) {
      const allowed = readFileSync(`/proc/${status.pid}/task/${id}/status`, "utf8");
      assert.match(allowed, new RegExp(`^Cpus_allowed_list:\\s+${cpu}$`, "m"));
    }
    assert.equal(
      status.threads.map(({ queue, cpu }) => [queue, cpu]),
      [
        [0, 1],
        [1, 0],
      ],
    );
    caromSync("stop", "--name", name);
    assert.is((await responder.end).status, 0);
  }),
);

labTest("queues and cores that can't be are refused", () =>
  withLab({ queues: 2 }, (lab) => {
    const CASES: readonly [args: string, status: number, complaint: RegExp][] = [
      ["--queues 0-2", 3, /queue 2/],
      ["--queues 5", 3, /queue 5/],
      ["--queues 64", 2, /different queues from 0 to 63/],
      ["--queues 1-0", 2, /different queues/],
      ["--queues 0,0", 2, /different queues/],
      ["--queues 0-1 --cpu 1", 2, /1 cores for the 2 threads/],
      ["--queues 0-1 --backend udp", 2, /only af_xdp and xdp have them, the backend is udp/],
      ["--queues 1 --backend af_packet", 2, /only af_xdp and xdp/],
    ];
    for (const [args, status, complaint] of CASES) {
      const ended = caromSync("respond", "--lab", lab.name, "--name", `${PREFIX}bad`, ...args.split(" "));
      assert.is(ended.status, status, `${args}: ${ended.stderr}`);
      assert.match(ended.stderr, complaint);
    }
  }),
);

backendTest("ticks of several flows come from several ports, each symbol's from one", ["af_packet"], () =>
  withLab({}, async (lab) => {
    const listener = launchIn(
      lab.responder.namespace,
      `const ports = {};
       const socket = require("node:dgram").createSocket("udp4");
       socket.on("message", (tick, from) => (ports[tick.toString("latin1", 0, 8)] ??= new Set()).add(from.port));
       socket.bind(8080, () => console.log("bound"));
       process.on("SIGTERM", () => {
         const found = Object.entries(ports).map(([symbol, all]) => [symbol.trim(), [...all]]);
         console.log(JSON.stringify(Object.fromEntries(found)));
         process.exit();
       });`,
    );
    await listener.said("bound");
    const to = ["--no-multicast", "--target-ip", lab.responder.address4, "--source-port", "7000"];
    const flows = ["--flows", "3", "--feed-symbols", "A,B,C,D,E", "--rate", "2k", "--count", "500"];
    const ended = await carom("generate", "--lab", lab.name, "--backend", "af_packet", ...to, ...flows);
    assert.is(ended.status, 0, ended.stderr);
    await sleep(100); // the last of the 500 may be on their way; those before have shown each symbol's port
    listener.child.kill("SIGTERM");
    const ports = JSON.parse((await listener.end).stdout.split("\n")[1]!) as Record<string, number[]>;
    assert.equal(ports, { A: [7000], B: [7001], C: [7002], D: [7000], E: [7001] });
  }),
);

test.run();
