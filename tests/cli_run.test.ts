/** carom run and generate in a lab, as a user runs them: what is sent, judged, reported, and left behind. */

import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HistogramLogReader } from "hdr-histogram-js";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Lab, listLabs } from "../lab/lab.js";
import type { Report } from "../run/report.js";
import { clOrdIdOf, decodeTick, type Tick } from "../wire/codec.js";
import {
  backendsOf,
  backendTest,
  carom,
  jsonOf,
  launch,
  launchIn,
  reportOf,
  startCarom,
} from "./cli_support.js";
import { labTest, MAIN, NOBODY, sleep, withLab } from "./lab_support.js";

// Rings that hold what comes while a core is taken away for long: other programs may run beside the tests.
const ROOMY = ["--ring-size", "16384", "--json"];
const SYMBOLS = ["AAPL", "MSFT", "GOOG", "AMZN", "NVDA", "META", "TSLA", "INTC"];

/** Everything that had to be answered was, rightly, and nothing else. */
function assertAllRight(report: Report): void {
  const { verdicts, ticks, faults } = report;
  assert.equal(faults, []);
  assert.ok(ticks.sent > 0 && verdicts.correct > 0, `${ticks.sent} were sent, ${verdicts.correct} correct`);
  assert.equal(verdicts, {
    correct: ticks.answered,
    wrong: 0,
    missing: 0,
    duplicate: 0,
    unexpected: 0,
    late: 0,
  });
  assert.is(ticks.sent, ticks.answered + ticks.quiet);
  assert.is(ticks.unsent, 0);
}

function assertFigures(report: Report): void {
  const { latency, lateness, ticks, interference } = report;
  assert.ok(latency !== null);
  for (const { count, missing, min_ns, mean_ns, max_ns, jitter_ns, percentiles } of [
    latency!.planned,
    latency!.actual,
  ]) {
    assert.is(count, ticks.answered);
    assert.is(missing, 0);
    assert.ok(
      min_ns > 100 && min_ns <= mean_ns && mean_ns <= max_ns && max_ns < 1e9,
      `${min_ns} to ${max_ns} ns`,
    );
    assert.is(jitter_ns, max_ns - min_ns);
    assert.equal(
      percentiles.map(({ percentile }) => percentile),
      [50, 90, 95, 99, 99.9, 99.99],
    );
    const values = percentiles.map(({ value_ns }) => value_ns ?? Number.NaN);
    const ordered = [min_ns, ...values, max_ns];
    for (const [index, value] of values.entries()) assert.ok(value >= ordered[index]!, `${ordered} ascend`);
  }
  assert.ok(latency!.planned.mean_ns >= latency!.actual.mean_ns, "a tick is never sent before its time");
  assert.is(lateness.count, ticks.sent);
  assert.is(interference.slowest.examined, Math.min(1000, ticks.answered));
  for (const { role, count, share } of interference.cores) {
    assert.ok(role === "generator" || role === "responder");
    assert.ok(count >= 0 && share >= 0 && share <= 1);
  }
}

for (const backend of backendsOf("generator")) {
  backendTest(
    `${backend}: a closed loop finds every order right, and says how it was measured`,
    [backend],
    async () => {
      const ended = await carom("run", "--backend", backend, "--duration", "300ms", "--json");
      const report = reportOf(ended);
      assertAllRight(report);
      assertFigures(report);
      assert.is(ended.status, 0);
      assert.is(report.command, "run");
      assert.is(report.interrupted, false);
      assert.ok(Math.abs(Date.parse(report.started) - Date.now()) < 60_000);
      assert.ok(
        report.elapsed_s >= 0.5 && report.elapsed_s < 5,
        `warm-up and measurement: ${report.elapsed_s} s`,
      );
      assert.is(report.clock.provenance, "tsc", "veth has no better clock");
      assert.match(report.clock.reason, "gen0 has no hardware clock");
      assert.ok(report.clock.frequencyHz > 1e8 && report.clock.readCostNs > 0);
      assert.ok(report.warmup.sent > 0 && report.warmup.answered > 0);
      assert.is(report.warmup.faults, 0);
      // Nine of ten ticks trigger an order.
      assert.ok(Math.abs(report.ticks.answered / report.ticks.sent - 0.9) < 0.1);
      assert.is(report.interfaces.responder?.rx_packets ?? 0, report.ticks.sent + report.warmup.sent);
      for (const line of ["all as expected", "distribution of the round trip", "verdicts", "from planned"]) {
        assert.ok(ended.stderr.includes(line), `for people there is ${line} on standard error`);
      }
    },
  );

  backendTest(`${backend}: an open loop keeps its rate`, [backend], async () => {
    const ended = await carom("run", "--backend", backend, "--rate", "20k", "--duration", "300ms", ...ROOMY);
    const report = reportOf(ended);
    assertAllRight(report);
    assertFigures(report);
    assert.ok(
      Math.abs(report.ticks.sent - 6000) <= 1,
      `${report.ticks.sent} ticks in 300 ms at 20k a second`,
    );
    assert.ok(Math.abs(report.warmup.sent - 4000) <= 1, `${report.warmup.sent} in the 200 ms before`);
    assert.ok(Math.abs(report.rates.sent_pps / 20_000 - 1) < 0.02, `${report.rates.sent_pps} a second`);
    assert.is(ended.status, 0);
  });

  backendTest(`${backend}: kernel timestamps are had for nearly every round trip`, [backend], async () => {
    const args = ["--backend", backend, "--timestamps", "kernel", "--rate", "5k", "--duration", "300ms"];
    const report = reportOf(await carom("run", ...args, ...ROOMY));
    assertAllRight(report);
    const { provenance, reason, stamped, unstamped } = report.clock;
    assert.is(provenance, "kernel");
    assert.is(reason, "as asked for");
    assert.is(stamped + unstamped, report.ticks.answered, "each is counted as one or the other");
    assert.ok(stamped >= 0.9 * report.ticks.answered, `${stamped} of ${report.ticks.answered}`);
  });
}

for (const far of backendsOf("responder").filter((name) => !backendsOf("generator").includes(name))) {
  backendTest(`af_xdp to ${far}: a closed loop finds every order right`, ["af_xdp", far], async () => {
    const args = ["--backend", "af_xdp", "--responder-backend", far, "--duration", "300ms"];
    const ended = await carom("run", ...args, "--json");
    const report = reportOf(ended);
    assertAllRight(report);
    assertFigures(report);
    assert.is(ended.status, 0);
  });
}

labTest("--count sends exactly that many, in either loop", async () => {
  for (const more of [
    [],
    ["--window", "7"],
    ["--rate", "30k"],
    ["--rate", "2M", "--warmup", "0"],
    ["--backend", "udp", "--rate", "1M", "--warmup", "0"],
  ]) {
    const report = reportOf(await carom("run", "--count", "1000", ...more, ...ROOMY));
    assert.is(report.ticks.sent + report.ticks.unsent, 1000, more.join(" "));
    assert.is(report.ticks.unsent, 0, more.join(" "));
    assert.is(report.verdicts.correct + report.ticks.quiet, 1000, more.join(" "));
  }
});

labTest("the same seed gives the same ticks, another one others", async () => {
  const counts = async (seed: string, backend: string) => {
    const args = [
      "--count",
      "2000",
      "--warmup",
      "0",
      "--seed",
      seed,
      "--backend",
      backend,
      "--trigger-ratio",
      "0.5",
    ];
    const { verdicts, ticks } = reportOf(await carom("run", ...args, "--json"));
    assert.is(verdicts.correct, ticks.answered);
    return [ticks.answered, ticks.quiet];
  };
  const first = await counts("5", "udp");
  assert.equal(await counts("5", "udp"), first);
  assert.equal(await counts("5", "af_packet"), first, "whatever moves the frames");
  assert.is.not((await counts("6", "udp"))[0], first[0]);
});

labTest("the trigger ratio says how many ticks must be answered", async () => {
  for (const [ratio, answered] of [
    ["0", 0],
    ["1", 1000],
  ] as const) {
    const report = reportOf(await carom("run", "--count", "1000", "--trigger-ratio", ratio, ...ROOMY));
    assert.is(report.ticks.answered, answered);
    assert.is(report.ticks.quiet, 1000 - answered);
    assert.equal(report.faults, []);
  }
});

labTest("unicast, an IPv6 group, IPv6 unicast and VLAN are answered as well", async () => {
  for (const more of [
    ["--no-multicast"],
    ["--multicast-group", "ff0e::1:1"],
    ["--no-multicast", "--target-ip", "2001:2::2"],
    ["--vlan", "5"],
    ["--target-port", "4000", "--response-port", "4001", "--source-port", "4002"],
    ["--backend", "udp", "--no-multicast"],
    ["--backend", "udp", "--multicast-group", "ff0e::1:1"],
    ["--backend", "af_packet", "--no-multicast", "--target-ip", "2001:2::2"],
  ]) {
    const ended = await carom("run", "--count", "300", "--warmup", "20ms", ...more, "--json");
    assertAllRight(reportOf(ended));
    assert.is(ended.status, 0, more.join(" "));
  }
});

labTest("every setting of the strategy is what the generator expects and the responder does", async () => {
  const settings = ["--threshold", "5000", "--quantity", "7", "--price-offset", "-3", "--side", "sell"];
  const more = ["--symbols", "AAPL,INTC", "--count", "500", "--backend", "udp"];
  const report = reportOf(await carom("run", ...settings, ...more, ...ROOMY));
  assertAllRight(report);
  // Six of the eight symbols are not traded.
  assert.ok(report.ticks.quiet > 300 && report.ticks.answered > 50, `${report.ticks.quiet} were quiet`);
});

labTest("a log of the histograms has what the report says", async () => {
  const folder = mkdtempSync(join(tmpdir(), "carom-run-"));
  try {
    const path = join(folder, "run.hlog");
    const report = reportOf(await carom("run", "--duration", "200ms", "--hlog", path, "--json"));
    const reader = new HistogramLogReader(readFileSync(path, "utf8"), 64);
    for (const [tag, distribution] of [
      ["latency_planned", report.latency!.planned],
      ["latency_actual", report.latency!.actual],
      ["send_lateness", report.lateness],
      ["warmup", report.warmup],
    ] as const) {
      const histogram = reader.nextIntervalHistogram();
      assert.is(histogram?.tag, tag);
      assert.is(histogram?.totalCount, distribution.count);
      for (const { percentile, value_ns } of distribution.percentiles) {
        assert.is(
          value_ns,
          Math.min(histogram!.getValueAtPercentile(percentile), distribution.max_ns),
          `${tag} p${percentile}`,
        );
      }
    }
    assert.is(reader.nextIntervalHistogram(), null);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

labTest("a full disk costs the log, not the figures", async () => {
  const args = ["run", "--count", "500", "--hlog", "/dev/full"];
  const ended = await carom(...args);
  assert.is(ended.status, 3);
  assert.match(ended.stdout, /^ {2}verdicts +correct \d+/m);
  assert.match(ended.stdout, "all as expected");
  assert.match(
    ended.stderr,
    /^carom: write \/dev\/full: the disk is full \(ENOSPC\); the figures above are complete/m,
  );
  const asJson = await carom(...args, "--json");
  assert.is(asJson.status, 3);
  assert.is(reportOf(asJson).ticks.sent, 500);
});

labTest("Ctrl-C ends a run early, with a true report and no lab left", async () => {
  for (const more of [[], ["--rate", "5k"]]) {
    const running = startCarom("run", "--duration", "30s", "--json", ...more);
    await sleep(1200);
    const asked_ms = Date.now();
    running.child.kill("SIGINT");
    const ended = await running.end;
    assert.ok(Date.now() - asked_ms < 3000, "at once");
    const report = reportOf(ended);
    assertAllRight(report);
    assertFigures(report);
    assert.is(report.interrupted, true);
    assert.ok(report.elapsed_s < 5);
    assert.is(ended.status, 0, "by its result: nothing was wrong");
    assert.match(ended.stderr, "stopped early");
    assert.not.ok(listLabs().some(({ pid }) => pid === running.child.pid));
  }
});

/** Why an ordinary user can't run carom in a user namespace here, "" when it can. */
function userNamespaceLack(): string {
  const asNobody = (...command: string[]) =>
    spawnSync(NOBODY[0]!, [...NOBODY.slice(1), ...command], { encoding: "utf8" });
  if (asNobody("test", "-r", MAIN).status !== 0) return "this checkout is not readable for others";
  const { status, stderr } = asNobody("unshare", "--user", "--map-root-user", "--net", "true");
  return status === 0 ? "" : stderr.trim();
}

const lack = userNamespaceLack();
const unprivilegedTest = lack === "" ? test : (name: string, _: unknown) => test.skip(`${name} (${lack})`);

unprivilegedTest("as an ordinary user a run in a user namespace finds every order right", async () => {
  for (const backend of ["af_packet", "udp"]) {
    const args = [MAIN, "run", "--user-namespace", "--backend", backend, "--count", "300", "--json"];
    const ended = await launch([...NOBODY, process.execPath, ...args]).end;
    assertAllRight(reportOf(ended));
    assert.is(ended.status, 0, backend);
  }
});

/** A program that receives for a while, and prints the hex of each datagram. */
const LISTENER = `
  const socket = require("node:dgram").createSocket("udp4");
  socket.on("message", (data) => process.stdout.write(data.toString("hex") + "\\n"));
  socket.bind(8080, () => { socket.addMembership("239.1.1.1", "198.18.0.2"); console.log("ready"); });
  process.on("SIGTERM", () => socket.close());`;

for (const backend of backendsOf("generator")) {
  backendTest(`${backend}: generate sends what a plain socket receives`, [backend], () =>
    withLab({}, async (lab) => {
      const listener = launchIn(lab.responder.namespace, LISTENER);
      try {
        await listener.said("ready");
        const args = [
          "--lab",
          lab.name,
          "--rate",
          "1k",
          "--count",
          "200",
          "--warmup",
          "0",
          "--backend",
          backend,
        ];
        const ended = await carom("generate", ...args, "--json");
        await sleep(100);
        listener.child.kill("SIGTERM");
        const report = jsonOf(ended) as unknown as Report;
        assert.is(ended.status, 0, ended.stderr);
        assert.is(report.command, "generate");
        assert.is(report.ticks.sent, 200);
        assert.is(report.latency, null, "no answers, no round trips");
        assert.is(report.lateness.count, 200);
        const lines = (await listener.end).stdout.trim().split("\n").slice(1);
        assertTicks(lines.map((line) => Buffer.from(line, "hex")));
      } finally {
        listener.child.kill("SIGKILL");
      }
    }),
  );
}

function assertTicks(datagrams: readonly Buffer[]): void {
  assert.is(datagrams.length, 200);
  const ticks = datagrams.map((datagram) => {
    assert.is(datagram.length, 24, "one tick in a datagram");
    return decodeTick(datagram);
  });
  for (const { symbol, price, quantity } of ticks) {
    assert.ok(SYMBOLS.includes(symbol), symbol);
    assert.ok(price >= 9000 && price < 11_000, `${price} cents`);
    assert.ok(quantity > 0 && quantity % 100 === 0, `${quantity} shares`);
  }
  assert.is(new Set(ticks.map(({ symbol }) => symbol)).size, SYMBOLS.length, "every symbol is used");
  const below = ticks.filter(({ price }) => price < 10_000).length;
  assert.ok(below > 150 && below < 200, `${below} of 200 are below the threshold`);
  // The planned times: exactly 1 ms apart, in ns since the epoch.
  for (const [index, { timestamp }] of ticks.entries()) {
    if (index > 0) assert.is(timestamp - ticks[index - 1]!.timestamp, 1_000_000n);
  }
  assert.ok(Math.abs(Number(ticks[0]!.timestamp / 1_000_000n) - Date.now()) < 30_000);
}

/**
 * A device under test on plain sockets that answers as it should, but for some ticks: every 10th below the threshold
 * with a wrong price, every 10th + 1 twice, every 10th + 2 not at all, and the first above it although it must not.
 * It prints what it did.
 */
const DEVICE = `
  const socket = require("node:dgram").createSocket("udp4");
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
        const args = ["--rate", "500", "--count", "200", "--timeout", "500ms", "--backend", backend];
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
      assert.ok(report.verdicts.late >= 40, `${report.verdicts.late} were late`);
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
          "500",
          "--count",
          "100",
          "--timeout",
          "500ms",
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
