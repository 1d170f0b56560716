/** What a check script says, once it is read: what is sent, and what must come back. */

import type { Texts } from "../config/file.js";
import type { Checksum, VlanTag } from "../wire/frame.js";
import { marketData } from "../wire/schema.js";

/** The settings of the device that a script may assume; how carom's own responder runs is the command's to say. */
export const SETTINGS = [
  "targetPort",
  "multicast",
  "multicastGroup",
  "vlan",
  "ttl",
  "responseIp",
  "responseMac",
  "responsePort",
  "answerLimit",
  "strategy",
  "threshold",
  "fast",
  "slow",
  "spread",
  "quantity",
  "priceOffset",
  "side",
  "symbols",
] as const;

export interface Script {
  readonly file: string;
  readonly name: string;
  readonly description: string;
  readonly mtu: number | undefined; // of the lab, bytes
  readonly cases: readonly Case[];
}

export interface Case {
  readonly name: string;
  readonly place: string; // "FILE:LINE:COLUMN"
  /** What the device must be set to, as texts of the responder's options. */
  readonly settings: Texts;
  readonly needs: { readonly mtu: number; readonly ipv6: boolean };
  readonly unless: { readonly backends: readonly string[]; readonly reason: string };
  readonly sends: readonly SendItem[];
  readonly expected: readonly ExpectedOrder[]; // empty: nothing may come
  readonly within_ns: number;
  readonly quiet_ns: number; // how long it is waited for what must not come
  readonly probe: boolean; // whether a good tick follows when nothing may come
  readonly inOrder: boolean;
  readonly datagrams: number | undefined; // in how many the orders must come
}

export interface TickSpec {
  readonly symbol: Buffer; // 8 bytes
  readonly price: number;
  readonly quantity: number;
  readonly timestamp: bigint | undefined; // undefined: a fresh one each time
}

/** One datagram, or a whole frame. Addresses may be names: generator, device, group. */
export interface SendItem {
  readonly place: string;
  readonly ticks: readonly TickSpec[];
  readonly trailer: Buffer; // bytes behind the ticks
  readonly frame: Buffer | undefined; // sent as it is
  readonly to: string | undefined;
  readonly ethernet: {
    readonly type?: number | undefined;
    readonly destination?: string | undefined;
    readonly source?: string | undefined;
  };
  readonly vlans: readonly VlanTag[] | undefined; // undefined: as the device is set
  readonly ip: IpOverrides;
  readonly udp: UdpOverrides | undefined; // undefined: no UDP header
  readonly truncate: number | undefined;
  readonly pad: number | undefined;
  readonly repeat: number;
  readonly pause_ns: number; // before it is sent
}

export interface IpOverrides {
  readonly version?: 4 | 6 | undefined;
  readonly versionField?: number | undefined;
  readonly headerLength?: number | undefined;
  readonly trafficClass?: number | undefined;
  readonly flowLabel?: number | undefined;
  readonly totalLength?: number | undefined;
  readonly payloadLength?: number | undefined;
  readonly identification?: number | undefined;
  readonly dontFragment?: boolean | undefined;
  readonly moreFragments?: boolean | undefined;
  readonly fragmentOffset?: number | undefined;
  readonly ttl?: number | undefined;
  readonly protocol?: number | undefined;
  readonly checksum?: Checksum | undefined;
  readonly source?: string | undefined;
  readonly destination?: string | undefined;
  readonly options?: Buffer | undefined;
}

export interface UdpOverrides {
  readonly sourcePort?: number | undefined;
  readonly destinationPort?: number | undefined;
  readonly length?: number | undefined;
  readonly checksum?: Checksum | undefined;
}

/** An order that must come. What is undefined follows from the tick it answers and the device's settings. */
export interface ExpectedOrder {
  readonly tick: number; // index among all ticks of the case, repeated sends included
  readonly symbol?: Buffer | undefined;
  readonly price?: number | undefined;
  readonly quantity?: number | undefined;
  readonly side?: number | undefined;
  readonly timestamp?: bigint | undefined;
  readonly clOrdId?: string | undefined;
  readonly vlan?: number | undefined; // -1: untagged
  readonly source?: string | undefined;
  readonly destination?: string | undefined;
  readonly ttl?: number | undefined;
  readonly sourcePort?: number | undefined;
  readonly destinationPort?: number | undefined;
}

/** The 24 bytes of a tick, of any symbol: also of those that no codec would accept. */
export function tickBytes(tick: TickSpec, timestamp: bigint): Buffer {
  const bytes = Buffer.alloc(marketData.size);
  tick.symbol.copy(bytes, 0);
  bytes.writeUInt32LE(tick.price, 8);
  bytes.writeUInt32LE(tick.quantity, 12);
  bytes.writeBigUInt64LE(tick.timestamp ?? timestamp, 16);
  return bytes;
}

/** One datagram with these ticks and nothing unusual about it. */
export function plainSend(place: string, ticks: readonly TickSpec[]): SendItem {
  return {
    place,
    ticks,
    trailer: Buffer.alloc(0),
    frame: undefined,
    to: undefined,
    ethernet: {},
    vlans: undefined,
    ip: {},
    udp: {},
    truncate: undefined,
    pad: undefined,
    repeat: 1,
    pause_ns: 0,
  };
}
