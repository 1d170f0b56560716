/** What carom run leaves: a log, the figures when the disk is full, and a true report when Ctrl-C ends it early. */

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HistogramLogReader } from "hdr-histogram-js";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { listLabs } from "../lab/lab.js";
import { assertAllRight, assertFigures, carom, ROOMY, reportOf, startCarom } from "./cli_support.js";
import { arrivedIn, labTest } from "./lab_support.js";

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
    const running = startCarom("run", "--duration", "10m", "--warmup", "0", ...more, ...ROOMY);
    try {
      await arrivedIn(`p${running.child.pid}-1`, 500);
    } finally {
      running.child.kill("SIGINT");
    }
    const ended = await running.end;
    const report = reportOf(ended);
    // A tick whose time had come, and that the loop had not come to, is counted.
    const { unsent } = report.ticks;
    assert.equal(report.faults, unsent === 0 ? [] : [`${unsent.toLocaleString("en-US")} not sent`]);
    assertAllRight({ ...report, faults: [], ticks: { ...report.ticks, unsent: 0 } });
    assertFigures(report);
    assert.is(report.interrupted, true);
    assert.ok(report.elapsed_s < 600);
    assert.is(ended.status, unsent === 0 ? 0 : 1, "by its result");
    assert.match(ended.stderr, "stopped early");
    assert.not.ok(listLabs().some(({ pid }) => pid === running.child.pid));
  }
});

test.run();
