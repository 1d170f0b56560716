/**
 * The built-in lab: a network on this machine that stands in for the wire. Two network namespaces, one for
 * each role, and a veth pair between them. It goes when its owner ends; when that is killed, what watches over it removes
 * it, and when that is killed, too, the next one.
 */

import { existsSync } from "node:fs";
import { name as nameType } from "../config/values.js";
import { CaromError } from "../native/error.js";
import { holdWatcher, type Link, type Watcher } from "../native/index.js";
import { type LabRole, labLink, namespaceName } from "./address.js";
import { buildNetwork, demolishNetwork, MIN_MTU_IPV6 } from "./build.js";
import { requirePrivileges } from "./capability.js";
import { atEndOfProcess } from "./end.js";
import { isNamespace, namespacePath } from "./ip.js";
import {
  claimRecord,
  isCorrupt,
  type LabRecord,
  ownerAlive,
  readRecord,
  recordNames,
  removeRecord,
  sameLab,
  thisOwner,
  updateRecord,
  withLock,
} from "./state.js";

export { type LabRole, namespaceName, resolveLink } from "./address.js";
export { namespaceArguments } from "./ip.js";

/** Two namespaces and the link between them. */
export interface Lab {
  readonly name: string;
  readonly generator: Link;
  readonly responder: Link;
  /** Removes it, if this process made it. May be called more than once, and when the lab is already gone. */
  down(): void;
}

export interface LabOptions {
  /** Becomes part of the names of the namespaces; unique when left out. */
  readonly name?: string;
  /** Bytes of the largest IP packet: 68 to 65535, 1500 when left out. Below 1280 there is no IPv6. */
  readonly mtu?: number;
  /** RX and TX queues of each end: 1 to 64, 1 when left out. */
  readonly queues?: number;
  /** Survives this process. */
  readonly stay?: boolean;
}

/** What is known of a lab, whoever made it. */
export interface LabState {
  readonly name: string;
  readonly pid: number; // of the process that made it; 0 when its file is unreadable
  readonly alive: boolean; // whether that process still runs
  readonly stay: boolean; // whether it outlives that process
  readonly created: string; // ISO 8601
  readonly generator: Link;
  readonly responder: Link;
  readonly problem: string; // "" or why it can't be used
}

const ROLES: readonly LabRole[] = ["generator", "responder"];
const LIMITS = { mtu: [68, 65535], queues: [1, 64] } as const;
const DEFAULT_MTU = 1500;

/** Labs that go when this process does, by name. */
const owned = new Map<string, LabRecord>();
let watcher: Watcher | undefined; // held as long as there are any
let made_count = 0;

/**
 * Makes a lab; first removes those whose owners are dead.
 * @throws CaromError (usage) for a bad or taken name, mtu or queues; (environment) when this machine refuses
 */
export function createLab(options: LabOptions = {}): Lab {
  const { stay = false } = options;
  const mtu = checked("mtu", options.mtu ?? DEFAULT_MTU);
  const queues = checked("queues", options.queues ?? 1);
  if (options.name !== undefined) checkName(options.name);
  requirePrivileges("make a lab");
  watcher ??= holdWatcher("make a lab");
  try {
    return withLock(() => {
      sweepLocked();
      const ipv6 = mtu >= MIN_MTU_IPV6 && existsSync("/proc/sys/net/ipv6");
      const record = claim(options.name, { mtu, ipv6 });
      try {
        buildNetwork(record, queues);
        // Only now: one that was killed half-way is removed by the next sweep, even if it was to stay.
        if (stay) updateRecord({ ...record, stay });
      } catch (error) {
        removeHalf(record.name);
        throw error;
      }
      return handleOf(stay ? { ...record, stay } : record, true);
    });
  } finally {
    endWatch();
  }
}

/** Nobody has to watch over labs that stay, or are gone. */
function endWatch(): void {
  if (owned.size > 0) return;
  watcher?.release();
  watcher = undefined;
}

/**
 * A lab that is there already: one of `carom lab up`, as a rule.
 * @throws CaromError (usage) when there is none of that name, (environment) when it is damaged
 */
export function openLab(name: string): Lab {
  checkName(name);
  const record = readRecord(name);
  if (record === undefined) throw unknownLab(name);
  const problem = isCorrupt(record) ? `its state file is corrupt: ${record.problem}` : problemOf(record);
  if (isCorrupt(record) || problem !== "") {
    const hint = `carom lab down ${name}, then carom lab up --name ${name}`;
    throw new CaromError("environment", `lab ${name}`, problem, hint);
  }
  const mine = owned.get(name);
  return handleOf(record, mine !== undefined && sameLab(mine, record));
}

/** Every lab on this machine, sorted by name. @throws CaromError (environment) without the right to look */
export function listLabs(): LabState[] {
  return recordNames().flatMap((name) => {
    const record = readRecord(name);
    return record === undefined ? [] : [stateOf(record)]; // undefined: it went in the meantime
  });
}

/**
 * Removes a lab, whoever made it.
 * @throws CaromError (usage) when there is none of that name, (environment) when this machine refuses
 */
export function removeLab(name: string): void {
  checkName(name);
  requirePrivileges(`remove the lab ${name}`);
  withLock(() => {
    if (readRecord(name) === undefined) throw unknownLab(name);
    demolishLocked(name);
  });
}

/**
 * Removes every lab that carom made, and nothing else.
 * @returns their names
 * @throws CaromError (environment)
 */
export function removeAllLabs(): string[] {
  requirePrivileges("remove all labs");
  return withLock(() => {
    const names = recordNames();
    names.forEach(demolishLocked);
    return names;
  });
}

/** Removes the labs whose owners are dead and that were not to outlive them. @returns their names */
export function sweepLabs(): string[] {
  requirePrivileges("remove left-over labs");
  return withLock(sweepLocked);
}

function sweepLocked(): string[] {
  return recordNames().filter((name) => {
    const record = readRecord(name);
    // Of a corrupt one nobody knows the owner, who may be at work: it is listed, and removed when asked to.
    if (record === undefined || isCorrupt(record) || record.stay || ownerAlive(record)) return false;
    demolishLocked(name);
    return true;
  });
}

/** The namespaces first: should that fail, the file is still there for another try. */
function demolishLocked(name: string): void {
  demolishNetwork(name);
  removeRecord(name);
  owned.delete(name);
  endWatch();
}

/**
 * What stopped the making matters more than what stops the removal: that is tried again when this process
 * ends.
 */
function removeHalf(name: string): void {
  try {
    demolishLocked(name);
  } catch {}
}

/** Writes the file of a new lab, before there is anything to remove. */
function claim(wanted: string | undefined, settings: Pick<LabRecord, "mtu" | "ipv6">): LabRecord {
  for (;;) {
    const name = wanted ?? `p${process.pid}-${++made_count}`;
    const taken = ROLES.map((role) => namespaceName(name, role)).find((space) =>
      existsSync(namespacePath(space)),
    );
    const record: LabRecord = {
      schema: "carom.lab",
      version: 1,
      name,
      ...thisOwner(),
      stay: false,
      created: new Date().toISOString(),
      ...settings,
    };
    if (readRecord(name) === undefined && taken === undefined && claimRecord(record)) {
      owned.set(name, record);
      atEndOfProcess(removeAllOwn);
      return record;
    }
    if (wanted !== undefined) throw nameTaken(name, taken);
  }
}

function nameTaken(name: string, namespace: string | undefined): CaromError {
  if (readRecord(name) !== undefined) {
    const hint = `remove it with carom lab down ${name}, or take another name`;
    return new CaromError("usage", `lab ${name}`, "it exists already", hint);
  }
  const hint = `remove it with ip netns del ${namespace}, or take another name`;
  return new CaromError(
    "usage",
    `lab ${name}`,
    `a namespace ${namespace} exists, which carom did not make`,
    hint,
  );
}

function handleOf(record: LabRecord, isOwner: boolean): Lab {
  if (record.stay) owned.delete(record.name);
  return {
    name: record.name,
    generator: labLink(record.name, "generator", record.mtu, record.ipv6),
    responder: labLink(record.name, "responder", record.mtu, record.ipv6),
    down: () => {
      if (isOwner) removeOwn(record);
    },
  };
}

/**
 * Removes a lab that this process made, unless somebody did already: another one may have its name by now.
 */
function removeOwn(record: LabRecord): void {
  if (readRecord(record.name) !== undefined) {
    withLock(() => {
      const current = readRecord(record.name);
      if (current !== undefined && (isCorrupt(current) || sameLab(current, record)))
        demolishLocked(record.name);
    });
  }
  owned.delete(record.name);
  endWatch();
}

function removeAllOwn(): void {
  for (const record of [...owned.values()]) {
    try {
      removeOwn(record);
    } catch (error) {
      process.stderr.write(`carom: lab ${record.name} is left behind: ${(error as Error).message}\n`);
    }
  }
}

function stateOf(record: ReturnType<typeof readRecord> & object): LabState {
  const corrupt = isCorrupt(record);
  const known = corrupt ? { mtu: 0, ipv6: false, pid: 0, stay: false, created: "" } : record;
  return {
    name: record.name,
    pid: known.pid,
    alive: !corrupt && ownerAlive(record),
    stay: known.stay,
    created: known.created,
    generator: labLink(record.name, "generator", known.mtu, known.ipv6),
    responder: labLink(record.name, "responder", known.mtu, known.ipv6),
    problem: corrupt ? `its state file is corrupt: ${record.problem}` : problemOf(record),
  };
}

function problemOf(record: LabRecord): string {
  if (!record.stay && !ownerAlive(record))
    return "its owner is dead; what watched over it, or the next lab that is made, removes it";
  const gone = ROLES.map((role) => namespaceName(record.name, role)).filter(
    (name) => !isNamespace(namespacePath(name)),
  );
  return gone.length === 0 ? "" : `${gone.join(" and ")} ${gone.length === 1 ? "is" : "are"} gone`;
}

function checkName(name: string): void {
  const result = nameType().safeParse(name);
  if (!result.success)
    throw new CaromError("usage", "name of a lab", result.error.issues[0]?.message ?? "bad name");
}

function checked(key: keyof typeof LIMITS, value: number): number {
  const [min, max] = LIMITS[key];
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw new CaromError("usage", `${key} of a lab`, `${value} is not a whole number from ${min} to ${max}`);
}

function unknownLab(name: string): CaromError {
  const names = recordNames();
  const hint =
    names.length === 0 ? "there are none; carom lab up makes one" : `labs that exist: ${names.join(", ")}`;
  return new CaromError("usage", `lab ${name}`, "there is no such lab", hint);
}
