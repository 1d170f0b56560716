/** carom generate: what it sends is what a plain socket receives. */

import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Report } from "../run/report.js";
import { decodeTick } from "../wire/codec.js";
import { backendsOf, backendTest, carom, jsonOf, LISTENER, launchIn } from "./cli_support.js";
import { withLab } from "./lab_support.js";

const SYMBOLS = ["AAPL", "MSFT", "GOOG", "AMZN", "NVDA", "META", "TSLA", "INTC"];

for (const backend of backendsOf("generator")) {
  backendTest(`${backend}: generate sends what a plain socket receives`, [backend], () =>
    withLab({}, async (lab) => {
      const listener = launchIn(lab.responder.namespace, LISTENER);
      try {
        await listener.said("ready");
        const args = [
          "--lab",
          lab.name,
          "--rate",
          "1k",
          "--count",
          "200",
          "--warmup",
          "0",
          "--backend",
          backend,
        ];
        const ended = await carom("generate", ...args, "--json");
        await listener.printed(1 + 200);
        listener.child.kill("SIGTERM");
        const report = jsonOf(ended) as unknown as Report;
        assert.is(ended.status, 0, ended.stderr);
        assert.is(report.command, "generate");
        assert.is(report.ticks.sent, 200);
        assert.is(report.latency, null, "no answers, no round trips");
        assert.is(report.lateness.count, 200);
        const lines = (await listener.end).stdout.trim().split("\n").slice(1);
        assertTicks(lines.map((line) => Buffer.from(line, "hex")));
      } finally {
        listener.child.kill("SIGKILL");
      }
    }),
  );
}

function assertTicks(datagrams: readonly Buffer[]): void {
  assert.is(datagrams.length, 200);
  const ticks = datagrams.map((datagram) => {
    assert.is(datagram.length, 24, "one tick in a datagram");
    return decodeTick(datagram);
  });
  for (const { symbol, price, quantity } of ticks) {
    assert.ok(SYMBOLS.includes(symbol), symbol);
    assert.ok(price >= 9000 && price < 11_000, `${price} cents`);
    assert.ok(quantity > 0 && quantity % 100 === 0, `${quantity} shares`);
  }
  assert.is(new Set(ticks.map(({ symbol }) => symbol)).size, SYMBOLS.length, "every symbol is used");
  const below = ticks.filter(({ price }) => price < 10_000).length;
  assert.ok(below > 150 && below < 200, `${below} of 200 are below the threshold`);
  // The planned times: exactly 1 ms apart, in ns since the epoch.
  for (const [index, { timestamp }] of ticks.entries()) {
    if (index > 0) assert.is(timestamp - ticks[index - 1]!.timestamp, 1_000_000n);
  }
  assert.ok(Math.abs(Number(ticks[0]!.timestamp / 1_000_000n) - Date.now()) < 30_000);
}

test.run();
