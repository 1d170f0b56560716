/** When each tick came, as a capture has it: the other end of `carom join` where nothing answers. */

import { listFrames } from "../native/index.js";
import { decodeTick } from "../wire/codec.js";
import { decodeFrame } from "../wire/decode.js";
import { marketData } from "../wire/schema.js";
import { selectionOf } from "./one_way.js";
import { ROW } from "./stamps.js";

const FRAMES = 4096; // at a time
const NOT_HANDED = 0xffff_ffff_ffff_ffffn; // native/core/passages.h: no order

/**
 * The first time that each tick came to a port, by the capture's own stamps.
 * @throws CaromError when the capture can't be read
 */
export function ticksOf(path: string, port: number, one_in: number, room: number) {
  const config = {
    path,
    filter: "",
    fromNs: 0,
    toNs: Number.MAX_SAFE_INTEGER,
    tickPort: port,
    orderPort: port,
  };
  const next = listFrames(config);
  const isWanted = selectionOf(one_in);
  const found = new Map<bigint, bigint>();
  let unlogged = 0;
  for (let { frames } = next(FRAMES); frames.length > 0; frames = next(FRAMES).frames) {
    for (const { frame, time_ns } of frames) {
      for (const tick of keysOf(frame, port)) {
        if (!isWanted(tick) || found.has(tick)) continue;
        if (found.size < room) found.set(tick, time_ns);
        else unlogged++;
      }
    }
  }
  const passages = new BigUint64Array(found.size * ROW);
  let row = 0;
  for (const [tick, time_ns] of found) {
    passages.set([tick, time_ns, NOT_HANDED, 0n], row);
    row += ROW;
  }
  return { passages, unlogged };
}

/** Of the ticks in a frame; none in one that is not whole, or for another port. */
function keysOf(bytes: Buffer, port: number): bigint[] {
  const { udp, payload, problems } = decodeFrame(bytes);
  if (udp === undefined || udp.destinationPort !== port || problems.length > 0) return [];
  const count = Math.floor(payload.length / marketData.size);
  return Array.from({ length: count }, (_, index) =>
    BigInt(decodeTick(payload, index * marketData.size).timestamp),
  );
}
