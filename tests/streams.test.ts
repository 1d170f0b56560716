/** What is special about a stream: its family, its VLAN and its code point, as they are on the wire. */

import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Lab } from "../lab/lab.js";
import { openFrameSocket } from "../native/index.js";
import { decodeTick, type Tick } from "../wire/codec.js";
import { type DecodedFrame, decodeFrame } from "../wire/decode.js";
import { backendsOf, backendTest, carom } from "./cli_support.js";
import { withLab } from "./lab_support.js";

interface Seen {
  readonly frame: DecodedFrame;
  readonly ticks: readonly Tick[];
}

/** Runs carom and gives the datagrams for a port that came to the lab's far end meanwhile. */
async function sniff(lab: Lab, port: number, ...args: string[]): Promise<Seen[]> {
  const socket = openFrameSocket({ link: lab.responder, holdPort: 0 });
  try {
    const ended = await carom(...args);
    assert.is(ended.status, 0, ended.stderr + ended.stdout);
    const frames = socket.receive().map(({ frame }) => decodeFrame(frame));
    return frames
      .filter(({ udp }) => udp?.destinationPort === port)
      .map((frame) => ({ frame, ticks: ticksOf(Buffer.from(frame.payload)) }));
  } finally {
    socket.close();
  }
}

function ticksOf(payload: Buffer): Tick[] {
  return Array.from({ length: payload.length / 24 }, (_, n) =>
    decodeTick(payload.subarray(24 * n, 24 * n + 24)),
  );
}

for (const backend of backendsOf("generator")) {
  for (const group of ["239.1.1.1", "ff02::101"]) {
    backendTest(`${backend}: the code point is in every tick to ${group}`, [backend], () =>
      withLab({}, async (lab) => {
        const args = ["generate", "--lab", lab.name, "--backend", backend, "--multicast-group", group];
        const short = ["--rate", "2k", "--count", "50", "--warmup", "0"];
        for (const [name, traffic] of [
          ["EF", 184],
          ["CS3", 96],
          ["0", 0],
        ] as const) {
          const seen = await sniff(lab, 8080, ...args, ...short, "--dscp", name);
          assert.is(seen.length, 50);
          for (const { frame } of seen) {
            assert.is(frame.ip?.trafficClass, traffic, name);
            assert.equal(frame.problems, []);
          }
        }
      }),
    );
  }
}

test.run();
