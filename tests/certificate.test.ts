/** The certificate: how a schedule was held, by the sender and by an XDP program at the far end. */

import { readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { tickFrame } from "../bench/ticks.js";
import { tolerances } from "../config/values.js";
import { bucketRange } from "../native/histogram.js";
import {
  arrivalFindings,
  attachArrivals,
  attachXdpPass,
  closeArrivals,
  measureArrivalsFrom,
  openFrameSocket,
} from "../native/index.js";
import type { Report } from "../run/report.js";
import type { Tick } from "../wire/codec.js";
import { backendsOf, backendTest, carom, caromHere, jsonOf, reportOf, startCarom } from "./cli_support.js";
import { halt, labTest, sleep, until, withLab } from "./lab_support.js";
import { measuring } from "./measuring_support.js";

// With 1,000 ticks a second: what a lab holds until somebody takes it is more than are sent while others have the cores.
const SHORT = ["--duration", "300ms", "--warmup", "50ms", "--json"];

function certificateIn(report: Report) {
  assert.ok(report.certificate !== null, "an open loop has a certificate");
  return report.certificate!;
}

/** What holds in every certificate. */
function assertCertificate(report: Report): void {
  const { sender, receiver, late, planned, doorbells } = certificateIn(report);
  const { ticks } = report;
  assert.is(planned, ticks.sent + ticks.skipped + ticks.unsent);
  assert.is(sender.ticks, ticks.sent);
  const gaps = Math.max(0, ticks.sent - 1); // none may be in time where others have the cores
  assert.is(sender.gap_error.count, gaps);
  assert.is(sender.schedule_error.count, ticks.sent);
  assert.is(
    late.machine + late.link + late.carom + late.unexplained,
    late.sends + late.skipped + late.slips,
    "a cause for each",
  );
  assert.ok(doorbells.count > 0 && doorbells.count <= doorbells.frames);
  assert.is(doorbells.frames, ticks.sent);
  for (const view of [sender, ...(receiver === null ? [] : [receiver])]) {
    const values = view.gap_error.percentiles.map(({ value_ns }) => value_ns!);
    const ordered = [view.gap_error.min_ns, ...values, view.gap_error.max_ns];
    for (const [index, value] of ordered.entries())
      assert.ok(index === 0 || value >= ordered[index - 1]!, `${ordered} ascend`);
    assert.ok(Number.isFinite(view.drift_ns), `${view.drift_ns} ns of drift`);
    assert.ok(
      Math.abs(view.rate_pps - sender.rate_pps) <= sender.rate_pps / 2,
      "both saw about the same rate",
    );
  }
  if (receiver === null) return;
  assert.is(receiver.ticks, ticks.sent, "every tick arrived, and none of the warm-up is among them");
  assert.is(receiver.gap_error.count, gaps);
  assert.ok(report.balances.some(({ name, holds }) => name === "arrivals" && holds));
}

for (const backend of backendsOf("generator")) {
  backendTest(`${backend}: what was sent is what the far end stamped`, [backend], () =>
    withLab({}, async (lab) => {
      const ended = await caromHere(
        "generate",
        "--lab",
        lab.name,
        "--rate",
        "1k",
        "--backend",
        backend,
        ...SHORT,
      );
      const report = reportOf(ended);
      assert.is(report.ticks.sent, 300);
      assertCertificate(report);
      assert.match(certificateIn(report).receiver_reason, /stamped on dut0 by an XDP program of its own/);
      assert.is(ended.status, 0, ended.stderr);
    }),
  );
}

for (const responder of ["af_xdp", "xdp", "udp"]) {
  backendTest(
    `${responder} responder: the far end stamps what it answers`,
    [responder, "af_xdp"],
    async () => {
      const args = ["--rate", "1k", "--responder-backend", responder, "--arrivals", "on"];
      const report = reportOf(await caromHere("run", ...args, ...SHORT));
      assert.ok(certificateIn(report).receiver !== null);
      assertCertificate(report);
      const by =
        responder === "udp" ? /a program of its own|program of its own/ : /by the responder's XDP program/;
      assert.match(certificateIn(report).receiver_reason, by);
    },
  );
}

backendTest("with packets of a VLAN, and over IPv6", ["af_xdp"], () =>
  withLab({}, async (lab) => {
    for (const args of [
      ["--vlan", "100"],
      ["--multicast-group", "ff02::101"],
    ]) {
      const report = reportOf(await carom("generate", "--lab", lab.name, "--rate", "1k", ...args, ...SHORT));
      assert.ok(certificateIn(report).receiver !== null);
      assertCertificate(report);
    }
  }),
);

backendTest(
  "a tolerance is judged by the receiver, or by the sender where there is none",
  ["af_xdp"],
  async () => {
    const run = (...args: string[]) => caromHere("run", "--rate", "1k", ...args, ...SHORT);
    const met = await run("--tolerance", "59s@max");
    assert.is(met.status, 0, met.stdout);
    assert.equal(
      certificateIn(reportOf(met)).tolerances.map(({ by, met: isMet, percentile }) => [
        by,
        isMet,
        percentile,
      ]),
      [["receiver", true, 100]],
    );
    const missed = await run("--tolerance", "1ns@max,59s@p50");
    assert.is(missed.status, 1);
    const report = reportOf(missed);
    assert.equal(
      certificateIn(report).tolerances.map(({ met: isMet }) => isMet),
      [false, true],
    );
    assert.match(report.faults.join(), /the gap error as seen by the receiver is .*, over 1 ns at max/);
    const own = await run("--tolerance", "1ns@max", "--arrivals", "off");
    assert.is(own.status, 1);
    assert.match(reportOf(own).faults.join(), /as seen by the sender/);
    const text = await carom("run", "--rate", "1k", "--tolerance", "1ns@max", ...SHORT.slice(0, -1));
    assert.is(text.status, 1);
    assert.match(text.stdout, /certificate +sender +receiver/);
    assert.match(text.stdout, /tolerance +1 ns at max: .* by the receiver ✗ not met/);
    assert.match(text.stdout, /pacing +spinning on the TSC; launch time: not offered by gen0/);
  },
);

backendTest("a rate that can't be held: every planned tick has its fate", ["af_xdp"], () =>
  withLab({}, async (lab) => {
    const run = async (late: string) => {
      const args = ["--lab", lab.name, "--rate", "5M", "--late", late, ...SHORT];
      return jsonOf(await carom("generate", ...args)) as unknown as Report;
    };
    const skip = await run("skip");
    assertCertificate(skip);
    assert.is(certificateIn(skip).planned, 1_500_000);
    assert.ok(skip.ticks.skipped > 0, `${skip.ticks.skipped} skipped`);
    const slip = await run("slip");
    assertCertificate(slip);
    const { late, planned } = certificateIn(slip);
    assert.ok(planned < 1_500_000 && slip.ticks.sent > 0, "what slipped beyond the end was not planned");
    assert.ok(late.slips > 0 && late.slipped_ns > 3000 * late.slips, "by more than the threshold each");
    assert.is(slip.ticks.skipped, 0);
  }),
);

/** Stops the process that measures for a time, and gives what it reports and when its ticks came to the far end. */
async function stopped(late: string, time_ms: number) {
  let report!: Report;
  let arrived_ns: number[] = [];
  await withLab({}, async (lab) => {
    const frames = openFrameSocket({ link: lab.responder, holdPort: 8080 });
    const take = () => {
      for (const { frame, time_ns } of frames.receive())
        if (frame.length === 66) arrived_ns.push(Number(time_ns % 1_000_000_000_000n));
    };
    const timer = setInterval(take, 20);
    const args = ["--lab", lab.name, "--rate", "2k", "--duration", "10m", "--warmup", "100ms", "--json"];
    const running = startCarom("generate", ...args, "--late", late);
    try {
      const arrived = (count: number) => {
        assert.is(running.child.exitCode, null, "it runs");
        return arrived_ns.length >= count;
      };
      await until("it is in the midst of its run", () => arrived(1000));
      const pid = await measuring(running);
      await halt(pid);
      await sleep(time_ms);
      process.kill(pid, "SIGCONT");
      const before = arrived_ns.length;
      await until("it goes on", () => arrived(before + 500));
      running.child.kill("SIGINT");
      report = jsonOf(await running.end) as unknown as Report;
      await until("all have arrived", () => {
        take();
        return arrived_ns.length >= report.ticks.sent + report.warmup.sent;
      });
    } finally {
      running.child.kill("SIGKILL"); // what it measures with ends with it
      clearInterval(timer);
      frames.close();
    }
  });
  arrived_ns = arrived_ns.sort((a, b) => a - b);
  return { report, arrived_ns };
}

/** The most that came within 100 ms. */
function densest(times_ns: readonly number[]): number {
  let first = 0;
  let most = 0;
  for (const [index, time_ns] of times_ns.entries()) {
    while (time_ns - times_ns[first]! > 100e6) first++;
    most = Math.max(most, index - first + 1);
  }
  return most;
}

backendTest("stopped for two seconds: the schedule moves, and no burst arrives", ["af_xdp"], async () => {
  const { report, arrived_ns } = await stopped("catch-up", 2000);
  assertCertificate(report);
  const { pauses } = certificateIn(report);
  assert.ok(pauses.count >= 1);
  assert.ok(pauses.paused_ns > 1.9e9, `${pauses.paused_ns} ns`);
  assert.is(report.ticks.skipped, 0);
  assert.match(
    report.notes.join("\n"),
    /did not run for \d+\.\d+ s: the schedule was moved, nothing was caught up/,
  );
  // 4,000 were due meanwhile; 200 are planned in 100 ms.
  assert.ok(densest(arrived_ns) < 3000, `${densest(arrived_ns)} within 100 ms`);
});

backendTest(
  "stopped for less than a second: what is late is caught up with, or skipped",
  ["af_xdp"],
  async () => {
    const caught = await stopped("catch-up", 500);
    assertCertificate(caught.report);
    assert.is(caught.report.ticks.skipped, 0);
    const { late, pauses } = certificateIn(caught.report);
    const skipped = await stopped("skip", 500);
    assertCertificate(skipped.report);
    // Where the machine made a second of it, the schedule was moved.
    if (pauses.count === 0) {
      assert.ok(late.sends > 0, `${late.sends} of 1000 were late`);
      assert.ok(late.machine + late.unexplained > 0, "because the core was taken away");
    }
    if (certificateIn(skipped.report).pauses.count === 0) assert.ok(skipped.report.ticks.skipped > 0);
  },
);

backendTest("somebody else's XDP program at the far end", ["af_xdp"], () =>
  withLab({}, async (lab) => {
    const detach = attachXdpPass(lab.responder);
    try {
      const args = ["--lab", lab.name, "--rate", "1k", ...SHORT];
      const ended = await carom("generate", ...args);
      assert.is(ended.status, 0);
      const { receiver, receiver_reason } = certificateIn(reportOf(ended));
      assert.is(receiver, null);
      assert.match(receiver_reason, /somebody else's XDP program/);
      const refused = await carom("generate", ...args, "--arrivals", "on");
      assert.is(refused.status, 3);
    } finally {
      detach();
    }
  }),
);

/** What the program in the kernel counts, by ticks whose timestamps jump. */
labTest("gaps in the kernel's histogram are where they belong", () =>
  withLab({}, async (lab) => {
    const arrivals = attachArrivals(lab.responder, 8080);
    const frames = openFrameSocket({ link: lab.generator, holdPort: 0 });
    try {
      const from = 1_700_000_000_000_000_000n;
      measureArrivalsFrom(arrivals, from);
      // Each is planned so long before the one that goes ahead of it; the last ones beyond what the histogram has.
      const jumps_ns = [3e9, 1e9, 40e9, 59e9, 61e9, 400e9];
      let planned = from + 1000_000_000_000n;
      const send = (timestamp: bigint) => {
        const tick: Tick = { symbol: "AAPL", price: 1, quantity: 1, timestamp };
        frames.send(tickFrame(lab, tick));
      };
      send(from - 1n); // one of the warm-up
      send(planned);
      for (const jump of jumps_ns) {
        planned -= BigInt(jump);
        send(planned);
      }
      frames.send(
        tickFrame(lab, { symbol: "AAPL", price: 1, quantity: 1, timestamp: planned }).subarray(0, 60),
      );
      await until("all are seen", () => arrivalFindings(arrivals).ticks >= 1 + jumps_ns.length);
      const found = arrivalFindings(arrivals);
      assert.is(found.ticks, 1 + jumps_ns.length);
      const counted = [...found.gapCounts.entries()].filter(([, count]) => count > 0);
      assert.is(
        counted.reduce((sum, [, count]) => sum + count, 0),
        jumps_ns.length,
      );
      for (const jump of jumps_ns) {
        const wanted = Math.min(jump, 60e9);
        const near = ([index]: readonly [number, number]) => {
          const [low, high] = bucketRange(index);
          return high >= wanted && low <= wanted + 0.2e9;
        };
        assert.ok(counted.some(near), `${jump} ns is among ${counted.map(([index]) => bucketRange(index))}`);
      }
      assert.ok(found.gapMin >= 1e9 && found.gapMin < 3e9, `${found.gapMin}`);
      assert.ok(found.gapMax >= 400e9 && found.gapMax < 400.2e9, `${found.gapMax}`);
      const sum = jumps_ns.reduce((total, jump) => total + jump, 0);
      assert.ok(found.gapSum >= sum && found.gapSum < sum + 1e9, `${found.gapSum}`);
      assert.is(found.firstErrors.length, 3, "half of seven");
      assert.is(found.lastErrors.length, 3);
      assert.ok(found.lastErrors[2]! >= sum && found.lastErrors[2]! < sum + 1e9);
    } finally {
      frames.close();
      closeArrivals(arrivals);
      closeArrivals(arrivals);
    }
  }),
);

labTest("what is asked of a closed loop, and no tolerance", async () => {
  for (const args of [
    ["--tolerance", "2us@p99"],
    ["--late", "skip"],
    ["--arrivals", "on"],
  ]) {
    const { status, stderr } = await caromHere("run", ...args);
    assert.is(status, 2, `${args}: ${stderr}`);
    assert.match(stderr, /closed loop/);
  }
  const read = (text: string) => tolerances().safeParse(text);
  assert.equal(read("1us@p50, 20us@p99.9,1ms@max").data, [
    { percentile: 50, limit_ns: 1000 },
    { percentile: 99.9, limit_ns: 20_000 },
    { percentile: 100, limit_ns: 1e6 },
  ]);
  for (const text of [
    "",
    "2us",
    "@p99",
    "2@p99",
    "2us@99",
    "2us@p0",
    "2us@p100",
    "1us@p9,2us@p9",
    "0ns@p5",
    "1us@p5,",
  ])
    assert.not.ok(read(text).success, text);
});

test("the documentation names every field", () => {
  const text = readFileSync(new URL("../../docs/report.md", import.meta.url), "utf8");
  for (const name of [
    "requested_pps",
    "receiver_reason",
    "gap_error",
    "drift_ns",
    "tolerances",
    "launch_time",
  ])
    assert.ok(text.includes(`\`${name}\``), name);
});

test.run();
