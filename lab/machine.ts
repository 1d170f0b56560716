/**
 * What the doctor finds out about the machine itself: cores, kernel, privileges, clock, settings and
 * programs.
 */

import { release, version } from "node:os";
import { formatNs } from "../config/values.js";
import type { ClockDiscipline, ClockInfo } from "../native/index.js";
import { type Capability, effectiveCapabilities } from "./capability.js";
import {
  allowedCores,
  type Finding,
  formatCores,
  note,
  ok,
  parseCores,
  problem,
  readSysctl,
  readText,
} from "./finding.js";
import { findTool, tryRun } from "./ip.js";

const CPU = "/sys/devices/system/cpu";
const SOCKET_BUFFER = 4 << 20; // bytes; what the udp backend asks for (native/io/udp.cpp)
const CLOCK_ERROR_PPM_MAX = 50; // of a calibration: above that, microseconds can't be told over a run

export function machineFindings(): Finding[] {
  const flags = processorFlags();
  const online = parseCores(readText(`${CPU}/online`) ?? "0");
  return [
    processor(online),
    hypervisor(flags),
    ok("kernel", `${release()}, ${version()}`),
    isolation(online),
    tickless(online),
    ...frequency(online),
    ...siblings(),
    clocksource(),
    ...mitigations(),
    ...memory(),
  ];
}

function processor(online: readonly number[]): Finding {
  const model = /^model name\s*:\s*(.*)$/m.exec(readText("/proc/cpuinfo") ?? "")?.[1] ?? "unknown model";
  const allowed = allowedCores();
  const count = `${online.length} core${online.length === 1 ? "" : "s"} online (${formatCores(online)})`;
  const value = `${model}, ${count}`;
  if (allowed.length < online.length) {
    return note(
      "processor",
      `${value}, but this process may use only ${formatCores(allowed)}`,
      "see taskset -p and cpuset",
    );
  }
  if (online.length === 1) {
    return problem(
      "processor",
      `${value}: generator and responder take turns on it`,
      "give this machine more cores",
    );
  }
  if (online.length > 2) return ok("processor", value);
  const change = "a third core keeps everything else away from generator and responder";
  return note("processor", `${value}, of which a run in the lab takes both`, change);
}

function hypervisor(flags: readonly string[]): Finding {
  if (!flags.includes("hypervisor")) return ok("hypervisor", "none");
  const fields = (/^cpu +(.*)$/m.exec(readText("/proc/stat") ?? "")?.[1] ?? "").split(" ").map(Number);
  // proc(5): user, nice, system, idle, iowait, irq, softirq, steal; guest time is part of user.
  const total = fields.slice(0, 8).reduce((sum, value) => sum + value, 0);
  const stolen = total > 0 ? `, ${percent((fields[7] ?? 0) / total)} of the time stolen since boot` : "";
  const change =
    "the host can stop a core at any time: take figures of the tail on bare metal, or pin this machine's cores";
  return note("hypervisor", `this is a virtual machine${stolen}`, change);
}

/** The cores that could be kept for carom: the last two, but never all. */
function spareCores(online: readonly number[]): readonly number[] {
  return online.slice(Math.max(1, online.length - 2));
}

function isolation(online: readonly number[]): Finding {
  const isolated = parseCores(readText(`${CPU}/isolated`) ?? "");
  if (isolated.length > 0) return ok("isolated cores", formatCores(isolated));
  const spare = spareCores(online);
  const change = spare.length === 0 ? "" : `boot with isolcpus=managed_irq,domain,${formatCores(spare)}`;
  return note("isolated cores", "none: the scheduler may put anything beside a measuring thread", change);
}

function tickless(online: readonly number[]): Finding {
  const text = readText(`${CPU}/nohz_full`);
  if (text === undefined)
    return note("cores without tick", "none: this kernel was built without CONFIG_NO_HZ_FULL");
  const cores = parseCores(text);
  if (cores.length > 0) return ok("cores without tick", formatCores(cores));
  const spare = formatCores(spareCores(online));
  const change = spare === "" ? "" : `boot with nohz_full=${spare} rcu_nocbs=${spare}`;
  return note("cores without tick", "none: the timer stops each thread some hundred times a second", change);
}

function frequency(online: readonly number[]): Finding[] {
  const governors = online.map((core) => readText(`${CPU}/cpu${core}/cpufreq/scaling_governor`));
  const known = governors.filter((governor) => governor !== undefined);
  if (known.length === 0) return [ok("frequency", "not this kernel's to control (no cpufreq)")];
  const value = [...new Set(known)].map((governor) => {
    const cores = online.filter((_, index) => governors[index] === governor);
    return `${governor} (${formatCores(cores)})`;
  });
  if (known.every((governor) => governor === "performance"))
    return [ok("frequency governor", value.join(", "))];
  return [note("frequency governor", value.join(", "), "cpupower frequency-set -g performance")];
}

function siblings(): Finding[] {
  if (readText(`${CPU}/smt/active`) !== "1") return [];
  const pairs = readText(`${CPU}/cpu0/topology/thread_siblings_list`) ?? "";
  const change = "pin generator and responder to cores that are not siblings, and leave their siblings idle";
  return [note("hyper-threading", `on: cores share their units (${pairs} are siblings)`, change)];
}

const CLOCKSOURCES = "/sys/devices/system/clocksource/clocksource0";

/** What says whether the TSC, which carom's loops read, is a clock. */
export interface ClockSources {
  readonly flags: readonly string[]; // of the processor
  readonly current: string;
  readonly available: readonly string[]; // the kernel takes one off that it has found unstable
}

function clockSources(): ClockSources {
  return {
    flags: processorFlags(),
    current: readText(`${CLOCKSOURCES}/current_clocksource`) ?? "unknown",
    available: readText(`${CLOCKSOURCES}/available_clocksource`)?.split(" ") ?? [],
  };
}

function processorFlags(): readonly string[] {
  return /^flags\s*:(.*)$/m.exec(readText("/proc/cpuinfo") ?? "")?.[1]?.split(" ") ?? [];
}

/** Why no figure that the TSC made is to be believed: a text or none. For whatever measures. */
export function tscDoubts({ flags, current, available }: ClockSources = clockSources()): string[] {
  const lacking = ["constant_tsc", "nonstop_tsc"].filter((flag) => !flags.includes(flag));
  if (lacking.length > 0)
    return [
      `the processor lacks ${lacking.join(" and ")}: the TSC is no clock here, and no time is to be trusted`,
    ];
  if (available.length > 0 && !available.includes("tsc"))
    return [
      `the kernel does not trust the TSC, and goes by ${current}: no time by the TSC is to be trusted (dmesg says why)`,
    ];
  return [];
}

function clocksource(): Finding {
  const sources = clockSources();
  const { current, available } = sources;
  const [doubt] = tscDoubts(sources);
  if (doubt !== undefined) return problem("clock source", `${current}; ${doubt}`);
  if (current === "tsc") return ok("clock source", "tsc, constant and never stopped");
  const change = available.includes("tsc") ? `echo tsc > ${CLOCKSOURCES}/current_clocksource` : "";
  return note("clock source", `${current}: dearer to read, and not what carom's loops read`, change);
}

const VULNERABILITIES = ["l1tf", "mds", "meltdown", "retbleed", "spec_rstack_overflow", "spec_store_bypass"];

function mitigations(): Finding[] {
  const directory = `${CPU}/vulnerabilities`;
  const names = [...VULNERABILITIES, "spectre_v1", "spectre_v2"];
  if (readText(`${directory}/spectre_v1`) === undefined) return []; // a kernel that doesn't say
  const active = names.filter((name) => readText(`${directory}/${name}`)?.startsWith("Mitigation"));
  if (active.length === 0) return [ok("mitigations", "none active")];
  return [ok("mitigations", `${active.join(", ")}: they make each system call dearer`)];
}

function memory(): Finding[] {
  const findings: Finding[] = [];
  const pages = /\[(\w+)\]/.exec(readText("/sys/kernel/mm/transparent_hugepage/enabled") ?? "")?.[1];
  if (pages === "always") {
    const change = "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled";
    findings.push(
      note("transparent huge pages", "always: a thread may be stopped while its pages are merged", change),
    );
  } else if (pages !== undefined) findings.push(ok("transparent huge pages", pages));
  const info = readText("/proc/meminfo") ?? "";
  const total = /^HugePages_Total:\s*(\d+)$/m.exec(info)?.[1];
  const size_kib = Number(/^Hugepagesize:\s*(\d+) kB$/m.exec(info)?.[1]);
  if (total !== undefined) {
    findings.push(
      ok("huge pages", `${total} of ${size_kib / 1024} MiB reserved; no backend of this version needs any`),
    );
  }
  if (readSysctl("kernel.numa_balancing") === "1") {
    const change = "sysctl -w kernel.numa_balancing=0";
    findings.push(note("NUMA balancing", "on: a thread may be stopped while its pages are moved", change));
  }
  return findings;
}

const USES: readonly (readonly [Capability, string])[] = [
  ["CAP_NET_RAW", "af_packet, af_xdp and the scripted test"],
  ["CAP_NET_ADMIN", "the lab, af_xdp, and receiving on behalf of a whole interface"],
  ["CAP_SYS_ADMIN", "the lab, and roles in another namespace"],
  ["CAP_BPF", "af_xdp"],
  ["CAP_IPC_LOCK", "keeping memory from being paged out"],
];

export function capabilityFindings(): Finding[] {
  const effective = effectiveCapabilities();
  return USES.map(([name, use]) => {
    if (effective.has(name)) return ok(name, "effective");
    if (name === "CAP_BPF" && effective.has("CAP_SYS_ADMIN")) return ok(name, "implied by CAP_SYS_ADMIN");
    const change = process.getuid?.() === 0 ? "start the container with it" : "run as root";
    return note(name, `missing, needed for ${use}`, change);
  });
}

export function clockFindings(clock: ClockInfo, discipline: ClockDiscipline): Finding[] {
  const error = `${clock.errorPpm.toFixed(2)} ppm`;
  return [
    ok("TSC", `${(clock.frequencyHz / 1e6).toFixed(3)} MHz, one tick ${formatNs(clock.resolutionNs)}`),
    ok("cost of a reading", formatNs(clock.readCostNs)),
    clock.errorPpm <= CLOCK_ERROR_PPM_MAX
      ? ok("calibration", `spread ${error} against CLOCK_MONOTONIC_RAW`)
      : note(
          "calibration",
          `spread ${error}: the machine was too busy`,
          "run it again when nothing else runs",
        ),
    disciplineFinding(discipline),
  ];
}

/** What carom join will make of stamps of this machine (docs/two-hosts.md). */
function disciplineFinding({ synchronised, maxErrorNs }: ClockDiscipline): Finding {
  if (synchronised)
    return ok(
      "CLOCK_REALTIME",
      `disciplined, off by ${formatNs(maxErrorNs)} at most, as the kernel was told`,
    );
  const value = "nothing disciplines it: no one-way latency to another host";
  return note(
    "CLOCK_REALTIME",
    value,
    "chronyd, or ptp4l with phc2sys; carom run --clock-error says what is known better",
  );
}

export function sysctlFindings(): Finding[] {
  const findings: Finding[] = [];
  const rmem = Number(readSysctl("net.core.rmem_max"));
  if (rmem < SOCKET_BUFFER) {
    const value = `${rmem} bytes: udp asks for ${SOCKET_BUFFER}, with less it drops bursts sooner`;
    findings.push(note("net.core.rmem_max", value, `sysctl -w net.core.rmem_max=${SOCKET_BUFFER}`));
  } else findings.push(ok("net.core.rmem_max", `${rmem} bytes`));
  const busyPoll = readSysctl("net.core.busy_poll");
  if (busyPoll === "0")
    findings.push(ok("net.core.busy_poll", "0: off, unless asked for on carom's own sockets"));
  else if (busyPoll !== undefined) {
    findings.push(note("net.core.busy_poll", `${busyPoll} µs: every program that polls sockets spins, too`));
  }
  const realTime = Number(readSysctl("kernel.sched_rt_runtime_us"));
  const period = Number(readSysctl("kernel.sched_rt_period_us"));
  if (realTime >= 0 && realTime < period) {
    const stop_ms = (period - realTime) / 1000;
    const value = `${realTime}: a thread under SCHED_FIFO is stopped for up to ${stop_ms} ms of every ${period / 1000}`;
    const change = "before running carom under chrt --fifo: sysctl -w kernel.sched_rt_runtime_us=-1";
    findings.push(note("kernel.sched_rt_runtime_us", value, change));
  } else if (!Number.isNaN(realTime))
    findings.push(ok("kernel.sched_rt_runtime_us", `${realTime}: not throttled`));
  if (readSysctl("kernel.nmi_watchdog") === "1") {
    const value = "1: a performance counter interrupts each core";
    findings.push(note("kernel.nmi_watchdog", value, "sysctl -w kernel.nmi_watchdog=0"));
  }
  if (readSysctl("net.core.bpf_jit_enable") === "0") {
    const value = "0: XDP programs are interpreted";
    findings.push(note("net.core.bpf_jit_enable", value, "sysctl -w net.core.bpf_jit_enable=1"));
  }
  return findings;
}

const TOOLS = [
  { name: "ip", flag: "-V", pattern: /iproute2-([^\s,]+)/, package: "iproute2", use: "the lab" },
  { name: "ethtool", flag: "--version", pattern: /version (\S+)/, package: "ethtool", use: "the lab" },
  {
    name: "sockperf",
    flag: "--version",
    pattern: /version ([^\s,]+)/,
    package: "sockperf",
    use: "comparisons",
  },
  {
    name: "tshark",
    flag: "--version",
    pattern: /TShark.*?(\d+\.\d+\.\d+)/,
    package: "tshark",
    use: "reading captures",
  },
] as const;

export function toolFindings(): Finding[] {
  return TOOLS.map((tool) => {
    const file = findTool(tool.name);
    if (file === undefined) {
      const change = `apt-get install ${tool.package}`;
      if (tool.use === "the lab") return problem(tool.name, `not installed, needed for ${tool.use}`, change);
      return ok(tool.name, `not installed; only for ${tool.use} (${change})`);
    }
    const result = tryRun(`ask ${tool.name} for its version`, [file, tool.flag]);
    const found = tool.pattern.exec(`${result.stdout}${result.stderr}`)?.[1];
    return ok(tool.name, found === undefined ? "installed, version unknown" : found.replace(/\.$/, ""));
  });
}

function percent(share: number): string {
  return `${(share * 100).toFixed(2)} %`;
}
