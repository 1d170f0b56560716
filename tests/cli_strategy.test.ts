/** carom run with each strategy, against the responder on each backend: the ledger and the responder agree. */

import { test } from "uvu";
import * as assert from "uvu/assert";
import { STRATEGY_NAMES, type StrategyName } from "../config/strategy_rules.js";
import { backendsOf, backendTest, caromHere, reportOf } from "./cli_support.js";
import { labTest } from "./lab_support.js";

const BRIEF = ["--count", "1000", "--warmup", "50ms", "--ring-size", "16384", "--json"];

/** How many of the ticks of the default feed each answers as it is set by default: each some, and but for echo not all. */
const PART: Readonly<Record<StrategyName, readonly [least: number, most: number]>> = {
  threshold: [0.8, 0.99],
  echo: [1, 1],
  crossover: [0.02, 0.5],
  book: [0.02, 0.2],
};

/** Everything that had to be answered was, rightly, and nothing else. */
async function assertRight(...args: string[]) {
  const ended = await caromHere("run", ...args, ...BRIEF);
  const report = reportOf(ended);
  assert.equal(report.faults, [], args.join(" "));
  assert.is(ended.status, 0);
  assert.ok(report.verdicts.correct > 0, "some were answered");
  assert.is(report.verdicts.correct, report.ticks.answered);
  assert.is(report.ticks.sent, report.ticks.answered + report.ticks.quiet);
  assert.not.ok(
    report.notes.some((note) => note.includes("remembers")),
    "nothing to keep in mind",
  );
  return report;
}

for (const far of backendsOf("responder")) {
  const near = backendsOf("generator").includes(far) ? far : "af_xdp";
  for (const strategy of STRATEGY_NAMES) {
    backendTest(`${near} to ${far}: every order of ${strategy} is right`, [near, far], async () => {
      const backends = ["--backend", near, "--responder-backend", far];
      const { ticks } = await assertRight(...backends, "--strategy", strategy);
      const part = ticks.answered / ticks.sent;
      const [least, most] = PART[strategy];
      assert.ok(part >= least && part <= most, `${part} of the ticks were answered`);
    });
  }
}

labTest("the generator knows every setting of a strategy", async () => {
  for (const args of [
    ["echo", "--side", "sell", "--price-offset", "-3", "--symbols", "AAPL,MSFT"],
    ["crossover", "--fast", "2", "--slow", "3", "--quantity", "7", "--price-offset", "5"],
    ["crossover", "--symbols", "AAPL,INTC", "--window", "8"],
    ["book", "--spread", "900", "--price-offset", "-2", "--rate", "20k"],
    ["book", "--spread", "900", "--symbols", "3", "--match", "fifo"],
    ["crossover", "--match", "fifo", "--multicast-group", "ff0e::1:1"],
  ]) {
    await assertRight("--backend", "af_packet", "--strategy", ...args);
  }
});

labTest("ticks of symbols without room are not to be answered, and are counted", async () => {
  const report = await assertRight("--strategy", "book", "--symbols", "2", "--backend", "udp");
  const { symbol_over_limit = 0, undecidable } = report.counters.responder!;
  const all = report.ticks.sent + report.warmup.sent;
  // Two of eight symbols have room.
  assert.ok(Math.abs(symbol_over_limit / all - 0.75) < 0.1, `${symbol_over_limit} of ${all}`);
  assert.is(undecidable, 0);
});

test.run();
