/**
 * What carom changes on a NIC for the time of a run, and how it is put back. What it was is in a file that is written
 * before anything is changed, and on which whoever holds the change has a lock (flock): the kernel takes that from a
 * process that is killed, so that whoever comes next knows a file that was left behind, and puts the NIC back.
 */

import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { asCaromError, CaromError } from "../native/error.js";
import { type Link, tryLock } from "../native/index.js";
import { namespaceArguments, run, tryRun } from "./ip.js";
import { fieldOf } from "./nic_details.js";

export const NIC_DIRECTORY = "/run/carom/nic";
const RECORD_BYTES_MAX = 1 << 16;

const changeType = z.discriminatedUnion("kind", [
  // Frames of UDP to a port go to a queue (ethtool -N).
  z.strictObject({
    kind: z.literal("rule"),
    flow: z.enum(["udp4", "udp6"]),
    port: z.int().min(1).max(65_535),
    queue: z.int().min(0).max(1023),
  }),
  // A feature of ethtool -K.
  z.strictObject({ kind: z.literal("feature"), feature: z.string().regex(/^[a-z0-9-]+$/), on: z.boolean() }),
  // Frames of a priority go to a queue that launches them (lab/launch_time.ts), in place of the kernel's own qdisc.
  z.strictObject({ kind: z.literal("launch"), queues: z.int().min(1).max(4096), delta_ns: z.int().min(0) }),
]);

export type NicChange = z.output<typeof changeType>;

const recordType = z.strictObject({
  schema: z.literal("carom.nic"),
  version: z.literal(1),
  interface: z.string().regex(/^[^/\s]{1,15}$/),
  namespace: z.string(), // its path; "" for the one that carom was started in
  network_namespace: z.int(), // its number: a path may be another one's later
  changes: z.array(z.strictObject({ change: changeType, rules: z.array(z.int()).optional() })),
});

type NicRecord = z.output<typeof recordType>;

/** A file that nobody else may change: what was changed, by whoever has it open. */
export interface HeldRecord {
  readonly path: string;
  readonly descriptor: number;
  record: NicRecord;
}

let begun_count = 0;

/** Begins a record, with nothing changed yet. @throws CaromError */
export function beginRecord({ interfaceName, namespace }: Link): HeldRecord {
  const operation = `write down what ${interfaceName} was`;
  const network_namespace = statSync(namespace === "" ? "/proc/self/ns/net" : namespace).ino;
  try {
    mkdirSync(NIC_DIRECTORY, { recursive: true, mode: 0o700 });
    const path = join(
      NIC_DIRECTORY,
      `${network_namespace}-${interfaceName}-${process.pid}-${++begun_count}.json`,
    );
    const { O_CREAT, O_EXCL, O_RDWR, O_NOFOLLOW } = constants;
    const descriptor = openSync(path, O_CREAT | O_EXCL | O_RDWR | O_NOFOLLOW, 0o600);
    if (!tryLock(descriptor))
      throw new CaromError("environment", operation, "somebody else has it", "try it again");
    const record: NicRecord = {
      schema: "carom.nic",
      version: 1,
      interface: interfaceName,
      namespace,
      network_namespace,
      changes: [],
    };
    return { path, descriptor, record };
  } catch (error) {
    if (error instanceof CaromError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    throw new CaromError("environment", operation, `${NIC_DIRECTORY}: ${code ?? message}`);
  }
}

/** Changes a NIC, after it is written down. @throws CaromError; what was changed before stays, and written down */
export function applyChange(held: HeldRecord, change: NicChange): void {
  const { record } = held;
  const ethtool = ethtoolOf(record);
  if (change.kind === "feature") {
    if (isOn(ethtool("-k"), change.feature) === change.on) return;
  }
  const rules = change.kind === "rule" ? rulesOf(ethtool("-n")) : undefined;
  record.changes.push({ change, ...(rules === undefined ? {} : { rules }) });
  save(held);
  const operation = `change ${record.interface}`;
  if (change.kind === "launch") {
    for (const args of launchCommands(change.queues, change.delta_ns))
      run(operation, qdisc(record, "replace", ...args));
  } else if (change.kind === "feature")
    run(operation, command(record, "-K", change.feature, change.on ? "on" : "off"));
  else {
    const { flow, port, queue } = change;
    run(
      operation,
      command(record, "-N", "flow-type", flow, "dst-port", String(port), "action", String(queue)),
    );
  }
}

const LAUNCH_HANDLE = "ca0:"; // of the qdisc, by which it is known again
const PRIORITIES = 16;

/** The last priority's frames go to the first queue, which has etf; all others to the other queues, if there are. */
function launchCommands(queues: number, delta_ns: number): string[][] {
  const map = (others: string, ours: string) => [...Array<string>(PRIORITIES - 1).fill(others), ours];
  const split =
    queues > 1
      ? ["mqprio", "num_tc", "2", "map", ...map("1", "0"), "queues", "1@0", `${queues - 1}@1`, "hw", "0"]
      : ["prio", "bands", "2", "priomap", ...map("1", "0")];
  const etf = ["etf", "clockid", "CLOCK_TAI", "delta", String(delta_ns), "offload"];
  return [
    ["root", "handle", LAUNCH_HANDLE, ...split],
    ["parent", `${LAUNCH_HANDLE}1`, ...etf],
  ];
}

function qdisc(
  record: Pick<NicRecord, "interface" | "namespace">,
  verb: string,
  ...more: string[]
): string[] {
  return [...namespaceArguments(record.namespace), "tc", "qdisc", verb, "dev", record.interface, ...more];
}

/** Puts everything back that a record tells of, the last change first, and removes it. @returns what went wrong */
export function putBack(held: HeldRecord): string[] {
  const problems: string[] = [];
  const { record } = held;
  if (isThere(record)) {
    for (const entry of [...record.changes].reverse()) {
      try {
        undo(record, entry);
      } catch (error) {
        problems.push(asCaromError(error, `put ${record.interface} back`).message);
      }
    }
  }
  if (problems.length === 0) rmSync(held.path, { force: true });
  closeSync(held.descriptor);
  return problems;
}

function undo(record: NicRecord, { change, rules = [] }: NicRecord["changes"][number]): void {
  const operation = `put ${record.interface} back`;
  if (change.kind === "feature") {
    run(operation, command(record, "-K", change.feature, change.on ? "off" : "on"));
    return;
  }
  if (change.kind === "launch") {
    const shown = tryRun(operation, qdisc(record, "show")).stdout;
    if (shown.includes(` ${LAUNCH_HANDLE} root `)) run(operation, qdisc(record, "del", "root"));
    return;
  }
  // Those that came since and do what was asked for: somebody else's rules stay.
  const text = ethtoolOf(record)("-n");
  for (const { id, port, queue } of describedRules(text)) {
    if (rules.includes(id) || port !== change.port || queue !== change.queue) continue;
    run(operation, command(record, "-N", "delete", String(id)));
  }
}

/** The numbers of the rules that there are. @param text of ethtool -n */
function rulesOf(text: string): number[] {
  return describedRules(text).map(({ id }) => id);
}

interface Rule {
  readonly id: number;
  readonly port: number | null;
  readonly queue: number | null;
}

function describedRules(text: string): Rule[] {
  const number = (part: string, pattern: RegExp) => {
    const found = pattern.exec(part)?.[1];
    return found === undefined ? null : Number(found);
  };
  return text
    .split(/^(?=Filter: \d+$)/m)
    .filter((part) => part.startsWith("Filter: "))
    .map((part) => ({
      id: number(part, /^Filter: (\d+)$/m)!,
      port: number(part, /^\s+Dest port: (\d+) mask: 0x0$/m),
      queue: number(part, /^\s+Action: Direct to queue (\d+)$/m),
    }));
}

/** How ethtool -k shows those that -K has another name for. */
const SHOWN: Readonly<Record<string, string>> = {
  ntuple: "ntuple-filters",
  gro: "generic-receive-offload",
  lro: "large-receive-offload",
};

/** Whether a feature is on; null where the driver has none of that name, or it can't be changed. */
export function isOn(text: string, feature: string): boolean | null {
  const value = fieldOf(text, SHOWN[feature] ?? feature);
  return value === "" || value.includes("[fixed]") ? null : value.startsWith("on");
}

function command(
  record: Pick<NicRecord, "interface" | "namespace">,
  option: string,
  ...more: string[]
): string[] {
  return [...namespaceArguments(record.namespace), "ethtool", option, record.interface, ...more];
}

function ethtoolOf(record: Pick<NicRecord, "interface" | "namespace">): (option: string) => string {
  return (option) => tryRun(`look at ${record.interface}`, command(record, option)).stdout;
}

/** Whether the interface can be reached as it could be then: otherwise there is nothing that could be put back. */
function isThere({ namespace, network_namespace, interface: name }: NicRecord): boolean {
  const path = namespace === "" ? "/proc/self/ns/net" : namespace;
  if (statSync(path, { throwIfNoEntry: false })?.ino !== network_namespace) return false;
  const show = [...namespaceArguments(namespace), "ip", "link", "show", "dev", name];
  return tryRun(`look for ${name}`, show).status === 0;
}

function save({ descriptor, record }: HeldRecord): void {
  const text = `${JSON.stringify(record)}\n`;
  ftruncateSync(descriptor);
  writeSync(descriptor, text, 0);
}

/** Puts NICs back that processes have left changed that were killed, where this one may. @returns a line for each */
export function restoreNics(): string[] {
  return entries().flatMap((name) => {
    const held = abandoned(join(NIC_DIRECTORY, name));
    if (held === null) return [];
    const changes = held.record.changes.length;
    const problems = putBack(held);
    if (changes === 0) return [];
    const what = `what a process that was killed had changed on ${held.record.interface}`;
    return [
      problems.length === 0
        ? `${what} was put back`
        : `${what} could not be put back: ${problems.join("; ")}`,
    ];
  });
}

function entries(): string[] {
  try {
    return readdirSync(NIC_DIRECTORY).filter((name) => name.endsWith(".json"));
  } catch {
    return []; // there is none, or it is not this user's
  }
}

/** A record that nobody holds any more; null for one that somebody does, or that says nothing. */
function abandoned(path: string): HeldRecord | null {
  let descriptor: number;
  try {
    descriptor = openSync(path, constants.O_RDWR | constants.O_NOFOLLOW);
  } catch {
    return null;
  }
  const isMine = tryLock(descriptor) && fstatSync(descriptor).nlink > 0;
  const parsed = isMine && fstatSync(descriptor).size <= RECORD_BYTES_MAX ? readRecord(path) : undefined;
  if (parsed !== undefined && !isElsewhere(parsed)) return { path, descriptor, record: parsed };
  // Without a word in it, nothing was changed either.
  if (isMine && parsed === undefined) rmSync(path, { force: true });
  closeSync(descriptor);
  return null;
}

/** Whether it is of a namespace without a name that is not this process's: who is there can put it back. */
function isElsewhere({ namespace, network_namespace }: NicRecord): boolean {
  return namespace === "" && statSync("/proc/self/ns/net").ino !== network_namespace;
}

function readRecord(path: string): NicRecord | undefined {
  try {
    return recordType.parse(JSON.parse(readFileSync(path, "utf8")));
  } catch {
    return undefined;
  }
}
