/** The search for the limit, against simulated devices: what it reports, how exact it is and how long it takes. */

import { test } from "uvu";
import * as assert from "uvu/assert";
import { findLimit, type SearchRange, type SearchResult, type Trial, type Verdict } from "../run/search.js";
import { seeded } from "./random.js";

const RANGE: SearchRange = { min_pps: 1000, max_pps: 13_888_888, resolution: 0.01 };
const MOST_TRIALS = 40; // whatever the device does

type Device = (rate_pps: number) => { readonly verdict: Verdict; readonly carried_pps: number };

/** Random numbers from 0 to 1. */
function unit(seed: number): () => number {
  const below = seeded(seed);
  return () => below(1e9) / 1e9;
}

/** One that loses what is beyond its capacity. */
const upTo =
  (capacity_pps: number): Device =>
  (rate_pps) => ({
    verdict: rate_pps <= capacity_pps ? "pass" : "loss",
    carried_pps: Math.min(rate_pps, capacity_pps),
  });

async function search(device: Device, range: Partial<SearchRange> = {}, stopAfter = Infinity) {
  const asked: { rate_pps: number; kind: string }[] = [];
  const result = await findLimit<Trial>({ ...RANGE, ...range }, async (rate_pps, kind) => {
    if (asked.length >= stopAfter) return null;
    asked.push({ rate_pps, kind });
    return { rate_pps, ...device(rate_pps) };
  });
  const { min_pps, max_pps } = { ...RANGE, ...range };
  for (const { rate_pps } of asked) {
    assert.ok(
      Number.isInteger(rate_pps) && rate_pps >= min_pps && rate_pps <= max_pps,
      `${rate_pps} was tried`,
    );
  }
  assert.equal(
    result.trials.map(({ rate_pps }) => rate_pps),
    asked.map(({ rate_pps }) => rate_pps),
  );
  assert.ok(asked.length <= MOST_TRIALS, `${asked.length} trials`);
  return { ...result, asked };
}

/** What is reported was itself tried and passed, and what is said to have failed did. */
function assertHonest({
  pps,
  failed,
  confirmed,
  trials,
  asked,
}: SearchResult<Trial> & { asked: { kind: string }[] }) {
  const passes = trials.filter(({ rate_pps, verdict }) => rate_pps === pps && verdict === "pass");
  if (pps > 0) assert.ok(passes.length > 0, `${pps} passed`);
  if (confirmed) {
    const isFinal = trials.some(
      ({ rate_pps, verdict }, index) =>
        rate_pps === pps && verdict === "pass" && asked[index]!.kind === "confirm",
    );
    assert.ok(isFinal, `${pps} passed a trial of full length`);
  }
  if (failed !== null) {
    assert.is.not(failed.verdict, "pass");
    assert.ok(failed.rate_pps > pps);
  }
}

test("the limit of a steady device is found to the resolution, from above, in few trials", async () => {
  for (const resolution of [0.1, 0.01, 0.001]) {
    for (const capacity of [1000, 1001, 5432, 77_777, 1_000_000, 1_234_567, 9_999_999, 13_800_000]) {
      const found = await search(upTo(capacity), { resolution });
      assertHonest(found);
      assert.ok(found.confirmed, `${capacity}`);
      assert.ok(
        found.pps <= capacity && found.pps >= capacity * (1 - resolution) - 1,
        `${found.pps} of ${capacity}`,
      );
      assert.ok(found.failed!.rate_pps - found.pps <= resolution * found.failed!.rate_pps + 1);
      assert.ok(found.asked.length <= 20, `${found.asked.length} trials for ${capacity} to ${resolution}`);
    }
  }
});

test("a device that says nothing of how much it carries takes no more trials than halving", async () => {
  const silent: Device = (rate_pps) => ({ verdict: rate_pps <= 654_321 ? "pass" : "loss", carried_pps: 0 });
  const found = await search(silent);
  assertHonest(found);
  assert.ok(found.pps <= 654_321 && found.pps >= 654_321 * 0.99 - 1, `${found.pps}`);
});

test("the highest rate is tried first, and is the limit when it passes", async () => {
  const found = await search(upTo(20e6));
  assert.equal(found.asked, [
    { rate_pps: 13_888_888, kind: "search" },
    { rate_pps: 13_888_888, kind: "confirm" },
  ]);
  assert.is(found.pps, 13_888_888);
  assert.is(found.failed, null);
});

test("a device that answers nothing has the limit 0, after two trials", async () => {
  const found = await search(() => ({ verdict: "loss", carried_pps: 0 }));
  assert.is(found.pps, 0);
  assert.is(found.confirmed, false);
  assert.equal(
    found.asked.map(({ rate_pps }) => rate_pps),
    [13_888_888, 1000],
  );
});

test("one whose every rate fails although most gets through has the limit 0, too", async () => {
  const found = await search((rate_pps) => ({ verdict: "loss", carried_pps: 0.9 * rate_pps }));
  assert.is(found.pps, 0);
  assert.is(found.asked.at(-1)!.rate_pps, 1000, "the lowest was tried");
});

test("the lowest rate that fails above the limit says whether the device or the sender ended it", async () => {
  const limited = (sender_pps: number, device_pps: number): Device => {
    return (rate_pps) => ({
      verdict: rate_pps > sender_pps ? "sender" : rate_pps > device_pps ? "loss" : "pass",
      carried_pps: Math.min(rate_pps, sender_pps, device_pps),
    });
  };
  const bySender = await search(limited(1_000_000, 5_000_000));
  assert.is(bySender.failed!.verdict, "sender");
  assert.ok(bySender.pps <= 1_000_000 && bySender.pps >= 990_000 - 1);
  const byDevice = await search(limited(5_000_000, 1_000_000));
  assert.is(byDevice.failed!.verdict, "loss");
  assert.ok(byDevice.pps <= 1_000_000 && byDevice.pps >= 990_000 - 1);
});

test("a noisy device gets no rate that did not pass a trial of full length, and the search ends", async () => {
  for (let seed = 1; seed <= 200; seed++) {
    const next = unit(seed);
    const noisy: Device = (rate_pps) => {
      const capacity = 1_000_000 * (0.9 + 0.2 * next());
      return upTo(next() < 0.1 ? capacity / 2 : capacity)(rate_pps);
    };
    const found = await search(noisy);
    assertHonest(found);
    assert.ok(found.pps > 0 && found.confirmed, `seed ${seed}: ${found.pps}`);
    assert.ok(found.pps <= 1_100_000, `seed ${seed}: ${found.pps}`);
    assert.ok(found.failed!.rate_pps <= 13_888_888);
  }
});

test("one that never says the same twice ends as well", async () => {
  for (let seed = 1; seed <= 500; seed++) {
    const next = unit(seed);
    const verdicts = ["pass", "loss", "wrong", "sender"] as const;
    assertHonest(
      await search((rate_pps) => ({
        verdict: verdicts[Math.floor(next() * 4)]!,
        carried_pps: next() * 2 * rate_pps,
      })),
    );
  }
});

test("a device with a hole below its limit gets a rate that passed", async () => {
  const hole: Device = (rate_pps) =>
    rate_pps > 400_000 && rate_pps < 600_000
      ? { verdict: "loss", carried_pps: 0.99 * rate_pps }
      : upTo(1_000_000)(rate_pps);
  const found = await search(hole);
  assertHonest(found);
  assert.ok(found.pps >= 990_000 - 1 || found.pps <= 400_000, `${found.pps}`);
});

test("what passes the search and not its confirmation is lowered until it passes", async () => {
  let trials = 0;
  const found = await search((rate_pps) => {
    // Short trials do not see that the buffers fill.
    const capacity = trials++ < 1 ? 13_888_888 : 8_000_000;
    return upTo(capacity)(rate_pps);
  });
  assertHonest(found);
  assert.equal(
    found.asked.slice(0, 2).map(({ kind }) => kind),
    ["search", "confirm"],
  );
  assert.ok(found.pps <= 8_000_000 && found.pps >= 7_920_000 - 1, `${found.pps}`);
  assert.ok(found.confirmed);
});

test("stopped, it reports what had passed by then, not confirmed", async () => {
  for (let after = 0; after < 8; after++) {
    const found = await search(upTo(5_000_000), {}, after);
    assertHonest(found);
    assert.ok(found.trials.length <= after);
    if (after < 2) assert.is(found.pps, 0);
  }
  const early = await search(upTo(5_000_000), {}, 2);
  assert.ok(early.pps > 0 && !early.confirmed, `${early.pps}`);
});

test.run();
