/** The report of a run: balances, faults, JSON, and text for a terminal. */

import { test } from "uvu";
import * as assert from "uvu/assert";
import { PLAIN } from "../generator/frames.js";
import type { GeneratorFindings } from "../generator/merge.js";
import type { GeneratorResult, LinkFindings } from "../native/index.js";
import type { Measurement } from "../run/measure.js";
import type { PhcFindings, PhcLack } from "../run/phc.js";
import type { Plan } from "../run/plan.js";
import { RecentRate, recentRate } from "../run/rate.js";
import { makeReport, reportAsJson } from "../run/report.js";
import { type InterfaceCounters, since } from "../run/statistics.js";
import { reportLines } from "../run/text.js";
import type { ChosenTimestamps } from "../run/timestamps.js";
import { encodeOrder, encodeTick } from "../wire/codec.js";
import { dataOf, intervals, slowTurns } from "./report_support.js";

const NOTHING = { rx_packets: 0, rx_errors: 0, rx_dropped: 0, tx_packets: 0, tx_errors: 0, tx_dropped: 0 };
const UP = { outages: 0, down_ns: 0, first_ns: 0, gone: false, gone_ns: 0, resets: 0, lost: NOTHING };

interface Stamps {
  readonly timestamps: ChosenTimestamps;
  readonly phc: PhcFindings | PhcLack | null;
}

const BY_TSC = { provenance: "tsc", reason: "as asked for", isDemanded: true } as const;

/** A measurement of 4 ticks: two right, one missing, one that was not to be answered; changed as a test needs it. */
function measured(
  counters: Record<string, number> = {},
  examples: GeneratorResult["examples"] = [],
  interfaceCounters: Partial<InterfaceCounters> | null = {},
  strategy = "threshold",
  own: Partial<GeneratorFindings> = {},
  lab = "",
  link_found: Partial<LinkFindings> = {},
  { timestamps, phc }: Stamps = { timestamps: BY_TSC, phc: null },
) {
  const link = { namespace: "", interfaceName: "gen0", mac: "", address4: "", address6: "", mtu: 1500 };
  const io = { backend: "udp", link, cpu: 1, receives: true };
  const feed = { profile: null, scale: 1, rate_pps: 1, peak_pps: 1, carried_pps: 1, shape: PLAIN };
  const plan = {
    generator: {
      replay: null,
      strategy: { name: strategy },
      io,
      mode: "closed",
      window: 1,
      warmupNs: 0,
      startAtNs: 0n,
      lateThresholdNs: 3000,
      streams: [
        {
          schedule: { arrival: { kind: "constant", rateMilliHz: 1000 }, seed: 1n },
          ticks: { seed: 1n, symbols: ["AAPL"], weights: 0 },
          lines: [{ name: "", impairment: null }],
        },
      ],
    },
    feed,
    sending: {
      configs: [{ ledgerTicks: 4096, io: { moreQueues: [] } }],
      threads: [{ queue: 0, cpu: 1, streams: [0] }],
    },
    streams: [{ name: "", thread: 0, feed }],
    responder: null,
    certificate: null,
    nic: null,
    restored: [],
    lab: lab === "" ? null : { name: lab, responder: { ...link, interfaceName: "dut0" } },
    timestamps,
    calibration: null,
    release: () => {},
  } as unknown as Plan;
  const clean = { rx_errors: 0, rx_dropped: 0, rx_driver_dropped: null, tx_errors: 0, tx_dropped: 0 };
  const frames = { rx_packets: 2, tx_packets: 4, ...clean, ...interfaceCounters };
  const found: Measurement = {
    started: new Date(0),
    elapsed_s: 2,
    interrupted: false,
    clock: { frequencyHz: 1e9, resolutionNs: 1, readCostNs: 10, errorPpm: 1 },
    privileges: null,
    generator: {
      counters: {
        sent: 4,
        correct: 2,
        missing: 1,
        quiet: 1,
        received: 2,
        frames_out: 4,
        measured_ns: 1e9,
        ...counters,
      },
      latencyPlanned: dataOf([3000, 4000]),
      latencyActual: dataOf([2000, 3000]),
      lateness: dataOf([10, 20, 30, 40]),
      warmup: dataOf([]),
      gapErrors: dataOf([]),
      schedule: { readings: 0, correctedNs: 0, errorNs: 0, errorMaxNs: 0 },
      changes: [],
      recent: [],
      refreshes: { count: 0, total_ns: 0, max_ns: 0, overlapping: dataOf([]) },
      parts: [],
      firstErrors: new Float64Array(),
      lastErrors: new Float64Array(),
      threads: [{ queue: 0, cpu: 1, streams: [0], counters: {}, turns: slowTurns() }],
      streams: [
        {
          sent: 4,
          withheld: 0,
          quiet: 1,
          correct: 2,
          wrong: 0,
          late: 0,
          missing: 1,
          duplicate: 0,
          unexpected: 0,
          reordered: 0,
          latencyPlanned: dataOf([3000, 4000]),
          latencyActual: dataOf([2000, 3000]),
        },
      ],
      slowest: intervals(),
      latest: intervals(),
      examples,
      capture: null,
      sends: new BigUint64Array(),
      answers: new BigUint64Array(),
      nicSent: new BigUint64Array(),
      nicReceived: new BigUint64Array(),
      unlogged: 0,
      lines: [],
      notes: [],
      replay: null,
      ...own,
    },
    responder: null,
    ties: null,
    phc,
    clocks: [
      { timelineNs: 1e9, rawOffsetNs: 10n, monotonicOffsetNs: 2n ** 60n, widthNs: 40 },
      { timelineNs: 3e9, rawOffsetNs: -990n, monotonicOffsetNs: 2n ** 60n + 1000n, widthNs: 60 },
    ],
    arrivals: null,
    links: { generator: { ...UP, ...link_found }, responder: null },
    interfaces: { generator: interfaceCounters && frames, responder: null },
    problems: [],
  };
  const report = makeReport("run", plan, found);
  return { report, text: reportLines(report, plan, found).join("\n"), json: reportAsJson(report) };
}

/** A clock that gains 5 ppm on CLOCK_MONOTONIC_RAW, in 2 s, and is then set by `stepped_ns`. */
function phcFindings(stepped_ns = 0): PhcFindings {
  const reading = {
    phcNs: 10n ** 18n,
    systemNs: 0n,
    isRaw: true,
    realtimeNs: 0n,
    widthNs: 0,
    method: "PTP_SYS_OFFSET_PRECISE",
  };
  const steps = stepped_ns === 0 ? 0 : 1;
  return {
    path: "/dev/ptp987654",
    first: reading,
    last: {
      ...reading,
      phcNs: reading.phcNs + 2_000_010_000n + BigInt(stepped_ns),
      systemNs: 2_000_000_000n,
      widthNs: 40,
    },
    readings: 9,
    resolution_ns: 8,
    steps,
    stepped_ns: BigInt(stepped_ns),
    examples: steps === 0 ? [] : [{ after_ns: 1_250_000_000, by_ns: stepped_ns }],
    ties: [],
    problem: "",
  };
}

function stamped(stamps: Stamps, counters: Record<string, number>) {
  return measured(counters, [], {}, "threshold", {}, "", {}, stamps);
}

test("with hardware stamps the report says by how much a round trip can be off", () => {
  const timestamps = { provenance: "hardware", reason: "as asked for", isDemanded: true } as const;
  const { report, text } = stamped({ timestamps, phc: phcFindings() }, { stamped: 2 });
  const { hardware } = report.clock;
  assert.is(hardware!.rate_ppb, 5000);
  assert.is(hardware!.rate_error_ppb, 10);
  assert.is(hardware!.uncertainty_ns, 8 + (3000 * 5010) / 1e9, "of the longest, 3 µs");
  assert.match(
    text,
    /\/dev\/ptp987654 .*: \+5000 ppb ±10 against CLOCK_MONOTONIC_RAW over 2.0 s, 9 readings/,
  );
  assert.match(
    text,
    /resolution 8 ns; .* is off by 8.02 ns at most, and by what lies between stamp and wire/,
  );
  const stepped = stamped({ timestamps, phc: phcFindings(-5000) }, { stamped: 2 });
  assert.is(stepped.report.clock.hardware!.rate_ppb, 5000, "a step is no rate");
  const lacking = stamped({ timestamps, phc: { problem: "open the clock: EACCES" } }, { stamped: 2 });
  assert.is(lacking.report.clock.hardware, null);
  assert.match(lacking.text, /open the clock: EACCES/, "the run goes on without");
  assert.match(stepped.text, /was set while it stamped, by 5 µs back, the first within 1.3 s: a round trip/);
});

test("a device that took the order to stamp, and never did, is told", () => {
  const never =
    /gen0 took the order to stamp, and none of 2 round trips has hardware stamps.*use --timestamps tsc/;
  const cases = [
    [{ unstamped: 2 }, true, true],
    [{ unstamped: 2 }, false, true],
    [{ unstamped: 1, stamped: 1 }, true, false],
    [{ stamped: 2 }, true, false],
  ] as const;
  for (const [counters, isDemanded, isTold] of cases) {
    const timestamps = { provenance: "hardware", reason: "", isDemanded } as const;
    const { report, text } = stamped({ timestamps, phc: phcFindings() }, counters);
    assert.is(never.test(text), isTold, JSON.stringify(counters));
    assert.is(never.test(report.faults.join()), isTold && isDemanded, "a fault where it was asked for");
  }
});

test("the balances hold when every tick and order is counted once, and only then", () => {
  const { report, text } = measured();
  for (const { holds, equation } of report.balances) assert.ok(holds, equation);
  assert.equal(report.faults, ["1 missing"]);
  assert.match(text, "sent 4 = answered 2 + missing 1 + not to be answered 1");
  assert.match(text, "not as expected: 1 missing");
  const lost = measured({ missing: 0 });
  assert.equal(
    lost.report.balances.filter(({ holds }) => !holds).map(({ name }) => name),
    ["ticks"],
  );
  assert.match(lost.report.faults.join(), /the balance of ticks does not hold \(sent 4 = answered 2 \+/);
  assert.match(lost.text, "does not hold");
  const order = measured({ received: 3 });
  assert.match(order.report.faults.join(), /the balance of orders does not hold/);
  const frames = measured({ sent: 5, quiet: 2, frames_out: 5 });
  assert.match(
    frames.report.faults.join(),
    /gen0 sent/,
    "the interface sent fewer frames than there were ticks",
  );
});

test("every verdict but correct is a fault, and each is told", () => {
  for (const verdict of ["wrong", "late", "duplicate", "unexpected"]) {
    const more = verdict === "wrong" || verdict === "late" ? { missing: 0 } : { missing: 1 };
    const { report, text } = measured({ [verdict]: 1, received: 3, ...more });
    assert.ok(report.faults.includes(`1 ${verdict}`), `${verdict}: ${report.faults}`);
    assert.match(text, `not as expected: `);
  }
  assert.equal(
    measured({ correct: 3, missing: 0, received: 3, frames_in: 3 }).report.faults.length,
    1,
    "one frame is not there",
  );
  assert.ok(measured({ unsent: 2 }).report.faults.includes("2 not sent"));
  assert.ok(measured({ warmup_faults: 2 }).report.faults.includes("2 at fault in the warm-up"));
});

test("a strategy that remembers comes with a note, where something went wrong", () => {
  const right = { correct: 3, missing: 0, received: 3, frames_in: 2 };
  const faulty = [{}, { ...right, warmup_faults: 1 }, { ...right, correct: 2, wrong: 1 }];
  for (const strategy of ["crossover", "book"]) {
    const notes = (counters: Record<string, number>) => measured(counters, [], {}, strategy).report.notes;
    for (const counters of faulty) {
      assert.is(notes(counters).length, 1);
      assert.match(
        notes(counters)[0]!,
        new RegExp(`^${strategy} remembers: a tick that was lost or overtaken`),
      );
    }
    assert.equal(notes(right), []);
  }
  for (const strategy of ["threshold", "echo"]) assert.equal(measured({}, [], {}, strategy).report.notes, []);
});

test("what was withheld or copied on purpose is a term of its own, and no fault", () => {
  const withheld = { sent: 7, withheld: 3, missing: 0, quiet: 2, answered_copies: 2, received: 4 };
  const { report, text } = measured(withheld);
  assert.equal(report.faults, []);
  assert.is(report.ticks.withheld, 3);
  assert.match(text, "sent 7 = answered 2 + missing 0 + not to be answered 2 + withheld 3 ✓");
  assert.match(text, "duplicate 0 + unexpected 0 + to copies 2 ✓");
  assert.match(text, "3 ticks: lost or spoilt on purpose");
});

test("rates are between the first and the last tick, and one tick has none", () => {
  const { rates } = measured({
    sent: 5,
    measured_ns: 2e9,
    missing: 0,
    quiet: 1,
    correct: 4,
    received: 4,
  }).report;
  assert.equal(rates, { sent_pps: 2, answered_pps: 1.6 });
  const one = measured({ sent: 1, measured_ns: 0, missing: 0, quiet: 0, correct: 1, received: 1 }).report;
  assert.equal(one.rates, { sent_pps: 0, answered_pps: 0 });
});

test("a rate is shown with the digits that it has, and none where there is none", () => {
  for (const [counters, text] of [
    [{ sent: 4, sent_at_first: 1, measured_ns: 6e9 }, "4 ticks, 0.5 a second"],
    [{ sent: 4, sent_at_first: 4, measured_ns: 0 }, "4 ticks, too few for a rate"],
    [{ sent: 4, sent_at_first: 2, measured_ns: 1e6 }, "4 ticks, 2,000 a second"], // two batches, 1 ms apart
    [{ sent: 1, sent_at_first: 1, measured_ns: 0 }, "1 ticks, too few for a rate"],
  ] as const) {
    assert.match(measured(counters).text, text);
  }
  // Over the last second, or as many as have some events.
  for (const [per_second, wanted] of [
    [[1000, 2000, 3000], 3000],
    [[0, 1, 0, 1, 0, 1], 0.5],
    [[400, 0, 0, 0], 100],
    [[], 0],
  ] as const) {
    assert.is(recentRate(per_second), wanted);
    const meter = new RecentRate();
    let [count, found] = [0, meter.at(0, 0)];
    for (const [second, events] of per_second.entries()) {
      count += events;
      found = meter.at(second + 1, count);
    }
    assert.is(found, wanted, `${per_second}`);
  }
});

test("what the driver dropped is lost, what the kernel behind it did not take did arrive", () => {
  const names = (counters: Partial<InterfaceCounters>) => {
    const { report } = measured({}, [], counters, "threshold", {}, "lab");
    return [
      report.balances.filter(({ holds }) => !holds).map(({ name }) => name),
      report.notes.filter((note) => note.includes("did not take any further")).length,
    ];
  };
  assert.equal(names({ rx_dropped: 10, rx_driver_dropped: 0 }), [[], 1]);
  assert.equal(names({ rx_dropped: 10, rx_driver_dropped: 3 }), [["gen0 drops"], 1]);
  assert.equal(names({ rx_dropped: 3, rx_driver_dropped: 3 }), [["gen0 drops"], 0]);
  assert.equal(names({ rx_dropped: 10 }), [["gen0 drops"], 0], "a driver that does not tell them apart");
});

test("what a link that was down swallowed is not sent, and the outage is told", () => {
  const down = { outages: 1, down_ns: 5e8, first_ns: 1e9 };
  const found = (over: Partial<LinkFindings>, tx_packets: number | null = 3) =>
    measured({ missing: 1 }, [], tx_packets === null ? null : { tx_packets }, "threshold", {}, "", over);
  const { report, text } = found(down);
  assert.equal([report.ticks.sent, report.ticks.not_left], [3, 1]);
  assert.is(
    report.balances.find(({ holds }) => !holds),
    undefined,
  );
  assert.match(text, "sent 3 + not left 1 = answered 2 + missing 1 + not to be answered 1 ✓");
  assert.match(text, "1 ticks, handed over, and the interface did not send them");
  const told = [
    "the link of gen0 went down once, 500 ms in all",
    "1 frame handed over at gen0 did not leave",
  ];
  assert.equal(report.faults, [...told, "1 missing"]);
  const gone = found({ gone: true, gone_ns: 15e8 }, null).report;
  assert.match(
    gone.faults[0]!,
    /^gen0 was removed, or went to another namespace, after 1\.50? s: that ended it$/,
  );
  assert.is(gone.ticks.not_left, 0, "without counters nobody knows");
  assert.is(found({}).report.ticks.not_left, 0, "a counter that is behind is no outage");
  assert.match(found({ outages: 3 }, 4).report.faults[0]!, "went down 3 times, too short to be measured");
});

test("counters of a driver that began to count anew are added up, and where that is too little nothing is said to be missing", () => {
  const counters = (rx_packets: number) => ({
    ...{ rx_packets, rx_errors: 0, rx_dropped: 0, rx_driver_dropped: null },
    ...{ tx_packets: 0, tx_errors: 0, tx_dropped: 0 },
  });
  const lost = { ...NOTHING, rx_packets: 110 };
  assert.is(since(counters(5), counters(100), lost).rx_packets, 15);
  assert.is(since(counters(105), counters(100)).rx_packets, 5);
  const held = (resets: number) => {
    const over = { outages: 1, down_ns: 5e8, resets, lost };
    const { report } = measured({ frames_in: 2 }, [], { rx_packets: 1 }, "threshold", {}, "", over);
    return [report.balances.filter(({ name }) => name === "gen0 received"), report.notes.join()] as const;
  };
  assert.is(held(0)[0].length, 1);
  assert.not.match(held(0)[1], "count anew");
  assert.equal(held(1)[0], []);
  assert.match(held(1)[1], "the driver of gen0 began to count anew once");
});

test("two orders in one frame are no fault", () => {
  assert.equal(measured({}, [], { rx_packets: 1 }).report.faults, ["1 missing"]);
});

test("the JSON has no number that JSON can't carry", () => {
  const tick = { symbol: "AAPL", price: 9999, quantity: 100, timestamp: 2n ** 63n + 1n };
  const { json } = measured({}, [
    { verdict: "missing", tick: encodeTick(tick), expected: null, received: null },
  ]);
  const { examples, plan } = json as {
    examples: { tick: object }[];
    plan: { generator: { streams: { ticks: { seed: string } }[] } };
  };
  assert.equal(examples[0]!.tick, { ...tick, timestamp: "9223372036854775809" });
  assert.is(plan.generator.streams[0]!.ticks.seed, "1");
  assert.equal(JSON.parse(JSON.stringify(json)), json);
});

test("no byte of a packet reaches the terminal as a control character", () => {
  const tick = { symbol: "AAPL", price: 9999, quantity: 100, timestamp: 1n };
  const order = { ...tick, side: 0, clOrdId: "0000000000000001" };
  const hostile = [
    "\x1b[2J\x07\x08\r\n",
    "\x9b31mRED",
    "\0\x01\x02\x7f\x80\x85\xa0\xad",
    "A\t\v\f\x1bZ\x90X",
  ];
  const examples = hostile.flatMap((text) => {
    const bytes = encodeOrder(order);
    bytes.write(text.padEnd(8, "\x1b").slice(0, 8), 0, "latin1");
    bytes.write(text.padEnd(16, "\x9b").slice(0, 16), 25, "latin1");
    const expected = encodeOrder(order);
    return [
      { verdict: "wrong" as const, tick: encodeTick(tick), expected, received: bytes },
      { verdict: "unexpected" as const, tick: null, expected: null, received: bytes },
    ];
  });
  for (const example of examples) {
    const { text, report } = measured({ wrong: 1, missing: 0, received: 3 }, [example]);
    assert.is(report.examples.length, 1);
    assert.match(text, "what went wrong");
    for (const line of text.split("\n")) {
      const bad = [...line].find(
        (letter) => letter < " " || (letter >= "\x7f" && letter <= "\xa0") || letter === "\xad",
      );
      assert.is(bad, undefined, `${JSON.stringify(line)} has no control character`);
    }
  }
});

test("an order of the right symbol and one that only looks like it are told apart", () => {
  const tick = { symbol: "AAPL", price: 9999, quantity: 100, timestamp: 1n };
  const order = { ...tick, side: 0, clOrdId: "0000000000000001" };
  const bytes = encodeOrder(order);
  bytes.write("AAPL\n\n\n\n", 0, "latin1");
  const { report } = measured({}, [
    { verdict: "wrong", tick: encodeTick(tick), expected: encodeOrder(order), received: bytes },
  ]);
  const [{ expected, received }] = report.examples as [(typeof report.examples)[0]];
  assert.is.not(received?.symbol, expected?.symbol);
});

test("round trips that overlapped the UI's being drawn are told apart from the others", () => {
  const { report, text } = measured({}, [], {}, "threshold", {
    latencyActual: dataOf([1000, 1000, 1500, 1900]),
    refreshes: { count: 2, total_ns: 3000, max_ns: 2000, overlapping: dataOf([1500, 1900]) },
  });
  const { refreshes } = report.interference;
  assert.equal(refreshes?.overlapping, { count: 2, p50_ns: 1500, p99_ns: 1900 });
  assert.equal(refreshes?.others, { count: 2, p50_ns: 1000, p99_ns: 1000 });
  assert.match(text, "the UI was drawn 2 times, 3 µs in all, at most 2 µs");
  assert.match(
    text,
    /meanwhile 2 round trips, p50 1\.50? µs, p99 1\.90? µs; else 2 round trips, p50 1 µs, p99 1 µs/,
  );
});

test.run();
