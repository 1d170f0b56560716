/** carom run in a lab, as a user runs it, against carom's responder: loops, schedules, addresses and settings. */

import { spawnSync } from "node:child_process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  assertAllRight,
  assertFigures,
  backendsOf,
  backendTest,
  carom,
  launch,
  ROOMY,
  reportOf,
} from "./cli_support.js";
import { labTest, MAIN, NOBODY } from "./lab_support.js";

for (const backend of backendsOf("generator")) {
  backendTest(
    `${backend}: a closed loop finds every order right, and says how it was measured`,
    [backend],
    async () => {
      const ended = await carom("run", "--backend", backend, "--count", "2000", "--json");
      const report = reportOf(ended);
      assertAllRight(report);
      assertFigures(report);
      assert.is(ended.status, 0);
      assert.is(report.command, "run");
      assert.is(report.interrupted, false);
      assert.ok(Math.abs(Date.parse(report.started) - Date.now()) < 60_000);
      assert.ok(report.elapsed_s > 0.2, `warm-up and measurement: ${report.elapsed_s} s`);
      const [clock, why] =
        backend === "xdp_live" ? ["kernel", "CLOCK_MONOTONIC"] : ["tsc", "gen0 has no hardware clock"];
      assert.is(report.clock.provenance, clock, "veth has no better one");
      assert.match(report.clock.reason, why);
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
    // The rate is taken from the first one to the last; each may have been late, as late as the latest.
    const span_s = (report.ticks.sent - 1) / report.rates.sent_pps;
    const latest_s = report.lateness.max_ns / 1e9;
    const paused_s = report.certificate!.pauses.paused_ns / 1e9; // the schedule was moved
    assert.ok(span_s > 0.299 - latest_s, `${report.ticks.sent} ticks in ${span_s} s`);
    assert.ok(span_s < 0.301 + latest_s + paused_s, `${report.ticks.sent} ticks in ${span_s} s`);
    assert.is(ended.status, 0);
  });

  backendTest(`${backend}: round trips have kernel timestamps`, [backend], async () => {
    const args = ["--backend", backend, "--timestamps", "kernel", "--rate", "5k", "--duration", "300ms"];
    const report = reportOf(await carom("run", ...args, ...ROOMY));
    assertAllRight(report);
    const { provenance, reason, stamped, unstamped } = report.clock;
    assert.is(provenance, "kernel");
    assert.match(reason, backend === "xdp_live" ? "CLOCK_MONOTONIC" : "as asked for");
    assert.is(stamped + unstamped, report.ticks.answered, "each is counted as one or the other");
    assert.ok(stamped > 0, "how many depends on whether the kernel's queue of them is read in time");
  });
}

for (const backend of backendsOf("generator")) {
  backendTest(`${backend}: as fast as it goes, exactly as many as were asked for`, [backend], async () => {
    const args = [
      "--backend",
      backend,
      "--rate",
      "max",
      "--link-speed",
      "100M",
      "--count",
      "2000",
      "--warmup",
      "0",
    ];
    const report = reportOf(await carom("run", ...args, ...ROOMY));
    assertAllRight(report);
    assert.is(report.ticks.sent, 2000);
    assert.is(report.certificate, null, "there is no schedule");
    const { sent_pps } = report.rates;
    assert.ok(sent_pps > 0 && sent_pps < 1e9, `${sent_pps} a second`);
  });
}

for (const far of backendsOf("responder").filter((name) => !backendsOf("generator").includes(name))) {
  backendTest(`af_xdp to ${far}: a closed loop finds every order right`, ["af_xdp", far], async () => {
    const args = ["--backend", "af_xdp", "--responder-backend", far, "--count", "2000"];
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
    const args = [
      MAIN,
      "run",
      "--user-namespace",
      "--backend",
      backend,
      "--count",
      "300",
      "--timeout",
      "20s",
      "--json",
    ];
    const ended = await launch([...NOBODY, process.execPath, ...args]).end;
    assertAllRight(reportOf(ended));
    assert.is(ended.status, 0, backend);
  }
});

test.run();
