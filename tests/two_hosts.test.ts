/** Generator and responder as two hosts: each in a process and a namespace of its own, begun at a common time. */

import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Lab } from "../lab/lab.js";
import { listFrames } from "../native/index.js";
import type { Joined } from "../run/join.js";
import type { Report } from "../run/report.js";
import { readInterface } from "../run/statistics.js";
import { decodeOrder, decodeTick } from "../wire/codec.js";
import { backendTest, caromHere, jsonOf, startCarom } from "./cli_support.js";
import { ip, sleep, withLab } from "./lab_support.js";

const RATE = 5000;
const START_NS = 1_500_000_000n;
const READ_NS = 1000n; // of the clocks against each other: far more than they are off, far less than a way takes
const HEAD = 8 + 5 * 8; // of a file of stamps

const at = (end: "generator" | "responder", lab: Lab) =>
  ["--namespace", lab[end].namespace, "--interface", lab[end].interfaceName] as const;

/** Runs the generator at a time to come; one that was not ready by then is given longer. */
async function generate(lab: Lab, folder: string, ...options: string[]) {
  for (let away_ns = START_NS; ; away_ns *= 3n) {
    const start_ns = BigInt(Date.now()) * 1_000_000n + away_ns;
    const target = ["--target-mac", lab.responder.mac];
    const ended = await startCarom(
      ...[
        "run",
        ...at("generator", lab),
        ...target,
        "--backend",
        "af_packet",
        "--cpu",
        "none",
        "--no-history",
      ],
      ...["--rate", String(RATE), "--warmup", "0", "--duration", "200ms", "--timeout", "20s", "--json"],
      ...[
        "--start-at",
        String(start_ns),
        "--stamps",
        join(folder, "near.stamps"),
        "--run-id",
        "two",
        ...options,
      ],
    ).end;
    if (!/everything was open .* after it|that was .* ago/.test(ended.stderr)) return { ended, start_ns };
  }
}

/** Rows of a section of a file of stamps, read by its description in docs/two-hosts.md alone. */
function rowsOf(path: string, section: 0 | 1 | 2): Map<bigint, readonly [bigint, bigint, bigint]> {
  const bytes = readFileSync(path);
  const counts = [0, 1, 2].map((index) => Number(bytes.readBigUInt64LE(8 + 8 * index)));
  const first = HEAD + 32 * counts.slice(0, section).reduce((sum, count) => sum + count, 0);
  const number = (row: number, column: number) => bytes.readBigUInt64LE(first + 32 * row + 8 * column);
  const rows = Array.from({ length: counts[section]! }, (_, row) => row);
  return new Map(
    rows.map((row) => [number(row, 0), [number(row, 1), number(row, 2), number(row, 3)] as const]),
  );
}

/** By the clock: the reading that is nearest. */
function clockOf(report: { readonly stamps: Report["stamps"] }) {
  const ties = report.stamps!.clock.ties;
  return (timeline: bigint) => {
    const apart = (tie: (typeof ties)[number]) => Math.abs(tie[0] - Number(timeline));
    const nearest = ties.reduce((best, tie) => (apart(tie) < apart(best) ? tie : best));
    return timeline + BigInt(nearest[1]);
  };
}

/** When the kernel saw each tick, or order, come to an end, by their keys. */
function seenBy(path: string): Map<bigint, bigint> {
  const HEADERS = 42; // Ethernet, IPv4, UDP
  const config = { path, filter: "udp", fromNs: 0, toNs: 1e18, tickPort: 8080, orderPort: 9999 };
  const next = listFrames(config);
  const seen = new Map<bigint, bigint>();
  for (let batch = next(1000).frames; batch.length > 0; batch = next(1000).frames) {
    for (const { frame, time_ns } of batch) {
      const port = frame.readUInt16BE(HEADERS - 6);
      const payload = frame.subarray(HEADERS);
      if (port === 8080) seen.set(BigInt(decodeTick(payload.subarray(0, 24)).timestamp), time_ns);
      if (port === 9999) seen.set(BigInt(`0x${decodeOrder(payload.subarray(0, 41)).clOrdId}`), time_ns);
    }
  }
  return seen;
}

backendTest("two ends, begun together: stamp for stamp what the kernel saw in between", ["af_packet"], () =>
  withLab({}, async (lab) => {
    const folder = mkdtempSync(join(tmpdir(), "carom-hosts-"));
    const responder = startCarom(
      ...["respond", ...at("responder", lab), "--backend", "af_packet", "--cpu", "none", "--json"],
      ...["--name", `hosts-${process.pid}`, "--stamps", join(folder, "far.stamps"), "--run-id", "two"],
    );
    const kernel = (["generator", "responder"] as const).map((end) =>
      startCarom("capture", ...at(end, lab), "--write", join(folder, end), "--direction", "in"),
    );
    const all = [responder, ...kernel];
    try {
      const ready = kernel.map((capture) => capture.said("capturing on"));
      await Promise.all([responder.said("answering ticks to"), ...ready]);
      const { ended, start_ns } = await generate(lab, folder);
      for (const { child } of all) child.kill("SIGTERM");
      const near = jsonOf(ended) as unknown as Report;
      const far = jsonOf(await responder.end) as unknown as { readonly stamps: Report["stamps"] };
      assert.equal(near.faults, [], ended.stderr);
      writeFileSync(join(folder, "near.json"), JSON.stringify(near));
      writeFileSync(join(folder, "far.json"), JSON.stringify(far));

      // The n-th tick is planned for the n-th gap after the start, whatever this machine was busy with.
      const sends = rowsOf(join(folder, "near.stamps"), 0);
      const first = [...sends.keys()].sort((a, b) => Number(a - b))[0]!;
      const after = Number(first - start_ns);
      assert.ok(Math.abs(after) <= 1e9 / RATE + 1000, `the first tick is of ${after} ns after the start`);
      assert.is(
        near.started.slice(0, 19),
        new Date(Number(start_ns / 1_000_000n)).toISOString().slice(0, 19),
      );

      const joined = jsonOf(
        await caromHere("join", join(folder, "near.json"), join(folder, "far.json"), "--json"),
      ) as unknown as Joined;
      assert.is(joined.clocks.one_machine, true);
      assert.equal([joined.up.lost, joined.down?.lost], [0, 0]);
      assert.is(joined.up.one_way?.count, near.ticks.sent);
      assert.is(joined.round_trip?.count, near.ticks.answered);
      // The generator's own figure, of the same moments: to the three digits of its histogram's sum.
      assert.ok(
        Math.abs(joined.round_trip!.mean_ns - near.latency!.actual.mean_ns) < 1,
        "the same round trips",
      );

      const [answers, passages] = [
        rowsOf(join(folder, "near.stamps"), 1),
        rowsOf(join(folder, "far.stamps"), 2),
      ];
      const [here, there] = [clockOf(near), clockOf(far)];
      await Promise.all(kernel.map(({ end }) => end));
      const [orders, ticks] = [seenBy(join(folder, "generator")), seenBy(join(folder, "responder"))];
      assert.is(orders.size, near.ticks.answered);
      for (const [tick, [, received]] of answers) {
        const [, sent] = sends.get(tick)!;
        const [taken, handed] = passages.get(tick)!;
        const [came, went] = [ticks.get(tick)!, orders.get(tick)!];
        const moments = [here(sent), came, there(taken), there(handed), went, here(received)];
        for (let one = 1; one < moments.length; one++)
          assert.ok(moments[one]! - moments[one - 1]! > -READ_NS, `${tick}: ${moments}`);
      }
      assert.is(statSync(join(folder, "near.stamps")).mode & 0o777, 0o600);
      assert.is(statSync(join(folder, "far.stamps")).mode & 0o777, 0o600);
    } finally {
      for (const { child } of all) child.kill("SIGKILL");
      await Promise.all(all.map(({ end }) => end));
      rmSync(folder, { recursive: true });
    }
  }),
);

backendTest("a capture is the other end of a generator, where nothing answers", ["af_packet"], () =>
  withLab({}, async (lab) => {
    const folder = mkdtempSync(join(tmpdir(), "carom-hosts-"));
    const file = (name: string) => join(folder, name);
    const capture = startCarom(
      ...["capture", ...at("responder", lab), "--write", file("far.pcapng"), "--direction", "in", "--json"],
      ...["--stamps", file("far.stamps"), "--run-id", "one-way"],
    );
    try {
      await capture.said("capturing on");
      const ended = await caromHere(
        ...["generate", ...at("generator", lab), "--backend", "af_packet", "--cpu", "none", "--no-history"],
        ...["--rate", "2k", "--warmup", "20ms", "--count", "200", "--json"],
        ...["--stamps", file("near.stamps"), "--run-id", "one-way"],
      );
      capture.child.kill("SIGTERM");
      const near = jsonOf(ended) as unknown as Report;
      writeFileSync(file("near.json"), JSON.stringify(near));
      writeFileSync(file("far.json"), JSON.stringify(jsonOf(await capture.end)));
      const joined = jsonOf(
        await caromHere("join", file("far.json"), file("near.json"), "--json"),
      ) as unknown as Joined;
      assert.equal(joined.faults, []);
      assert.equal(
        joined.ends.map(({ role }) => role),
        ["generator", "capture"],
      );
      assert.equal([joined.up.followed, joined.up.lost], [near.ticks.sent, 0]);
      assert.is(joined.up.one_way?.count, near.ticks.sent);
      assert.ok(joined.up.one_way!.min_ns > -Number(READ_NS), `${joined.up.one_way!.min_ns} ns`);
      assert.ok(joined.up.received_counted > near.ticks.sent, "the warm-up came, too");
      assert.is(joined.down, null);
      assert.is(joined.round_trip, null);
    } finally {
      capture.child.kill("SIGKILL");
      await capture.end;
      rmSync(folder, { recursive: true });
    }
  }),
);

backendTest(
  "an interface that is taken away in mid-run: both ends tell, and what there is is joined",
  ["af_packet"],
  () =>
    withLab({}, async (lab) => {
      const folder = mkdtempSync(join(tmpdir(), "carom-hosts-"));
      const file = (name: string) => join(folder, name);
      const how = (name: string) => [
        "--cpu",
        "none",
        "--stamps",
        file(`${name}.stamps`),
        "--run-id",
        "gone",
        "--json",
      ];
      const responder = startCarom(
        ...["respond", ...at("responder", lab), "--backend", "af_packet", ...how("far")],
        ...["--name", `gone-${process.pid}`],
      );
      const ends = [responder];
      try {
        await responder.said("answering ticks to");
        const before = readInterface(lab.responder).rx_packets;
        const generator = startCarom(
          ...["run", ...at("generator", lab), "--backend", "af_packet", ...how("near"), "--no-history"],
          ...["--target-mac", lab.responder.mac, "--rate", "1k", "--warmup", "0", "--duration", "1h"],
          ...["--timeout", "100ms", "--stamp-every", "1"],
        );
        ends.push(generator);
        let isOver = false;
        generator.child.on("exit", () => {
          isOver = true;
        });
        while (!isOver && readInterface(lab.responder).rx_packets - before < 100) await sleep(20);
        ip(lab.generator.namespace, "link", "del", lab.generator.interfaceName);
        for (const [name, end] of [
          ["near", await generator.end],
          ["far", await responder.end],
        ] as const) {
          assert.is(end.status, 1, end.stderr);
          const report = jsonOf(end) as unknown as Report;
          assert.match(report.faults.join(), /was removed, or went to another namespace/);
          writeFileSync(file(`${name}.json`), JSON.stringify(report));
        }
        const joined = jsonOf(
          await caromHere("join", file("near.json"), file("far.json"), "--json"),
        ) as unknown as Joined;
        assert.ok(joined.common_ticks > 0);
        assert.is(joined.common_ticks, joined.up.received_counted);
        assert.is(joined.up.lost, joined.up.sent_counted - joined.up.received_counted);
      } finally {
        for (const { child } of ends) child.kill("SIGKILL");
        await Promise.all(ends.map(({ end }) => end));
        rmSync(folder, { recursive: true });
      }
    }),
);

const REFUSED: readonly (readonly [options: readonly string[], status: number, says: RegExp])[] = [
  [["--start-at", "2020-01-01T00:00:00Z"], 2, /--start-at 2020-01-01T00:00:00\.000000000Z: that was .* ago/],
  [["--start-at", "1577836800"], 2, /--start-at 2020-01-01T00:00:00\.000000000Z: that was/],
  [["--start-at", "1577836800.25"], 2, /--start-at 2020-01-01T00:00:00\.250000000Z: that was/],
  [["--start-at", "1577836800000000001"], 2, /--start-at 2020-01-01T00:00:00\.000000001Z: that was/],
  [["--start-at", "2020-01-01T01:00:00.5+01:00"], 2, /--start-at 2020-01-01T00:00:00\.500000000Z: that was/],
  [["--start-at", "2100-01-01T00:00:00Z"], 2, /more than a week away/],
  [["--start-at", "2026-11-30T18:00:00"], 2, /is not a time with its zone/],
  [["--start-at", "2026-02-30T18:00:00Z"], 2, /is not a time|that was/],
  [["--start-at", "noon"], 2, /is not a time with its zone/],
  [["--stamp-every", "4"], 2, /--stamp-every: it is about --stamps/],
  [["--run-id", "x"], 2, /--run-id: it is about --stamps/],
  [["--stamps", "/tmp/x.stamps", "--stamp-every", "3"], 2, /--stamp-every.*power of two/],
  [["--stamps", "/tmp/x.stamps", "--backend", "xdp_live"], 2, /--stamps with xdp_live/],
];

for (const [options, status, says] of REFUSED) {
  test(`refused: ${options.join(" ")}`, async () => {
    const ended = await caromHere("run", "--duration", "10ms", "--no-history", ...options);
    assert.is(ended.status, status, ended.stderr);
    assert.match(ended.stderr, says);
  });
}

for (const [path, says] of [
  ["/nowhere/x.stamps", /write the stamps \/nowhere\/x\.stamps: ENOENT/],
  ["/dev/null", /write the stamps \/dev\/null: it is no file/],
] as const) {
  backendTest(
    `a file of stamps that can't be written is told before anything is sent: ${path}`,
    ["af_packet"],
    async () => {
      const ended = await caromHere("run", "--backend", "af_packet", "--no-history", "--stamps", path);
      assert.is(ended.status, 3, ended.stderr);
      assert.match(ended.stderr, says);
    },
  );
}

test.run();
