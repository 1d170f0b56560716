/** Changes a NIC for the time of a run, by a process of its own that puts it back whatever happens to this one. */

import { spawn } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { asCaromError, CaromError } from "../native/error.js";
import type { Link } from "../native/index.js";
import { namespaceArguments, tryRun } from "./ip.js";
import { launchChange, launchRefusal } from "./launch_time.js";
import { isLaunching, type NicChange } from "./nic_changes.js";
import { fieldOf } from "./nic_details.js";

const MAIN = fileURLToPath(new URL("./nic_watcher.js", import.meta.url));

const RELEASE_MS = 3000;
const POLL_MS = 50;

export interface NicWatch {
  /** Puts the NIC back. May be called more than once. @returns what went wrong */
  release(): Promise<readonly string[]>;
}

/** @throws CaromError when it can't be changed; then it is as it was */
export function watchNic(link: Link, changes: readonly NicChange[]): Promise<NicWatch> {
  const operation = `change ${link.interfaceName}`;
  const child = spawn(process.execPath, [MAIN], { detached: true, stdio: ["pipe", "pipe", "ignore"] });
  let output = "";
  const ended = new Promise<string[]>((resolve) => {
    child.on("close", () => resolve(output.split("\n").filter((line) => line !== "")));
  });
  const release = async (): Promise<readonly string[]> => {
    child.ref();
    child.stdin.end();
    const lines = await ended;
    const last = JSON.parse(lines.at(-1) ?? "{}") as { readonly problems?: readonly string[] };
    return (
      last.problems ?? [
        `the process that watches over ${link.interfaceName} was ended: carom doctor puts it back`,
      ]
    );
  };
  return new Promise((resolve, reject) => {
    child.on("error", ({ message }) => reject(new CaromError("environment", operation, message)));
    child.stdin.on("error", () => {}); // it has ended, which is told by that
    child.stdout.on("data", (data: Buffer) => {
      const isFirst = !output.includes("\n");
      output += data.toString();
      if (!isFirst || !output.includes("\n")) return;
      const answer = JSON.parse(output.slice(0, output.indexOf("\n"))) as { readonly error?: object };
      if (answer.error !== undefined) return reject(asCaromError(answer.error, operation));
      // It is no reason for this process to go on.
      child.unref();
      (child.stdout as unknown as { unref(): void }).unref();
      (child.stdin as unknown as { unref(): void }).unref();
      resolve({ release });
    });
    ended.then(() =>
      reject(new CaromError("environment", operation, "the process that was to do it has ended")),
    );
    const { namespace, interfaceName, mac, address4, address6, mtu } = link;
    const plain = { namespace, interfaceName, mac, address4, address6, mtu };
    child.stdin.write(`${JSON.stringify({ link: plain, changes })}\n`);
  });
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
export async function watchSteering(
  link: Link,
  { steer }: { readonly steer: boolean },
  port: number,
  queue: number,
): Promise<NicWatch | null> {
  return steer ? watchNic(link, steering(link, port, queue)) : null;
}

/**
 * Has the NIC launch frames at their times.
 * @throws CaromError (environment) where it can't
 */
export async function watchLaunches(link: Link, leadNs: number): Promise<NicWatch> {
  // The run before may be about to give it back.
  for (let waited_ms = 0; waited_ms < RELEASE_MS && isLaunching(link); waited_ms += POLL_MS)
    await sleep(POLL_MS);
  const change = launchChange(link, leadNs);
  return watchNic(link, [change]).catch((error: unknown) => {
    throw launchRefusal(link, error);
  });
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
