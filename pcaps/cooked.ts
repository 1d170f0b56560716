/** Ethernet frames as captures of other link types have them. */

import { ETHERNET_SIZE } from "../wire/frame.js";
import type { CapturedFrame } from "./capture_file.js";

const ARPHRD_ETHER = 1;
const INTERFACE = 2;

type Convert = (frame: Buffer) => Buffer;

/** Linux cooked, version 1: https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL.html */
export const toSll: Convert = (frame) => {
  const header = Buffer.alloc(16);
  header.writeUInt16BE(packetType(frame), 0);
  header.writeUInt16BE(ARPHRD_ETHER, 2);
  header.writeUInt16BE(6, 4);
  frame.copy(header, 6, 6, 12);
  frame.copy(header, 14, 12, 14);
  return Buffer.concat([header, frame.subarray(ETHERNET_SIZE)]);
};

/** Version 2: https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL2.html */
export const toSll2: Convert = (frame) => {
  const header = Buffer.alloc(20);
  frame.copy(header, 0, 12, 14);
  header.writeUInt32BE(INTERFACE, 4);
  header.writeUInt16BE(ARPHRD_ETHER, 8);
  header[10] = packetType(frame);
  header[11] = 6;
  frame.copy(header, 12, 6, 12);
  return Buffer.concat([header, frame.subarray(ETHERNET_SIZE)]);
};

/** The IP packet alone. */
export const toRaw: Convert = (frame) => frame.subarray(ETHERNET_SIZE);

export function convert(frames: readonly CapturedFrame[], by: Convert): CapturedFrame[] {
  return frames.map((frame) => ({ ...frame, bytes: by(Buffer.from(frame.bytes)) }));
}

/** 2: to a group, 0: to this host. */
function packetType(frame: Buffer): number {
  return (frame[0]! & 1) === 1 ? 2 : 0;
}
