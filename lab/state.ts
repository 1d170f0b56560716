/**
 * What carom remembers of a lab, in one file for each, so that whoever comes next can remove what a killed
 * process left. A file is there before the namespaces that it names, and goes after them.
 */

import {
  closeSync,
  constants,
  fstatSync,
  futimesSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { name as nameType } from "../config/values.js";
import { CaromError } from "../native/error.js";
import { INHERITED, inheritDescriptor, tryRun } from "./ip.js";

const DIRECTORY = "/run/carom/labs";
const MAX_SIZE = 1 << 16; // bytes
const LOCK_WAIT_S = 20;

const fileType = z.strictObject({
  schema: z.literal("carom.lab"),
  version: z.literal(1),
  name: nameType(),
  pid: z.int().positive(), // of the owner
  startTicks: z.string().regex(/^\d+$/), // when it started (field 22 of /proc/PID/stat): tells a recycled pid
  stay: z.boolean(), // outlives its owner
  created: z.iso.datetime(),
  mtu: z.int(),
  ipv6: z.boolean(), // whether it has IPv6 addresses
});

/** One lab, as its file says. */
export type LabRecord = z.output<typeof fileType>;

/** A file that is there but can't be trusted: what is wrong with it. */
export interface CorruptRecord {
  readonly name: string;
  readonly problem: string;
}

export function isCorrupt(record: LabRecord | CorruptRecord): record is CorruptRecord {
  return "problem" in record;
}

/** This process, as the owner of a lab. */
export function thisOwner(): Pick<LabRecord, "pid" | "startTicks"> {
  const startTicks = startOf(process.pid);
  if (startTicks === undefined)
    throw new CaromError("environment", "read /proc/self/stat", "/proc is not mounted");
  return { pid: process.pid, startTicks };
}

/** Whether the process that made a lab still runs. */
export function ownerAlive(owner: Pick<LabRecord, "pid" | "startTicks">): boolean {
  return startOf(owner.pid) === owner.startTicks;
}

export function sameLab(one: LabRecord, other: LabRecord): boolean {
  return one.pid === other.pid && one.startTicks === other.startTicks && one.created === other.created;
}

/**
 * The start time of a process in clock ticks since boot; undefined when there is none, or only its remains.
 */
function startOf(pid: number): string | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  } catch {
    return undefined;
  }
  // Fields are counted from behind the name, which may itself hold spaces and parentheses: field 3 comes
  // first.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields[0] === "Z" || fields[0] === "X" ? undefined : fields[22 - 3];
}

/**
 * The names of all labs that have a file, sorted.
 * @throws CaromError (environment) when it may not be read
 */
export function recordNames(): string[] {
  let files: string[];
  try {
    files = readdirSync(DIRECTORY);
  } catch (error) {
    if (isMissing(error)) return [];
    throw unreadable(error);
  }
  const names = files.filter((file) => file.endsWith(".json")).map((file) => file.slice(0, -".json".length));
  return names.filter((name) => nameType().safeParse(name).success).sort();
}

/** What the file of a lab says; undefined when there is none. */
export function readRecord(name: string): LabRecord | CorruptRecord | undefined {
  let text: string;
  try {
    text = readRegularFile(recordPath(name));
  } catch (error) {
    if (isMissing(error)) return undefined;
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "EACCES") throw unreadable(error);
    return { name, problem: message };
  }
  const parsed = fileType.safeParse(parseJson(text));
  if (!parsed.success) return { name, problem: parsed.error.issues.map(describeIssue).join("; ") };
  if (parsed.data.name !== name) return { name, problem: `it is about a lab named ${parsed.data.name}` };
  return parsed.data;
}

/** Makes the file of a new lab. @returns false when there is one of that name; call it with the lock held */
export function claimRecord(record: LabRecord): boolean {
  // Complete before it has its name, so that nobody reads half of it; link(2) refuses a name that is taken.
  const draft = writeDraft(record);
  try {
    linkSync(draft, recordPath(record.name));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}

/** Replaces the file of a lab; call it with the lock held. */
export function updateRecord(record: LabRecord): void {
  renameSync(writeDraft(record), recordPath(record.name));
}

/** Removes the file of a lab, if there is one; call it with the lock held. */
export function removeRecord(name: string): void {
  rmSync(recordPath(name), { force: true, recursive: true });
}

/**
 * Runs an action while no other process makes or removes a lab.
 * @throws CaromError (environment) when the state directory can't be used or another process keeps the lock
 */
export function withLock<T>(action: () => T): T {
  const operation = `lock ${DIRECTORY}`;
  const lock = openLock(operation);
  // A flock(2) belongs to the open file, which programs share with this process. So flock can take it on
  // our behalf, and the kernel lets go of it however we end, but not before the last program that we
  // started has ended, too: it may still be making a namespace.
  inheritDescriptor(lock);
  try {
    waitFor(lock, operation);
    for (const file of readdirSync(DIRECTORY)) {
      if (file.endsWith(".draft")) rmSync(join(DIRECTORY, file), { force: true, recursive: true });
    }
    return action();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).syscall === undefined) throw error;
    // A full or read-only file system, say.
    throw new CaromError("environment", `write ${DIRECTORY}`, (error as Error).message);
  } finally {
    inheritDescriptor(undefined);
    closeSync(lock);
  }
}

/** Takes the lock. Others may have it before us, one after the other; none of them for longer than LOCK_WAIT_S. */
function waitFor(lock: number, operation: string): void {
  const command = ["flock", "--exclusive", "--timeout", String(LOCK_WAIT_S), String(INHERITED)];
  const takenAt_ns = () => fstatSync(lock, { bigint: true }).mtimeNs; // whoever takes it sets it
  let before_ns = takenAt_ns();
  while (tryRun(operation, command).status !== 0) {
    if (takenAt_ns() === before_ns) {
      const detail = `another process has been making or removing a lab for more than ${LOCK_WAIT_S} s`;
      throw new CaromError("environment", operation, detail, `find it with: fuser -v ${DIRECTORY}/.lock`);
    }
    before_ns = takenAt_ns();
  }
  const now = new Date();
  futimesSync(lock, now, now);
}

function openLock(operation: string): number {
  try {
    mkdirSync(DIRECTORY, { recursive: true, mode: 0o700 });
    return openSync(
      join(DIRECTORY, ".lock"),
      constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW,
      0o600,
    );
  } catch (error) {
    throw new CaromError("environment", operation, (error as Error).message, "run as root");
  }
}

function recordPath(name: string): string {
  return join(DIRECTORY, `${name}.json`);
}

function writeDraft(record: LabRecord): string {
  const draft = join(DIRECTORY, `${record.name}.draft`);
  writeFileSync(draft, `${JSON.stringify(record)}\n`, { mode: 0o600 });
  return draft;
}

/** As readFileSync, but no link is followed, nothing that is no file blocks, and the size is bounded. */
function readRegularFile(path: string): string {
  const descriptor = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const stat = fstatSync(descriptor);
    if (!stat.isFile() || stat.size > MAX_SIZE) throw new Error(`not a file of at most ${MAX_SIZE} bytes`);
    return readFileSync(descriptor, "utf8");
  } finally {
    closeSync(descriptor);
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function describeIssue(issue: z.core.$ZodIssue): string {
  return issue.path.length === 0 ? issue.message : `${issue.path.join(".")}: ${issue.message}`;
}

function isMissing(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === "ENOENT";
}

function unreadable(error: unknown): CaromError {
  return new CaromError("environment", `read ${DIRECTORY}`, (error as Error).message, "run as root");
}
