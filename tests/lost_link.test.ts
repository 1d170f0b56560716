/** A link that goes down while a run goes on, and an interface that is removed: said, and what did not leave is not sent. */

import { test } from "uvu";
import * as assert from "uvu/assert";
import { resolveValues } from "../config/file.js";
import type { Lab } from "../lab/lab.js";
import { measure, type RunningRoles } from "../run/measure.js";
import { planRun, runOptions } from "../run/plan.js";
import { makeReport, type Report } from "../run/report.js";
import { startCarom } from "./cli_support.js";
import { ip, labTest, PREFIX, sleep, withLab } from "./lab_support.js";

/** A run without a far end of carom's, or with one, during which something is done to the lab. */
async function runWhile(
  lab: Lab,
  given: Readonly<Record<string, string>>,
  action: (roles: RunningRoles) => Promise<void>,
): Promise<Report> {
  const texts = new Map(Object.entries(given).map(([name, text]) => [name, { text, place: name }]));
  const plan = await planRun(resolveValues(runOptions, texts), true, { lab });
  try {
    let acted: Promise<void> | undefined;
    const found = await measure(plan, {
      onRunning: (roles) => {
        acted = action(roles);
      },
    });
    await acted;
    return makeReport("run", plan, found);
  } finally {
    plan.release();
  }
}

/** Until so many ticks were sent after the warm-up. */
async function untilSent({ generator }: RunningRoles, ticks: number): Promise<void> {
  while ((generator.counters().sent ?? 0) < ticks) await sleep(5);
}

for (const backend of ["af_xdp", "af_packet", "udp", "xdp_live"]) {
  labTest(`${backend}: a link that goes down and comes back, an interface that is removed`, async () => {
    await withLab({ name: `${PREFIX}-lost-${backend.replace("_", "-")}` }, async (lab) => {
      const namespace = lab.generator.namespace;
      const given = { backend, rate: "1k", warmup: "1ms", timeout: "100ms", ringSize: "1024" };
      const flap = await runWhile(lab, { ...given, duration: "600ms" }, async (roles) => {
        await untilSent(roles, 50);
        ip(namespace, "link", "set", "gen0", "down");
        await sleep(100);
        ip(namespace, "link", "set", "gen0", "up");
      });
      assert.match(flap.faults.join("; "), /the link of gen0 went down (once|\d times), .* in all/);
      assert.ok(flap.links.generator.down_ns > 50e6, `${flap.links.generator.down_ns} ns down`);
      const arrived = ({ counters, warmup }: Report) => counters.responder!.ticks! - warmup.sent;
      assert.is(flap.ticks.sent, arrived(flap), "sent is what left");
      const { sent, not_left, unsent } = flap.ticks;
      assert.is(sent + not_left + unsent, 600, "each planned tick");
      const broken = flap.balances.filter(({ holds, name }) => !holds && !name.endsWith("drops"));
      assert.equal(broken, []);
      const gone = await runWhile(lab, { ...given, duration: "1h" }, async (roles) => {
        await untilSent(roles, 50);
        ip(namespace, "link", "del", "gen0");
      });
      assert.match(
        gone.faults[0]!,
        /^gen0 was removed, or went to another namespace, after [\d.]+ m?s: that ended it$/,
      );
      assert.is(gone.ticks.sent, arrived(gone));
      assert.equal(gone.problems, []);
      assert.ok(gone.balances.every(({ holds }) => holds));
    });
  });
}

labTest("a responder whose link goes down says so, privileges or not", () =>
  withLab({}, async (lab) => {
    const where = ["--lab", lab.name, "--name", `${PREFIX}-lost`, "--backend", "af_packet"];
    const running = startCarom("respond", ...where);
    await running.said("answering ticks to");
    ip(lab.responder.namespace, "link", "set", "dut0", "down");
    ip(lab.responder.namespace, "link", "set", "dut0", "up");
    running.child.kill("SIGINT");
    const { status, stdout, stderr } = await running.end;
    assert.is(status, 1, stderr);
    assert.match(stdout, /^the link of dut0 went down (once|\d times), /m);
  }),
);

test.run();
