/** The packet filter's engines beside libpcap's interpreter and DPDK's BPF JIT, on frames in memory. */

import { execFileSync } from "node:child_process";
import { CaromError } from "../native/error.js";
import { compile, execute, FILTER_LIBRARIES, FILTER_SOURCES } from "./program.js";
import { atLeast, atMost, type Goal, type SuiteResult, spread, spreadText } from "./spread.js";

interface Contestant {
  readonly name: string;
  readonly wrong: number; // verdicts other than libpcap's
  readonly hot: readonly number[]; // ns a packet, a figure a round
  readonly all: readonly number[];
}

interface Expression {
  readonly name: string;
  readonly expression: string;
  readonly compile_us: number;
  readonly contestants: readonly Contestant[];
}

/** What is asked of the engine simd on hot frames: ns a packet, and times as fast as libpcap and DPDK. */
const WANTED: Readonly<Record<string, { ns: number; libpcap: number; dpdk: number }>> = {
  port: { ns: 1.2, libpcap: 8, dpdk: 3.5 },
  "group and port": { ns: 1.2, libpcap: 8, dpdk: 3.5 },
  "nets, ports, source": { ns: 3, libpcap: 6, dpdk: 2 },
  "payload and port": { ns: 1.2, libpcap: 8, dpdk: 3.5 },
};
const COMPILE_US_MAX = 1000;
const ALL_RATIO = 6; // over all frames, beside libpcap

export async function filterEngines(rounds: number, say: (line: string) => void): Promise<SuiteResult> {
  const dpdk = dpdkFlags();
  if (dpdk === undefined) say("  DPDK's libraries (libdpdk-dev) are not installed: its JIT is left out");
  const program = compile(
    "filter_engines",
    ["../bench/dpdk_filter.cpp", ...FILTER_SOURCES],
    [
      ...(dpdk ?? []),
      ...FILTER_LIBRARIES,
      ...(dpdk === undefined ? [] : ["-lrte_bpf", "-lrte_eal", "-lrte_mbuf"]),
    ],
  );
  const { status, stdout, stderr } = await execute([program, String(rounds)]);
  if (status !== 0) throw new CaromError("internal", "run the bench of filters", stderr.trim());
  const found = JSON.parse(stdout) as { dpdk: boolean; expressions: Expression[] };
  if (dpdk !== undefined && !found.dpdk) say("  DPDK did not start: its JIT is left out");
  const goals: Goal[] = [];
  for (const expression of found.expressions) {
    say(`  ${expression.expression}`);
    say(`    compiled in ${expression.compile_us.toFixed(0)} µs; ns a packet, median (least–most):`);
    for (const { name, hot, all, wrong } of expression.contestants) {
      const verdicts =
        wrong > 0 && name !== "only reading" ? `   ${wrong} verdicts differ from libpcap's` : "";
      say(
        `    ${name.padEnd(13)} hot ${spreadText(spread(hot))}   all ${spreadText(spread(all))}${verdicts}`,
      );
    }
    goals.push(...goalsOf(expression));
  }
  return { suite: "filter", figures: { ...found }, goals };
}

function goalsOf({ name, compile_us, contestants }: Expression): Goal[] {
  const one = (wanted: string) => contestants.find((contestant) => contestant.name === wanted);
  const simd = contestants.findLast((contestant) => contestant.name.startsWith("simd"));
  const [libpcap, jit, dpdk] = [one("libpcap"), one("jit"), one("dpdk")];
  const wanted = WANTED[name];
  if (simd === undefined || libpcap === undefined || jit === undefined || wanted === undefined) return [];
  const goals = [
    atMost(`${name}: ns a packet, hot`, spread(simd.hot).median, wanted.ns),
    atLeast(`${name}: times as fast as libpcap, hot`, ratio(libpcap.hot, simd.hot), wanted.libpcap),
    atLeast(`${name}: times as fast as libpcap, all`, ratio(libpcap.all, simd.all), ALL_RATIO),
    atMost(`${name}: µs to compile`, compile_us, COMPILE_US_MAX),
    atMost(`${name}: wrong verdicts`, simd.wrong + jit.wrong, 0),
  ];
  if (dpdk !== undefined) {
    goals.push(atLeast(`${name}: times as fast as DPDK, hot`, ratio(dpdk.hot, simd.hot), wanted.dpdk));
    goals.push(atLeast(`${name}: jit, times as fast as DPDK, hot`, ratio(dpdk.hot, jit.hot), 1));
  }
  return goals;
}

/** Of the figures of each round, so that what slows a whole round down does not count. */
function ratio(slow: readonly number[], fast: readonly number[]): number {
  return spread(slow.map((ns, round) => ns / fast[round]!)).median;
}

/** What the compiler is told where DPDK is there; undefined where it is not. */
function dpdkFlags(): string[] | undefined {
  try {
    const flags = execFileSync("pkg-config", ["--cflags", "libdpdk"], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
    // Its headers are not ours to warn about.
    const words = flags.trim().split(/\s+/);
    return ["-DCAROM_WITH_DPDK", ...words.map((word) => word.replace(/^-I/, "-isystem"))];
  } catch {
    return undefined;
  }
}
