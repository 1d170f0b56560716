/** The tick and the order: their bytes, as formats.md has them, and that the native core has the same. */

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  clOrdIdOf,
  decodeOrder,
  decodeTick,
  encodeOrder,
  encodeTick,
  type Order,
  padSymbol,
  type Tick,
} from "../wire/codec.js";
import { header } from "../wire/generate.js";
import { layoutHash, marketData, messages, tradingOrder } from "../wire/schema.js";
import { seeded } from "./random.js";

const U32_MAX = 0xffff_ffff;
const U64_MAX = 2n ** 64n - 1n;

// Written by hand, byte by byte.
const TICK: Tick = { symbol: "AAPL", price: 9999, quantity: 300, timestamp: 0x0102_0304_0506_0708n };
const TICK_BYTES = [
  ...[0x41, 0x41, 0x50, 0x4c, 0x20, 0x20, 0x20, 0x20], // "AAPL    "
  ...[0x0f, 0x27, 0x00, 0x00], // 9999
  ...[0x2c, 0x01, 0x00, 0x00], // 300
  ...[0x08, 0x07, 0x06, 0x05, 0x04, 0x03, 0x02, 0x01],
];
const ORDER: Order = {
  symbol: "AAPL",
  price: 10_000,
  quantity: 100,
  side: 1,
  timestamp: 0x1112_1314_1516_1718n,
  clOrdId: "0102030405060708",
};
const ORDER_BYTES = [
  ...[0x41, 0x41, 0x50, 0x4c, 0x20, 0x20, 0x20, 0x20],
  ...[0x10, 0x27, 0x00, 0x00], // 10000
  ...[0x64, 0x00, 0x00, 0x00], // 100
  0x01,
  ...[0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11],
  ...[0x30, 0x31, 0x30, 0x32, 0x30, 0x33, 0x30, 0x34, 0x30, 0x35, 0x30, 0x36, 0x30, 0x37, 0x30, 0x38],
];

test("a tick is the 24 bytes of the format", () => {
  assert.equal([...encodeTick(TICK)], TICK_BYTES);
  assert.equal(decodeTick(Uint8Array.from(TICK_BYTES)), TICK);
});

test("an order is the 41 bytes of the format", () => {
  assert.equal([...encodeOrder(ORDER)], ORDER_BYTES);
  assert.equal(decodeOrder(Uint8Array.from(ORDER_BYTES)), ORDER);
});

test("offsets and sizes are those of the format", () => {
  const layout = (fields: typeof marketData.fields) =>
    fields.map(({ name, offset, size }) => [name, offset, size] as const);
  assert.is(marketData.size, 24);
  assert.equal(layout(marketData.fields), [
    ["symbol", 0, 8],
    ["price", 8, 4],
    ["quantity", 12, 4],
    ["timestamp", 16, 8],
  ]);
  assert.is(tradingOrder.size, 41);
  assert.equal(layout(tradingOrder.fields), [
    ["symbol", 0, 8],
    ["price", 8, 4],
    ["quantity", 12, 4],
    ["side", 16, 1],
    ["timestamp", 17, 8],
    ["clOrdId", 25, 16],
  ]);
});

test("the codecs put each field where the schema has it", () => {
  for (const [message, bytes] of [
    [marketData, encodeTick(TICK)],
    [tradingOrder, encodeOrder(ORDER)],
  ] as const) {
    const values: Record<string, unknown> = message === marketData ? { ...TICK } : { ...ORDER };
    for (const { name, type, offset, size } of message.fields) {
      const raw = bytes.subarray(offset, offset + size);
      if (type === "ascii") assert.is(raw.toString("latin1"), String(values[name]).padEnd(size), name);
      else
        assert.is(
          BigInt(`0x${Buffer.from(raw).reverse().toString("hex")}`),
          BigInt(values[name] as number),
          name,
        );
    }
  }
});

test("100000 random ticks and orders come back as they were", () => {
  const next = seeded(1);
  const symbol = () => {
    const first = String.fromCharCode(0x21 + next(0x5e));
    const rest = Array.from({ length: next(8) }, () => String.fromCharCode(0x20 + next(0x5f)));
    return `${first}${rest.join("")}`.trimEnd(); // what is padded can't end in the padding
  };
  const u32 = () => [0, 1, U32_MAX, next(2 ** 32)][next(4)]!;
  const u64 = () => (BigInt(next(2 ** 32)) << 32n) | BigInt(next(2 ** 32));
  for (let round = 0; round < 50_000; round++) {
    const tick = {
      symbol: symbol(),
      price: u32(),
      quantity: u32(),
      timestamp: [0n, U64_MAX, u64()][next(3)]!,
    };
    const bytes = encodeTick(tick);
    assert.is(bytes.length, 24);
    const decoded = decodeTick(bytes);
    if (JSON.stringify(plain(decoded)) !== JSON.stringify(plain(tick))) assert.equal(decoded, tick);
    const order = { ...tick, side: next(256), clOrdId: clOrdIdOf(u64()) };
    const offset = next(64); // anywhere in a datagram
    const datagram = Buffer.concat([
      Buffer.alloc(offset, 0xff),
      encodeOrder(order),
      Buffer.alloc(next(9), 0xff),
    ]);
    const back = decodeOrder(datagram, offset);
    if (JSON.stringify(plain(back)) !== JSON.stringify(plain(order))) assert.equal(back, order);
  }
});

/** With texts for the big numbers: uvu's comparison takes some time, JSON's does not. */
function plain(value: object): object {
  return Object.fromEntries(
    Object.entries(value)
      .map(([key, field]) => [key, String(field)])
      .sort(),
  );
}

test("a symbol that is none is refused, and the message shows it", () => {
  for (const bad of ["", " ", " AAPL", "TOOLONGER", "Ä", "A\n", "A\0", "\x7f", "€", "\x1b[2J"]) {
    assert.throws(
      () => padSymbol(bad),
      (error: Error) =>
        error instanceof RangeError &&
        error.message.includes(JSON.stringify(bad)) &&
        error.message.includes("1 to 8 printable ASCII characters"),
      JSON.stringify(bad),
    );
    assert.throws(() => encodeTick({ ...TICK, symbol: bad }), /1 to 8 printable ASCII/);
    assert.throws(() => encodeOrder({ ...ORDER, symbol: bad }), /1 to 8 printable ASCII/);
  }
  assert.is(padSymbol("A"), "A       ");
  assert.is(padSymbol("BRK.B"), "BRK.B   ");
  assert.is(padSymbol("12345678"), "12345678");
});

test("numbers that do not fit are refused, not cut", () => {
  for (const price of [-1, U32_MAX + 1, 1e300]) {
    assert.throws(() => encodeTick({ ...TICK, price }), RangeError);
    assert.throws(() => encodeOrder({ ...ORDER, quantity: price }), RangeError);
  }
  for (const timestamp of [-1n, U64_MAX + 1n]) {
    assert.throws(() => encodeTick({ ...TICK, timestamp }), RangeError);
    assert.throws(() => encodeOrder({ ...ORDER, timestamp }), RangeError);
  }
  assert.throws(() => encodeOrder({ ...ORDER, side: 256 }), RangeError);
});

test("too few bytes are refused at every length, and nothing beyond them is read", () => {
  const around = Buffer.from([...TICK_BYTES, ...ORDER_BYTES]);
  for (let length = 0; length < 24; length++) {
    assert.throws(
      () => decodeTick(around.subarray(0, length)),
      new RegExp(`24 bytes wanted at offset 0 of ${length}`),
    );
  }
  for (let length = 0; length < 41; length++) {
    assert.throws(() => decodeOrder(around.subarray(24, 24 + length)), /41 bytes wanted/);
  }
  assert.throws(() => decodeTick(around.subarray(0, 30), 7), /24 bytes wanted at offset 7 of 30/);
  assert.throws(() => decodeTick(around, -1), /at offset -1/);
  assert.equal(decodeTick(around.subarray(0, 24)), TICK);
  assert.equal(decodeOrder(around, 24), ORDER);
});

test("any 41 bytes are an order that can be shown", () => {
  const next = seeded(2);
  for (let round = 0; round < 10_000; round++) {
    const bytes = Buffer.from(Array.from({ length: 41 }, () => next(256)));
    const order = decodeOrder(bytes);
    assert.is(order.price, bytes.readUInt32LE(8));
    assert.is(order.side, bytes[16]);
    assert.is(order.clOrdId.length, 16);
    assert.ok(order.symbol.length <= 8);
  }
});

test("an order is tied to its tick by 16 lower-case hex digits", () => {
  assert.is(clOrdIdOf(0n), "0000000000000000");
  assert.is(clOrdIdOf(255n), "00000000000000ff");
  assert.is(clOrdIdOf(0xdead_beef_cafe_f00dn), "deadbeefcafef00d");
  assert.is(clOrdIdOf(U64_MAX), "ffffffffffffffff");
  assert.is(decodeOrder(encodeOrder({ ...ORDER, clOrdId: "short" })).clOrdId, "short           ");
  assert.is(
    decodeOrder(encodeOrder({ ...ORDER, clOrdId: "0123456789abcdefTOOLONG" })).clOrdId,
    "0123456789abcdef",
  );
});

test("native/wire.gen.h is what the schema says now", () => {
  const file = fileURLToPath(new URL("../../native/wire.gen.h", import.meta.url));
  assert.is(readFileSync(file, "utf8"), header(), "npm run wire writes it again");
});

test("the header asserts the size of every message and the offset of every field", () => {
  const text = header();
  for (const { name, size, fields } of messages) {
    assert.ok(text.includes(`sizeof(struct ${name}) == ${size},`));
    for (const field of fields)
      assert.ok(text.includes(`== ${field.offset}, "${name}.${field.name}")`), field.name);
  }
});

test("the native core was built from the same layout", () => {
  const addon = createRequire(import.meta.url)("../../native/build/Release/carom.node") as {
    layoutHash: string;
  };
  assert.match(layoutHash(), /^[0-9a-f]{16}$/);
  assert.is(addon.layoutHash, layoutHash());
  assert.ok(header().includes(`"${layoutHash()}"`));
});

test.run();
