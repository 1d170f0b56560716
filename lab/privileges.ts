/** What a process that measures may still do once everything is open: read back from the kernel, not what was asked. */

import { confineProcess, privileges } from "../native/index.js";
import { capabilityNames } from "./capability.js";

export interface Privileges {
  readonly threads: number; // of the process
  readonly no_new_privileges: boolean; // of all of them: no program that they start gets more
  /** The threads that have any capability, effective or permitted. */
  readonly kept: readonly { readonly thread: string; readonly capabilities: readonly string[] }[];
}

/** @throws CaromError (environment) */
export function readPrivileges(): Privileges {
  const threads = privileges();
  return {
    threads: threads.length,
    no_new_privileges: threads.every(({ noNewPrivileges }) => noNewPrivileges),
    kept: threads
      .filter(({ capabilities }) => capabilities !== 0n)
      .map(({ name, capabilities }) => ({ thread: name, capabilities: capabilityNames(capabilities) })),
  };
}

/**
 * Every thread of this process gives up what it no longer needs.
 * @throws CaromError (environment)
 */
export function dropPrivileges(): Privileges {
  confineProcess();
  return readPrivileges();
}

/** "none", or "CAP_BPF and CAP_NET_ADMIN (carom-sender)". */
export function keptText({ kept }: Privileges): string {
  if (kept.length === 0) return "none";
  return kept.map(({ thread, capabilities }) => `${capabilities.join(" and ")} (${thread})`).join(", ");
}
