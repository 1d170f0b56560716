/** What the tests of carom check share: scripts, the command with its report, and a device to choose a fault of. */

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Wiring } from "../check/outgoing.js";
import { parseScript } from "../check/reader.js";
import { type Lab, namespaceName } from "../lab/lab.js";
import { responderOptions } from "../responder/config.js";
import { carom } from "./lab_support.js";

/** A folder for the files of the tests, which goes after them. */
export const directory = mkdtempSync(join(tmpdir(), "carom-check-"));
test.after(() => rmSync(directory, { recursive: true }));

export function file(name: string, text: string): string {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
}

/** The part of a report that the tests look at. */
export interface CaseReport {
  name: string;
  outcome: string;
  reason: string;
  sent: { way: string; probe: boolean; frame: string }[];
  received: { price: number; clOrdId: string }[];
  faults: {
    kind: string;
    reason: string;
    fields: { field: string; tick: string; expected: string; received: string; ok: boolean }[];
  }[];
  notes: string[];
}

export interface Report {
  schema: string;
  version: number;
  interrupted: boolean;
  summary: Record<string, number>;
  scripts: { name: string; file: string; cases: CaseReport[] }[];
  errors: { message?: string; detail: string }[];
}

/** Runs carom check with --json. */
export function check(...args: string[]) {
  const { status, stdout, stderr } = carom("check", ...args, "--json");
  const report = stdout === "" ? undefined : (JSON.parse(stdout) as Report);
  return { status, stderr, report: report!, cases: report?.scripts?.flatMap(({ cases }) => cases) ?? [] };
}

export const parse = (text: string) => parseScript(text, "a.yaml", responderOptions);

/** A script whose one case holds these lines, from line 3 and column 5 on. */
export const inCase = (lines: string) => `cases:\n  - name: one\n${lines.replace(/^/gm, "    ")}\n`;
/** … and one whose one datagram is this. */
export const sending = (item: string) => inCase(`send:\n  - ${item}\nexpect: nothing`);

/** A generator and a device that are nowhere. */
export const WIRING: Wiring = {
  generator: {
    namespace: "",
    interfaceName: "x",
    mac: "02:ca:40:00:00:01",
    address4: "198.18.0.1",
    address6: "",
    mtu: 1500,
  },
  device: { mac: "02:ca:40:00:00:02", address4: "198.18.0.2", address6: "" },
  group: "239.1.1.1",
  toGroup: false,
  targetPort: 8080,
  responsePort: 9999,
  vlan: -1,
  kernelResolves: true,
};

/** A device as somebody else would write it: plain sockets, and a fault to choose. */
const DEVICE = `
import { createSocket } from "node:dgram";
const fault = process.argv[2];
function answer(tick) {
  const price = tick.readUInt32LE(8);
  if (price >= 10000 && fault !== "everything") return [];
  const order = Buffer.alloc(41);
  tick.copy(order, 0, 0, 8);
  order.writeUInt32LE((price + (fault === "price" ? 2 : 1)) >>> 0, 8);
  order.writeUInt32LE(fault === "quantity" ? 99 : 100, 12);
  order[16] = fault === "side" ? 1 : 0;
  order.writeBigUInt64LE(fault === "timestamp" ? 0n : BigInt(Date.now()) * 1000000n, 17);
  let id = tick.readBigUInt64LE(16).toString(16).padStart(16, "0");
  if (fault === "identifier") id = id.slice(1) + "0";
  order.write(id, 25);
  if (fault === "symbol") order[7] = 0;
  return fault === "twice" ? [order, order] : [order];
}
const other = createSocket("udp4").bind(7777, "198.18.0.2");
const sockets = ["udp4", "udp6"].map((type) => {
  const socket = createSocket({ type, ipv6Only: type === "udp6" });
  socket.on("message", (payload, from) => {
    let orders = [];
    for (let at = 0; at + 24 <= payload.length; at += 24) orders.push(...answer(payload.subarray(at, at + 24)));
    if (fault === "reversed") orders.reverse();
    if (fault === "packed" && orders.length > 1) orders = [Buffer.concat(orders)];
    if (fault === "half") orders = orders.map((order) => order.subarray(0, 40));
    if (fault === "silent") orders = [];
    const out = fault === "port" ? other : socket;
    const send = () => orders.forEach((order) => out.send(order, fault === "elsewhere" ? 9998 : 9999, from.address));
    if (fault === "slow") setTimeout(send, 250);
    else if (fault === "again") setTimeout(send, 80), send();
    else send();
  });
  return new Promise((resolve) => socket.bind(8080, () => resolve(socket)));
});
const [socket4] = await Promise.all(sockets);
socket4.addMembership("239.1.1.1", "198.18.0.2");
console.log("ready");
`;

/** Runs an action while a device with a fault answers in a lab. */
export async function withDevice(lab: Lab, fault: string, action: () => void | Promise<void>): Promise<void> {
  const program = file("device.mjs", DEVICE);
  const namespace = namespaceName(lab.name, "responder");
  const child: ChildProcess = spawn("ip", ["netns", "exec", namespace, process.execPath, program, fault], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  try {
    await Promise.race([new Promise((resolve) => child.stdout!.once("data", resolve)), ended]);
    assert.is(child.exitCode, null, "the device runs");
    await action();
  } finally {
    child.kill("SIGKILL");
    await ended;
  }
}

/** Where the device is, as a user would say it. */
export const there = (lab: Lab, address = "198.18.0.2") => [
  "--interface",
  lab.generator.interfaceName,
  "--namespace",
  lab.generator.namespace,
  "--target-ip",
  address,
];

/** What that device can get right, and wrong. */
export const SCRIPT = `
within: 200ms
cases:
  - name: bought
    send: [{ tick: { symbol: AAPL, price: 9999, timestamp: 0x0123456789abcdef } }]
    expect: [{ order: { price: 10000 } }]
  - name: not bought
    send: [{ tick: { symbol: AAPL, price: 10000 } }]
    expect: nothing
  - name: two
    send: [{ ticks: [{ symbol: ONE, price: 1 }, { symbol: TWO, price: 2 }] }]
    expect: [{ order: { symbol: ONE } }, { order: { symbol: TWO } }]
    datagrams: 2
  - name: the last
    quiet: 120ms
    send: [{ tick: { symbol: AAPL, price: 5 } }]
    expect: [{ order: { price: 6 } }]
`;
