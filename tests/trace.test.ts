/** carom trace: what became of each packet, on every backend; and who may ask, for how long, and for how much. */

import { rmSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Lab } from "../lab/lab.js";
import { openFrameSocket } from "../native/index.js";
import { ask, isAnswered, socketPath } from "../responder/control.js";
import { encodeTick } from "../wire/codec.js";
import { buildFrame, type FrameFields } from "../wire/frame.js";
import { backendTest, carom, type Ended, type Running, startCarom } from "./cli_support.js";
import { PREFIX, until, withLab } from "./lab_support.js";

const APART_MS = 10; // between frames that must be traced in order: what is decided in the kernel is seen later
const TIME = /^\d\d:\d\d:\d\d\.\d{9}$/;

interface Line {
  readonly number: number;
  readonly time_ns: string;
  readonly length: number;
  readonly queue: number;
  readonly source: { mac: string; address: string | null; port: number | null };
  readonly destination: { mac: string; address: string | null; port: number | null };
  readonly outcome: string;
  readonly why: string;
  readonly spent_ns: number;
  readonly ticks: number;
  readonly orders: number;
  readonly tick: { symbol: string; price: number; quantity: number; timestamp: string } | null;
  readonly order: { side: string; price: number; quantity: number } | null;
  readonly frame: string;
}

interface Fixture {
  readonly lab: Lab;
  readonly name: string;
  readonly responder: Running;
  /** Sends frames one by one, so far apart that they are traced in this order; returns when all were looked at. */
  send(...frames: readonly Buffer[]): Promise<void>;
  /** A trace that has begun. */
  trace(...args: string[]): Promise<Running>;
}

let number = 0;

async function withResponder(backend: string, action: (fixture: Fixture) => Promise<void>): Promise<void> {
  const name = `${PREFIX}-trace${++number}`;
  await withLab({ name }, async (lab) => {
    const responder = startCarom("respond", "--lab", name, "--backend", backend, "--name", name);
    const socket = openFrameSocket({ link: lab.generator, holdPort: 0 });
    let sent = 0;
    try {
      await until("the responder answers on its socket", () => isAnswered(name));
      await action({
        lab,
        name,
        responder,
        async send(...frames) {
          for (const frame of frames) {
            socket.send(frame);
            await sleep(APART_MS);
          }
          sent += frames.length;
          await until(`${sent} frames are received`, async () => (await received(name)) >= sent);
        },
        async trace(...args) {
          const running = startCarom("trace", "--name", name, ...args);
          await running.said(args.includes("--json") ? "tracing" : "time ");
          return running;
        },
      });
    } finally {
      socket.close();
      responder.child.kill("SIGKILL");
      await responder.end;
      rmSync(socketPath(name), { force: true });
    }
  });
}

async function received(name: string): Promise<number> {
  const { counters } = (await ask(name, "stats")) as { counters: Record<string, number> };
  return counters.frames ?? 0;
}

function tick(price: number, symbol = "AAPL"): Buffer {
  return encodeTick({ symbol, price, quantity: 300, timestamp: 1_700_000_000_000_000_000n });
}

function frameOf({ generator, responder }: Lab, payload: Buffer, fields: Partial<FrameFields> = {}): Buffer {
  return buildFrame({
    ethernet: { source: generator.mac, destination: responder.mac },
    payload,
    ...fields,
    ip: { version: 4, source: generator.address4, destination: responder.address4, ttl: 16, ...fields.ip },
    udp: { sourcePort: 5000, destinationPort: 8080, ...fields.udp },
  });
}

function linesOf({ status, stdout, stderr }: Ended): Line[] {
  assert.is(status, 0, stderr);
  assert.match(stdout, /^[\x20-\x7e\n]*$/);
  return stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Line);
}

async function interrupted(running: Running): Promise<Ended> {
  running.child.kill("SIGINT");
  return await running.end;
}

for (const backend of ["af_xdp", "af_packet", "udp", "xdp"]) {
  backendTest(
    `${backend}: answered, quiet, refused, limited, disabled, each with why`,
    [backend],
    async () => {
      await withResponder(backend, async ({ lab, name, send, trace }) => {
        const running = await trace("--json");
        const began_ns = BigInt(Date.now()) * 1_000_000n;
        const [good, dear] = [frameOf(lab, tick(9992)), frameOf(lab, tick(10_123, "MSFT"))];
        const several = frameOf(lab, Buffer.concat([tick(9000), tick(11_000), tick(9001)]));
        await send(good, dear, several);
        const bad = [
          frameOf(lab, tick(9000), { udp: { checksum: "bad" } as FrameFields["udp"] }),
          frameOf(lab, tick(9000), { ip: { ttl: 0 } as FrameFields["ip"] }),
          frameOf(lab, tick(9000), {
            ethernet: { source: lab.generator.mac, destination: "02:00:00:00:00:99" },
          }),
          frameOf(lab, tick(9000), {
            ethernet: { source: lab.generator.mac, destination: "01:00:5e:01:01:02" },
            ip: { destination: "239.1.1.2" } as FrameFields["ip"],
          }),
        ];
        // A socket's owner never sees what its kernel refuses.
        if (backend !== "udp") await send(...bad);
        await ask(name, "config", { answer_limit: "1" });
        await sleep(APART_MS);
        await send(good, good);
        await ask(name, "disable");
        await sleep(APART_MS);
        await send(good);
        const lines = linesOf(await interrupted(running));

        const limited = "the source has had its answers for now";
        // Of a frame for another MAC address af_packet shows no bytes.
        const other = backend === "af_packet" ? "truncated" : "wrong_mac";
        const refusals = ["bad_udp_checksum", "ttl_zero", other, "wrong_group"];
        assert.equal(
          lines.map(({ outcome, why, ticks, orders }) => [outcome, why, ticks, orders]),
          [
            ["answered", "", 1, 1],
            ["quiet", "the price is not below the threshold", 1, 0],
            ["answered", "", 3, 2],
            ...(backend === "udp" ? [] : refusals.map((reason) => ["refused", reason, 0, 0])),
            ["answered", "", 1, 1],
            ["limited", limited, 1, 0],
            ["disabled", "", 0, 0],
          ],
        );
        lines.forEach((line, index) => {
          assert.is(line.number, lines[0]!.number + index, "numbers follow one another");
          assert.ok(line.spent_ns >= 0, "time spent");
          const age_ns = BigInt(line.time_ns) - began_ns;
          assert.ok(age_ns > -1_000_000n && age_ns < 600_000_000_000n, `${age_ns} ns after the begin`);
          assert.ok(index === 0 || BigInt(line.time_ns) >= BigInt(lines[index - 1]!.time_ns), "in order");
          if (line.why === "truncated") return;
          assert.equal([line.source.address, line.source.port], [lab.generator.address4, 5000]);
        });
        const [first, second] = lines;
        assert.equal(first!.tick, {
          symbol: "AAPL",
          price: 9992,
          quantity: 300,
          timestamp: "1700000000000000000",
        });
        assert.equal(first!.order, { side: "buy", price: 9993, quantity: 100 });
        assert.equal([second!.tick?.symbol, second!.tick?.price, second!.order], ["MSFT", 10_123, null]);
        assert.equal([first!.destination.address, first!.destination.port], [lab.responder.address4, 8080]);
        assert.is(first!.length, good.length);
        if (backend !== "udp") assert.is(first!.frame, good.toString("hex"), "the frame's own bytes");
        assert.equal(lines.at(-1)!.tick, null);
      });
    },
  );
}

backendTest("for people: columns, what is wrong, nothing that a terminal obeys", ["af_xdp"], async () => {
  await withResponder("af_xdp", async ({ lab, send, trace }) => {
    const running = await trace("--count", "6");
    const evil = tick(9000);
    evil.write("\x1b[2J\x9b\n\r\x07", "latin1");
    const v6 = {
      version: 6,
      source: lab.generator.address6,
      destination: lab.responder.address6,
      ttl: 16,
    } as FrameFields["ip"];
    await send(
      frameOf(lab, tick(9992)),
      frameOf(lab, tick(10_123)),
      frameOf(lab, evil),
      frameOf(lab, Buffer.concat([tick(9000), tick(11_000)])),
      frameOf(lab, tick(9000), { udp: { checksum: "bad" } as FrameFields["udp"] }),
      frameOf(lab, tick(9993), { ip: v6 }),
    );
    const { status, stdout, stderr } = await running.end;
    assert.is(status, 0, stderr);
    assert.match(stdout, /^[\x20-\x7e¢×→·µ\n]*$/, "no control character");
    const [header = "", ...lines] = stdout.trimEnd().split("\n");
    assert.match(header, /^time +source +→ destination +spent {2}outcome {3}why$/);
    assert.match(lines.pop()!, /^6 of 6 packets shown$/);
    const column = (name: string) => header.indexOf(name);
    const cells = lines.map((line) => ({
      time: line.slice(0, 18),
      source: line.slice(column("source"), column("→")).trim(),
      destination: line.slice(column("destination"), column("spent") - 4).trim(),
      outcome: line.slice(column("outcome"), column("why")).trim(),
      why: line.slice(column("why")),
    }));
    for (const { time } of cells) assert.match(time, TIME);
    const v4 = cells.slice(0, 5);
    for (const { source, destination } of v4)
      assert.equal([source, destination], ["198.18.0.1:5000", "198.18.0.2:8080"]);
    assert.equal(
      v4.map(({ outcome, why }) => `${outcome} ${why}`),
      [
        "answered buy AAPL 9,993¢ × 100",
        "quiet AAPL 10,123¢ × 300: the price is not below the threshold",
        "answered buy ·[2J···· 9,001¢ × 100",
        "answered 1 order for 2 ticks; the first: buy AAPL 9,001¢ × 100",
        `refused ${v4[4]!.why}`,
      ],
    );
    assert.match(v4[4]!.why, /^bad_udp_checksum: udp\.checksum 0x[0-9a-f]{4}, right is 0x[0-9a-f]{4}$/);
    assert.match(lines[5]!, /\[2001:2::1\]:5000 +→ \[2001:2::2\]:8080 .*answered {2}buy AAPL 9,994¢ × 100$/);
  });
});

backendTest("a filter, a count, two clients, and one that was killed", ["af_packet"], async () => {
  await withResponder("af_packet", async ({ lab, name, send, trace }) => {
    const from = (port: number) =>
      frameOf(lab, tick(9992), { udp: { sourcePort: port } as FrameFields["udp"] });
    const wanted = "udp src port 7001 and symbol AAPL";
    const filter = ["--filter", wanted];
    const first = await trace("--json", ...filter);
    await send(from(7000), from(7001), from(7002));
    const second = await trace("--json", "--count", "2", ...filter);
    const strange = frameOf(lab, tick(9992, "MSFT"), { udp: { sourcePort: 7001 } as FrameFields["udp"] });
    await send(from(7001), strange, from(7001), from(7001));
    const limited = linesOf(await second.end);

    const other = await carom("trace", "--name", name, "--filter", "ip6");
    assert.is(other.status, 2);
    assert.match(
      other.stderr,
      /another trace is on, with the filter "udp src port 7001 and symbol AAPL" and --rate 1000/,
    );
    const faster = { client: "test", rate: "2000", filter: wanted };
    assert.match(String(await ask(name, "trace", faster).catch(String)), /another trace is on/);

    const ended = await interrupted(first);
    const all = linesOf(ended);
    assert.match(ended.stderr, /4 of 7 packets shown; 3 did not match --filter or were above --rate 1000/);
    assert.equal(
      all.map(({ source }) => source.port),
      [7001, 7001, 7001, 7001],
    );
    assert.equal(limited, all.slice(1, 3), "both saw the same, each from its beginning on");

    const killed = await trace("--filter", "ip6");
    killed.child.kill("SIGKILL");
    await killed.end;
    const probe = { client: "test", rate: "1", filter: "udp[" };
    await until("what the killed one asked for ends", async () => {
      const error = await ask(name, "trace", probe).then(String, String);
      return !error.includes("is on");
    });
    const bad = await carom("trace", "--name", name, "--filter", "udp[");
    assert.is(bad.status, 2);
    assert.match(bad.stderr, /filter "udp\[".*syntax error/);
    assert.match(bad.stderr, /pcap-filter/);
    const again = await trace("--json", "--count", "1");
    await send(from(7003));
    assert.is(linesOf(await again.end)[0]!.source.port, 7003, "the next trace begins");
  });
});

// Of user space the pace is tested in native/test; here the kernel samples, and its own samples are held to it, too.
backendTest("xdp: no more a second than asked for, and the rest counted", ["xdp"], async () => {
  await withResponder("xdp", async ({ lab, trace }) => {
    const running = await trace("--json", "--rate", "100");
    const options = ["--rate", "5k", "--duration", "1s", "--warmup", "0", "--no-responder"];
    const { stdout } = await carom("run", "--lab", lab.name, "--json", ...options);
    const { sent } = (JSON.parse(stdout) as { ticks: { sent: number } }).ticks;
    const ended = await interrupted(running);
    const lines = linesOf(ended);
    const times = lines.map(({ time_ns }) => Number(BigInt(time_ns) - BigInt(lines[0]!.time_ns)));
    assert.ok(lines.length > 1, `${lines.length} of ${sent}`);
    for (const time of times) {
      const within = times.filter((other) => other >= time && other < time + 1e9).length;
      assert.ok(within <= 112, `${within} within a second`);
    }
    const [, shown, all] =
      /([\d,]+) of ([\d,]+) packets shown; [\d,]+ were above --rate 100$/m.exec(ended.stderr) ?? [];
    assert.equal(
      [shown, all].map((text) => Number(text?.replaceAll(",", ""))),
      [lines.length, sent],
    );
  });
});

backendTest("what can't be asked for; the responder ends; there is none", ["udp"], async () => {
  await withResponder("udp", async ({ name, trace }) => {
    for (const settings of [
      {},
      { client: "a" },
      { client: "a", rate: "0" },
      { client: "a", rate: "10000000" },
      { client: "a b", rate: "1" },
      { client: "a", rate: "1", after: "-1" },
      { client: "a", rate: "1", colour: "red" },
    ] as Record<string, string>[]) {
      const refusal = await ask(name, "trace", settings).catch(String);
      assert.match(String(refusal), /this responder does not know/, JSON.stringify(settings));
    }
    assert.is((await carom("trace", "--name", name, "--rate", "2M")).status, 2);
    const running = await trace();
    assert.is((await carom("stop", "--name", name)).status, 0);
    const { status, stdout, stderr } = await running.end;
    assert.is(status, 0, stderr);
    assert.match(stdout, new RegExp(`the responder ${name} has ended\n0 of 0 packets shown\n$`));
    const none = await carom("trace", "--name", name);
    assert.is(none.status, 3);
    assert.match(none.stderr, /none of that name running/);
  });
});

test.run();
