/** The round trip of each backend beside sockperf's ping-pong and the bare AF_XDP echo, in turn, in one lab. */

import { spawn } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { formatTable } from "../cli/table.js";
import { findTool } from "../lab/ip.js";
import { createLab, type Lab, namespaceArguments } from "../lab/lab.js";
import { CaromError } from "../native/error.js";
import { chooseCores } from "../run/cores.js";
import { carom, compile, execute } from "./program.js";
import { atMost, type SuiteResult, spread, spreadText } from "./spread.js";

const PORT = "11111";
const SERVER_START_MS = 300;

interface Sample {
  readonly p50_ns: number;
  readonly p99_ns: number;
}

type Contestant = (seconds: number) => Promise<Sample>;

/** @param seconds how long each contestant is measured in each round */
export async function roundTrip(
  rounds: number,
  seconds: number,
  say: (line: string) => void,
): Promise<SuiteResult> {
  const lab = createLab();
  try {
    const cores = chooseCores(1);
    const near = String(cores.generator);
    const far = String(cores.responder[0]);
    const contestants = new Map<string, Contestant>();
    if (findTool("sockperf") === undefined)
      say("  sockperf is not installed: no comparison with it (Debian package sockperf)");
    else contestants.set("sockperf", (s) => sockperf(lab, near, far, s));
    const bare = compile("bare_echo", ["core/clock.cpp", "core/thread.cpp"], ["-lbpf"]);
    contestants.set("bare af_xdp", (s) => bareEcho(bare, lab, near, far, s));
    for (const backend of ["af_xdp", "af_packet", "udp"]) {
      contestants.set(`carom ${backend}`, (s) => caromRun(lab, backend, backend, s));
    }
    contestants.set("carom af_xdp → xdp", (s) => caromRun(lab, "af_xdp", "xdp", s));
    const samples = new Map<string, Sample[]>([...contestants.keys()].map((name) => [name, []]));
    for (let round = 1; round <= rounds; round++) {
      for (const [name, contestant] of contestants) samples.get(name)!.push(await contestant(seconds));
      const shown = [...samples].map(([name, all]) => `${name} ${(all.at(-1)!.p50_ns / 1000).toFixed(2)}`);
      say(`  round ${round} of ${rounds}, p50 in µs: ${shown.join(", ")}`);
    }
    return conclude(samples, say);
  } finally {
    lab.down();
  }
}

function conclude(samples: ReadonlyMap<string, readonly Sample[]>, say: (line: string) => void): SuiteResult {
  const ratio = (name: string, other: string, key: keyof Sample) => {
    const others = samples.get(other);
    if (others === undefined) return undefined;
    return spread(samples.get(name)!.map((sample, round) => sample[key] / others[round]![key]));
  };
  const rows = [["", "p50 µs", "p99 µs", "p50 / sockperf", "p99 / sockperf", "p50 / bare", "p99 / bare"]];
  for (const [name, all] of samples) {
    const cells = (["p50_ns", "p99_ns"] as const).map((key) =>
      spreadText(spread(all.map((s) => s[key] / 1000))),
    );
    for (const other of ["sockperf", "bare af_xdp"]) {
      for (const key of ["p50_ns", "p99_ns"] as const) {
        const found = ratio(name, other, key);
        cells.push(found === undefined ? "–" : spreadText(found));
      }
    }
    rows.push([name, ...cells]);
  }
  for (const line of formatTable(rows)) say(`  ${line}`);
  const goals = [
    atMost("af_xdp p50 / bare af_xdp p50", ratio("carom af_xdp", "bare af_xdp", "p50_ns")!.median, 1.15),
  ];
  if (samples.has("sockperf")) {
    goals.push(
      atMost("af_xdp p50 / sockperf p50", ratio("carom af_xdp", "sockperf", "p50_ns")!.median, 0.33),
    );
    goals.push(atMost("af_xdp p99 / sockperf p99", ratio("carom af_xdp", "sockperf", "p99_ns")!.median, 0.6));
  }
  return { suite: "roundtrip", figures: Object.fromEntries(samples), goals };
}

/** sockperf's ping-pong: UDP sockets, both sides spinning on their own core, 24 bytes, as whole round trips. */
async function sockperf(lab: Lab, near: string, far: string, seconds: number): Promise<Sample> {
  const address = ["-i", lab.responder.address4, "-p", PORT, "--nonblocked"];
  const enter = (namespace: string, core: string) => [
    ...namespaceArguments(namespace),
    "taskset",
    "-c",
    core,
    "sockperf",
  ];
  const [file = "", ...args] = [...enter(lab.responder.namespace, far), "server", ...address];
  const server = spawn(file, args, { stdio: "ignore" });
  try {
    await sleep(SERVER_START_MS);
    const options = ["-m", "24", "-t", String(Math.ceil(seconds)), "--full-rtt"];
    const { stdout, stderr } = await execute([
      ...enter(lab.generator.namespace, near),
      "ping-pong",
      ...address,
      ...options,
    ]);
    const text = stdout + stderr;
    return { p50_ns: percentile(text, "50.000"), p99_ns: percentile(text, "99.000") };
  } finally {
    server.kill("SIGKILL");
  }
}

function percentile(text: string, name: string): number {
  const match = new RegExp(`percentile ${name.replace(".", "\\.")} =\\s*([\\d.]+)`).exec(text);
  if (match === null)
    throw new CaromError(
      "environment",
      "read sockperf's report",
      `no percentile ${name} in it`,
      text.slice(-300),
    );
  return Number(match[1]) * 1000;
}

async function bareEcho(
  program: string,
  lab: Lab,
  near: string,
  far: string,
  seconds: number,
): Promise<Sample> {
  const { generator, responder } = lab;
  const ends = [
    generator.namespace,
    generator.interfaceName,
    near,
    responder.namespace,
    responder.interfaceName,
    far,
  ];
  const { status, stdout, stderr } = await execute([program, ...ends, String(seconds)]);
  if (status !== 0) throw new CaromError("environment", "run the bare echo", stderr.trim());
  return JSON.parse(stdout) as Sample;
}

/** The whole of carom: parse, decide, check, ledger; every tick is answered, as in a ping-pong. */
async function caromRun(lab: Lab, backend: string, responder: string, seconds: number): Promise<Sample> {
  const options = [
    "--backend",
    backend,
    "--responder-backend",
    responder,
    "--duration",
    `${seconds}s`,
    "--trigger-ratio",
    "1",
    "--json",
  ];
  const { status, stdout, stderr } = await execute(carom("run", "--lab", lab.name, ...options));
  if (status !== 0)
    throw new CaromError("environment", `carom run --backend ${backend}`, stderr.trim() || stdout);
  const report = JSON.parse(stdout) as {
    latency: { actual: { percentiles: { percentile: number; value_ns: number }[] } };
  };
  const value = (wanted: number) =>
    report.latency.actual.percentiles.find((p) => p.percentile === wanted)!.value_ns;
  return { p50_ns: value(50), p99_ns: value(99) };
}
