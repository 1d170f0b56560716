/** carom respond, as programs of other people use it; and what happens when one side, or the link, goes away. */

import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Lab } from "../lab/lab.js";
import type { Report } from "../run/report.js";
import { decodeOrder } from "../wire/codec.js";
import {
  backendsOf,
  backendTest,
  carom,
  jsonOf,
  launchIn,
  type Running,
  reportOf,
  startCarom,
} from "./cli_support.js";
import { arrivedIn, framesIn, ip, labTest, PATIENCE_MS, PREFIX, sleep, withLab } from "./lab_support.js";

const WAIT_MS = PATIENCE_MS; // for an order; one that must not come is waited for as long as QUIET_MS
const QUIET_MS = 150;

/**
 * A program with plain sockets: sends a datagram given as hex to an address, port 8080, and prints the datagrams that
 * come to port 9999 as hex, one a line.
 */
function client(family: 4 | 6, to: string, hex: string, wanted: number): string {
  const time_ms = wanted === 0 ? QUIET_MS : WAIT_MS;
  return `
    const dgram = require("node:dgram");
    const receiver = dgram.createSocket("udp${family}");
    let left = ${wanted};
    receiver.on("message", (data, from) => {
      console.log(data.toString("hex"), from.address, from.port);
      if (--left === 0) setTimeout(() => process.exit(), 50);
    });
    receiver.bind(9999, () => {
      // From another port than the order comes to: the order goes to 9999 all the same.
      dgram.createSocket("udp${family}").send(Buffer.from("${hex}", "hex"), 8080, "${to}");
    });
    setTimeout(() => process.exit(), ${time_ms});`;
}

interface Answer {
  readonly order: Buffer;
  readonly from: string;
  readonly port: number;
}

async function ask(lab: Lab, to: string, ticks: readonly string[], wanted: number): Promise<Answer[]> {
  const script = client(to.includes(":") ? 6 : 4, to, ticks.join(""), wanted);
  const { stdout, stderr } = await launchIn(lab.generator.namespace, script).end;
  assert.is(stderr, "");
  const lines = stdout.split("\n").filter((line) => line !== "");
  return lines.map((line) => {
    const [hex = "", from = "", port] = line.split(" ");
    return { order: Buffer.from(hex, "hex"), from, port: Number(port) };
  });
}

// By hand: "AAPL    ", 9999 = 0x270f cents, 300 shares, and the timestamp 0x0102030405060708.
const TICK = "4141504c202020200f2700002c0100000807060504030201";
// "MSFT    ", 10000 cents: at the threshold, so it must not be answered.
const DEAR = "4d5346542020202010270000640000000807060504030202";
// What comes back: "AAPL    ", 10000 cents, 100 shares, buy, …
const ORDER_HEAD = "4141504c20202020102700006400000000";
// … the time it was made, and the tick's timestamp in hex.
const ORDER_TAIL = Buffer.from("0102030405060708").toString("hex");

function assertOrder({ order, from, port }: Answer, sender: string): void {
  assert.is(order.length, 41);
  assert.is(order.toString("hex", 0, 17), ORDER_HEAD);
  assert.is(order.toString("hex", 25), ORDER_TAIL);
  const age_ms = Date.now() - Number(order.readBigUInt64LE(17) / 1_000_000n);
  assert.ok(
    age_ms >= -1 && age_ms < 30_000,
    `made ${age_ms} ms ago, by the clock that tells the time of day`,
  );
  assert.is(from, sender);
  assert.is(port, 8080);
}

/** A responder in a lab, for the time of an action. */
async function withResponder(
  lab: Lab,
  options: readonly string[],
  action: (responder: Running) => Promise<void>,
): Promise<void> {
  // Not pinned: the generator spins on a core of its own choice.
  const common = ["--lab", lab.name, "--name", PREFIX, "--json", "--cpu", "none"];
  const responder = startCarom("respond", ...common, ...options);
  try {
    await responder.said("answering ticks to");
    await action(responder);
  } finally {
    responder.child.kill("SIGKILL");
    await responder.end;
    rmSync(`/run/carom/responders/${PREFIX}.sock`, { force: true }); // a killed one can't
  }
}

for (const backend of backendsOf("responder")) {
  backendTest(`${backend}: a program with plain sockets gets its order, byte for byte`, [backend], () =>
    withLab({}, (lab) =>
      withResponder(
        lab,
        ["--backend", backend, ...(backend === "xdp" ? ["--plain-clients"] : [])],
        async (responder) => {
          for (const to of ["198.18.0.2", "239.1.1.1"]) {
            const answers = await ask(lab, to, [TICK], 1);
            assert.is(answers.length, 1, to);
            assertOrder(answers[0]!, "198.18.0.2");
          }
          const [over6] = await ask(lab, "2001:2::2", [TICK], 1);
          assertOrder(over6!, "2001:2::2");
          assert.equal(
            await ask(lab, "198.18.0.2", [DEAR], 0),
            [],
            "a price at the threshold gives no order",
          );
          assert.equal(await ask(lab, "239.1.1.2", [TICK], 0), [], "another group is not joined");
          const both = await ask(lab, "198.18.0.2", [TICK, DEAR, TICK], 2);
          assert.is(both.length, 2, "several ticks in a datagram");
          for (const answer of both) assertOrder(answer, "198.18.0.2");
          const partial = await ask(lab, "198.18.0.2", [TICK, TICK.slice(0, 20)], 1);
          assert.is(partial.length, 1, "the whole ones before a partial one are used");
          responder.child.kill("SIGINT");
          assertCounted(jsonOf(await responder.end), await responder.end);
        },
      ),
    ),
  );
}

function assertCounted(
  result: Record<string, unknown>,
  { status, stderr }: { status: number | null; stderr: string },
) {
  assert.is(status, 0, stderr);
  assert.is(result.schema, "carom.responder");
  assert.is(result.version, 1);
  const counters = result.counters as Record<string, number>;
  assert.is(counters.orders, 6);
  assert.is(counters.ticks, 8);
  assert.is(counters.quiet_ticks, 2);
  assert.is(counters.partial_ticks, 1);
}

backendTest("respond joins an IPv6 group, and has settings of its own", ["udp"], () =>
  withLab({}, (lab) => {
    const options = [
      "--multicast-group",
      "ff0e::1:1",
      "--threshold",
      "20000",
      "--side",
      "sell",
      "--backend",
      "udp",
    ];
    return withResponder(lab, options, async () => {
      const answers = await ask(lab, "ff0e::1:1%gen0", [DEAR], 1);
      assert.is(answers.length, 1);
      const { symbol, price, side } = decodeOrder(answers[0]!.order);
      assert.equal({ symbol, price, side }, { symbol: "MSFT", price: 10_001, side: 1 });
    });
  }),
);

backendTest("respond answers where it is told to", ["udp"], () =>
  withLab({}, (lab) => {
    spawnSync("nsenter", [
      `--net=${lab.generator.namespace}`,
      "ip",
      "addr",
      "add",
      "198.18.0.9/24",
      "dev",
      "gen0",
    ]);
    const options = ["--response-ip", "198.18.0.9", "--response-mac", lab.generator.mac, "--backend", "udp"];
    return withResponder(lab, options, async () => {
      const answers = await ask(lab, "198.18.0.2", [TICK], 1);
      assert.is(answers.length, 1);
      assertOrder(answers[0]!, "198.18.0.2");
    });
  }),
);

labTest("respond says what is wrong in a filter, and which one it has", () =>
  withLab({}, async (lab) => {
    const start = (filter: string) => ["respond", "--lab", lab.name, "--backend", "udp", "--filter", filter];
    const wrong = await carom(...start("udp and symbol in (A, B, A)"));
    assert.is(wrong.status, 2);
    assert.match(wrong.stderr, /this symbol is there twice/);
    assert.match(wrong.stderr, /\n {2}udp and symbol in \(A, B, A\)\n {27}\^/);
    const never = await carom(...start("ip and ip6"));
    assert.is(never.status, 2);
    assert.match(never.stderr, /no frame can ever match/);
    const always = await carom(...start("ip or not ip"), "--json", "--duration", "100ms");
    assert.is(always.status, 0);
    assert.match(always.stderr + always.stdout, /the filter wants every frame/);
  }),
);

labTest("a responder that filters everything says so, and a long filter in short", () =>
  withLab({}, async (lab) => {
    const symbols = Array.from({ length: 100 }, (_, index) => `S${index}`).join(", ");
    const options = ["--lab", lab.name, "--name", PREFIX, "--backend", "udp"];
    const responder = startCarom("respond", ...options, "--filter", `symbol in (${symbols})`);
    await responder.said("answering ticks to");
    const shown = await carom("config", "--name", PREFIX);
    assert.match(shown.stdout, /filter +symbol in \(S0, .{80,100}…\n/);
    const whole = await carom("config", "--name", PREFIX, "--json");
    assert.match(whole.stdout, "S98, S99)");
    assert.equal(await ask(lab, "198.18.0.2", [TICK], 0), []);
    responder.child.kill("SIGINT");
    const { status, stdout } = await responder.end;
    assert.is(status, 0);
    assert.match(stdout, /filtered +1\n/);
    assert.not.match(stdout, "nothing was received");
  }),
);

labTest("respond ends by itself after its time, and says what it counted", () =>
  withLab({}, async (lab) => {
    const ended = await carom(
      "respond",
      "--lab",
      lab.name,
      "--name",
      PREFIX,
      "--duration",
      "300ms",
      "--backend",
      "udp",
    );
    assert.is(ended.status, 0, ended.stderr);
    assert.match(
      ended.stdout,
      /^answering ticks to 198\.18\.0\.2 and 239\.1\.1\.1, UDP port 8080, by udp on dut0/,
    );
    assert.match(ended.stdout, "nothing was received");
  }),
);

/** The XDP program on an interface, as ip shows it; undefined for none. */
function programOn(lab: Lab, role: "generator" | "responder"): unknown {
  const { namespace, interfaceName } = lab[role];
  return ip(namespace, "link", "show", "dev", interfaceName)[0]!.xdp;
}

/** How many frames the responder's interface has received. */
const received = (lab: Lab) => framesIn(lab.responder.namespace);

const runIn = (lab: Lab, ...more: string[]) => ["run", "--lab", lab.name, "--json", ...more] as const;

for (const backend of backendsOf("responder")) {
  backendTest(
    `${backend}: a responder killed in mid-run makes later ticks missing, and leaves nothing`,
    [backend],
    () =>
      withLab({}, async (lab) => {
        await withResponder(lab, ["--backend", backend], async (responder) => {
          const near = backendsOf("generator").includes(backend) ? backend : "af_xdp";
          const args = [
            "--no-responder",
            "--rate",
            "2k",
            "--duration",
            "10m",
            "--timeout",
            "1s", // orders are to be in time where others have the cores, too
            "--backend",
            near,
          ];
          const run = startCarom(...runIn(lab, ...args));
          await arrivedIn(lab.name, 800); // the warm-up's 400, and some of the measurement
          responder.child.kill("SIGKILL");
          await responder.end;
          await arrivedIn(lab.name, 500 + received(lab));
          run.child.kill("SIGINT");
          const ended = await run.end;
          assert.is(ended.status, 1, ended.stderr);
          assertDied(reportOf(ended));
          assert.is(programOn(lab, "responder"), undefined, "no XDP program is left on dut0");
          assert.is(programOn(lab, "generator"), undefined, "nor on gen0");
        });
        const again = await carom(...runIn(lab, "--backend", "udp", "--count", "200"));
        assert.is(again.status, 0, `the lab can be used again: ${again.stderr}`);
        assert.is(reportOf(again).verdicts.missing, 0);
      }),
  );
}

function assertDied({ verdicts, ticks, faults, examples }: Report): void {
  assert.ok(verdicts.correct > 0, `${verdicts.correct} correct`);
  assert.ok(verdicts.missing > 200, `${verdicts.missing} missing: it goes on sending`);
  assert.is(verdicts.correct + verdicts.late + verdicts.missing + ticks.quiet, ticks.sent);
  assert.is(verdicts.wrong + verdicts.duplicate + verdicts.unexpected, 0);
  assert.match(faults[0]!, /^[\d,]+ missing$/);
  const missing = examples.find(({ verdict }) => verdict === "missing");
  assert.is(missing?.received, null);
}

for (const backend of backendsOf("generator")) {
  backendTest(`${backend}: a link that goes down and up in mid-run is told, and survived`, [backend], () =>
    withLab({}, async (lab) => {
      const set = (state: string) =>
        spawnSync("nsenter", [`--net=${lab.generator.namespace}`, "ip", "link", "set", "gen0", state]);
      const args = ["--rate", "2k", "--duration", "10m", "--timeout", "100ms", "--no-multicast"];
      const run = startCarom(...runIn(lab, ...args, "--backend", backend));
      await arrivedIn(lab.name, 1500);
      set("down");
      await sleep(300);
      set("up");
      // What the interface forgot when it went down.
      for (const [verb, to] of [
        ["address", "2001:2::1/64"],
        ["neigh", "198.18.0.2"],
      ]) {
        const rest = verb === "neigh" ? ["lladdr", lab.responder.mac] : [];
        spawnSync("nsenter", [
          `--net=${lab.generator.namespace}`,
          "ip",
          verb!,
          "replace",
          to!,
          ...rest,
          "dev",
          "gen0",
        ]);
      }
      await arrivedIn(lab.name, 1000 + received(lab));
      run.child.kill("SIGINT");
      const ended = await run.end;
      const report = jsonOf(ended) as unknown as Report;
      assert.is(report.schema, "carom.report", ended.stderr);
      const { ticks, verdicts } = report;
      // Ticks wait for the link to come back: in carom, and are sent late, or in the ring, and are answered late.
      const { max_ns } = report.lateness;
      assert.ok(
        max_ns > 200e6 || verdicts.late + verdicts.missing + ticks.unsent > 0,
        `${max_ns} ns late at most`,
      );
      assert.is(ended.status, report.faults.length > 0 ? 1 : 0);
      assert.is(
        ticks.sent + ticks.not_left + ticks.unsent,
        report.certificate!.planned,
        "every tick of the schedule is counted",
      );
      assert.is(
        verdicts.correct + verdicts.wrong + verdicts.late + verdicts.missing + ticks.quiet,
        ticks.sent + ticks.not_left,
      );
      assert.ok(verdicts.correct > 500, `${verdicts.correct} correct: it goes on when the link is back`);
      assert.is(verdicts.wrong + verdicts.duplicate + verdicts.unexpected, 0);
    }),
  );
}

labTest("a lab that is removed in mid-run ends the run with a report", () =>
  withLab({}, async (lab) => {
    const args = ["--rate", "1k", "--duration", "10m", "--timeout", "100ms", "--backend", "udp"];
    const run = startCarom(...runIn(lab, ...args));
    await arrivedIn(lab.name, 700);
    lab.down();
    const ended = await run.end;
    const report = jsonOf(ended) as unknown as Report;
    assert.is(report.schema, "carom.report", ended.stderr);
    assert.is(ended.status, 1);
    assert.match(report.faults.join("; "), /gen0 was removed, or went to another namespace, after/);
    const { sent, not_left, unsent } = report.ticks;
    assert.is(sent + not_left + unsent, report.certificate!.planned);
  }),
);

test.run();
