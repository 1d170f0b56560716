/** What carom check sends: each datagram by the way that leaves it as it is, and as it arrives. */

import { readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { buildOutgoing, TickClock } from "../check/outgoing.js";
import { parseScript } from "../check/reader.js";
import { shippedScripts } from "../check/select.js";
import { Sender } from "../check/sender.js";
import { openFrameSocket } from "../native/index.js";
import { responderOptions } from "../responder/config.js";
import { parse, sending, WIRING } from "./check_support.js";
import { labForTests, labTest, PATIENCE_MS, sleep } from "./lab_support.js";

test("each datagram takes the way that leaves it as it is", () => {
  const ways: Record<string, string> = {
    "tick: { price: 1 }": "raw-socket",
    "{ tick: { price: 1 }, to: group }": "raw-socket",
    "{ tick: { price: 1 }, udp: { checksum: bad } }": "raw-socket",
    "{ tick: { price: 1 }, udp: { length: 7 } }": "raw-socket",
    "{ tick: { price: 1 }, ip: { options: 01010100 } }": "raw-socket",
    "{ tick: { price: 1 }, ip: { more_fragments: true } }": "raw-socket",
    "{ tick: { price: 1 }, ip: { source: 198.18.0.9, ttl: 0 } }": "raw-socket",
    "{ tick: { price: 1 }, ip: { ttl: 0 }, to: group }": "frame-socket",
    "{ tick: { price: 1 }, ip: { checksum: bad } }": "frame-socket",
    "{ tick: { price: 1 }, ip: { source: 0.0.0.0 } }": "frame-socket",
    "{ tick: { price: 1 }, ip: { total_length: 51 } }": "frame-socket",
    "{ tick: { price: 1 }, ip: { identification: 0 } }": "frame-socket",
    "{ tick: { price: 1 }, ip: { ihl: 4 } }": "frame-socket",
    "{ tick: { price: 1 }, to: 198.18.0.3 }": "frame-socket",
    "{ tick: { price: 1 }, ethernet: { type: 0x0806 } }": "frame-socket",
    "{ tick: { price: 1 }, ethernet: { destination: broadcast } }": "frame-socket",
    "{ tick: { price: 1 }, vlan: { id: 1 } }": "frame-socket",
    "{ tick: { price: 1 }, pad: 1 }": "frame-socket",
    "{ tick: { price: 1 }, truncate: 65 }": "frame-socket",
    "{ tick: { price: 1, repeat: 62 } }": "frame-socket",
  };
  for (const [item, way] of Object.entries(ways)) {
    const send = parse(sending(item)).cases[0]!.sends[0]!;
    assert.is(buildOutgoing(send, WIRING, new TickClock()).way, way, item);
  }
});

const lab = labForTests({ mtu: 3000 });

labTest("everything that the shipped scripts send arrives byte for byte as it was built", async () => {
  const { generator, responder } = lab!;
  const wiring = { ...WIRING, generator, device: responder };
  const clock = new TickClock();
  const items = shippedScripts()
    .flatMap((path) => parseScript(readFileSync(path, "utf8"), path, responderOptions).cases)
    .flatMap(({ sends }) => sends);
  const [near, far] = [generator, responder].map((link) => openFrameSocket({ link, holdPort: 0 }));
  const sender = new Sender(generator, near!);
  const ways = new Set<string>();
  try {
    for (const item of items) {
      const outgoing = buildOutgoing({ ...item, vlans: item.vlans ?? [] }, wiring, clock);
      // Linux takes a frame that ends inside its tag for garbage before anybody can see it.
      if (outgoing.decoded.problems.some(({ field }) => field === "vlan")) continue;
      await sender.send(outgoing);
      ways.add(outgoing.way);
      let came: string[] = [];
      for (const end = performance.now() + PATIENCE_MS; came.length === 0 && performance.now() < end; ) {
        came = far!.receive().map(({ frame }) => frame.toString("hex"));
        if (came.length === 0) await sleep(0);
      }
      assert.equal(came, [outgoing.frame.toString("hex")], `${item.place} by ${outgoing.way}`);
    }
  } finally {
    sender.close();
    near!.close();
    far!.close();
  }
  assert.equal([...ways].sort(), ["frame-socket", "raw-socket"]);
});

test.run();
