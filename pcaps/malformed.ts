/** Frames that are wrong in one way each, named by it, with good ones at both ends. */

import { encodeOrder, encodeTick } from "../wire/codec.js";
import type { FrameFields } from "../wire/frame.js";
import type { CapturedFrame } from "./capture_file.js";
import { GROUP, ORDER_PORT, plainTicks, START_NS, TICK_PORT, tickFrame } from "./frames.js";

const IP = { source: "198.18.0.1", destination: GROUP, ttl: 1, dontFragment: true };
const IP6 = { source: "2001:2::1", destination: "ff0e::1:1", ttl: 1 };
const UDP = { sourcePort: TICK_PORT, destinationPort: TICK_PORT };
const [TICK] = plainTicks(1, 1n);
const BYTES = encodeTick(TICK!);
const ORDER = encodeOrder({
  symbol: "AAPL",
  price: 9991,
  quantity: 100,
  side: 0,
  timestamp: START_NS,
  clOrdId: "not a hex number",
});

/** What is wrong, by the name it has in the capture's comments. */
export const FAULTS: Readonly<Record<string, Partial<FrameFields>>> = {
  "a good frame": {},
  "IP checksum wrong": { ip: { ...IP, checksum: "bad" } },
  "UDP checksum wrong": { udp: { ...UDP, checksum: "bad" } },
  "no UDP checksum, as IPv4 allows": { udp: { ...UDP, checksum: "zero" } },
  "no UDP checksum over IPv6": { ip: IP6, udp: { ...UDP, checksum: "zero" } },
  "IP checksum zero": { ip: { ...IP, checksum: "zero" } },
  "half a tick": { payload: BYTES.subarray(0, 12) },
  "a tick and a half": { payload: Buffer.concat([BYTES, BYTES.subarray(0, 12)]) },
  "two ticks less one byte": { payload: Buffer.concat([BYTES, BYTES]).subarray(0, 47) },
  "no payload": { payload: Buffer.alloc(0) },
  "IP options": { ip: { ...IP, options: Buffer.from([1, 1, 1, 0]) } },
  "the first fragment": { ip: { ...IP, dontFragment: false, moreFragments: true, identification: 7 } },
  "a later fragment": { ip: { ...IP, dontFragment: false, fragmentOffset: 4, identification: 7 } },
  "an IPv6 fragment": { ip: { ...IP6, moreFragments: true, fragmentOffset: 0, identification: 7 } },
  "an IP header that ends in the middle": { truncate: 24 },
  "a UDP header that ends in the middle": { truncate: 38 },
  "a tick that ends in the middle": { truncate: 50 },
  "an Ethernet header alone": { truncate: 14 },
  "half an Ethernet header": { truncate: 7 },
  "one byte": { truncate: 1 },
  "no byte": { truncate: 0 },
  "IP length beyond the frame": { ip: { ...IP, totalLength: 100 } },
  "IP length below its header": { ip: { ...IP, totalLength: 10 } },
  "IP header length below 20": { ip: { ...IP, headerLength: 4 } },
  "IP header length beyond the frame": { ip: { ...IP, headerLength: 15 } },
  "IPv6 length beyond the frame": { ip: { ...IP6, payloadLength: 100 } },
  "UDP length beyond the packet": { udp: { ...UDP, length: 60 } },
  "UDP length below its header": { udp: { ...UDP, length: 4 } },
  "UDP length one short": { udp: { ...UDP, length: 31 } },
  "IP version 5": { ip: { ...IP, version: 5 } },
  "TTL 0": { ip: { ...IP, ttl: 0 } },
  "from 0.0.0.0": { ip: { ...IP, source: "0.0.0.0" } },
  "from a multicast address": { ip: { ...IP, source: "239.9.9.9" } },
  "from everybody": { ip: { ...IP, source: "255.255.255.255" } },
  "from a group's MAC address": {
    ethernet: { destination: "01:00:5e:01:01:01", source: "03:00:00:00:00:01" },
  },
  "TCP in the protocol field": { ip: { ...IP, protocol: 6 } },
  "neither IPv4 nor IPv6": { ethernet: { ...ethernet(), type: 0x88b5 } },
  "a runt, padded": { payload: Buffer.alloc(0), pad: 18 },
  "a good tick, padded": { pad: 30 },
  "an order whose clOrdId is none": { udp: { ...UDP, destinationPort: ORDER_PORT }, payload: ORDER },
  "half an order": { udp: { ...UDP, destinationPort: ORDER_PORT }, payload: ORDER.subarray(0, 20) },
  "a good frame at the end": {},
};

function ethernet() {
  return { destination: "01:00:5e:01:01:01", source: "02:ca:40:00:00:01" };
}

export function malformed(): CapturedFrame[] {
  return Object.entries(FAULTS).map(([comment, fields], index) => ({
    time_ns: START_NS + BigInt(index) * 1_000_000n,
    bytes: tickFrame(TICK!, GROUP, fields),
    comment,
  }));
}
