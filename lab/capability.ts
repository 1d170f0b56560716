/** What this process may do, as the kernel sees it: being root alone says nothing in a container. */

import { readFileSync } from "node:fs";
import { CaromError } from "../native/error.js";
import { requireTools } from "./ip.js";

/** Bits of capability.h, of those that carom can use. */
const BITS = {
  CAP_NET_ADMIN: 12n,
  CAP_NET_RAW: 13n,
  CAP_IPC_LOCK: 14n,
  CAP_SYS_ADMIN: 21n,
  CAP_SYS_NICE: 23n,
  CAP_BPF: 39n,
} as const;

export type Capability = keyof typeof BITS;

/** All of Linux 6, in the order of capability.h. */
const NAMES =
  "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE " +
  "NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN " +
  "SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE " +
  "MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE";

const ALL = NAMES.split(" ").map((name) => `CAP_${name}`);

/** The names of the bits of a mask. */
export function capabilityNames(mask: bigint): string[] {
  const bits = Array.from({ length: 64 }, (_, bit) => bit);
  return bits.filter((bit) => (mask >> BigInt(bit)) & 1n).map((bit) => ALL[bit] ?? `capability ${bit}`);
}

/** The effective capabilities of this process. */
export function effectiveCapabilities(): ReadonlySet<Capability> {
  const line = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8"));
  const mask = BigInt(`0x${line?.[1] ?? "0"}`);
  const names = Object.keys(BITS) as Capability[];
  return new Set(names.filter((name) => ((mask >> BITS[name]) & 1n) === 1n));
}

/** Those of the wanted capabilities that this process lacks. */
export function missingCapabilities(wanted: readonly Capability[]): Capability[] {
  const effective = effectiveCapabilities();
  return wanted.filter((name) => !effective.has(name));
}

/** @throws CaromError (environment) that names what this process lacks to make and remove namespaces */
export function requirePrivileges(operation: string): void {
  requireTools(operation, ["ip", "ethtool", "flock", "nsenter"]);
  const missing = missingCapabilities(["CAP_NET_ADMIN", "CAP_SYS_ADMIN"]);
  if (missing.length === 0) return;
  const hint =
    "run as root, or let carom make the lab in a user namespace: carom run --user-namespace --backend af_packet";
  throw new CaromError("environment", operation, `this process lacks ${missing.join(" and ")}`, hint);
}
