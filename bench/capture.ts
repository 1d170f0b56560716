/** 500,000 packets a second into a file: carom, dumpcap and tcpdump, in turn, and how many each one has. */

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { formatTable } from "../cli/table.js";
import { namespaceArguments } from "../lab/ip.js";
import { createLab, type Lab } from "../lab/lab.js";
import { CaromError } from "../native/error.js";
import { carom, execute } from "./program.js";
import { atMost, type SuiteResult, spread, spreadText } from "./spread.js";

const RATE = "500k";
const FILTER = "udp dst port 8080";
const START_MS = 5000;
const POLL_MS = 20;
const SETTLE_MS = 300; // for what the kernel still holds
const BUFFER_MIB = 64; // of each contestant

interface Contestant {
  readonly name: string;
  readonly ready: string; // said on standard error, or output, when it captures
  command(lab: Lab, file: string): string[];
}

const CONTESTANTS: readonly Contestant[] = [
  {
    name: "carom",
    ready: "capturing on",
    command: (lab, file) =>
      carom(
        "capture",
        "--lab",
        `${lab.name}:responder`,
        "--filter",
        FILTER,
        "--write",
        file,
        "--ring",
        `${BUFFER_MIB}MiB`,
      ),
  },
  {
    name: "dumpcap",
    ready: "File: ",
    command: ({ responder }, file) => [
      ...namespaceArguments(responder.namespace),
      ...["dumpcap", "-i", responder.interfaceName, "-f", FILTER, "-B", String(BUFFER_MIB), "-w", file],
    ],
  },
  {
    name: "tcpdump",
    ready: "listening on",
    command: ({ responder }, file) => [
      ...namespaceArguments(responder.namespace),
      ...["tcpdump", "-i", responder.interfaceName, "-B", String(BUFFER_MIB * 1024), "-w", file, FILTER],
    ],
  },
];

/** @param seconds how long is sent in each round */
export async function captured(
  rounds: number,
  seconds: number,
  say: (line: string) => void,
): Promise<SuiteResult> {
  const lab = createLab();
  const folder = mkdtempSync(join(tmpdir(), "carom-bench-"));
  const missing = new Map<string, number[]>(CONTESTANTS.map(({ name }) => [name, []]));
  let unaccounted = 0;
  try {
    for (let round = 1; round <= rounds; round++) {
      for (const contestant of CONTESTANTS) {
        const file = join(folder, "capture.pcapng");
        const { sent, kept, counted } = await one(contestant, lab, file, seconds);
        missing.get(contestant.name)!.push(sent - kept);
        if (contestant.name === "carom") unaccounted += Math.abs(sent - kept - counted);
        rmSync(file);
      }
      const shown = [...missing].map(([name, all]) => `${name} ${all.at(-1)}`);
      say(`  round ${round} of ${rounds}, packets missing: ${shown.join("; ")}`);
    }
  } finally {
    rmSync(folder, { recursive: true });
    lab.down();
  }
  const rows = [
    ["", "packets missing"],
    ...[...missing].map(([name, all]) => [name, spreadText(spread(all), 0)]),
  ];
  for (const line of formatTable(rows)) say(`  ${line}`);
  return {
    suite: "capture",
    figures: { ...Object.fromEntries(missing), unaccounted },
    goals: [
      atMost("carom, packets missing in a round, median", spread(missing.get("carom")!).median, 0),
      atMost("packets missing that carom did not count", unaccounted, 0),
    ],
  };
}

interface Round {
  readonly sent: number;
  readonly kept: number; // in the file, as capinfos counts
  readonly counted: number; // dropped, as carom says
}

async function one(contestant: Contestant, lab: Lab, file: string, seconds: number): Promise<Round> {
  const [program = "", ...args] = contestant.command(lab, file);
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  child.stdout.on("data", (data: Buffer) => (said += data.toString()));
  child.stderr.on("data", (data: Buffer) => (said += data.toString()));
  child.on("error", (error) => (said += error.message));
  const closed = new Promise<void>((resolve) => child.on("close", () => resolve()));
  const isOver = () => child.exitCode !== null || child.signalCode !== null || child.pid === undefined;
  let sent = 0;
  try {
    for (const end = performance.now() + START_MS; !said.includes(contestant.ready); await sleep(POLL_MS)) {
      if (isOver() || performance.now() > end)
        throw new CaromError(
          "environment",
          `start ${contestant.name}`,
          said.trim() || "it does not get ready",
        );
    }
    sent = await send(lab, seconds);
    await sleep(SETTLE_MS);
  } finally {
    if (!isOver()) child.kill("SIGINT");
    await closed;
  }
  const { stdout, stderr } = await execute(["capinfos", "-c", "-M", file]);
  const kept = Number(/Number of packets: +(\d+)/.exec(stdout)?.[1] ?? Number.NaN);
  if (Number.isNaN(kept))
    throw new CaromError("internal", `count the packets of ${contestant.name}`, stderr.trim());
  const drops = /ring ([\d,]+) +writer ([\d,]+)/.exec(said);
  const counted = (drops?.slice(1) ?? []).reduce((sum, text) => sum + Number(text.replaceAll(",", "")), 0);
  return { sent, kept, counted };
}

/** Ticks from the kernel, so that the sender needs little of a core. @returns the frames that went out */
async function send(lab: Lab, seconds: number): Promise<number> {
  const args = ["--lab", lab.name, "--backend", "xdp_live", "--rate", RATE, "--duration", `${seconds}s`];
  const { stdout, stderr } = await execute(carom("generate", ...args, "--arrivals", "off", "--json"));
  if (stdout === "") throw new CaromError("internal", "send ticks", stderr.trim());
  const report = JSON.parse(stdout) as { counters?: { generator: Record<string, number> } };
  const frames = report.counters?.generator.frames_out;
  if (frames === undefined) throw new CaromError("internal", "send ticks", stderr.trim());
  return frames;
}
