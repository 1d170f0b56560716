/** What a responder takes of its machine, as the kernel counts it in /proc. */

import { openSync, readdirSync, readFileSync, readSync, statSync } from "node:fs";

/** What interrupted a thread since it began. */
export interface ThreadUsage {
  readonly context_switches: { readonly voluntary: number; readonly involuntary: number };
  readonly page_faults: { readonly minor: number; readonly major: number };
}

/** @returns null when the thread has ended */
export function threadUsage(id: number): ThreadUsage | null {
  const folder = `/proc/self/task/${id}`;
  const status = read(`${folder}/status`);
  // The second field is the thread's name, in parentheses, and may hold anything.
  const stat = read(`${folder}/stat`)
    .replace(/^.*\) /s, "")
    .split(" ");
  if (status === "" || stat.length < 10) return null;
  return {
    context_switches: {
      voluntary: field(status, "voluntary_ctxt_switches"),
      involuntary: field(status, "nonvoluntary_ctxt_switches"),
    },
    page_faults: { minor: Number(stat[7]), major: Number(stat[9]) }, // proc(5): fields 10 and 12
  };
}

/** Memory of this process that can't be swapped out, by what holds it. */
export interface LockedMemory {
  readonly process: number; // by mlock and the like
  readonly bpf: number; // maps and programs
}

/** In KiB. */
export function lockedMemoryKib(): LockedMemory {
  const status = read("/proc/self/status");
  return { process: field(status, "VmLck") + field(status, "VmPin"), bpf: Math.ceil(bpfBytes() / 1024) };
}

function bpfBytes(): number {
  const found = new Map<string, number>(); // an object may have several descriptors
  for (const descriptor of readdirSync("/proc/self/fdinfo")) {
    const text = read(`/proc/self/fdinfo/${descriptor}`);
    const id = /^(map|prog)_id:\t\d+$/m.exec(text);
    if (id !== null) found.set(id[0], field(text, "memlock"));
  }
  return [...found.values()].reduce((sum, bytes) => sum + bytes, 0);
}

/** What the interfaces of the namespace that a thread is in have counted: to be read when that can't be entered any more. */
export function openInterfaceCounters(threadId: number): number {
  return openSync(`/proc/self/task/${threadId}/net/dev`, "r");
}

const COUNTERS_BYTES = 1 << 20; // some thousand interfaces

/** Frames that an interface has sent since it was made; null when it is gone. @param descriptor as it was opened */
export function framesSent(descriptor: number, name: string): number | null {
  const bytes = Buffer.alloc(COUNTERS_BYTES);
  let length = 0;
  // The kernel gives a page at most at a time.
  for (let read = 1; read > 0 && length < bytes.length; length += read)
    read = readSync(descriptor, bytes, length, bytes.length - length, length);
  const line = bytes
    .toString("utf8", 0, length)
    .split("\n")
    .find((candidate) => candidate.trimStart().startsWith(`${name}:`));
  // Behind the name are eight numbers of what it received, then the bytes and the packets that it sent (proc(5)).
  const packets = line
    ?.slice(line.indexOf(":") + 1)
    .trim()
    .split(/ +/)[9];
  return packets === undefined ? null : Number(packets);
}

/**
 * The number of the network namespace that a thread of this process is in, which no other has while it is there.
 * @returns null when the thread has ended
 */
export function namespaceOfThread(id: number): number | null {
  return inode(`/proc/self/task/${id}/ns/net`);
}

/** The number of the network namespace at a path, "" for that of this process; null when there is none. */
export function namespaceAt(path: string): number | null {
  return inode(path === "" ? "/proc/self/ns/net" : path);
}

function inode(path: string): number | null {
  return statSync(path, { throwIfNoEntry: false })?.ino ?? null;
}

function field(text: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(text)?.[1] ?? 0);
}

/** "" for a file that is gone. */
function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
