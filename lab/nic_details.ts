/**
 * What ethtool tells of a NIC that decides whether carom's figures are right: firmware, how frames are spread over its
 * queues, whether rules can steer them, which frames it stamps, and by which clock. Each from the text of one call.
 */

import { type Finding, note, ok, readText } from "./finding.js";

/** The text behind "name:" on a line of its own; "" when there is none, or it is n/a. */
export function fieldOf(text: string, name: string): string {
  const line = text.split("\n").find((candidate) => candidate.trim().startsWith(`${name}:`));
  const value = line?.slice(line.indexOf(":") + 1).trim() ?? "";
  return value === "n/a" ? "" : value;
}

/** @param text of ethtool -i */
export function firmwareFindings(text: string): Finding[] {
  const firmware = fieldOf(text, "firmware-version").replace(/^N\/A$/, "");
  const bus = fieldOf(text, "bus-info");
  if (firmware === "" && bus === "") return [];
  return [ok("firmware", [firmware || "not told", ...(bus === "" ? [] : [`on ${bus}`])].join(", "))];
}

export interface Spread {
  readonly queues: readonly number[]; // that get frames
  readonly by: string; // the hash function
}

/** @param text of ethtool -x; null where the driver has no such table */
export function spreadOf(text: string): Spread | null {
  const rows = [...text.matchAll(/^\s*\d+:((?:\s+\d+)+)\s*$/gm)];
  if (rows.length === 0) return null;
  const queues = new Set(rows.flatMap(([, row]) => row!.trim().split(/\s+/).map(Number)));
  const by = /^\s+(\S+): on$/m.exec(text)?.[1] ?? "hash";
  return { queues: [...queues].sort((a, b) => a - b), by };
}

/** @param text of ethtool -n … rx-flow-hash udp4; "" where it is not told */
export function hashedFields(text: string): string {
  const named = [
    ["addresses", /^IP [SD]A$/m],
    ["ports", /^L4 bytes/m],
    ["VLAN", /^VLAN/m],
  ] as const;
  const found = named.filter(([, pattern]) => pattern.test(text)).map(([name]) => name);
  return found.length === 0 ? "" : found.join(" and ");
}

/** How frames get to queues, and how that can be changed. */
export interface Steering {
  readonly spread: Spread | null;
  readonly fields: string;
  readonly rules: "on" | "off" | "none"; // ntuple filters
}

/** @param features of ethtool -k */
export function steeringOf(table: string, hash: string, features: string): Steering {
  const ntuple = fieldOf(features, "ntuple-filters");
  const rules = ntuple.startsWith("on") ? "on" : ntuple === "" || /fixed/.test(ntuple) ? "none" : "off";
  return { spread: spreadOf(table), fields: hashedFields(hash), rules };
}

/** What makes a feed come by one queue. */
export function steerCommand(name: string, queue: number, { spread, rules }: Steering): string {
  const rule = `ethtool -N ${name} flow-type udp4 dst-port PORT action ${queue}`;
  if (rules === "on") return rule;
  if (rules === "off") return `ethtool -K ${name} ntuple on && ${rule}`;
  const one = `ethtool -L ${name} combined 1`;
  return spread !== null && queue === 0 ? `ethtool -X ${name} equal 1, or ${one}` : one;
}

export function steeringFindings(steering: Steering): Finding[] {
  const { spread, fields, rules } = steering;
  const findings: Finding[] = [];
  if (spread !== null) {
    const over =
      spread.queues.length === 1 ? `all to queue ${spread.queues[0]}` : `over ${spread.queues.length} queues`;
    const hash =
      spread.queues.length === 1 ? "" : ` by ${spread.by}${fields === "" ? "" : `, UDP by its ${fields}`}`;
    findings.push(ok("RSS", `${over}${hash}`));
  }
  const shown = {
    on: "ntuple filters",
    off: "ntuple filters, switched off",
    none: "the driver has no ntuple filters",
  };
  findings.push(ok("flow rules", shown[rules]));
  return findings;
}

/** @param text of ethtool -T */
export function filterFindings(name: string, text: string): Finding[] {
  const section = /^Hardware Receive Filter Modes:(.*)$((?:\n\s+.*)*)/m.exec(text);
  const modes = (section?.[2] ?? "")
    .trim()
    .split(/\s+/)
    .filter((mode) => mode !== "" && !mode.startsWith("("));
  const useful = modes.filter((mode) => mode !== "none");
  if (useful.length === 0) return [];
  if (useful.includes("all")) return [ok("timestamp filters", useful.join(", "))];
  const value = `${useful.join(", ")}: it can't stamp every received frame, so hardware timestamps are refused`;
  return [note("timestamp filters", value, `carom run --interface ${name} --timestamps tsc`)];
}

/** The NIC's own clock. @param text of ethtool -T */
export function clockFindings(name: string, text: string): Finding[] {
  const index = /^(?:PTP Hardware Clock|Hardware timestamp provider index): (\d+)/m.exec(text)?.[1];
  if (index === undefined) return [];
  const named = readText(`/sys/class/ptp/ptp${index}/clock_name`);
  const value = `/dev/ptp${index}${named === undefined ? "" : ` (${named})`}`;
  return [
    ok(
      "clock",
      `${value}; disciplined by ptp4l -i ${name}, and the system's after it by phc2sys -s ${name} -w`,
    ),
  ];
}

/** Native XDP by the driver's name, where the kernel does not tell (before 6.3): since which Linux. */
const NATIVE_SINCE: Readonly<Record<string, readonly [xdp: string, zeroCopy: string | null]>> = {
  bnxt_en: ["4.11", null],
  ena: ["5.6", null],
  i40e: ["4.13", "4.20"],
  ice: ["5.5", "5.5"],
  igb: ["5.10", null],
  igc: ["5.13", "5.14"],
  ixgbe: ["4.12", "4.20"],
  mlx4_en: ["4.8", null],
  mlx5_core: ["4.9", "5.3"],
  stmmac: ["5.13", "5.13"],
  tun: ["4.14", null],
  veth: ["4.19", null],
  virtio_net: ["4.10", null],
};

/** What is known of a driver's XDP without asking it. */
export function knownXdp(driver: string): string {
  const known = NATIVE_SINCE[driver];
  if (known === undefined)
    return `${driver || "its driver"} is not known to have any: generic XDP is what there is`;
  const [native, zeroCopy] = known;
  const zero = zeroCopy === null ? "no zero-copy that is known of" : `zero-copy since ${zeroCopy}`;
  return `${driver} has native XDP since Linux ${native}, ${zero}`;
}
