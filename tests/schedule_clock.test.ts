/** The clock by which a schedule goes, what the report says of it, and a TSC that is no clock. */

import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { tscDoubts } from "../lab/machine.js";
import { readClocks } from "../native/index.js";
import { clocksOverRun } from "../run/clock.js";
import type { Report } from "../run/report.js";
import { backendTest, carom, caromHere, launch, reportOf } from "./cli_support.js";
import { labTest, MAIN, withLab } from "./lab_support.js";

const SHORT = ["--rate", "5k", "--duration", "200ms", "--warmup", "20ms"];

function certificateIn(report: Report) {
  assert.ok(report.certificate !== null, "an open loop has a certificate");
  return report.certificate!;
}

/** What holds of every run with a schedule. */
function assertClocks({ certificate, clock, schedule_clock, notes }: Report, name: string): void {
  const { over_s, tsc_error_ns, tsc_error_ppm, system_slew_ns, system_slew_ppm, uncertainty_ns } =
    clock.over_run;
  assert.ok(over_s > 0.2 && over_s < 60, `${over_s} s`);
  assert.ok(Math.abs(tsc_error_ns / over_s / 1000 - tsc_error_ppm) < 1e-6);
  assert.ok(Math.abs(system_slew_ns / over_s / 1000 - system_slew_ppm) < 1e-6);
  assert.ok(uncertainty_ns > 0);
  assert.is(schedule_clock!.name, name);
  assert.is(schedule_clock!.steps, 0);
  assert.is(certificate!.pauses.clock_steps, 0);
  assert.not.match(notes.join("\n"), /clock was set/);
  const { drift_ns, raw_drift_ns, clock_drift_ns } = certificate!.receiver!;
  const corrected_ns = schedule_clock!.corrected_ns ?? -clock_drift_ns;
  assert.ok(
    Math.abs(raw_drift_ns! - clock_drift_ns - corrected_ns - drift_ns!) < 1,
    `${raw_drift_ns} − ${clock_drift_ns} − ${corrected_ns} = ${drift_ns}`,
  );
}

/** A run of its own lab: one that this process has made goes with the first run in it. */
async function generated(...args: string[]): Promise<Report> {
  let report!: Report;
  await withLab({}, async (lab) => {
    report = reportOf(await caromHere("generate", "--lab", lab.name, ...args, "--json"));
  });
  return report;
}

for (const [backend, clocks] of [
  ["af_xdp", ["monotonic", "raw"]],
  ["udp", ["tai", "tsc"]],
] as const) {
  backendTest(`${backend}: the schedule goes by a clock, on the TSC`, [backend], async () => {
    for (const clock of clocks) {
      const own = clock === "monotonic" ? [] : ["--schedule-clock", clock]; // the default
      const report = await generated("--backend", backend, ...own, ...SHORT);
      assertClocks(report, clock);
      assert.is(report.certificate!.planned, 1000, "as many as without");
      const how = clock === "tsc" ? /on the TSC alone/ : /on the TSC, slewed after CLOCK_/;
      assert.match(report.schedule_clock!.how, how);
      assert.ok(report.schedule_clock!.error_max_ns! >= Math.abs(report.schedule_clock!.error_ns!));
    }
  });
}

backendTest("xdp_live: the program in the kernel reads the clock itself", ["xdp_live"], async () => {
  for (const clock of ["monotonic", "tai"]) {
    const report = await generated("--backend", "xdp_live", "--schedule-clock", clock, ...SHORT);
    assertClocks(report, clock);
    assert.match(report.schedule_clock!.how, /the sending program reads CLOCK_MONOTONIC/);
    assert.is(report.schedule_clock!.corrected_ns, null);
    assert.is(report.certificate!.receiver!.drift_ns, report.certificate!.receiver!.raw_drift_ns);
  }
});

backendTest("threads, and a replay, go by a clock, too", ["af_packet"], async () => {
  const file = join(tmpdir(), `carom-clock-${process.pid}.yaml`);
  writeFileSync(file, "- { rate: 2k, thread: 0 }\n- { rate: 2k, thread: 1, group: 239.1.1.2 }\n");
  try {
    const args = ["--backend", "af_packet", "--duration", "200ms"];
    const { schedule_clock, certificate } = await generated("--streams", file, ...args);
    assert.is(certificate!.planned, 800);
    assert.is(schedule_clock!.name, "monotonic");
  } finally {
    rmSync(file);
  }
  await withLab({}, async (lab) => {
    const capture = new URL("../../pcaps/steady.pcap", import.meta.url).pathname;
    const args = ["--lab", lab.name, "--rate", "1k", "--schedule-clock", "raw", "--json"];
    const report = reportOf(await caromHere("replay", capture, ...args));
    assert.is(report.schedule_clock!.name, "raw");
    assert.ok(certificateIn(report).receiver!.raw_drift_ns !== null, "the far end knows what was planned");
  });
});

test("a clock that there is not, or that can't be gone by, is refused", async () => {
  const cases: readonly (readonly [args: readonly string[], says: RegExp])[] = [
    [
      ["--rate", "1k", "--schedule-clock", "utc"],
      /"utc" is not one of monotonic, raw, tai, tsc, phc, phc:INTERFACE, \/dev\/ptpN/,
    ],
    [["--rate", "1k", "--schedule-clock", "/dev/../etc/passwd"], /is not one of monotonic/],
    [["--schedule-clock", "tai"], /a closed loop, or --rate max, has no schedule/],
    [["--rate", "max", "--schedule-clock", "tai"], /has no schedule/],
    [
      ["--rate", "1k", "--backend", "xdp_live", "--schedule-clock", "raw"],
      /no program in the kernel can read CLOCK_MONOTONIC_RAW; use monotonic or tai/,
    ],
  ];
  for (const [args, says] of cases) {
    const { status, stderr } = await caromHere("run", ...args);
    assert.is(status, 2, stderr);
    assert.match(stderr, says);
  }
  const missing: readonly (readonly [clock: string, says: RegExp])[] = [
    ["/dev/ptp987654", /there is no such clock; ethtool -T INTERFACE shows a NIC's clock/],
    ["phc:lo", /lo has no hardware clock; ethtool -T/],
    ["phc:nosuch0", /timestamping of nosuch0: .*ENODEV/],
  ];
  for (const [clock, says] of missing) {
    const { status, stderr } = await caromHere(
      "run",
      "--interface",
      "lo",
      "--rate",
      "1k",
      "--schedule-clock",
      clock,
    );
    assert.is(status, 3, stderr);
    assert.match(stderr, says);
  }
  const limit = await carom("limit", "--backends", "xdp_live:xdp", "--schedule-clock", "raw");
  assert.is(limit.status, 2, limit.stderr);
  const fast = await caromHere("replay", "x.pcap", "--fast", "--schedule-clock", "raw");
  assert.match(fast.stderr, /--schedule-clock with --fast/);
});

labTest("a closed loop has no schedule, and its clocks are read all the same", async () => {
  const report = reportOf(await caromHere("run", "--count", "100", "--json"));
  assert.is(report.schedule_clock, null);
  assert.ok(report.clock.over_run.over_s > 0);
  const { stdout } = await caromHere("run", "--count", "100");
  assert.match(stdout, /over [\d.]+ s the TSC's scale was off by .* ppm\), the system's clock slewed by/);
});

test("what two readings of the clocks say", () => {
  const before = { timelineNs: 1e9, rawOffsetNs: 2n ** 60n, monotonicOffsetNs: -5n, widthNs: 40 };
  const after = {
    timelineNs: 101e9,
    rawOffsetNs: 2n ** 60n - 7000n,
    monotonicOffsetNs: 1995n,
    widthNs: 60,
  };
  assert.equal(clocksOverRun([before, after]), {
    over_s: 100,
    tsc_error_ns: 7000, // the TSC ran ahead
    tsc_error_ppm: 0.07,
    system_slew_ns: 9000,
    system_slew_ppm: 0.09,
    uncertainty_ns: 50,
  });
  const now = readClocks();
  const then = readClocks();
  assert.ok(then.timelineNs > now.timelineNs);
  assert.ok(Math.abs(clocksOverRun([now, then]).system_slew_ppm) < 1e6);
});

test("a TSC that is no clock", () => {
  const flags = ["fpu", "constant_tsc", "nonstop_tsc"];
  const sound = { flags, current: "tsc", available: ["tsc", "hpet"] };
  assert.equal(tscDoubts(sound), []);
  assert.equal(tscDoubts({ ...sound, current: "kvm-clock", available: ["kvm-clock", "tsc"] }), []);
  assert.match(tscDoubts({ ...sound, flags: ["constant_tsc"] })[0]!, /lacks nonstop_tsc/);
  assert.match(tscDoubts({ ...sound, current: "hpet", available: ["hpet", "acpi_pm"] })[0]!, /goes by hpet/);
});

labTest("every command that measures says so, in text and JSON", async () => {
  // As on a machine whose kernel has found the TSC unstable; in a mount namespace of its own.
  const file = join(tmpdir(), `carom-clocksource-${process.pid}`);
  writeFileSync(file, "hpet acpi_pm\n");
  const target = "/sys/devices/system/clocksource/clocksource0/available_clocksource";
  const distrusting = (...args: string[]) =>
    launch([
      "unshare",
      "--mount",
      "sh",
      "-c",
      'mount --bind "$1" "$2" && shift 2 && exec "$@"',
      "sh",
      file,
      target,
      process.execPath,
      MAIN,
      ...args,
    ]).end;
  try {
    const says = /the kernel does not trust the TSC, and goes by/;
    const [run, text, limit] = await Promise.all([
      distrusting("run", "--count", "10", "--no-history", "--json"),
      distrusting("run", "--count", "10", "--no-history"),
      distrusting("limit", "--backends", "udp", "--trial", "100ms", "--min-rate", "1k", "--max-rate", "1k"),
    ]);
    assert.match(reportOf(run).notes[0]!, says);
    assert.match(text.stdout, says);
    assert.match(limit.stdout, /the kernel does not trust the TSC/);
  } finally {
    rmSync(file);
  }
});

test("the documentation names every field", () => {
  const text = readFileSync(new URL("../../docs/report.md", import.meta.url), "utf8");
  for (const name of ["over_run", "schedule_clock", "tsc_error_ns", "system_slew_ppm", "raw_drift_ns"])
    assert.ok(text.includes(`\`${name}\``), name);
});

test.run();
