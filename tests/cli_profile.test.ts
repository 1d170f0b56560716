/** carom profile, and profiles on the wire: the same frames whatever the backend, and runs whose balances hold. */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { feedOf } from "../generator/feed.js";
import { sampleFeed } from "../native/index.js";
import { decodeTick } from "../wire/codec.js";
import {
  assertAllRight,
  backendsOf,
  backendTest,
  carom,
  jsonOf,
  LISTENER,
  launchIn,
  ROOMY,
  reportOf,
} from "./cli_support.js";
import { labTest, withLab } from "./lab_support.js";

const PROFILE = `
seed: 11
arrival:
  sum:
    - poisson: { rate: 400 }
    - bursts: { count: 20, every: 50ms }
    - hawkes: { rate: 50, branching: 0.5, decay: 1ms }
    - curve: { file: curve.csv }
symbols: { count: 50, exponent: 1 }
prices: { low: 9900, high: 10100, step: 3 }
quantity: { lot: 10, min: 10, max: 70 }
trigger_ratio: 0.3
`;

async function withProfile(action: (path: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "carom-profile-"));
  try {
    writeFileSync(join(folder, "mine.yaml"), PROFILE);
    writeFileSync(join(folder, "curve.csv"), "time,rate\n0,100\n0.2,0\n0.3,500\n0.5,0\n");
    await action(join(folder, "mine.yaml"));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test("carom profile draws: text, JSON and SVG", () =>
  withProfile(async (path) => {
    const listed = await carom("profile");
    assert.is(listed.status, 0);
    for (const name of ["line-rate", "microburst", "opening", "rfc2544", "steady"])
      assert.match(listed.stdout, name);
    const svg = `${path}.svg`;
    const drawn = await carom("profile", path, "--duration", "5s", "--svg", svg);
    assert.is(drawn.status, 0, drawn.stderr);
    for (const says of [
      "carom profile mine · 5 s · seed 11",
      "in 1 ms",
      "gaps",
      "top 10",
      "ticks a second, over time",
    ]) {
      assert.ok(drawn.stdout.includes(says), drawn.stdout);
    }
    assert.match(readFileSync(svg, "utf8"), /^<svg .*mine.*<\/svg>\n$/s);
    const found = jsonOf(await carom("profile", path, "--duration", "5s", "--scale", "2x", "--json"));
    assert.is(found.schema, "carom.profile");
    assert.is(found.offered_pps, 2 * (400 + 400 + 100 + 240));
    assert.ok(Math.abs((found.rate_pps as number) / (found.offered_pps as number) - 1) < 0.15);
  }));

test("packing, lines and impairment are told in words", () =>
  withProfile(async (path) => {
    const shape = [
      "arrival: { constant: { rate: 100k } }",
      "packing: { within: 35us, most: 9 }",
      "lines:",
      "  a: { loss: 0.1%, corrupt: { ratio: 1%, bytes: 8-11 } }",
      "  b: { group: 239.1.1.2, skew: 20us, duplicate: 2%, reorder: { ratio: 3%, by: 4 }, delay: 1ms, jitter: 50us }",
    ];
    writeFileSync(path, shape.join("\n"));
    const { status, stdout, stderr } = await carom("profile", path, "--duration", "1s");
    assert.is(status, 0, stderr);
    for (const says of [
      "up to 9 in a datagram, within 35 µs of the first",
      "4.00 ticks each on average", // at 0, 10, 20 and 30 µs
      "line A      0.1 % lost, 1 % with bytes 8 to 11 changed",
      "line B      group 239.1.1.2, 20 µs behind, 2 % twice, 3 % overtaken by 4, 1 ms later, up to 50 µs of jitter",
    ]) {
      assert.ok(stdout.includes(says), stdout);
    }
    assert.match(
      (await carom("profile", "rfc2544", "--duration", "10ms")).stdout,
      /70, 128, .*1518 bytes with the FCS/,
    );
  }));

labTest("bad usage of a profile is told with exit status 2", () =>
  withProfile(async (path) => {
    writeFileSync(path, "arrival:\n  poisson: { rate: fast }\n");
    const bad = await carom("profile", path);
    assert.is(bad.status, 2);
    assert.ok(bad.stderr.includes(`${path}:2:20: "fast" is not a rate a second`), bad.stderr);
    for (const [args, says] of [
      [["run", "--profile", path], /mine\.yaml:2:20/],
      [["run", "--profile", "steady", "--rate", "1k"], /--rate with --profile/],
      [["run", "--profile", "steady", "--window", "2"], /--profile with --window/],
      [["run", "--scale", "2x"], /there is nothing to scale/],
      [["run", "--profile", "none"], /there is no such profile/],
      [["profile", "steady", "--svg", "/nowhere/a.svg"], /write \/nowhere\/a\.svg: ENOENT/],
    ] as const) {
      const { status, stderr } = await carom(...args);
      assert.is(status, args[0] === "profile" ? 3 : 2, stderr);
      assert.match(stderr, says);
    }
  }),
);

const TICKS = 400;

/** What a plain socket receives of a profile: the ticks, their timestamps counted from the first. */
async function received(backend: string, path: string) {
  const ticks: ReturnType<typeof decodeTick>[] = [];
  await withLab({}, async (lab) => {
    const listener = launchIn(lab.responder.namespace, LISTENER);
    try {
      await listener.said("ready");
      const end = ["--count", String(TICKS), "--warmup", "0", "--backend", backend, "--json"];
      const ended = await carom("generate", "--lab", lab.name, "--profile", path, ...end);
      assert.is(ended.status, 0, ended.stderr);
      await listener.printed(1 + TICKS);
      listener.child.kill("SIGTERM");
      const lines = (await listener.end).stdout.trim().split("\n").slice(1);
      ticks.push(...lines.map((line) => decodeTick(Buffer.from(line, "hex"))));
    } finally {
      listener.child.kill("SIGKILL");
    }
  });
  const first = ticks[0]?.timestamp ?? 0n;
  return ticks.map((tick) => ({ ...tick, timestamp: Number(tick.timestamp - first) }));
}

const backends = backendsOf("generator");
backendTest(
  `the same frames from each of ${backends.join(", ")}, and those that were planned`,
  backends,
  () =>
    withProfile(async (path) => {
      const values = {
        profile: path,
        scale: undefined,
        scaleBy: undefined,
        linkSpeed: 10e9,
        threshold: 10_000,
      };
      const feed = feedOf(values, "", undefined);
      const { planned_ns, symbols, prices, quantities } = sampleFeed(feed.schedule, feed.ticks)(TICKS);
      let last = -1;
      const planned = Array.from(planned_ns, (time, index) => {
        // Of two at the same time the second is stamped a ns later.
        last = Math.max(last + 1, time - planned_ns[0]!);
        const symbol = feed.ticks.symbols[symbols[index]!]!;
        return { symbol, price: prices[index]!, quantity: quantities[index]!, timestamp: last };
      });
      for (const backend of backends) assert.equal(await received(backend, path), planned, backend);
    }),
);

for (const args of [
  ["--profile", "steady", "--scale", "0.2x"],
  ["--profile", "opening"],
  ["--profile", "opening", "--scale", "4x", "--scale-by", "bursts"],
]) {
  labTest(`carom run ${args.join(" ")}: all is right, and the balances hold`, async () => {
    const ended = await carom("run", ...args, "--duration", "1s", ...ROOMY);
    const report = reportOf(ended);
    assert.is(ended.status, 0, ended.stderr);
    assertAllRight(report);
    assert.match(ended.stderr, new RegExp(`open loop, profile ${args[1]}`));
  });
}

test.run();
