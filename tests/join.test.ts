/** Reports of two hosts joined: made up, so that each latency, loss and clock is known to the ns. */

import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { PhcReading } from "../native/index.js";
import { ClockTies, type TieFindings } from "../run/clock_ties.js";
import type { Joined } from "../run/join.js";
import { nicClockReport } from "../run/nic_clock.js";
import { MAGIC, type StampsPlan, writeStamps } from "../run/stamps.js";
import type { DaemonFindings } from "../run/time_daemons.js";
import { caromHere, jsonOf } from "./cli_support.js";

const UP_NS = 1000;
const OWN_NS = 200;
const DOWN_NS = 3000;
const TICKS = 400;
const FIRST = 1_790_000_000_000_000_000n; // when the first tick was sent, by the right time
const GAP_NS = 10_000n;
const NOT_HANDED = 2n ** 64n - 1n;

interface Case {
  readonly name: string;
  readonly ahead_ns?: number; // the responder's clock
  readonly drift_ppm?: number; // of the responder's timeline, which its readings tell
  readonly error_ns?: readonly [number | null, number | null]; // --clock-error
  readonly one_in?: readonly [number, number];
  readonly lostUp?: number; // the last ticks
  readonly lostDown?: number; // the orders before those
  readonly dropped?: number;
  readonly isSet?: boolean;
  readonly isOneMachine?: boolean;
  /** ptp4l keeps a clock of each end. */
  readonly ptp?: readonly {
    readonly grandmaster?: string;
    readonly stamps: "hardware" | "software";
    readonly error_ns: number | null;
  }[];
  /** The NICs stamp, too: each by a clock of its own, which drifts. */
  readonly nic?: {
    readonly isPtp?: boolean; // their clocks show the right time, as ptp4l keeps them
    readonly isRaw?: boolean; // their clocks can be compared exactly
    readonly isOne?: boolean; // ports of one NIC
    readonly nearOnly?: boolean;
    readonly steps?: number; // of the responder's
    readonly missingEvery?: number; // receive stamps of the responder
    readonly wrapsEvery?: number; // send stamps of the generator
  };
  /** Damages what was written. */
  readonly damage?: (change: Change, folder: string) => void;
  readonly status: number;
  readonly check?: (joined: Joined) => void;
  readonly refused?: RegExp;
}

/** Sets a field of one end's report, named by the way to it. */
type Change = (end: "near" | "far", path: string, value: unknown) => void;

/** About every tenth tick is not answered. */
const isQuiet = (number: number) => number % 10 === 0;

function ties(toClock: (timeline: bigint) => bigint, from: bigint, isSet = false): TieFindings {
  const readings = [0, 1, 2, 3].map((second) => {
    const timeline = from + BigInt(second) * 1_000_000_000n;
    const offset_ns = toClock(timeline) - timeline + (isSet && second > 1 ? 5_000_000_000n : 0n);
    return { timeline_ns: Number(timeline), offset_ns, width_ns: 20 };
  });
  return { ties: readings, synchronised: false, max_error_ns: 16e9, estimated_error_ns: 16e9 };
}

const TX_NS = 40; // from the loop to the wire
const RX_NS = 60; // and from there
const NIC_NS = TX_NS + RX_NS;

/** The clocks of the two NICs, by the right time. */
const nicTime = (end: 0 | 1, { isOne, isPtp }: NonNullable<Case["nic"]>) => {
  if (isPtp === true) return (right: bigint) => right + (end === 0 ? 0n : 30n);
  const [offset_ns, ppm] = end === 0 || isOne === true ? [1_000_000_000n, 5n] : [5_000_000_000n, -20n];
  return (right: bigint) => right + offset_ns + ((right - FIRST) * ppm) / 1_000_000n;
};

function nicClock(end: 0 | 1, ahead_ns: number, nic: NonNullable<Case["nic"]>) {
  const { isRaw, isOne, steps } = nic;
  const reading = (right: bigint): PhcReading => {
    const realtimeNs = right + BigInt(ahead_ns);
    const systemNs = isRaw === true ? right - FIRST + 10n ** 12n : realtimeNs;
    const method = isRaw === true ? "PTP_SYS_OFFSET_PRECISE" : "PTP_SYS_OFFSET_EXTENDED";
    const width = isRaw === true ? 0 : 60;
    return {
      ...{ phcNs: nicTime(end, nic)(right), systemNs, realtimeNs, isRaw: isRaw === true },
      ...{ widthNs: width, method },
    };
  };
  const ties = [-1n, 0n, 1n, 2n].map((second) => reading(FIRST + second * 1_000_000_000n));
  const [first, last] = [ties[0]!, ties.at(-1)!];
  const path = isOne === true ? "/dev/ptp0" : `/dev/ptp${end}`;
  const found = { path, first, last, readings: 4, resolution_ns: 1, stepped_ns: 0n, examples: [], ties };
  return nicClockReport("eth1", { ...found, steps: end === 1 ? (steps ?? 0) : 0, problem: "" });
}

/** What both ends would have written. @returns the paths of the reports */
function write(folder: string, of: Case): readonly [string, string] {
  const [nearEvery, farEvery] = of.one_in ?? [1, 1];
  const drift = 1 + (of.drift_ppm ?? 0) / 1e6;
  // The generator's timeline is 1 s at the first tick, the responder's 7 s, and goes at its own pace.
  const nearTime = (right: bigint) => right - FIRST + 1_000_000_000n;
  const farTime = (right: bigint) => 7_000_000_000n + BigInt(Math.round(Number(right - FIRST) * drift));
  const farClock = (timeline: bigint) =>
    FIRST + BigInt(Math.round(Number(timeline - 7_000_000_000n) / drift)) + BigInt(of.ahead_ns ?? 0);
  const [sends, answers, passages]: [bigint[], bigint[], bigint[]] = [[], [], []];
  for (let number = 0; number < TICKS; number++) {
    const sent = FIRST + BigInt(number) * GAP_NS;
    const [key, taken] = [sent - 5n, sent + BigInt(UP_NS)];
    if (chosen(key, nearEvery)) sends.push(key, nearTime(sent) - 5n, nearTime(sent), nearTime(sent) + 100n);
    if (number >= TICKS - (of.lostUp ?? 0)) continue;
    const handed = taken + BigInt(OWN_NS);
    const handedText = isQuiet(number) ? NOT_HANDED : farTime(handed);
    if (chosen(key, farEvery)) passages.push(key, farTime(taken), handedText, farTime(handed) + 50n);
    if (isQuiet(number) || number >= TICKS - (of.lostUp ?? 0) - (of.lostDown ?? 0)) continue;
    const back = nearTime(handed + BigInt(DOWN_NS));
    if (chosen(key, nearEvery)) answers.push(key, back, back, taken);
  }
  const { nic } = of;
  const stampRows = (
    rows: readonly bigint[],
    at: 1 | 2,
    end: 0 | 1,
    loop: (time: bigint) => bigint,
    by: number,
  ) => {
    const nicRows: bigint[] = [];
    for (let row = 0; row < rows.length; row += 4) {
      const time = rows[row + at]!;
      if (nic === undefined || time === NOT_HANDED || (nic.nearOnly === true && end === 1)) continue;
      const stamp = nicTime(end, nic)(loop(time) + BigInt(by));
      const number = row / 4;
      if (end === 1 && by < 0 && nic.missingEvery !== undefined && number % nic.missingEvery === 0) continue;
      const wraps = end === 0 && by > 0 && nic.wrapsEvery !== undefined && number % nic.wrapsEvery === 1;
      nicRows.push(rows[row]!, wraps ? stamp - 2n ** 32n : stamp, time, 0n);
    }
    return BigUint64Array.from(nicRows);
  };
  const saidOf = (end: 0 | 1): DaemonFindings => {
    const ptp = of.ptp?.[end];
    if (ptp === undefined) return { readings: 2, chrony: null, ptp: null };
    const own = {
      is_grandmaster: false,
      steps_removed: 1,
      offset_ns: 5,
      path_delay_ns: 500,
      interface: "eth1",
    };
    const { grandmaster = "507b9d.fffe.000001", error_ns, stamps } = ptp;
    return { readings: 2, chrony: null, ptp: { ...own, grandmaster, stamps, error_ns } };
  };
  const nearRight = (timeline: bigint) => FIRST + timeline - 1_000_000_000n;
  const farRight = (timeline: bigint) => farClock(timeline) - BigInt(of.ahead_ns ?? 0);
  const planOf = (file: string, end: 0 | 1): StampsPlan => ({
    path: join(folder, file),
    one_in: end === 0 ? nearEvery : farEvery,
    room: 1000,
    run_id: "run-7",
    clock_error_ns: of.error_ns?.[end] ?? null,
    ptp_socket: null,
  });
  const near = writeStamps(
    planOf("near.stamps", 0),
    {
      sends: BigUint64Array.from(sends),
      answers: BigUint64Array.from(answers),
      nic_sent: stampRows(sends, 2, 0, nearRight, TX_NS),
      nic_received: stampRows(answers, 2, 0, nearRight, -RX_NS),
      unlogged: 0,
    },
    ClockTies.of(ties((timeline) => FIRST + timeline - 1_000_000_000n, 900_000_000n)).report(
      of.error_ns?.[0] ?? null,
    ),
    saidOf(0),
    nic === undefined ? null : nicClock(0, 0, nic),
  );
  const far = writeStamps(
    planOf("far.stamps", 1),
    {
      passages: BigUint64Array.from(passages),
      nic_sent: stampRows(passages, 2, 1, farRight, TX_NS),
      nic_received: stampRows(passages, 1, 1, farRight, -RX_NS),
      unlogged: of.dropped ?? 0,
    },
    ClockTies.of(ties(farClock, 6_900_000_000n, of.isSet)).report(of.error_ns?.[1] ?? null),
    saidOf(1),
    nic === undefined || nic.nearOnly === true ? null : nicClock(1, of.ahead_ns ?? 0, nic),
  );
  const machine = (boot_id: string) => ({ boot_id: of.isOneMachine ? "one" : boot_id });
  const strategy = { name: "threshold", threshold: 10_000 };
  const generator = {
    schema: "carom.report",
    version: 1,
    started: "2026-09-21T12:00:00.000Z",
    environment: { host: "near", carom: "0.1.0" },
    plan: {
      generator: {
        io: { localPort: 9999, receives: true },
        strategy,
        streams: [{ lines: [{ destinationAddress: "239.1.1.1", destinationPort: 8080 }] }],
      },
    },
    counters: { generator: { sent: TICKS, warmup_sent: 0, received: answers.length / 4 } },
    stamps: { ...near, clock: { ...near.clock, ...machine("near") } },
  };
  const responder = {
    schema: "carom.responder",
    version: 1,
    started: "2026-09-21T12:00:00.000Z",
    environment: { host: "far", carom: "0.1.0" },
    config: { io: { localPort: 8080, backend: "af_xdp" }, responsePort: 9999, strategy },
    counters: { ticks: passages.length / 4, orders: 1 },
    stamps: { ...far, clock: { ...far.clock, ...machine("far") } },
  };
  const change: Change = (end, path, value) => {
    const names = path.split(".");
    const last = names.pop()!;
    let object = (end === "near" ? generator : responder) as Record<string, unknown>;
    for (const name of names) object = object[name] as Record<string, unknown>;
    object[last] = value;
  };
  of.damage?.(change, folder);
  const paths = [join(folder, "near.json"), join(folder, "far.json")] as const;
  writeFileSync(paths[0], JSON.stringify(generator));
  writeFileSync(paths[1], JSON.stringify(responder));
  return paths;
}

/** As native/core/passages.h chooses. */
function chosen(key: bigint, one_in: number): boolean {
  return BigInt.asUintN(64, key * 0x9e3779b97f4a7c15n) < 2n ** 64n / BigInt(one_in);
}

const near = (value: number | undefined, wanted: number, what: string) =>
  assert.ok(value !== undefined && Math.abs(value - wanted) <= 2, `${what}: ${value}, not ${wanted}`);

/** All latencies are the same, so the least and the largest are. */
function assertWays({ up, down, responder, round_trip }: Joined, up_ns: number, down_ns: number): void {
  near(up.one_way?.min_ns, up_ns, "least up");
  near(up.one_way?.max_ns, up_ns, "most up");
  near(down?.one_way?.min_ns, down_ns, "least down");
  near(down?.one_way?.max_ns, down_ns, "most down");
  near(responder?.mean_ns, OWN_NS, "responder");
  assert.is(round_trip?.min_ns, UP_NS + OWN_NS + DOWN_NS);
  assert.is(round_trip?.max_ns, UP_NS + OWN_NS + DOWN_NS, "whatever the responder's clock says");
}

/** By the NICs: what lies between loop and wire is the ends' own, and in no way. */
function assertNicWays({ up, down, responder, round_trip, clocks }: Joined, ahead_ns = 0): void {
  assert.is(clocks.stamps, "hardware");
  near(up.one_way?.min_ns, UP_NS - NIC_NS + ahead_ns, "least up");
  near(up.one_way?.max_ns, UP_NS - NIC_NS + ahead_ns, "most up");
  near(down?.one_way?.min_ns, DOWN_NS - NIC_NS - ahead_ns, "least down");
  near(down?.one_way?.max_ns, DOWN_NS - NIC_NS - ahead_ns, "most down");
  near(responder?.mean_ns, OWN_NS + NIC_NS, "responder");
  near(round_trip?.mean_ns, UP_NS + OWN_NS + DOWN_NS - NIC_NS, "round trip");
}

const KNOWN = [300, 400] as const;
const quiet = TICKS / 10;

const CASES: readonly Case[] = [
  {
    name: "clocks that are one",
    isOneMachine: true,
    status: 0,
    check: (joined) => {
      assertWays(joined, UP_NS, DOWN_NS);
      assert.is(joined.clocks.one_machine, true);
      assert.is(joined.clocks.bound_ns, 20 + 0, "half a bracket at each end");
      assert.is(joined.common_ticks, TICKS);
      assert.equal([joined.up.followed, joined.up.lost], [TICKS, 0]);
      assert.equal([joined.down?.followed, joined.down?.lost], [TICKS - quiet, 0]);
      assert.is(joined.up.one_way?.count, TICKS, "those without an order, too");
      assert.equal(joined.notes, []);
    },
  },
  {
    name: "a clock within its bound, whose timeline drifts by 40 ppm",
    ahead_ns: 500,
    drift_ppm: 40,
    error_ns: KNOWN,
    status: 0,
    check: (joined) => {
      assertWays(joined, UP_NS + 500, DOWN_NS - 500);
      const { bound_ns, agree, offset_least_ns, offset_most_ns } = joined.clocks;
      assert.ok(bound_ns! >= 700 && bound_ns! <= 730, `${bound_ns}: what was given, and the readings`);
      assert.is(agree, true);
      near(offset_least_ns!, 500 - DOWN_NS, "offset at least");
      near(offset_most_ns!, 500 + UP_NS, "offset at most");
    },
  },
  {
    name: "clocks that disagree by more than their bounds",
    ahead_ns: 5000,
    error_ns: KNOWN,
    status: 1,
    check: (joined) => {
      assertWays(joined, UP_NS + 5000, DOWN_NS - 5000);
      assert.is(joined.clocks.agree, false);
      assert.match(joined.faults.join(), /the responder's is at least (2|1\.99|2\.00) µs ahead/);
    },
  },
  {
    name: "one that is behind",
    ahead_ns: -5000,
    error_ns: KNOWN,
    status: 1,
    check: ({ faults }) =>
      assert.match(faults.join(), /the responder's is at least (4|3\.99|4\.00) µs behind/),
  },
  {
    name: "a clock that nothing disciplines",
    error_ns: [300, null],
    status: 1,
    check: (joined) => {
      assert.is(joined.clocks.bound_ns, null);
      assert.is(joined.up.one_way, null);
      assert.is(joined.down?.one_way, null);
      assert.is(joined.up.lost, 0, "loss needs no clock");
      assert.is(joined.round_trip?.min_ns, UP_NS + OWN_NS + DOWN_NS);
      assert.match(joined.faults.join(), /no one-way latency: nothing disciplines the clock/);
    },
  },
  {
    name: "a clock that was set in the meantime, on one machine",
    isOneMachine: true,
    isSet: true,
    status: 1,
    check: ({ faults, up }) => {
      assert.match(faults.join(), /no one-way latency: .*the clock was set/);
      assert.is(up.one_way, null);
    },
  },
  {
    name: "what was lost each way",
    isOneMachine: true,
    lostUp: 17,
    lostDown: 9,
    status: 1,
    check: ({ up, down, faults }) => {
      assert.is(up.lost, 17);
      assert.is(down?.lost, 9 - 1, "but the one without an order");
      assert.is(faults.length, 2);
    },
  },
  {
    name: "a log that was full",
    isOneMachine: true,
    lostUp: 17,
    dropped: 17,
    status: 0,
    check: ({ up, down, notes }) => {
      assert.equal([up.lost, down?.lost], [null, null]);
      assert.match(notes.join(), /far\.json: 17 stamps found no room/);
    },
  },
  {
    name: "ends that follow different parts",
    isOneMachine: true,
    one_in: [2, 8],
    status: 0,
    check: ({ up, common_ticks }) => {
      const both = Array.from({ length: TICKS }, (_, number) => FIRST + BigInt(number) * GAP_NS - 5n);
      const wanted = both.filter((key) => chosen(key, 8)).length;
      assert.ok(wanted > 10, `${wanted} in 8`);
      assert.equal([up.followed, common_ticks, up.lost], [wanted, wanted, 0]);
    },
  },
  {
    name: "two NICs of one machine, compared exactly",
    isOneMachine: true,
    nic: { isRaw: true },
    status: 0,
    check: (joined) => {
      assertNicWays(joined);
      assert.is(joined.clocks.clock, "CLOCK_MONOTONIC_RAW");
      assert.ok(joined.clocks.bound_ns! <= 10, `${joined.clocks.bound_ns}`);
      assert.match(joined.clocks.reasons[1]!, /ptp1 against CLOCK_MONOTONIC_RAW by PTP_SYS_OFFSET_PRECISE/);
      assert.equal([joined.up.unstamped, joined.down?.unstamped, joined.notes], [0, 0, []]);
    },
  },
  {
    name: "two NICs of one machine, compared by readings around",
    isOneMachine: true,
    nic: {},
    status: 0,
    check: (joined) => {
      assertNicWays(joined);
      assert.is(joined.clocks.clock, "CLOCK_REALTIME");
      assert.ok(joined.clocks.bound_ns! >= 60 && joined.clocks.bound_ns! <= 70, "half a bracket at each end");
    },
  },
  {
    name: "two ports of one NIC",
    isOneMachine: true,
    nic: { isOne: true },
    status: 0,
    check: (joined) => {
      assertNicWays(joined);
      assert.equal([joined.clocks.bound_ns, joined.clocks.clock], [0, "/dev/ptp0"]);
    },
  },
  {
    name: "NICs of two machines, whose clocks are known to some 100 ns",
    ahead_ns: 500,
    error_ns: KNOWN,
    nic: { isRaw: true },
    status: 0,
    check: (joined) => {
      assertNicWays(joined, 500);
      const { bound_ns, agree } = joined.clocks;
      assert.ok(bound_ns! >= 700 && bound_ns! <= 720, `${bound_ns}`);
      assert.is(agree, true);
    },
  },
  {
    name: "NICs of two machines whose clocks disagree",
    ahead_ns: -5000,
    error_ns: KNOWN,
    nic: {},
    status: 1,
    check: ({ clocks, faults }) => {
      assert.is(clocks.agree, false);
      assert.match(faults.join(), /the responder's is at least 4\.\d+ µs behind/);
    },
  },
  {
    name: "NICs of two machines, one of which nothing disciplines",
    error_ns: [300, null],
    nic: { isRaw: true },
    status: 1,
    check: ({ up, round_trip, responder, faults }) => {
      assert.is(up.one_way, null);
      near(round_trip?.mean_ns, UP_NS + OWN_NS + DOWN_NS - NIC_NS, "round trip, by the NIC");
      near(responder?.mean_ns, OWN_NS + NIC_NS, "responder, by its NIC");
      assert.match(faults.join(), /no one-way latency: nothing disciplines the clock/);
    },
  },
  {
    name: "NICs whose clocks ptp4l keeps by one grandmaster: that bound is the better one",
    ahead_ns: 50_000,
    error_ns: [60_000, 60_000],
    nic: { isPtp: true },
    ptp: [
      { stamps: "hardware", error_ns: 505 },
      { stamps: "hardware", error_ns: 510 },
    ],
    status: 0,
    check: (joined) => {
      assertNicWays(joined, 30);
      assert.is(joined.clocks.clock, "the grandmaster 507b9d.fffe.000001");
      assert.is(joined.clocks.bound_ns, 505 + 510 + 2);
      assert.match(joined.clocks.reasons[0]!, /as ptp4l says of eth1/);
    },
  },
  {
    name: "two grandmasters have nothing in common",
    nic: { isPtp: true },
    ptp: [
      { stamps: "hardware", error_ns: 505 },
      { stamps: "hardware", error_ns: 510, grandmaster: "507b9d.fffe.000002" },
    ],
    status: 1,
    check: ({ up, clocks }) => assert.equal([up.one_way, clocks.bound_ns], [null, null]),
  },
  {
    name: "system clocks that ptp4l keeps by software stamps",
    ptp: [
      { stamps: "software", error_ns: 9000 },
      { stamps: "software", error_ns: 8000 },
    ],
    status: 0,
    check: (joined) => {
      assertWays(joined, UP_NS, DOWN_NS);
      assert.is(joined.clocks.bound_ns, 17_000 + 20);
      assert.match(joined.clocks.reasons[1]!, /as ptp4l says of CLOCK_REALTIME/);
    },
  },
  {
    name: "a grandmaster behind clocks of which nothing is said",
    ptp: [
      { stamps: "software", error_ns: 9000 },
      { stamps: "software", error_ns: null },
    ],
    status: 1,
    check: ({ up }) => assert.is(up.one_way, null),
  },
  {
    name: "a NIC's clock that was set in mid-run",
    isOneMachine: true,
    nic: { isRaw: true, steps: 1 },
    status: 1,
    check: ({ up, faults }) => {
      assert.is(up.one_way, null);
      assert.match(faults.join(), /no one-way latency: \/dev\/ptp1, or .*, was set in the meantime/);
    },
  },
  {
    name: "NIC stamps that are missing, and such as can't be",
    isOneMachine: true,
    nic: { isRaw: true, missingEvery: 10, wrapsEvery: 8 },
    status: 0,
    check: (joined) => {
      assertNicWays(joined);
      const bad = Array.from({ length: TICKS }, (_, number) => number % 10 === 0 || number % 8 === 1);
      assert.is(joined.up.unstamped, bad.filter(Boolean).length);
      assert.is(joined.up.one_way!.count, TICKS - joined.up.unstamped);
      assert.is(joined.up.lost, 0);
      assert.match(
        joined.notes.join(),
        /without the stamps of both NICs.*: 90 of 400 ticks, 0 of 360 orders/,
      );
    },
  },
  {
    name: "a NIC that stamps at one end alone",
    isOneMachine: true,
    nic: { nearOnly: true },
    status: 0,
    check: (joined) => {
      assertWays(joined, UP_NS, DOWN_NS);
      assert.is(joined.clocks.stamps, "tsc");
      assert.match(
        joined.notes.join(),
        /only the generator's NIC stamped: all ways go by the stamps of the loops/,
      );
    },
  },
  {
    name: "two versions of carom, and settings",
    isOneMachine: true,
    damage: (change) => {
      change("far", "environment.carom", "0.2.0");
      change("far", "config.strategy", { name: "threshold", threshold: 9000 });
    },
    status: 0,
    check: ({ notes }) => {
      assert.match(notes[0]!, /two versions of carom: 0\.1\.0 sent, 0\.2\.0 answered/);
      assert.match(notes[1]!, /differ in what is to be answered: threshold/);
    },
  },
  {
    name: "another run's name",
    damage: (change) => change("far", "stamps.run_id", "run-8"),
    status: 2,
    refused: /the run is run-7 at one end and run-8 at the other/,
  },
  {
    name: "another port",
    damage: (change) => change("far", "config.io.localPort", 8081),
    status: 2,
    refused: /ticks went to port 8080, and the responder took those to 8081/,
  },
  {
    name: "another port of orders",
    damage: (change) => change("near", "plan.generator.io.localPort", 9998),
    status: 2,
    refused: /orders went to port 9999, and the generator took those to 9998/,
  },
  { name: "nothing in common", lostUp: TICKS, status: 2, refused: /no tick of the 400 .* is in/ },
  {
    name: "a report without stamps",
    damage: (change) => change("near", "stamps", null),
    status: 2,
    refused: /it was made without stamps; add --stamps FILE to carom run or generate/,
  },
  {
    name: "two reports of one end",
    damage: (change) => change("far", "schema", "carom.report"),
    status: 2,
    refused: /2 of the two are reports of carom run or generate/,
  },
  {
    name: "another run's file of stamps",
    damage: (change) => change("near", "stamps.sha256", "0".repeat(64)),
    status: 2,
    refused: /near\.stamps: it is not the one of the report/,
  },
  {
    name: "a file that was cut off",
    damage: (_, folder) => truncateSync(join(folder, "far.stamps"), 100),
    status: 2,
    refused: /far\.stamps: it is not the one of the report/,
  },
  {
    name: "a file of something else",
    damage: (_, folder) => writeFileSync(join(folder, "far.stamps"), "pcap"),
    status: 2,
    refused: /it is none of carom's, or of another version/,
  },
  {
    name: "a report that claims more than there is",
    damage: (change) => change("near", "stamps.rows.sends", 10_000_000),
    status: 2,
    refused: /it is shorter than the report says/,
  },
  {
    name: "a report that claims too much",
    damage: (change) => change("near", "stamps.rows.sends", 2 ** 52),
    status: 2,
    refused: /more than 16000000 stamps/,
  },
  {
    name: "a report that is not whole",
    damage: (change) => change("far", "stamps.clock.ties", []),
    status: 2,
    refused: /stamps\.clock\.ties/,
  },
];

for (const of of CASES) {
  test(`join: ${of.name}`, async () => {
    const folder = mkdtempSync(join(tmpdir(), "carom-join-"));
    try {
      const paths = write(folder, of);
      const ended = await caromHere("join", ...[...paths].reverse(), "--json");
      assert.is(ended.status, of.status, `${ended.stdout}${ended.stderr}`);
      if (of.refused !== undefined) return assert.match(ended.stderr, of.refused);
      const joined = jsonOf(ended) as unknown as Joined;
      assert.is(joined.schema, "carom.join");
      assert.is(joined.run_id, "run-7");
      of.check?.(joined);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
}

test("join: a file of stamps begins with what it is, and is the owner's alone", () => {
  const folder = mkdtempSync(join(tmpdir(), "carom-join-"));
  try {
    write(folder, CASES[0]!);
    const bytes = readFileSync(join(folder, "near.stamps"));
    assert.ok(bytes.subarray(0, MAGIC.length).equals(MAGIC));
    assert.is(bytes.length, MAGIC.length + 5 * 8 + 32 * (TICKS + TICKS - quiet));
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test.run();
