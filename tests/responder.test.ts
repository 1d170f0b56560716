/** Every backend of the responder gives the same orders for the same stream, good and bad frames mixed. */

import { test } from "uvu";
import * as assert from "uvu/assert";
import { resolveValues } from "../config/file.js";
import { createLab, type Lab } from "../lab/lab.js";
import { attachXdpPass, openFrameSocket, openResponder } from "../native/index.js";
import { responderConfig, responderOptions } from "../responder/config.js";
import { decodeOrder, encodeTick } from "../wire/codec.js";
import { decodeFrame } from "../wire/decode.js";
import { buildFrame, type FrameFields } from "../wire/frame.js";

const GROUP = "239.1.1.1";
const NOBODYS = ["224.0.0.1", "255.255.255.255"] as const; // addresses that no sender has
const FRAMES = 400;
const SETTLE_MS = 400;

/** A small generator of numbers: the same seed gives the same stream (Park and Miller, 1988). */
function numbers(seed: number) {
  let state = seed;
  return (below: number) => {
    state = (state * 48271) % 2147483647;
    return state % below;
  };
}

/** Frames of every kind: single ticks, several, partial ones, both families, and things that must not be answered. */
function stream(lab: Lab, seed: number): Buffer[] {
  const next = numbers(seed);
  const { generator: from, responder: to } = lab;
  return Array.from({ length: FRAMES }, (_, index) => {
    const tick = (extra: number) =>
      encodeTick({
        symbol: ["AAPL", "MSFT", "GOOG"][next(3)]!,
        price: 9000 + next(2000),
        quantity: 1 + next(1000),
        timestamp: 1_700_000_000_000_000_000n + BigInt(index * 10 + extra),
      });
    const kind = next(14);
    const ticks = kind === 0 ? [tick(0), tick(1), tick(2)] : [tick(0)];
    const payload = Buffer.concat(kind === 1 ? [...ticks, Buffer.alloc(7, 1)] : ticks);
    const isMulticast = next(2) === 0 && kind !== 2;
    const v6 = kind === 2;
    const fields: FrameFields = {
      ethernet: { source: from.mac, destination: isMulticast ? "01:00:5e:01:01:01" : to.mac },
      vlans: kind === 7 ? [{ id: 0, priority: next(8) }] : [],
      ip: {
        version: v6 ? 6 : 4,
        source: kind === 8 ? NOBODYS[next(2)]! : v6 ? from.address6 : from.address4,
        destination: v6 ? to.address6 : isMulticast ? GROUP : to.address4,
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

interface Answer {
  readonly headers: string; // everything in front of the payload but the UDP checksum, which covers the order's time
  readonly order: string;
}

async function answersOf(backend: string, seed: number): Promise<Answer[]> {
  const lab = createLab();
  const texts = new Map([
    ["backend", { text: backend, place: "test" }],
    ["symbols", { text: "AAPL,MSFT", place: "test" }],
    ["priceOffset", { text: "-3", place: "test" }],
    ["side", { text: "sell", place: "test" }],
  ]);
  const responder = openResponder(responderConfig(lab.responder, resolveValues(responderOptions, texts)));
  const detach = backend === "xdp" ? attachXdpPass(lab.generator) : undefined;
  const socket = openFrameSocket({ link: lab.generator, holdPort: 9999 });
  try {
    responder.start(() => {});
    const answers: Answer[] = [];
    const collect = () => {
      for (const { frame } of socket.receive()) {
        const decoded = decodeFrame(frame);
        if (decoded.udp?.destinationPort !== 9999) continue;
        assert.equal(decoded.problems, []);
        const payload = Buffer.from(decoded.payload);
        const headers = Buffer.from(frame.subarray(0, frame.length - payload.length - 2));
        const { timestamp, ...order } = decodeOrder(payload);
        const age_ms = Number(BigInt(Date.now()) - timestamp / 1_000_000n);
        assert.ok(Math.abs(age_ms) < 10_000, `order made ${age_ms} ms ago`);
        answers.push({ headers: headers.toString("hex"), order: JSON.stringify(order) });
      }
    };
    for (const [index, frame] of stream(lab, seed).entries()) {
      socket.send(frame);
      if (index % 16 === 15) await new Promise((resolve) => setTimeout(resolve, 2));
      collect();
    }
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    collect();
    const { counters } = responder.result();
    assert.is(counters.orders, answers.length, `${backend}: orders counted and received`);
    assert.is(
      (counters.ticks ?? 0) - (counters.quiet_ticks ?? 0),
      answers.length,
      `${backend}: ticks add up`,
    );
    return answers;
  } finally {
    socket.close();
    detach?.();
    responder.close();
    lab.down();
  }
}

for (const seed of [7, 11]) {
  test(`one stream, the same orders from every backend (seed ${seed})`, async () => {
    const reference = await answersOf("af_xdp", seed);
    assert.ok(reference.length > FRAMES / 6, `${reference.length} orders`);
    // Orders of a batch that went up to user space may pass those made in the kernel: compared as a set.
    const orders = (answers: readonly Answer[]) => answers.map(({ order }) => order).sort();
    for (const backend of ["xdp", "af_packet", "udp"]) {
      const answers = await answersOf(backend, seed);
      assert.equal(orders(answers), orders(reference), backend);
      if (backend === "udp") continue; // its headers are the kernel's
      const whole = (all: readonly Answer[]) => all.map(({ headers, order }) => headers + order).sort();
      assert.equal(whole(answers), whole(reference), `${backend}: headers`);
    }
  });
}

test.run();
