/** The shape of a check script: its keys, what each may hold, and what is said when it does not. */

import { isIPv4, isIPv6 } from "node:net";
import { z } from "zod";
import { line, list, map, orMissing, text, whole } from "../config/shape.js";
import { duration, flag, macAddress } from "../config/values.js";
import type { Checksum } from "../wire/frame.js";

export const PAYLOAD_MAX = 65_000; // bytes: what one UDP datagram can hold, whatever headers it gets
const REPEAT_MAX = 10_000;
const U32_MAX = 0xffff_ffff;
const U64_MAX = (1n << 64n) - 1n;

function nanoseconds() {
  return text(`a whole number of ns from 0 to ${U64_MAX}`, (value) => {
    const number = /^(\d{1,20}|0x[0-9a-f]{1,16})$/i.test(value) ? BigInt(value) : -1n;
    return number >= 0n && number <= U64_MAX ? number : undefined;
  });
}

/** Pairs of hex digits; spaces, line breaks and colons between them are for the eye. */
function hex(min: number, max: number) {
  return text(`${min} to ${max} bytes in hex digits`, (value) => {
    const digits = value.replace(/[\s:]/g, "");
    const size = digits.length / 2;
    return /^([0-9a-f]{2})*$/i.test(digits) && size >= min && size <= max
      ? Buffer.from(digits, "hex")
      : undefined;
  });
}

/** The bytes of a symbol: "AAPL", or anything of 8-bit characters ("\xff\0") to see what becomes of it. */
const symbol = text("a symbol of up to 8 characters of 8 bits each", (value) =>
  /^[\0-\xff]{0,8}$/.test(value) ? Buffer.from(value.padEnd(8, " "), "latin1") : undefined,
);

/** An address, or whose it is. Which address that is depends on where the script runs. */
const ADDRESS_NAMES = ["generator", "device", "group"] as const;
const address = text(`an IPv4 or IPv6 address, or one of ${ADDRESS_NAMES.join(", ")}`, (value) =>
  ADDRESS_NAMES.find((name) => name === value) !== undefined || isIPv4(value) || isPlainIp6(value)
    ? value
    : undefined,
);

const MAC_NAMES = ["generator", "device", "broadcast"] as const;
const mac = text(`a MAC address, or one of ${MAC_NAMES.join(", ")}`, (value) =>
  MAC_NAMES.find((name) => name === value) !== undefined || macAddress().safeParse(value).success
    ? value.toLowerCase()
    : undefined,
);

function isPlainIp6(value: string): boolean {
  return isIPv6(value) && !value.includes("%");
}

const checksum = text(
  "one of right, bad, zero, or a number from 0 to 65535",
  (value): Checksum | undefined => {
    if (value === "right" || value === "bad" || value === "zero") return value;
    return whole(0, 0xffff).safeParse(value).data;
  },
);

const side = text("buy, sell or a number from 0 to 255", (value) =>
  value === "buy" ? 0 : value === "sell" ? 1 : whole(0, 255).safeParse(value).data,
);

const tick = map("a tick", {
  symbol: symbol.optional(),
  price: whole(0, U32_MAX),
  quantity: whole(0, U32_MAX).optional(),
  timestamp: nanoseconds().optional(),
  repeat: whole(1, REPEAT_MAX).optional(),
  price_step: whole(-U32_MAX, U32_MAX).optional(),
});

const vlanTag = map("a VLAN tag", {
  id: whole(0, 4095),
  priority: whole(0, 7).optional(),
  drop_eligible: flag().optional(),
  type: whole(0, 0xffff).optional(),
});

const ip = map("ip", {
  version: whole(0, 15).optional(),
  version_field: whole(0, 15).optional(),
  ihl: whole(0, 15).optional(),
  traffic_class: whole(0, 255).optional(),
  flow_label: whole(0, 0xfffff).optional(),
  total_length: whole(0, 0xffff).optional(),
  payload_length: whole(0, 0xffff).optional(),
  identification: whole(0, U32_MAX).optional(),
  dont_fragment: flag().optional(),
  more_fragments: flag().optional(),
  fragment_offset: whole(0, 0x1fff).optional(),
  ttl: whole(0, 255).optional(),
  protocol: whole(0, 255).optional(),
  checksum: checksum.optional(),
  source: address.optional(),
  destination: address.optional(),
  options: hex(1, 40).optional(),
});

const udp = map("udp", {
  source_port: whole(0, 0xffff).optional(),
  destination_port: whole(0, 0xffff).optional(),
  length: whole(0, 0xffff).optional(),
  checksum: checksum.optional(),
});

const sendItem = map("what is sent", {
  tick: tick.optional(),
  ticks: list("ticks", tick, 1000).optional(),
  partial: whole(1, 23).optional(),
  payload: hex(0, PAYLOAD_MAX).optional(),
  frame: hex(14, PAYLOAD_MAX).optional(),
  to: address.optional(),
  ethernet: map("ethernet", {
    type: whole(0, 0xffff).optional(),
    destination: mac.optional(),
    source: mac.optional(),
  }).optional(),
  vlan: z
    .union([z.literal("none"), vlanTag, list("VLAN tags", vlanTag, 4)], {
      error: orMissing(
        "none, a VLAN tag such as { id: 7 }, or a list of 1 to 4 of them, the outermost first",
      ),
    })
    .optional(),
  ip: ip.optional(),
  udp: z
    .union([z.literal("none"), udp], { error: orMissing("none, or a map of UDP header fields") })
    .optional(),
  truncate: whole(14, PAYLOAD_MAX).optional(),
  pad: whole(1, 2000).optional(),
  repeat: whole(1, REPEAT_MAX).optional(),
  pause: duration(0, 60e9).optional(),
});

const order = map("an order", {
  answers: whole(1, REPEAT_MAX).optional(),
  symbol: symbol.optional(),
  price: whole(0, U32_MAX).optional(),
  quantity: whole(0, U32_MAX).optional(),
  side: side.optional(),
  timestamp: nanoseconds().optional(),
  clOrdId: text("16 characters", (value) => (/^[\0-\xff]{16}$/.test(value) ? value : undefined)).optional(),
  repeat: whole(1, REPEAT_MAX).optional(),
  price_step: whole(-U32_MAX, U32_MAX).optional(),
});

const expectItem = map("what is expected", {
  order,
  vlan: z
    .union([z.literal("none"), map("a VLAN tag", { id: whole(0, 4095) })], {
      error: orMissing("none, or a tag such as { id: 7 }"),
    })
    .optional(),
  ip: map("the ip of an answer", {
    source: address.optional(),
    destination: address.optional(),
    ttl: whole(0, 255).optional(),
  }).optional(),
  udp: map("the udp of an answer", {
    source_port: whole(0, 0xffff).optional(),
    destination_port: whole(0, 0xffff).optional(),
  }).optional(),
});

const timing = {
  within: duration(1e6, 60e9).optional(),
  quiet: duration(0, 60e9).optional(),
  probe: flag().optional(),
};

const settings = z.record(
  z.string(),
  z.union([z.string(), z.array(z.string())], { error: "a text, or a list of texts" }),
  { error: "a map of the responder's settings, such as { threshold: 10000 }" },
);

const caseSchema = map("a case", {
  name: line("a name"),
  responder: settings.optional(),
  needs: map("needs", { mtu: whole(1, 65_535).optional(), ipv6: flag().optional() }).optional(),
  unless: map("unless", {
    backend: z.union([z.string().transform((name) => [name]), list("backends", z.string(), 16)], {
      error: orMissing("the name of a backend, or a list of them"),
    }),
    reason: line("a reason"),
  }).optional(),
  send: list("things to send", sendItem, 1000),
  expect: z.union([z.literal("nothing"), list("orders", expectItem, 1000)], {
    error: orMissing("nothing, or a list of orders such as - order: { price: 10000 }"),
  }),
  ...timing,
  any_order: flag().optional(),
  datagrams: whole(1, REPEAT_MAX).optional(),
});

export const scriptSchema = map("a script", {
  name: line("a name").optional(),
  description: line("a description").optional(),
  responder: settings.optional(),
  lab: map("lab", { mtu: whole(1280, 9000).optional() }).optional(),
  ...timing,
  cases: list("cases", caseSchema, 1000),
});

export type ScriptDocument = z.output<typeof scriptSchema>;
export type CaseDocument = z.output<typeof caseSchema>;
export type SendDocument = z.output<typeof sendItem>;
export type ExpectDocument = z.output<typeof expectItem>;
export type TickDocument = z.output<typeof tick>;
