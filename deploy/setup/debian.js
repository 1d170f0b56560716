/** The Debian packages that carom is built with and runs with. */

import { spawnSync } from "node:child_process";
import { FailedProgram, runStep, SetupError, say, showOutput } from "./step.js";

const ALWAYS = {
  clang: "compiles the eBPF programs",
  ethtool: "sets the lab's interfaces",
  "g++": "compiles the native core",
  iproute2: "makes the lab",
  "libasmjit-dev": "makes the machine code of filters",
  "libbpf-dev": "loads the eBPF programs",
  "libelf-dev": "is needed by libbpf",
  "libpcap-dev": "reads captures, and compiles filters",
  "libzstd-dev": "reads captures that are compressed with it",
  "linux-libc-dev": "the kernel's headers",
  make: "builds the native core",
  python3: "runs node-gyp's generator",
  "systemtap-sdt-dev": "static probes, for bpftrace and others",
  "util-linux": "nsenter, flock, setpriv and unshare, for the lab",
  "zlib1g-dev": "reads captures that are compressed with it, and is needed by libbpf",
};
const FOR_TESTS = {
  bpftrace: "lists and reads the static probes",
  "clang-format": "the lint step",
  procps: "sysctl, against which the doctor is checked",
  tcpdump: "a second opinion on frames",
  tmux: "a terminal for the tests of the UI",
  tshark: "a second opinion on frames",
};
const FOR_BENCH = {
  "dpdk-dev": "testpmd, with which rates are compared",
  "libdpdk-dev": "DPDK's BPF JIT, with which filters are compared",
  "netsniff-ng": "trafgen, with which rates are compared",
  pkgconf: "says where DPDK's libraries are",
  sockperf: "what round trips are compared with",
  tcpreplay: "what pacing is compared with",
};

/**
 * What is installed of the packages that are needed.
 * @param {{test: boolean, bench: boolean}} purpose
 * @returns {{missing: string[], versions: Record<string, string>, isDebian: boolean}}
 */
export function lookAtDebian({ test, bench }) {
  const wanted = { ...ALWAYS, ...(test ? FOR_TESTS : {}), ...(bench ? FOR_BENCH : {}) };
  const names = Object.keys(wanted).sort();
  const format = `\${Package}\\t\${db:Status-Status}\\t\${Version}\\n`;
  const { stdout, error } = spawnSync("dpkg-query", ["-W", "-f", format, ...names], { encoding: "utf8" });
  if (error !== undefined) return { missing: [], versions: {}, isDebian: false };
  const rows = stdout.split("\n").map((row) => row.split("\t"));
  const installed = rows.filter(([, status]) => status === "installed");
  const versions = Object.fromEntries(installed.map(([name, , version]) => [name, version]));
  return { missing: names.filter((name) => !Object.hasOwn(versions, name)), versions, isDebian: true };
}

/** What to have where there are no Debian packages. */
export function needsText() {
  return Object.entries(ALWAYS)
    .map(([name, use]) => `${name} (${use})`)
    .join(", ");
}

/** @throws {SetupError} */
export async function installDebian(missing) {
  const prefix = privilege(missing);
  const apt = [...prefix, "env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8", "apt-get", "-q"];
  const options = ["-o", "DPkg::Lock::Timeout=120", "-o", "Dpkg::Use-Pty=0"];
  let update;
  try {
    await runStep("list of Debian packages", [...apt, ...options, "update"]);
  } catch (error) {
    // The list that is there may do.
    if (!(error instanceof FailedProgram)) throw error;
    update = error;
  }
  const install = [...apt, ...options, "install", "-y", "--no-install-recommends", ...missing];
  try {
    await runStep(`Debian packages ${missing.join(", ")}`, install);
  } catch (error) {
    if (!(error instanceof FailedProgram)) throw error;
    if (update !== undefined) showOutput(update.output);
    showOutput(error.output);
    throw new SetupError("the Debian packages could not be installed", [
      "see what apt-get says above: without a network, or with package sources that can't be reached, it can't work.",
      `Install them by hand, then try again:  ${byHand(missing)}`,
    ]);
  }
}

/** What runs apt-get as root: nothing, or sudo. */
function privilege(missing) {
  if (process.getuid?.() === 0) return [];
  const isFree = spawnSync("sudo", ["-n", "true"], { stdio: "ignore" });
  if (isFree.status === 0) return ["sudo", "-n"];
  if (isFree.error === undefined && process.stdin.isTTY) {
    say(`carom set-up: sudo is needed to install the Debian packages ${missing.join(", ")}`);
    if (spawnSync("sudo", ["-v"], { stdio: "inherit" }).status === 0) return ["sudo", "-n"];
  }
  throw new SetupError(
    `the Debian packages ${missing.join(", ")} are missing, and only root can install them`,
    [`as root:  ${byHand(missing)}`, "then, as yourself, the same command again."],
  );
}

function byHand(missing) {
  return `apt-get update && apt-get install --no-install-recommends ${missing.join(" ")}`;
}
