/** Reads what came on the link: answers, and what else may tell why there are none. */

import type { FrameSocket } from "../native/index.js";
import { type DecodedFrame, decodeFrame } from "../wire/decode.js";
import { tradingOrder } from "../wire/schema.js";
import type { Arrival } from "./judge.js";
import type { Wiring } from "./outgoing.js";

export interface Inbox {
  /** Everything that came since the last call; onNote is told of what is no answer. */
  receive(onNote?: (note: string) => void): Arrival[];
}

export function openInbox(frames: FrameSocket, wiring: Wiring): Inbox {
  return {
    receive: (onNote) =>
      frames.receive().flatMap(({ frame, time_ns }) => {
        const decoded = decodeFrame(frame);
        if (decoded.ethernet?.source === wiring.generator.mac) return [];
        if (decoded.udp?.destinationPort === wiring.responsePort) return [{ frame: decoded, time_ns }];
        const note = onNote === undefined ? "" : noteOf(decoded, wiring);
        if (note !== "") onNote?.(note);
        return [];
      }),
  };
}

function noteOf({ ip, udp, payload }: DecodedFrame, { responsePort }: Wiring): string {
  if (ip === undefined) return "";
  if (udp !== undefined && payload.length > 0 && payload.length % tradingOrder.size === 0) {
    const to = `port ${udp.destinationPort} of ${ip.destination}`;
    return `${payload.length} bytes came from ${ip.source} to ${to}, not to port ${responsePort}`;
  }
  // Destination unreachable: type 3 in RFC 792, type 1 in RFC 4443 §3.1.
  const unreachable = (ip.protocol === 1 && payload[0] === 3) || (ip.protocol === 58 && payload[0] === 1);
  return unreachable
    ? `${ip.source} says by ICMP that the destination is unreachable (code ${payload[1]})`
    : "";
}
