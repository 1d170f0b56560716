/** carom limit in a lab, as a user runs it: what a search and its latencies say, gates, refusals, and being stopped. */

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { recordNames } from "../lab/state.js";
import type { LimitReport, LimitResult } from "../run/limit_report.js";
import { carom, type Ended, jsonOf, startCarom } from "./cli_support.js";
import { labTest, sleep, withLab } from "./lab_support.js";

/** Short, and with rates that a machine sends unless it is stopped for long. */
const SHORT = ["--trial", "150ms", "--warmup", "20ms", "--pause", "0", "--ring-size", "8192"];
const EASY = [...SHORT, "--backends", "udp", "--max-rate", "5k", "--json"];

function limitOf(ended: Ended): LimitReport {
  const report = jsonOf(ended) as unknown as LimitReport;
  assert.is(report.schema, "carom.limit", `${ended.stdout}${ended.stderr}`);
  assert.is(report.version, 1);
  assert.equal(Object.keys(report).slice(0, 2), ["schema", "version"], "they come first");
  return report;
}

const count = (value: number) => value.toLocaleString("en-US");

/** What is reported is one of the trials, and every trial is an account that adds up. */
function assertConsistent(result: LimitResult): void {
  const [search] = result.searches;
  assert.is(result.searches.length, 1);
  assert.is(result.pps, search!.pps);
  assert.is(result.confirmed, result.pps > 0);
  const passes = search!.trials.filter(
    ({ rate_pps, verdict }) => rate_pps === result.pps && verdict === "pass",
  );
  assert.equal(
    [...new Set(passes.map(({ kind }) => kind))].sort(),
    ["confirm", "search"].slice(0, passes.length),
  );
  for (const trial of search!.trials) {
    assert.is(trial.verdict === "pass", trial.reasons.length === 0, trial.reasons.join());
    assert.is(trial.sent, trial.answered + trial.lost, "every tick has to be answered");
    assert.ok(trial.loss >= 0 && trial.loss <= 1);
    if (trial.verdict === "pass") {
      assert.is(trial.unsent, 0);
      assert.is(trial.lost, 0);
    }
  }
  assert.equal(
    result.latency.map(({ load }) => load),
    result.pps > 0 ? [0.1, 0.5, 0.9, 1] : [],
  );
  for (const { load, rate_pps, planned, actual, trials } of result.latency) {
    assert.is(rate_pps, Math.round(result.pps * load));
    assert.equal(
      trials.map(({ kind, rate_pps: rate }) => [kind, rate]),
      [["latency", rate_pps]],
    );
    assert.is(planned.p50.median_ns, trials[0]!.latency.planned.percentiles[0]!.value_ns);
    // Of a few answers there is no p99.
    const known = [planned.p50, planned.p99, planned.max].map(({ median_ns }) => median_ns);
    const values = known.filter((value) => value !== null) as number[];
    for (const [index, value] of values.entries())
      assert.ok(value >= (values[index - 1] ?? 0), `${known} ascend`);
    if (trials[0]!.answered > 0) assert.ok(actual.p50.median_ns! > 0);
  }
}

labTest(
  "the highest rate offered is the limit of what takes it, with the latency at four loads",
  async () => {
    const folder = mkdtempSync(join(tmpdir(), "carom-limit-"));
    try {
      const svg = join(folder, "limit.svg");
      const ended = await carom("limit", ...EASY, "--at-least", "1k", "--svg", svg);
      const report = limitOf(ended);
      const [result] = report.results;
      assert.is(report.results.length, 1);
      assert.is(result!.generator, "udp");
      assert.is(result!.responder, "udp");
      assert.is(result!.frame_bytes, 70);
      assertConsistent(result!);
      assert.is(result!.limited_by === "offered", result!.pps === 5000);
      assert.is(
        result!.failed_trials === 0,
        result!.pps === 5000,
        "it takes that, unless the machine was stopped",
      );
      // 70 bytes with FCS, and 20 between frames.
      assert.ok(Math.abs(result!.mbit_l1 - (result!.pps * 90 * 8) / 1e6) < 1e-9);
      assert.is(result!.clock?.provenance, "tsc");
      assert.is(result!.offered_pps, 5000);
      const isEnough = result!.pps >= 1000;
      assert.is(report.faults.length, isEnough ? 0 : 1);
      assert.is(ended.status, isEnough ? 0 : 1);
      const verdict = isEnough ? "the limit was found" : "not";
      for (const text of ["udp → udp", count(result!.pps), "limited by", verdict]) {
        assert.ok(ended.stderr.includes(text), `for people there is ${text}: ${ended.stderr}`);
      }
      for (const line of ended.stderr.split("\n")) assert.ok(line.length <= 100, line);
      const drawn = readFileSync(svg, "utf8");
      assert.ok(drawn.startsWith("<svg ") && drawn.includes("udp → udp p99") && drawn.endsWith("</svg>\n"));
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
);

labTest("a device that takes less than is offered has a limit of its own, from what it answers", async () => {
  await withLab({}, async (lab) => {
    // 1,000 answers a second, and a tenth of them at once after a rest (docs/strategies.md).
    const device = startCarom("respond", "--lab", lab.name, "--backend", "udp", "--answer-limit", "1k");
    await device.said("answering");
    const rates = ["--max-rate", "10k", "--min-rate", "200", "--resolution", "10%"];
    const args = ["--lab", lab.name, "--no-responder", ...rates];
    const ended = await carom("limit", ...EASY, ...args, "--trial", "500ms");
    device.child.kill("SIGTERM");
    await device.end;
    const [result] = limitOf(ended).results;
    assert.is(result!.responder, null);
    const { trials, failed_pps } = result!.searches[0]!;
    assert.ok(result!.pps < 10_000, `${result!.pps}`);
    assertConsistent(result!);
    // The sender may be held up, too, by whatever else runs.
    const failed = trials.filter(({ verdict }) => verdict === "loss");
    const isDevice = failed.some(({ rate_pps }) => rate_pps === failed_pps);
    if (result!.pps > 0 && isDevice) assert.is(result!.limited_by, "device", JSON.stringify(trials));
    for (const { loss, lost, answered, reasons } of failed) {
      assert.ok(lost > 0 && loss > 0, `${lost} were lost`);
      assert.is(reasons[0], `${count(lost)} of ${count(answered + lost)} ticks were not answered`);
    }
  });
});

labTest("a sender that can't is not taken for the device", async () => {
  const ended = await carom(
    "limit",
    ...SHORT,
    "--backends",
    "udp",
    "--max-rate",
    "20M",
    "--resolution",
    "30%",
    "--json",
  );
  const report = limitOf(ended);
  const [result] = report.results;
  const first = result!.searches[0]!.trials[0]!;
  assert.is(first.rate_pps, 20e6);
  assert.is(first.verdict, "sender");
  assert.match(first.reasons[0]!, /^the sender reached [\d,]+ of 20,000,000 ticks a second$/);
  assert.ok(result!.pps < 20e6);
});

labTest("a limit below --at-least is exit status 1, and what is asked for is named", async () => {
  const ended = await carom("limit", ...EASY, "--at-least", "6k");
  assert.is(ended.status, 1);
  const { results, faults } = limitOf(ended);
  const found = `${count(results[0]!.pps)} ticks a second is not the 6,000 that were asked for`;
  if (results[0]!.pps > 0) assert.equal(faults, [`udp → udp: ${found}`]);
  else assert.is(faults.length, 1);
});

labTest("nobody who answers: no rate passes, and nothing is measured below it", async () => {
  const ended = await carom("limit", ...EASY, "--no-responder");
  const report = limitOf(ended);
  const [result] = report.results;
  assert.is(result!.pps, 0);
  assert.is(result!.responder, null);
  assert.is(result!.limited_by, "nothing passed");
  const { trials } = result!.searches[0]!;
  assert.is(trials[0]!.rate_pps, 5000);
  assert.is(trials.at(-1)!.rate_pps, 1000);
  for (const { answered, verdict } of trials) assert.ok(answered === 0 && verdict !== "pass", verdict);
  assert.equal(result!.latency, []);
  assert.is(ended.status, 1);
});

labTest("pairs are measured one after the other, in one lab, each trial as often as asked", async () => {
  const pairs = ["--backends", "udp:af_packet,af_packet", "--max-rate", "2k", "--trials", "2"];
  const report = limitOf(await carom("limit", ...SHORT, ...pairs, "--json"));
  assert.equal(
    report.results.map(({ generator, responder }) => [generator, responder]),
    [
      ["udp", "af_packet"],
      ["af_packet", "af_packet"],
    ],
  );
  for (const { searches, latency, spread, pps } of report.results) {
    assert.is(searches.length, 2);
    assert.ok(spread.min_pps <= pps && pps <= spread.max_pps);
    assert.ok(
      searches.some((search) => search.pps === pps),
      "the median is one that was measured",
    );
    for (const { trials, planned } of latency) {
      assert.is(trials.length, 2);
      const { min_ns, median_ns, max_ns } = planned.p50;
      assert.ok(min_ns! <= median_ns! && median_ns! <= max_ns!, `${min_ns} ≤ ${median_ns} ≤ ${max_ns}`);
    }
  }
});

labTest("sizes are measured one by one, and are those of the frames", async () => {
  const sizes = ["--backends", "af_packet", "--sizes", "70,512", "--max-rate", "2k"];
  const { results } = limitOf(await carom("limit", ...SHORT, ...sizes, "--json"));
  assert.equal(
    results.map(({ frame_bytes }) => frame_bytes),
    [70, 512],
  );
  for (const { pps, mbit_l1, frame_bytes } of results) {
    assert.ok(Math.abs(mbit_l1 - (pps * (frame_bytes + 20) * 8) / 1e6) < 1e-9, `${mbit_l1} Mbit/s`);
  }
});

labTest("without --max-rate the first rate is what the link carries of that size", async () => {
  const link = ["--backends", "af_packet", "--sizes", "512", "--link-speed", "4256k", "--trial", "300ms"];
  const { results } = limitOf(await carom("limit", ...link, "--json"));
  // 1,000 frames of 512 bytes, and 20 between them.
  assert.is(results[0]!.offered_pps, 1000);
  assert.is(results[0]!.searches[0]!.trials[0]!.rate_pps, 1000);
  assert.ok(Math.abs(results[0]!.mbit_l1 - (results[0]!.pps * 532 * 8) / 1e6) < 1e-9);
});

labTest("stopped, it says what it had by then and leaves nothing behind", async () => {
  for (const [signal, after_ms] of [
    ["SIGINT", 600],
    ["SIGTERM", 1700],
  ] as const) {
    const run = startCarom("limit", "--backends", "udp", "--max-rate", "5k", "--trial", "700ms", "--json");
    const own = () => recordNames().filter((name) => name.startsWith(`p${run.child.pid}-`));
    while (own().length === 0 && run.child.exitCode === null) await sleep(20);
    await sleep(after_ms);
    run.child.kill(signal);
    const ended = await run.end;
    const report = limitOf(ended);
    assert.is(ended.status, 1, `${signal}: ${ended.stderr}`);
    assert.ok(report.interrupted);
    assert.match(report.faults[0]!, /stopped early/);
    for (const { searches } of report.results) {
      for (const { trials } of searches) {
        for (const { duration_s, sent, unsent, rate_pps } of trials) {
          const planned = duration_s * rate_pps;
          assert.ok(
            Math.abs(sent + unsent - planned) <= 1,
            `a trial that was cut short is none: ${sent} of ${planned}`,
          );
        }
      }
    }
    assert.equal(own(), [], "the lab is gone");
  }
});

const REFUSED: readonly (readonly [string, readonly string[], RegExp])[] = [
  ["a backend that is none", ["--backends", "af_xpd"], /--backends: "af_xpd" is not a list/],
  ["a pair given twice", ["--backends", "udp,udp"], /each once/],
  ["a generator's backend that only responders have", ["--backends", "xdp:udp"], /is not a list/],
  [
    "a rate to begin with below the lowest",
    ["--max-rate", "500"],
    /--min-rate: it is above the highest rate of 500/,
  ],
  ["a loss of all", ["--loss", "100%"], /--loss: "100%" is not a part/],
  ["too fine a resolution", ["--resolution", "0"], /--resolution: it is below 0.01%/],
  ["a size that no tick fits into", ["--sizes", "64"], /--size/],
  ["sizes that are none", ["--sizes", "70,70"], /--sizes: "70,70" is not different whole numbers/],
  ["trials of a few ticks", ["--trial", "50ms"], /--min-rate: at that rate a trial has 50 ticks/],
  [
    "a responder's backend for another device",
    ["--no-responder", "--backends", "udp:xdp"],
    /another device answers/,
  ],
  ["an interface and a lab", ["--interface", "lo", "--lab", "x"], /a run is on a real link or in a lab/],
  ["what only a run has", ["--rate", "5k"], /unknown option '--rate'/],
];

for (const [what, args, message] of REFUSED) {
  labTest(`${what} is refused as bad usage`, async () => {
    const ended = await carom("limit", ...args);
    assert.is(ended.status, 2, ended.stderr);
    assert.match(ended.stderr, message);
    assert.is(ended.stdout, "");
  });
}

test.run();
