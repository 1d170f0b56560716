/** Calibrations: how clocks are compared, what is kept, and what is refused. Frames and stamps: tests/vm. */

import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Link, PhcReading } from "../native/index.js";
import { offsetBetween } from "../run/calibrate.js";
import {
  calibrationOf,
  type KeptCalibration,
  keepCalibration,
  readCalibrations,
} from "../run/calibrations.js";
import { caromHere } from "./cli_support.js";
import { labTest, withLab } from "./lab_support.js";

function reading(phc: number, system: number, widthNs = 0): PhcReading {
  return {
    phcNs: BigInt(phc),
    systemNs: BigInt(system),
    isRaw: true,
    realtimeNs: BigInt(system),
    widthNs,
    method: "m",
  };
}

test("a clock is compared with what another one showed at the same time", () => {
  // The first one runs twice as fast as the system's; at 25 of it, it shows 1050.
  const { at_ns, offset_ns, error_ns } = offsetBetween(
    reading(1000, 0),
    reading(7050, 25),
    reading(1200, 100),
  );
  assert.is(at_ns, 1050n);
  assert.is(offset_ns, 6000n);
  assert.is(error_ns, 1, "whole ns, where the brackets are none");
  const wide = offsetBetween(reading(1000, 0, 30), reading(7050, 25, 40), reading(1200, 100, 50));
  assert.is(wide.error_ns, 25 + 20 + 1, "half of the wider one, and half of the other clock's");
});

function kept(macs: readonly [string, string], path_ns: number): KeptCalibration {
  const port = (mac: string) => ({ interface: `if-${mac}`, mac });
  const ports: KeptCalibration["ports"] = [port(macs[0]), port(macs[1])];
  return { date: "2026-01-01T00:00:00.000Z", ports, path_ns, spread_ns: 1, frames: 20 };
}

test("the newest calibration of two ports is kept, and found by either", () => {
  const folder = mkdtempSync(join(tmpdir(), "carom-calibrate-"));
  const path = join(folder, "a/calibrations.json");
  try {
    assert.equal(readCalibrations(path), []);
    for (const [one, other, path_ns] of [
      ["a", "b", 10],
      ["c", "d", 20],
      ["b", "a", 30],
    ] as const)
      keepCalibration(kept([one, other], path_ns), path);
    assert.equal(
      readCalibrations(path).map(({ path_ns }) => path_ns),
      [20, 30],
    );
    assert.is(statSync(path).mode & 0o777, 0o600);
    const link = (mac: string) => ({ interfaceName: "eth1", mac }) as Link;
    assert.is(calibrationOf(link("a"), path).path_ns, 30);
    assert.is(calibrationOf(link("d"), path).path_ns, 20);
    assert.throws(() => calibrationOf(link("e"), path), /eth1 was never calibrated/);
    const whole = readFileSync(path, "utf8");
    for (const text of [
      "",
      "{",
      '{"schema":"carom.calibrations","version":1,"calibrations":[{}]}',
      `${whole}x`,
    ]) {
      writeFileSync(path, text);
      assert.throws(() => readCalibrations(path), /it is not what carom wrote/);
      assert.throws(() => keepCalibration(kept(["a", "b"], 1), path), /it is not what carom wrote/);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("a cable has two ends", async () => {
  for (const args of [[], ["--interface", "lo"], ["--interface", "lo", "--interface", "lo"]]) {
    const { status, stderr } = await caromHere("calibrate", ...args);
    assert.is(status, 2, stderr);
    assert.match(stderr, /it needs the two ends of a cable; carom calibrate --interface A --interface B/);
  }
  const three = await caromHere("calibrate", "--interface", "a,b", "--interface", "c");
  assert.is(three.status, 2);
  assert.match(three.stderr, /is not one or two names/);
});

labTest("ports without a hardware clock can't be calibrated, nor runs by the TSC corrected", async () => {
  await withLab({}, async ({ name, generator, responder }) => {
    const places = ["--interface", "gen0", "--interface", "dut0"];
    const namespaces = ["--namespace", generator.namespace, "--namespace", responder.namespace];
    const { status, stderr } = await caromHere("calibrate", ...places, ...namespaces);
    assert.is(status, 3, stderr);
    assert.match(stderr, /the interface has no hardware clock/);
    const run = await caromHere("run", "--lab", name, "--count", "10", "--calibrated");
    assert.is(run.status, 2, run.stderr);
    assert.match(run.stderr, /--calibrated: the stamps are by tsc: gen0 has no hardware clock/);
  });
});

test.run();
