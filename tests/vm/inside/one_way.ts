/**
 * Generator and responder as two hosts on the project's own devices, whose clocks and wire are known: what `carom join`
 * says of each way by the NICs' stamps (docs/two-hosts.md).
 */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { command as joinCommand } from "../../../cli/join.js";
import type { Distribution } from "../../../native/histogram.js";
import type { Joined } from "../../../run/join.js";
import { NIC } from "../cells.js";
import { command, demand, type Running, start } from "./carom.js";
import { stepClock, withFault } from "./nic.js";
import { type Pair, placeOf, sleep, until } from "./pair.js";

const START_MS = 240_000;
const TICKS = 150;
const WITHIN_NS = 2; // where both clocks are compared exactly: each is in whole ns
const STEP_NS = 1_000_000;

interface Ends {
  readonly backends: readonly [generator: string, responder: string];
  readonly during?: () => Promise<void>;
}

/** A run of two processes, each with its stamps, and their reports joined. */
async function joined(pair: Pair, { backends, during }: Ends) {
  const folder = mkdtempSync(join(tmpdir(), "carom-one-way-"));
  const file = (name: string) => join(folder, name);
  const how = (end: 0 | 1, name: string) => [
    ...["--backend", backends[end], "--timestamps", "hardware", "--ring-size", "1024", "--cpu", "none"],
    ...["--stamps", file(`${name}.stamps`), "--run-id", "vm"],
  ];
  const running: Running[] = [];
  const begin = async (says: RegExp, ...args: string[]) => {
    const process = start(...args);
    running.push(process);
    let isOver = false;
    process.child.on("exit", () => {
      isOver = true;
    });
    await until(`carom ${args[0]} says ${says}`, () => isOver || says.test(process.text()), START_MS);
    demand(!isOver, `carom ${args[0]} ended: ${process.text()}`);
    return process;
  };
  try {
    const responder = await begin(/answering ticks to/, "respond", ...placeOf(pair.far), ...how(1, "far"));
    await pair.ready();
    const sending = ["--rate", "50", "--count", String(TICKS), "--warmup", "0", "--timeout", "20s"];
    const target = ["--target-ip", pair.far.address4, "--target-mac", pair.far.mac];
    const generator = start("run", ...pair.where, ...target, ...how(0, "near"), ...sending, "--no-history");
    running.push(generator);
    await during?.();
    const near = await generator.end;
    responder.child.kill("SIGTERM");
    const far = await responder.end;
    demand(near.json?.schema === "carom.report", `run: status ${near.status}: ${near.text}`);
    demand(far.json?.schema === "carom.responder", `respond: status ${far.status}: ${far.text}`);
    writeFileSync(file("near.json"), JSON.stringify(near.json));
    writeFileSync(file("far.json"), JSON.stringify(far.json));
    const { status, json, text } = await command(joinCommand, file("near.json"), file("far.json"));
    demand(json?.schema === "carom.join", `join: status ${status}: ${text}`);
    return { status, near: near.json, join: json as unknown as Joined };
  } finally {
    for (const { child } of running) child.kill("SIGKILL");
    await Promise.all(running.map(({ end }) => end));
    rmSync(folder, { recursive: true });
  }
}

function check({ clocks, faults, up, down }: Joined, clock: string, within_ns: number): string {
  demand(faults.length === 0, faults.join("; "));
  demand(clocks.stamps === "hardware", `by the stamps of ${clocks.stamps}`);
  demand(clocks.clock === clock, `compared by ${clocks.clock}`);
  demand(clocks.bound_ns !== null, `no bound: ${clocks.reasons.join("; ")}`);
  demand(up.unstamped === 0 && down?.unstamped === 0, `${up.unstamped} and ${down?.unstamped} lack stamps`);
  const off = (way: Distribution | null | undefined, wire_ns: number) => {
    demand(way !== null && way !== undefined && way.count > 0, "there is no one-way latency");
    return Math.max(Math.abs(way.min_ns - wire_ns), Math.abs(way.max_ns - wire_ns));
  };
  const off_ns = Math.max(off(up.one_way, NIC.wire_ns[0]), off(down?.one_way, NIC.wire_ns[1]));
  demand(off_ns <= within_ns, `off by ${off_ns} ns from the wire`);
  demand(off_ns <= clocks.bound_ns, `off by ${off_ns} ns, and at most ${clocks.bound_ns} were said`);
  return `off the wire by ${off_ns.toFixed(1)} ns at most, ±${clocks.bound_ns.toFixed(0)} said`;
}

/** Each way is the wire, by exact cross stamps and by readings around; a clock that is set in mid-run is told. */
export async function oneWay(pair: Pair): Promise<string> {
  const precise = await joined(pair, { backends: ["af_packet", "udp"] });
  const told = [`PRECISE: ${check(precise.join, "CLOCK_MONOTONIC_RAW", WITHIN_NS)}`];
  const extended = await withFault("near", "no_cross_stamp", 1, () =>
    withFault("far", "no_cross_stamp", 1, () => joined(pair, { backends: ["udp", "af_packet"] })),
  );
  told.push(`EXTENDED: ${check(extended.join, "CLOCK_REALTIME", Number.POSITIVE_INFINITY)}`);
  const stepped = await joined(pair, {
    backends: ["af_packet", "af_packet"],
    during: async () => {
      // Until its first ticks have come; the clock of the responder's NIC is read all the time.
      for (let n = 0; n < 20; n++) {
        await sleep(1000);
        stepClock("far", STEP_NS);
      }
    },
  });
  const { faults, up } = stepped.join;
  demand(stepped.status === 1 && up.one_way === null, "a clock that was set gives one-way latencies");
  demand(
    faults.some((fault) => /was set in the meantime/.test(fault)),
    `that the clock was set is not told, but: ${faults.join("; ")}`,
  );
  return [...told, "a clock that was set in mid-run is told"].join("; ");
}
