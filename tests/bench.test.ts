/** The bench runs, and what it prints as JSON is what it measured; figures are not judged here. */

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { DriftFigures } from "../bench/drift.js";
import { goalLine, spread, spreadText } from "../bench/spread.js";
import type { PacingView } from "../run/certificate.js";

const BENCH = fileURLToPath(new URL("../bench/main.js", import.meta.url));

function bench(...args: string[]) {
  return spawnSync(process.execPath, [BENCH, ...args], { encoding: "utf8" });
}

test("one suite, as JSON", () => {
  const { stdout, stderr, status } = bench("tick", "--json");
  const found = JSON.parse(stdout) as {
    schema: string;
    results: { suite: string; figures: { median_ns: number; ticks: number }; goals: { met: boolean }[] }[];
  };
  assert.is(found.schema, "carom.bench");
  const [tick] = found.results;
  assert.is(tick?.suite, "tick");
  assert.ok(tick!.figures.median_ns > 1 && tick!.figures.ticks > 1e6, stdout);
  assert.is(status, tick!.goals.every(({ met }) => met) ? 0 : 1);
  assert.match(stderr, /ns a tick/);
});

test("the round trip beside the bare echo", () => {
  const { stdout, stderr } = bench("roundtrip", "--rounds", "1", "--seconds", "0.5", "--json");
  const [found] = (
    JSON.parse(stdout) as { results: { figures: Record<string, { p50_ns: number; p99_ns: number }[]> }[] }
  ).results;
  const names = Object.keys(found!.figures).filter((name) => name !== "sockperf"); // which may not be installed
  assert.equal(names, ["bare af_xdp", "carom af_xdp", "carom af_packet", "carom udp", "carom af_xdp → xdp"]);
  for (const name of names) {
    const [sample] = found!.figures[name]!;
    assert.ok(sample!.p50_ns > 100 && sample!.p50_ns <= sample!.p99_ns, `${name}: ${stderr}`);
  }
});

test("pacing beside the bare loop", () => {
  const { stdout, stderr } = bench("pacing", "--rounds", "1", "--seconds", "0.5", "--json");
  const [found] = (
    JSON.parse(stdout) as { results: { figures: Record<string, unknown>; goals: unknown[] }[] }
  ).results;
  const { "opening × 8": opening, ...figures } = found!.figures as Record<string, PacingView[]>;
  const names = Object.keys(figures).filter((name) => name !== "tcpreplay"); // which may not be installed
  assert.equal(names, ["carom af_xdp", "bare af_xdp"]);
  const ticks = names.map((name) => figures[name]![0]!.ticks);
  assert.ok(ticks[0]! > 20_000 && ticks[0] === ticks[1], `the same schedule for both: ${ticks} ${stderr}`);
  for (const [view] of Object.values(figures)) assert.is(view!.gap_error.count, view!.ticks - 1);
  assert.ok(opening !== undefined && found!.goals.length === 7, stdout);
});

test("drift by an independent meter", () => {
  const { stdout, stderr } = bench("drift", "--rounds", "1", "--seconds", "0.5", "--json");
  const [found] = (JSON.parse(stdout) as { results: { figures: DriftFigures; goals: unknown[] }[] }).results;
  assert.equal(Object.keys(found!.figures.drift_ns), ["af_xdp", "udp", "xdp_live"], stderr);
  for (const [value] of Object.values(found!.figures.drift_ns)) assert.ok(Number.isFinite(value), stdout);
  assert.is(found!.goals.length, 3);
});

test("medians and spread", () => {
  assert.equal(spread([3, 1, 2]), { median: 2, min: 1, max: 3, values: [3, 1, 2] });
  assert.is(spread([4, 1, 2, 3]).median, 2.5);
  assert.is(spreadText(spread([1, 2, 3])), "2.00 (1.00–3.00)");
  assert.match(goalLine({ name: "x", measured: 2, limit: 1, met: false }), /MISSED {2}x: 2, at most 1/);
});

test("a suite that does not exist", () => {
  const { status, stderr } = bench("speed");
  assert.is(status, 2);
  assert.match(stderr, /there is no suite speed; there are tick, startup, roundtrip, openloop/);
});

test.run();
