/** Changes a NIC for the time of a run; it is put back whatever happens to this process. */

import { closeSync, existsSync } from "node:fs";
import { CaromError } from "../native/error.js";
import { holdWatcher, type Link } from "../native/index.js";
import { namespaceArguments, tryRun } from "./ip.js";
import { launchChange, launchRefusal } from "./launch_time.js";
import { applyChange, beginRecord, type NicChange, putBack } from "./nic_changes.js";
import { fieldOf } from "./nic_details.js";

const TRIES = 5; // others that put back what was left may have the record for a moment

export interface NicWatch {
  /** Puts the NIC back. May be called more than once. @returns what went wrong */
  release(): readonly string[];
}

/** @throws CaromError when it can't be changed; then it is as it was */
export function watchNic(link: Link, changes: readonly NicChange[]): NicWatch {
  const watcher = holdWatcher(`change ${link.interfaceName}`);
  const end = () => {
    watcher.release();
    return [];
  };
  let held: ReturnType<typeof beginRecord> | undefined;
  try {
    held = beginRecord(link);
    for (const change of changes) applyChange(held, change);
  } catch (error) {
    if (held !== undefined) putBack(held);
    end();
    throw error;
  }
  const { path, descriptor } = held;
  let problems: readonly string[] | undefined;
  // By the watcher: this process may have given up its privileges meanwhile (lab/privileges.ts).
  const release = () => {
    closeSync(descriptor);
    for (let tries = 0; tries < TRIES && existsSync(path); tries++) watcher.putBack();
    if (!existsSync(path)) return end();
    return [`what was changed on ${link.interfaceName} could not be put back: carom doctor says why`];
  };
  return {
    release() {
      problems ??= release();
      return problems;
    },
  };
}

/**
 * What brings the datagrams for a port to a queue.
 * @throws CaromError (environment) where the NIC has no such rules
 */
export function steering(link: Link, port: number, queue: number): NicChange[] {
  const operation = `steer port ${port} of ${link.interfaceName} to queue ${queue}`;
  const { stdout } = tryRun(operation, [
    ...namespaceArguments(link.namespace),
    "ethtool",
    "-k",
    link.interfaceName,
  ]);
  const ntuple = fieldOf(stdout, "ntuple-filters");
  if (ntuple === "" || (ntuple.includes("[fixed]") && !ntuple.startsWith("on"))) {
    const hint = "carom respond --queues all serves all of them; ethtool -L INTERFACE combined 1 leaves one";
    throw new CaromError("environment", operation, "its driver has no ntuple filters", hint);
  }
  const flows = [
    ...(link.address4 === "" ? [] : (["udp4"] as const)),
    ...(link.address6 === "" ? [] : (["udp6"] as const)),
  ];
  return [
    { kind: "feature", feature: "ntuple", on: true },
    ...flows.map((flow): NicChange => ({ kind: "rule", flow, port, queue })),
  ];
}

/**
 * For a role with --steer; null without.
 * @throws CaromError
 */
export function watchSteering(
  link: Link,
  { steer }: { readonly steer: boolean },
  port: number,
  queue: number,
): NicWatch | null {
  return steer ? watchNic(link, steering(link, port, queue)) : null;
}

/**
 * Has the NIC launch frames at their times.
 * @throws CaromError (environment) where it can't
 */
export function watchLaunches(link: Link, leadNs: number): NicWatch {
  const change = launchChange(link, leadNs);
  try {
    return watchNic(link, [change]);
  } catch (error) {
    throw launchRefusal(link, error);
  }
}

/** How many queues receive. @throws CaromError (environment) where that is not told */
export function receivingQueues(link: Link): number {
  const operation = `count the queues of ${link.interfaceName}`;
  const command = [...namespaceArguments(link.namespace), "ethtool", "-l", link.interfaceName];
  const current = tryRun(operation, command).stdout.split("Current hardware settings:")[1] ?? "";
  const count = (Number(fieldOf(current, "Combined")) || 0) + (Number(fieldOf(current, "RX")) || 0);
  if (count > 0) return count;
  return 1; // a driver that can't tell has one, as a rule; what came by others is told (run/unserved.ts)
}
