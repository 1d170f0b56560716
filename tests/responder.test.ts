/** Every backend of the responder gives the same orders for the same stream, whatever the strategy. */

import { test } from "uvu";
import * as assert from "uvu/assert";
import { resolveValues } from "../config/file.js";
import { STRATEGY_NAMES } from "../config/strategy_rules.js";
import { createLab, type Lab } from "../lab/lab.js";
import type { CaromError } from "../native/error.js";
import {
  attachXdpPass,
  type Counters,
  openFrameSocket,
  openResponder,
  strategyNames,
} from "../native/index.js";
import { responderConfig, responderOptions } from "../responder/config.js";
import { multicastMac } from "../wire/address.js";
import { decodeOrder, decodeTick, encodeTick } from "../wire/codec.js";
import { decodeFrame } from "../wire/decode.js";
import { buildFrame, type FrameFields } from "../wire/frame.js";
import { labTest, PATIENCE_MS } from "./lab_support.js";

const GROUPS = ["239.1.1.1", "239.129.7.2", "239.129.7.3"]; // the last one is nobody's
const GROUPS6 = ["ff02::101", "ff02::1:102", "ff02::1:103"];
const NOBODYS = ["224.0.0.1", "255.255.255.255"] as const; // addresses that no sender has
const FRAMES = 400;
const WAIT_MS = PATIENCE_MS; // for what was sent to be counted
const SETTLE_MS = 100; // for what must not come, and between looks whether more has come
const BACKENDS = ["af_xdp", "xdp", "af_packet", "udp"];
const STATEFUL = ["crossover", "book"];

/** A small generator of numbers: the same seed gives the same stream (Park and Miller, 1988). */
function numbers(seed: number) {
  let state = seed;
  return (below: number) => {
    state = (state * 48271) % 2147483647;
    return state % below;
  };
}

type Next = ReturnType<typeof numbers>;

function anyTick(next: Next, symbols: readonly string[], number: number): Buffer {
  return encodeTick({
    symbol: symbols[next(symbols.length)]!,
    price: 9000 + next(2000),
    quantity: 1 + next(1000),
    timestamp: 1_700_000_000_000_000_000n + BigInt(number),
  });
}

/** Frames of every kind: single ticks, several, partial ones, both families, and things that must not be answered. */
function mixedStream(lab: Lab, seed: number): Buffer[] {
  const next = numbers(seed);
  const { generator: from, responder: to } = lab;
  return Array.from({ length: FRAMES }, (_, index) => {
    const tick = (extra: number) => anyTick(next, ["AAPL", "MSFT", "GOOG"], index * 10 + extra);
    const kind = next(14);
    const ticks = kind === 0 ? [tick(0), tick(1), tick(2)] : [tick(0)];
    const payload = Buffer.concat(kind === 1 ? [...ticks, Buffer.alloc(7, 1)] : ticks);
    const isMulticast = next(2) === 0;
    const v6 = kind === 2 || kind === 9;
    const group = (v6 ? GROUPS6 : GROUPS)[next(3)]!;
    const fields: FrameFields = {
      ethernet: { source: from.mac, destination: isMulticast ? multicastMac(group)! : to.mac },
      vlans: kind === 7 ? [{ id: 0, priority: next(8) }] : [],
      ip: {
        version: v6 ? 6 : 4,
        source: kind === 8 ? NOBODYS[next(2)]! : v6 ? from.address6 : from.address4,
        destination: isMulticast ? group : v6 ? to.address6 : to.address4,
        ttl: 16,
        ...(kind === 3 && !isMulticast && { checksum: "bad" as const }),
      },
      udp: {
        sourcePort: 5000,
        destinationPort: kind === 4 ? 8081 : 8080,
        ...(kind === 5 && { checksum: "bad" as const }),
        ...(kind === 6 && { checksum: "zero" as const }),
      },
      payload,
    };
    return buildFrame(fields);
  });
}

type Way = "IPv4" | "IPv6" | "VLAN" | "priority" | "options";

function tickFrame({ generator: from, responder: to }: Lab, way: Way, payload: Buffer): Buffer {
  const v6 = way === "IPv6";
  return buildFrame({
    ethernet: { source: from.mac, destination: to.mac },
    vlans: way === "VLAN" || way === "priority" ? [{ id: way === "VLAN" ? 7 : 0, priority: 5 }] : [],
    ip: {
      version: v6 ? 6 : 4,
      source: v6 ? from.address6 : from.address4,
      destination: v6 ? to.address6 : to.address4,
      ttl: 16,
      ...(way === "options" && { options: Buffer.from([1, 1, 1, 0]) }),
    },
    udp: { sourcePort: 5000, destinationPort: 8080 },
    payload,
  });
}

/** Good datagrams of one tick each, of six symbols. */
function plainStream(lab: Lab, way: Way, seed: number): Buffer[] {
  const next = numbers(seed);
  const symbols = ["AAPL", "MSFT", "GOOG", "AMZN", "NVDA", "META"];
  return Array.from({ length: FRAMES }, (_, index) => tickFrame(lab, way, anyTick(next, symbols, index)));
}

interface Answer {
  readonly headers: string; // everything in front of the payload but the UDP checksum, which covers the order's time
  readonly order: string;
}

interface Answers {
  readonly answers: readonly Answer[];
  readonly counters: Counters;
}

type Settings = Readonly<Record<string, string>>;

interface Stream {
  readonly frames: (lab: Lab) => readonly Buffer[];
  readonly pause_ms?: number; // after every 16 frames
  readonly ticks?: number; // all that must be counted; without it, it is waited for the last one
}

const CODE_POINTS: Readonly<Record<string, number>> = { EF: 46, AF41: 34 };

/** What a responder of its own makes of a stream. */
async function play(backend: string, settings: Settings, stream: Stream): Promise<Answers> {
  const lab = createLab();
  const texts = new Map(
    Object.entries({ backend, ...settings }).map(([name, text]) => [name, { text, place: "test" }]),
  );
  const responder = openResponder(responderConfig(lab.responder, resolveValues(responderOptions, texts)));
  const detach = backend === "xdp" ? attachXdpPass(lab.generator) : undefined;
  const socket = openFrameSocket({ link: lab.generator, holdPort: 9999 });
  const sleep = (time_ms: number) => new Promise((resolve) => setTimeout(resolve, time_ms));
  try {
    responder.start(() => {});
    const answers: Answer[] = [];
    const collect = () => {
      for (const { frame } of socket.receive()) {
        const decoded = decodeFrame(frame);
        if (decoded.udp?.destinationPort !== 9999) continue;
        assert.equal(decoded.problems, []);
        const codePoint = CODE_POINTS[settings.dscp ?? ""] ?? 0;
        assert.is(decoded.ip?.trafficClass, codePoint << 2, `${backend}: code point, and no ECN`);
        const payload = Buffer.from(decoded.payload);
        const headers = Buffer.from(frame.subarray(0, frame.length - payload.length - 2));
        const { timestamp, ...order } = decodeOrder(payload);
        const age_ms = Number(BigInt(Date.now()) - timestamp / 1_000_000n);
        assert.ok(Math.abs(age_ms) < PATIENCE_MS, `order made ${age_ms} ms ago`);
        answers.push({ headers: headers.toString("hex"), order: JSON.stringify(order) });
      }
    };
    for (const [index, frame] of stream.frames(lab).entries()) {
      socket.send(frame);
      if (index % 16 === 15 && stream.pause_ms !== 0) await sleep(stream.pause_ms ?? 2);
      collect();
    }
    const { ticks = Number.POSITIVE_INFINITY } = stream;
    const isDone = () => (responder.counters().ticks ?? 0) >= ticks || ticks === Number.POSITIVE_INFINITY;
    for (const end = performance.now() + WAIT_MS; !isDone() && performance.now() < end; ) {
      await sleep(10);
      collect();
    }
    // Nothing more comes, and nothing more is counted.
    for (let [before, looks] = ["", 0]; looks < (ticks === Number.POSITIVE_INFINITY ? 4 : 1); ) {
      await sleep(SETTLE_MS);
      collect();
      const { frames, ticks: seen, orders, filtered } = responder.counters(); // others go on with time
      const now = JSON.stringify([answers.length, frames, seen, orders, filtered]);
      looks = now === before || ticks !== Number.POSITIVE_INFINITY ? looks + 1 : 0;
      before = now;
    }
    const soon = responder.counters();
    const { counters } = responder.result();
    if (backend === "xdp") assert.is(soon.filtered, counters.filtered, "filtered is known with the frames");
    assert.is(counters.orders, answers.length, `${backend}: orders counted and received`);
    if (ticks !== Number.POSITIVE_INFINITY) assert.is(counters.ticks, ticks, `${backend}: ticks`);
    const n = (name: string) => counters[name] ?? 0;
    const unanswered = ["quiet_ticks", "orders_limited", "symbol_over_limit", "undecidable"];
    const sum = unanswered.reduce((total, name) => total + n(name), answers.length);
    assert.is(n("ticks"), sum, `${backend}: each tick is counted once`);
    return { answers, counters };
  } finally {
    socket.close();
    detach?.();
    responder.close();
    lab.down();
  }
}

const orderOf = ({ order }: Answer) => order;
const wholeOf = ({ headers, order }: Answer) => headers + order;

const THRESHOLD = {
  symbols: "AAPL,MSFT",
  priceOffset: "-3",
  side: "sell",
  multicastGroup: [...GROUPS.slice(0, 2), ...GROUPS6.slice(0, 2)].join(","),
};

for (const seed of [7, 11]) {
  labTest(`one stream, the same orders from every backend (seed ${seed})`, async () => {
    const mixed: Stream = { frames: (lab) => mixedStream(lab, seed) };
    const { answers: reference } = await play("af_xdp", THRESHOLD, mixed);
    assert.ok(reference.length > FRAMES / 6, `${reference.length} orders`);
    // Orders of a batch that went up to user space may pass those made in the kernel: compared as a set.
    for (const backend of ["xdp", "af_packet", "udp"]) {
      const { answers } = await play(backend, THRESHOLD, mixed);
      assert.equal(answers.map(orderOf).sort(), reference.map(orderOf).sort(), backend);
      if (backend === "udp") continue; // its headers are the kernel's
      assert.equal(answers.map(wholeOf).sort(), reference.map(wholeOf).sort(), `${backend}: headers`);
    }
  });
}

test("the table of strategies is the same on both sides", () => {
  assert.equal(strategyNames(), [...STRATEGY_NAMES]);
});

const AVERAGES = { strategy: "crossover", fast: "2", slow: "7", priceOffset: "-3" };
const BOOK = { strategy: "book", spread: "700", quantity: "7" };

/** Settings, the way there, and whether there are more symbols than the responder has room for. */
const STREAMS: readonly (readonly [settings: Settings, way: Way, hasRoom: boolean])[] = [
  [{ strategy: "threshold", symbols: "AAPL,META", dscp: "EF" }, "IPv4", true],
  [{ strategy: "echo", side: "sell", symbols: "AAPL,MSFT,GOOG", dscp: "AF41" }, "IPv6", true],
  [AVERAGES, "IPv4", true],
  [{ ...AVERAGES, symbols: "4" }, "IPv6", false],
  [{ ...AVERAGES, symbols: "NVDA,META" }, "VLAN", true],
  [BOOK, "IPv6", true],
  [{ ...BOOK, symbols: "4" }, "IPv4", false],
  [{ ...BOOK, symbols: "4" }, "VLAN", false],
];

for (const [settings, way, hasRoom] of STREAMS) {
  const name = Object.entries(settings)
    .map(([key, value]) => `${key} ${value}`)
    .join(", ");
  labTest(
    `single ticks over ${way}, the same orders in the same order from every backend: ${name}`,
    async () => {
      const given = way === "VLAN" ? { ...settings, vlan: "7" } : settings;
      const stream: Stream = { frames: (lab) => plainStream(lab, way, 5), ticks: FRAMES };
      const reference = await play("af_xdp", given, stream);
      const { counters } = reference;
      assert.ok(reference.answers.length > FRAMES / 40, `${reference.answers.length} orders`);
      assert.ok(counters.quiet_ticks! > 0 || !hasRoom, "and ticks that give none");
      assert.is(counters.symbol_over_limit! > 0, !hasRoom, "symbols without room");
      for (const backend of BACKENDS.slice(1)) {
        if (backend === "udp" && way === "VLAN") continue; // tags are the kernel's
        const found = await play(backend, given, stream);
        assert.equal(found.answers.map(orderOf), reference.answers.map(orderOf), backend);
        for (const counter of ["quiet_ticks", "symbol_over_limit", "undecidable"])
          assert.is(found.counters[counter], counters[counter], `${backend}: ${counter}`);
        if (backend === "udp") continue;
        assert.equal(found.answers.map(wholeOf), reference.answers.map(wholeOf), `${backend}: headers`);
      }
    },
  );
}

/** A filter, what it wants of a tick, and whether a socket can have it. */
const FILTERS: readonly (readonly [expression: string, way: Way, wants: RegExp, ofSockets: boolean])[] = [
  ["udp and symbol in (AAPL, META) and not price >= 95.00", "IPv4", /AAPL 9[0-4]|META 9[0-4]/, false],
  ["ip6[48:4] = 0x4d534654", "IPv6", /MSFT/, true],
  ["vlan 7 and symbol != NVDA", "VLAN", /AAPL|MSFT|GOOG|AMZN|META/, false],
  ["vlan and symbol MSFT", "priority", /MSFT/, false], // a socket's filter sees no tags
];

for (const [filter, way, wants, ofSockets] of FILTERS) {
  labTest(`over ${way}, every backend takes what the filter wants: ${filter}`, async () => {
    const next = numbers(5);
    const symbols = ["AAPL", "MSFT", "GOOG", "AMZN", "NVDA", "META"];
    const ticks = Array.from({ length: FRAMES }, (_, index) => anyTick(next, symbols, index));
    const wanted = ticks
      .map((tick) => decodeTick(tick))
      .filter(({ symbol, price }) => wants.test(`${symbol} ${price}`));
    assert.ok(wanted.length > FRAMES / 20 && wanted.length < FRAMES, `${wanted.length} are wanted`);
    const stream: Stream = { frames: (lab) => plainStream(lab, way, 5), ticks: wanted.length };
    const settings = { strategy: "echo", filter, ...(way === "VLAN" && { vlan: "7" }) };
    for (const backend of BACKENDS) {
      if (backend === "udp" && /VLAN|priority/.test(way)) continue; // tags are the kernel's
      const { answers, counters } = await play(backend, settings, stream);
      const answered = answers.map(({ order }) => (JSON.parse(order) as { clOrdId: string }).clOrdId);
      const must = wanted.map(({ timestamp }) => timestamp.toString(16).padStart(16, "0"));
      assert.equal(answered, must, backend);
      assert.is(counters.frames, wanted.length, `${backend}: frames`);
      const uncounted = backend === "af_packet" && ofSockets; // by the kernel
      assert.is(counters.filtered, uncounted ? 0 : FRAMES - wanted.length, `${backend}: filtered`);
    }
  });
}

labTest("a filter finds the tick behind IP options, over kernel sockets, too", async () => {
  const stream: Stream = { frames: (lab) => plainStream(lab, "options", 5) };
  const settings = { strategy: "echo", filter: "symbol MSFT" };
  const { counters } = await play("af_packet", settings, stream);
  assert.ok(counters.ip_options! > FRAMES / 20 && counters.ip_options! < FRAMES / 2);
  const { counters: ofSockets } = await play("udp", settings, stream);
  assert.is(ofSockets.ip_options, counters.ip_options);
  assert.is(ofSockets.frames! + ofSockets.filtered!, FRAMES);
});

labTest("a filter that is more than the driver takes is the thread's, or refused", async () => {
  // Prices of an even number of cents.
  const terms = Array.from({ length: 20_000 }, (_, index) => `price = ${(90 + index / 50).toFixed(2)}`);
  const settings = { strategy: "echo", filter: terms.join(" or ") };
  const next = numbers(5);
  const symbols = ["AAPL", "MSFT", "GOOG", "AMZN", "NVDA", "META"];
  const sent = Array.from({ length: FRAMES }, (_, index) => decodeTick(anyTick(next, symbols, index)));
  const ticks = sent.filter(({ price }) => price % 2 === 0).length;
  const stream: Stream = { frames: (lab) => plainStream(lab, "IPv4", 5), ticks };
  const { counters } = await play("af_xdp", settings, stream);
  assert.is(counters.filtered, FRAMES - ticks);
  assert.is(counters.frames, ticks);
  await play("xdp", settings, stream).then(
    () => assert.unreachable("xdp has no thread for it"),
    (error: CaromError) => assert.match(`${error.detail}; ${error.hint}`, /longer than the kernel.*af_xdp/),
  );
});

labTest("a filter in the driver leaves what is not for the port to the kernel", async () => {
  const mixed: Stream = { frames: (lab) => mixedStream(lab, 7) };
  for (const backend of ["af_xdp", "xdp"]) {
    const without = await play(backend, THRESHOLD, mixed);
    const { answers, counters } = await play(backend, { ...THRESHOLD, filter: "symbol AAPL" }, mixed);
    const ofApple = (all: readonly Answer[]) => all.filter(({ order }) => order.includes('"AAPL"')).length;
    assert.ok(ofApple(answers) > 10 && ofApple(answers) <= ofApple(without.answers), backend); // some are packed
    assert.ok(answers.length < without.answers.length, `${backend}: ${answers.length} orders`);
    assert.is(counters.passed_on, without.counters.passed_on, `${backend}: passed on`);
    assert.is(counters.frames! + counters.filtered!, without.counters.frames, `${backend}: all are counted`);
  }
});

for (const strategy of STATEFUL) {
  labTest(`${strategy} in the kernel: what it can't decide is counted, and changes nothing`, async () => {
    const settings = strategy === "book" ? BOOK : AVERAGES;
    const several = (lab: Lab): Buffer[] => {
      const next = numbers(3);
      return plainStream(lab, "IPv4", 5).flatMap((frame, index) => {
        const ticks = [1, 2, 3].map((extra) => anyTick(next, ["AAPL", "MSFT"], 10_000 + index * 3 + extra));
        return index % 4 === 0 ? [tickFrame(lab, "IPv4", Buffer.concat(ticks)), frame] : [frame];
      });
    };
    const alone = await play("xdp", settings, {
      frames: (lab) => plainStream(lab, "IPv4", 5),
      ticks: FRAMES,
    });
    const undecidable = (FRAMES / 4) * 3;
    const found = await play("xdp", settings, { frames: several, ticks: FRAMES + undecidable });
    assert.is(found.counters.undecidable, undecidable);
    assert.equal(found.answers.map(orderOf), alone.answers.map(orderOf));
  });
}

/** Ticks that a strategy answers, each of the next way. */
function answered(lab: Lab, count: number, ways: readonly Way[]): Buffer[] {
  const next = numbers(9);
  return Array.from({ length: count }, (_, index) =>
    tickFrame(lab, ways[index % ways.length]!, anyTick(next, ["AAPL"], index)),
  );
}

for (const backend of BACKENDS) {
  labTest(`${backend}: the limit on answers holds for each source`, async () => {
    const limited = { strategy: "echo", answerLimit: "1" };
    const at = (ways: readonly Way[]): Stream => ({
      frames: (lab) => answered(lab, 50, ways),
      pause_ms: 0,
      ticks: 50,
    });
    const one = await play(backend, limited, at(["IPv4"]));
    assert.equal([one.counters.orders, one.counters.orders_limited], [1, 49]);
    const two = await play(backend, limited, at(["IPv4", "IPv6"]));
    assert.equal([two.counters.orders, two.counters.orders_limited], [2, 48]);
    // A burst of a tenth of a second's answers is let through.
    const few = await play(backend, { ...limited, answerLimit: "1000" }, at(["IPv4"]));
    assert.equal([few.counters.orders, few.counters.orders_limited], [50, 0]);
  });
}

test.run();
