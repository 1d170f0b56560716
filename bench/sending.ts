/**
 * How many ticks a second each tool sends from one core, counted at the receiver; and how many judged round trips
 * a second fit on one core when both sides are in the kernel.
 */

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { formatTable } from "../cli/table.js";
import { findTool, run } from "../lab/ip.js";
import { createLab, type Lab, namespaceArguments } from "../lab/lab.js";
import { CaromError } from "../native/error.js";
import type { Report } from "../run/report.js";
import { twoCores } from "./far_end.js";
import { carom, compile, compileBpf, execute } from "./program.js";
import { type Arrivals, buildReceiver, type Receiver } from "./receiver.js";
import { atLeast, type Goal, type SuiteResult, spread, spreadText } from "./spread.js";
import { THRESHOLD, tickFrame, tickTable } from "./ticks.js";

const START_MS = 15_000; // testpmd takes some seconds
const POLL_MS = 50;
const WARM_MS = 500;
const WINDOW = 512; // ticks in flight
const LIVE = "carom xdp_live";
const PLANNED_ELSEWHERE = "the same, planned on another core";
const BARE = "bare live frames"; // the floor: from a table, without schedule, ledger or timestamps
const TRAFGEN = "trafgen";
const TCPREPLAY = "tcpreplay";
const TESTPMD = "testpmd af_xdp";
const TRAFFICGEN = "xdp-trafficgen";

/** What a tool sends with, for as long as it is let. */
export interface Tool {
  readonly name: string;
  readonly executable: string; // "" for carom's own
  readonly command: readonly string[];
  readonly input?: Buffer;
}

export interface Sending {
  readonly ticks_per_s: number;
  readonly newer: number; // part of the ticks whose timestamp is above all before
}

/** @param seconds how long each tool is measured in each round */
export async function sending(
  rounds: number,
  seconds: number,
  say: (line: string) => void,
): Promise<SuiteResult> {
  const { near } = twoCores();
  const withReceiver = buildReceiver();
  const bare = [compile("flood", ["core/thread.cpp"], ["-lbpf"]), compileBpf("flood")] as const;
  const directory = mkdtempSync(join(tmpdir(), "carom-bench-"));
  const lab = createLab();
  try {
    const tools = toolsOf(lab, near, directory, bare).filter(({ name, executable }) => {
      const isThere = executable === "" || findTool(executable) !== undefined;
      if (!isThere) say(`  ${executable} is not installed: no comparison with ${name}`);
      return isThere;
    });
    const samples = new Map<string, Sending[]>(tools.map(({ name }) => [name, []]));
    const trips: number[] = [];
    for (let round = 1; round <= rounds; round++) {
      for (const tool of tools) {
        samples.get(tool.name)!.push(await withReceiver(lab, (receiver) => measure(tool, receiver, seconds)));
        detach(lab);
      }
      trips.push(await judged(lab, near, seconds));
      const shown = [...samples].map(([name, all]) => `${name} ${millions(all.at(-1)!.ticks_per_s)}`);
      say(`  round ${round} of ${rounds}, M/s: ${shown.join(", ")}; judged ${millions(trips.at(-1)!)}`);
    }
    return conclude(samples, trips, say);
  } finally {
    lab.down();
    rmSync(directory, { recursive: true });
  }
}

function toolsOf(
  lab: Lab,
  core: number,
  directory: string,
  [flood, object]: readonly [program: string, object: string],
): Tool[] {
  const { generator, responder } = lab;
  const { frames } = tickTable(lab, 1);
  const size = tickFrame(lab, { symbol: "AAPL", price: THRESHOLD, quantity: 0, timestamp: 0n }).length;
  const capture = join(directory, "ticks.pcap");
  const packets = join(directory, "ticks.trafgen");
  writeFileSync(capture, pcapOf(frames, size));
  writeFileSync(packets, trafgenOf(frames.subarray(0, size)));
  const enter = [...namespaceArguments(generator.namespace), "taskset", "-c", String(core)];
  const tool = (name: string, executable: string, ...args: string[]) => ({
    name,
    executable,
    command: [...enter, executable, ...args],
  });
  const options = ["--lab", lab.name, "--backend", "xdp_live", "--rate", "max", "--duration", "1h"];
  const pmd = ["--no-huge", "-m", "512", "--no-pci", "--no-telemetry", "-l", cores(core)];
  const forward = [
    "--forward-mode=txonly",
    "--auto-start",
    "--total-num-mbufs=16384",
    `--txpkts=${size}`,
    "--stats-period=3600",
  ];
  return [
    {
      name: LIVE,
      executable: "",
      // All of carom's threads on that core, not only the one that sends.
      command: ["taskset", "-c", String(core), ...carom("generate", ...options, "--cpu", String(core))],
    },
    {
      name: PLANNED_ELSEWHERE,
      executable: "",
      command: carom("generate", ...options, "--cpu", String(core)),
    },
    {
      name: BARE,
      executable: "",
      command: [flood, generator.namespace, generator.interfaceName, String(core), object, "0", "3600", "0"],
      input: frames,
    },
    tool(
      TRAFGEN,
      "trafgen",
      "--dev",
      generator.interfaceName,
      "--conf",
      packets,
      "--cpus",
      "1",
      "--qdisc-path",
    ),
    tool(
      TCPREPLAY,
      "tcpreplay",
      "--topspeed",
      "--preload-pcap",
      "--loop=0",
      `--intf1=${generator.interfaceName}`,
      capture,
    ),
    {
      ...tool(TESTPMD, "dpdk-testpmd"),
      command: [
        ...namespaceArguments(generator.namespace),
        "dpdk-testpmd",
        ...pmd,
        `--vdev=net_af_xdp0,iface=${generator.interfaceName}`,
        "--",
        ...forward,
        `--eth-peer=0,${responder.mac}`,
        `--tx-ip=${generator.address4},${responder.address4}`,
        "--tx-udp=9999,8080",
      ],
    },
    tool(TRAFFICGEN, "xdp-trafficgen", "udp", "-m", responder.mac, "-p", "8080", generator.interfaceName),
  ];
}

/** testpmd's first core only waits for commands, the second one sends. */
function cores(core: number): string {
  return core === 0 ? "1,0" : `0,${core}`;
}

function pcapOf(frames: Buffer, size: number): Buffer {
  const header = Buffer.alloc(24);
  header.writeUInt32LE(0xa1b2c3d4, 0);
  header.writeUInt16LE(2, 4);
  header.writeUInt16LE(4, 6);
  header.writeUInt32LE(65_535, 16);
  header.writeUInt32LE(1, 20); // Ethernet
  const packets = Array.from({ length: frames.length / size }, (_, index) => {
    const record = Buffer.alloc(16);
    record.writeUInt32LE(index, 4);
    record.writeUInt32LE(size, 8);
    record.writeUInt32LE(size, 12);
    return Buffer.concat([record, frames.subarray(index * size, (index + 1) * size)]);
  });
  return Buffer.concat([header, ...packets]);
}

function trafgenOf(frame: Buffer): string {
  return `{ ${[...frame].map((byte) => `0x${byte.toString(16)}`).join(", ")} }\n`;
}

/** testpmd, ended at once, leaves its program attached. */
function detach({ generator: { namespace, interfaceName } }: Lab): void {
  const command = [...namespaceArguments(namespace), "ip", "link", "set", "dev", interfaceName, "xdp", "off"];
  run(`detach what a tool has left on ${interfaceName}`, command);
}

/** Before a command: it ends with the bench, and with it every process that it starts. */
const CAGE = ["setpriv", "--pdeathsig", "KILL", "unshare", "--pid", "--fork", "--kill-child=KILL"];

/** Lets a tool send, and counts at the far end, once it is on its way, for some seconds. */
export async function measure(tool: Tool, receiver: Receiver, seconds: number): Promise<Sending> {
  const [file = "", ...args] = [...CAGE, ...tool.command];
  const child = spawn(file, args, { stdio: ["pipe", "pipe", "pipe"] });
  child.stdin.on("error", () => {}); // it ended: its status says why
  child.stdin.end(tool.input);
  let said = "";
  child.stdout.on("data", (data: Buffer) => (said += data.toString()));
  child.stderr.on("data", (data: Buffer) => (said += data.toString()));
  const closed = new Promise((resolve) => child.on("close", resolve));
  try {
    const none = await receiver.read();
    for (const end = performance.now() + START_MS; (await receiver.read()).ticks === none.ticks; ) {
      if (child.exitCode !== null || performance.now() > end)
        throw new CaromError(
          "environment",
          `send with ${tool.name}`,
          said.trim().slice(-500) || "nothing came",
        );
      await sleep(POLL_MS);
    }
    await sleep(WARM_MS);
    const before = await receiver.read();
    await sleep(seconds * 1000);
    return between(before, await receiver.read());
  } finally {
    child.kill("SIGKILL");
    await closed;
  }
}

function between(before: Arrivals, after: Arrivals): Sending {
  const ticks = after.ticks - before.ticks;
  const ticks_per_s = (ticks / (after.time_ns - before.time_ns)) * 1e9;
  return { ticks_per_s, newer: (after.newer - before.newer) / ticks };
}

/** Round trips a second, each one judged, with all of carom on one core. */
async function judged(lab: Lab, core: number, seconds: number): Promise<number> {
  const options = ["--window", String(WINDOW), "--trigger-ratio", "1", "--duration", `${seconds}s`, "--json"];
  const backends = ["--backend", "xdp_live", "--responder-backend", "xdp", "--cpu", String(core)];
  const command = carom("run", "--lab", lab.name, ...backends, ...options);
  const { status, stdout, stderr } = await execute(["taskset", "-c", String(core), ...command]);
  if (status !== 0)
    throw new CaromError("environment", "carom run --backend xdp_live", stderr.trim() || stdout);
  const { verdicts, ticks, rates } = JSON.parse(stdout) as Report;
  if (verdicts.correct !== ticks.sent) throw new CaromError("internal", "judge every order", stderr.trim());
  return rates.answered_pps;
}

function millions(value: number): string {
  return (value / 1e6).toFixed(2);
}

function conclude(
  samples: ReadonlyMap<string, readonly Sending[]>,
  trips: readonly number[],
  say: (line: string) => void,
): SuiteResult {
  const own = samples.get(LIVE)!;
  const ratio = (name: string) =>
    spread(own.map((sample, round) => sample.ticks_per_s / samples.get(name)![round]!.ticks_per_s));
  const rows = [["", "M ticks/s", "distinct", "xdp_live / it"]];
  for (const [name, all] of samples) {
    const rate = spreadText(spread(all.map(({ ticks_per_s }) => ticks_per_s / 1e6)));
    const distinct = Math.min(...all.map(({ newer }) => newer));
    rows.push([name, rate, `${(100 * distinct).toFixed(distinct === 1 ? 0 : 3)} %`, spreadText(ratio(name))]);
  }
  for (const line of formatTable(rows)) say(`  ${line}`);
  const judgedRate = spread(trips.map((rate) => rate / 1e6));
  say(`  xdp_live against xdp, all on one core: ${spreadText(judgedRate)} M judged round trips a second`);
  const goals: Goal[] = [];
  const beside = (name: string, least: number) => {
    if (samples.has(name)) goals.push(atLeast(`xdp_live / ${name}`, ratio(name).median, least));
  };
  if (samples.has(TRAFFICGEN)) beside(TRAFFICGEN, 1.1);
  else goals.push(atLeast("xdp_live, M ticks/s", spread(own.map((s) => s.ticks_per_s / 1e6)).median, 6));
  beside(TRAFGEN, 8);
  beside(TCPREPLAY, 8);
  beside(TESTPMD, 5);
  goals.push(
    atLeast("xdp_live, part of the ticks that are distinct", Math.min(...own.map((s) => s.newer)), 1),
  );
  goals.push(atLeast("xdp_live against xdp, M judged round trips/s", judgedRate.median, 2.5));
  return { suite: "sending", figures: { ...Object.fromEntries(samples), judged: trips }, goals };
}
