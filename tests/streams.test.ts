/** What is special about a stream: its family, its VLAN and its code point, as they are on the wire. */

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Lab } from "../lab/lab.js";
import { openFrameSocket } from "../native/index.js";
import { decodeTick, encodeOrder, type Tick } from "../wire/codec.js";
import { type DecodedFrame, decodeFrame } from "../wire/decode.js";
import { buildFrame } from "../wire/frame.js";
import {
  assertAllRight,
  backendTest,
  carom,
  caromHere,
  FEED_BACKENDS,
  ROOMY,
  reportOf,
} from "./cli_support.js";
import { labTest, withLab } from "./lab_support.js";

interface Seen {
  readonly frame: DecodedFrame;
  readonly ticks: readonly Tick[];
}

/** Runs carom and gives the datagrams for a port that came to the lab's far end meanwhile. */
async function sniff(lab: Lab, port: number, ...args: string[]): Promise<Seen[]> {
  const socket = openFrameSocket({ link: lab.responder, holdPort: 0 });
  try {
    const ended = await carom(...args);
    assert.is(ended.status, 0, ended.stderr + ended.stdout);
    const frames = socket.receive().map(({ frame }) => decodeFrame(frame));
    return frames
      .filter(({ udp }) => udp?.destinationPort === port)
      .map((frame) => ({ frame, ticks: ticksOf(Buffer.from(frame.payload)) }));
  } finally {
    socket.close();
  }
}

function ticksOf(payload: Buffer): Tick[] {
  return Array.from({ length: payload.length / 24 }, (_, n) =>
    decodeTick(payload.subarray(24 * n, 24 * n + 24)),
  );
}

for (const backend of FEED_BACKENDS) {
  for (const group of ["239.1.1.1", "ff02::101"]) {
    backendTest(`${backend}: the code point is in every tick to ${group}`, [backend], () =>
      withLab({}, async (lab) => {
        const args = ["generate", "--lab", lab.name, "--backend", backend, "--multicast-group", group];
        const short = ["--rate", "2k", "--count", "50", "--warmup", "0"];
        for (const [name, traffic] of [
          ["EF", 184],
          ["CS3", 96],
          ["0", 0],
        ] as const) {
          const seen = await sniff(lab, 8080, ...args, ...short, "--dscp", name);
          assert.is(seen.length, 50);
          for (const { frame } of seen) {
            assert.is(frame.ip?.trafficClass, traffic, name);
            assert.equal(frame.problems, []);
          }
        }
      }),
    );
  }
}

const BRIEF = ["--duration", "150ms", "--warmup", "0"];

/** What tells ticks apart but for their timestamps. */
const contentOf = (seen: readonly Seen[]) =>
  seen.flatMap(({ ticks }) => ticks.map(({ symbol, price, quantity }) => `${symbol} ${price} ${quantity}`));

const sentTo = (seen: readonly Seen[], address: string) =>
  seen.filter(({ frame }) => frame.ip?.destination === address);

/** Writes a file for the time of an action. */
async function withFile(content: string, action: (path: string) => void | Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "carom-test-streams-"));
  try {
    const path = join(folder, "streams.yaml");
    writeFileSync(path, content);
    await action(path);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const twoStreams = (second: string) => `
- name: quotes
  rate: 4k
  seed: 21
  trigger_ratio: 0.5
  group: 239.1.1.5
  dscp: EF
- name: trades
  profile: steady
  scale: 0.02x
  seed: 22
  group: 239.1.1.6
  dscp: AF31
  ${second}
`;

for (const backend of FEED_BACKENDS) {
  for (const [threads, second] of [
    [1, ""],
    [2, "thread: 1"],
  ] as const) {
    backendTest(
      `${backend}, ${threads} threads: the streams of a file are those of runs of their own`,
      [backend],
      () =>
        withLab({ queues: 2 }, (lab) =>
          withFile(twoStreams(second), async (path) => {
            const generate = ["generate", "--lab", lab.name, "--backend", backend, ...BRIEF];
            const both = await sniff(lab, 8080, ...generate, "--streams", path);
            const quotes = sentTo(both, "239.1.1.5");
            const trades = sentTo(both, "239.1.1.6");
            assert.is(quotes.length, 600);
            assert.is(trades.length, 300);
            assert.is(both.length, 900);
            for (const { frame } of quotes) assert.is(frame.ip?.trafficClass, 46 << 2);
            for (const { frame } of trades) assert.is(frame.ip?.trafficClass, 26 << 2);
            const stamps = both.flatMap(({ ticks }) => ticks.map(({ timestamp }) => timestamp));
            assert.is(new Set(stamps).size, 900, "timestamps are unique in the run");
            const alone = ["--rate", "4k", "--seed", "21", "--trigger-ratio", "0.5"];
            assert.equal(contentOf(quotes), contentOf(await sniff(lab, 8080, ...generate, ...alone)));
            const other = ["--profile", "steady", "--scale", "0.02x", "--seed", "22"];
            assert.equal(contentOf(trades), contentOf(await sniff(lab, 8080, ...generate, ...other)));
          }),
        ),
    );

    for (const responder of backend === "af_xdp" ? ["af_xdp", "xdp"] : [backend]) {
      backendTest(
        `${backend} → ${responder}, ${threads} threads: each stream is judged by itself`,
        [backend],
        () =>
          withFile(twoStreams(second), async (path) => {
            const args = ["run", "--backend", backend, "--responder-backend", responder, ...BRIEF, ...ROOMY];
            const report = reportOf(await carom(...args, "--streams", path));
            assertAllRight(report);
            assert.is(report.ticks.sent, 900);
            const found = report.streams.map(({ name, thread, address, dscp, seed, profile, rate_pps }) => [
              name,
              thread,
              address,
              dscp,
              seed,
              profile,
              rate_pps,
            ]);
            assert.equal(found, [
              ["quotes", 0, "239.1.1.5", 46, "21", null, 4000],
              ["trades", threads - 1, "239.1.1.6", 26, "22", "steady", 2000],
            ]);
            for (const [index, sent] of [600, 300].entries()) {
              const { ticks, verdicts, latency } = report.streams[index]!;
              assert.is(ticks.sent, sent);
              assert.is(ticks.answered + ticks.quiet, sent);
              assert.is(verdicts.correct, ticks.answered);
              assert.is(latency?.actual.count, ticks.answered);
              assert.is(latency?.planned.count, ticks.answered);
            }
            // Half of the one's ticks, and nine tenths of the other's must be answered.
            const [quotes, trades] = report.streams.map(({ ticks }) => ticks.answered / ticks.sent);
            assert.ok(quotes! > 0.4 && quotes! < 0.6, `${quotes}`);
            assert.ok(trades! > 0.8 && trades! < 1, `${trades}`);
            const roles = report.interference.cores
              .map(({ role }) => role)
              .filter((role) => role.startsWith("gen"));
            assert.equal(
              roles,
              threads === 1 ? ["generator"] : ["generator, thread 0", "generator, thread 1"],
            );
          }),
      );
    }
  }

  backendTest(`${backend}: IPv4 and IPv6 at once`, [backend], () =>
    withFile(
      "- { rate: 2k, group: 239.1.1.7 }\n- { rate: 3k, group: 'ff02::107', thread: 1 }\n",
      async (path) => {
        const report = reportOf(
          await caromHere("run", "--backend", backend, ...BRIEF, ...ROOMY, "--streams", path),
        );
        assertAllRight(report);
        assert.equal(
          report.streams.map(({ name, address, seed, ticks }) => [name, address, seed, ticks.sent]),
          [
            ["1", "239.1.1.7", "1", 300],
            ["2", "ff02::107", "2", 450],
          ],
        );
      },
    ),
  );
}

/** A device in plain TypeScript: it answers each tick in the VLAN in which it came, and the first one in another, too. */
function startDevice(lab: Lab): () => number[] {
  const socket = openFrameSocket({ link: lab.responder, holdPort: 0 });
  const seen: number[] = [];
  const reply = ({ ethernet, ip, udp }: DecodedFrame, payload: Buffer, vlan: number | undefined) =>
    socket.send(
      buildFrame({
        ethernet: { source: lab.responder.mac, destination: ethernet!.source },
        vlans: vlan === undefined ? [] : [{ id: vlan }],
        ip: {
          version: ip!.version,
          source: ip!.version === 4 ? lab.responder.address4 : lab.responder.address6,
          destination: ip!.source,
          ttl: 16,
        },
        udp: { sourcePort: udp!.destinationPort, destinationPort: 9999 },
        payload,
      }),
    );
  const timer = setInterval(() => {
    for (const { frame } of socket.receive()) {
      const decoded = decodeFrame(frame);
      if (
        decoded.udp === undefined ||
        decoded.udp.destinationPort < 8080 ||
        decoded.udp.destinationPort > 8081
      )
        continue;
      const vlan = decoded.vlans[0]?.id;
      seen.push(vlan ?? -1);
      const [tick] = ticksOf(Buffer.from(decoded.payload));
      if (tick!.price >= 10_000) continue;
      const order = encodeOrder({
        symbol: tick!.symbol,
        price: tick!.price + 1,
        quantity: 100,
        side: 0,
        timestamp: 1n,
        clOrdId: tick!.timestamp.toString(16).padStart(16, "0"),
      });
      if (seen.length === 1) reply(decoded, order, 99);
      reply(decoded, order, vlan);
    }
  }, 1);
  return () => {
    clearInterval(timer);
    socket.close();
    return seen;
  };
}

/** All that the device sends comes in by queue 0; with two, a hash with a seed drawn at boot would choose. */
function answerByOneQueue({ responder: { namespace, interfaceName } }: Lab): void {
  execFileSync("nsenter", [`--net=${namespace}`, "ethtool", "-L", interfaceName, "tx", "1"], {
    stdio: "ignore",
  });
}

for (const backend of ["af_xdp", "af_packet"]) {
  for (const threads of [1, 2]) {
    backendTest(
      `${backend}, ${threads} threads: orders come in the VLAN of any stream, to one port`,
      [backend],
      () =>
        withLab({ queues: threads }, (lab) =>
          withFile(
            `
- { name: a, rate: 1k, group: 239.1.1.8, vlan: 7, trigger_ratio: 1, thread: ${threads - 1} }
- { name: b, rate: 1k, group: 'ff02::108', vlan: 8, port: 8081 }
- { name: c, rate: 1k, target: ${lab.responder.address4} }
`,
            async (path) => {
              answerByOneQueue(lab);
              const stop = startDevice(lab);
              try {
                const where = ["--lab", lab.name, "--no-responder", "--backend", backend];
                const report = reportOf(
                  await caromHere("run", ...where, ...BRIEF, ...ROOMY, "--streams", path),
                );
                const seen = stop();
                assertAllRight(report);
                for (const vlan of [7, 8, -1])
                  assert.is(seen.filter((id) => id === vlan).length, 150, `VLAN ${vlan}`);
                assert.equal(
                  report.streams.map(({ vlan, port, ticks }) => [vlan, port, ticks.sent]),
                  [
                    [7, 8080, 150],
                    [8, 8081, 150],
                    [-1, 8080, 150],
                  ],
                );
                assert.is(report.counters.generator.wrong_vlan, 1, "of a VLAN that no stream is in");
                const { handed, handed_in, handed_lost } = report.counters.generator;
                assert.is(handed, handed_in);
                assert.is(handed_lost, 0);
                assert.is(
                  handed,
                  threads === 2 ? 150 : 0,
                  "all orders come to thread 0; stream a is of thread 1",
                );
              } finally {
                stop();
              }
            },
          ),
        ),
    );
  }
}

const A = "- { rate: 1k }\n";

/** What is wrong, where that is, and what is said. */
const BAD_FILES: readonly (readonly [content: string, place: string, complaint: RegExp])[] = [
  ["", "1:1", /a list of 1 to 64 streams/],
  ["rate: 1k\n", "1:1", /a list of 1 to 64 streams/],
  [
    `${A}- { rates: 1k }\n`,
    "2:5",
    /"rates": no such key in a stream; allowed are: name, thread, profile, rate/,
  ],
  [`${A}- name: x\n`, "2:3", /neither profile nor rate/],
  ["- rate: 1k\n  profile: steady\n", "1:3", /both profile and rate/],
  ["- rate: 1k\n  group: 239.1.1.1\n  target: 198.18.0.2\n", "3:3", /both group and target/],
  ["- rate: 1k\n  group: 198.18.0.2\n", "2:10", /"198\.18\.0\.2" is not a multicast address/],
  ["- rate: 1k\n  dscp: AF99\n", "2:9", /"AF99" is not a code point/],
  ["- rate: 1k\n  vlan: 4095\n", "2:9", /"4095" is not a whole number from 1 to 4094/],
  ["- rate: 1k\n  thread: 16\n", "2:11", /"16" is not a whole number from 0 to 15/],
  [`${A}- rate: 1k\n  thread: 2\n`, "3:11", /threads are counted from 0, and there are only 2/],
  ["- rate: 1k\n  thread: 1\n", "2:11", /there are only 1/],
  ["- rate: 1k\n  name: x\n- rate: 1k\n  name: x\n", "4:9", /two streams have the name "x"/],
  [`${A}- profile: nope\n`, "2:3", /profile .*nope/],
  ["- profile: opening\n  feed_symbols: A,B\n", "1:3", /--feed-symbols with --profile/],
  ["- rate: 1k\n  scale_by: bursts\n", "1:3", /--scale-by/],
  ["- [rate, 1k]\n", "1:3", /a stream is a map with the keys/],
  ["- { rate: 1k\n", "2:1", /./],
];

test("a mistake in the file is told with line and column", () =>
  withFile("", async (path) => {
    for (const [content, place, complaint] of BAD_FILES) {
      writeFileSync(path, content);
      const ended = await caromHere("generate", "--interface", "lo", "--streams", path);
      assert.is(ended.status, 2, `${content}${ended.stderr}`);
      assert.ok(ended.stderr.includes(`${path}:${place}: `), `${content}: ${ended.stderr}`);
      assert.match(ended.stderr, complaint);
    }
  }));

/** What contradicts a file of streams, or several threads. */
const REFUSED: readonly (readonly [content: string, args: string, complaint: RegExp])[] = [
  [A, "--rate 1k", /--rate with --streams/],
  ["- rate: max\n", "", /:1:9: "max" is not a rate a second/],
  [A, "--profile steady", /--profile with --streams/],
  [A, "--window 2", /--window with --streams/],
  [A, "--scale 2x", /--scale with --streams/],
  [A + A, "--match fifo", /--match fifo with --streams/],
  ["- rate: 1k\n- { rate: 1k, thread: 1 }\n", "--strategy crossover", /remembers ticks in their order/],
  ["- rate: 1k\n- { rate: 1k, thread: 1 }\n", "--count 5", /threads do not count together/],
  [
    "- rate: 1k\n- { rate: 1k, source_port: 7 }\n",
    "--backend udp",
    /udp sends from one socket for each thread/,
  ],
  ["- rate: 8M\n- rate: 8M\n", "", /--streams: together they are 1\.15 times what the link carries/],
  ["- { rate: 1k, vlan: 7 }\n", "--backend udp", /udp does not see VLAN tags/],
  ["- rate: 1k\n- { rate: 1k, port: 8081 }\n", "", /takes ticks on one port, not 8080,8081/],
  ["- rate: 1k\n- { rate: 1k, vlan: 8 }\n", "", /in one VLAN, the streams are in several/],
  [
    "- rate: 1k\n  target: 198.18.0.2\n",
    "--response-port 65535 --multicast-group nonsense",
    /--multicast-group/,
  ],
];

for (const [content, args, complaint] of REFUSED) {
  labTest(`refused: ${args} with ${JSON.stringify(content)}`, () =>
    withFile(content, async (path) => {
      const ended = await caromHere(
        "run",
        "--streams",
        path,
        ...args.split(" ").filter((word) => word !== ""),
      );
      assert.is(ended.status, 2, ended.stdout + ended.stderr);
      assert.match(ended.stderr, complaint);
    }),
  );
}

test("a file that is not there is told of", async () => {
  const ended = await caromHere("generate", "--interface", "lo", "--streams", "/nonexistent.yaml");
  assert.is(ended.status, 2);
  assert.match(ended.stderr, /streams \/nonexistent\.yaml: ENOENT/);
});

test.run();
