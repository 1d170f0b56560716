/** Asks the link for the MAC address behind an IP address, as frames need it and the kernel does not tell. */

import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { CaromError } from "../native/error.js";
import type { FrameSocket, Link } from "../native/index.js";
import { isIp6, multicastMac, normalAddress, parseIp } from "../wire/address.js";
import { decodeFrame } from "../wire/decode.js";
import { buildFrame, checksumOf } from "../wire/frame.js";
import { ConfinedProcess, type Failed } from "./confined_process.js";

const ARP = 0x0806;
const ICMP6 = 58;
const TRIES = 3;
const TRY_MS = 500;
const POLL_MS = 2;

const MAIN = fileURLToPath(new URL("./neighbor_main.js", import.meta.url));

export interface Question {
  readonly link: Link;
  readonly address: string;
}

export type Answer = { readonly type: "answer"; readonly mac: string } | Failed;

/**
 * The MAC address behind an address on the link, found out by a process that has no privileges when it reads answers.
 * @throws CaromError (environment) when nobody answers
 */
export async function askNeighbor(link: Link, address: string): Promise<string> {
  const operation = `find ${address} on ${link.interfaceName}`;
  const asking = new ConfinedProcess<Question, Answer>(MAIN, operation, "asks", false);
  try {
    return (await asking.ask({ link, address }, "answer")).mac;
  } finally {
    await asking.close();
  }
}

/**
 * The MAC address behind an address on the link.
 * @throws CaromError (environment) when nobody answers
 */
export async function resolveMac(frames: FrameSocket, link: Link, address: string): Promise<string> {
  const operation = `find ${address} on ${link.interfaceName}`;
  const source = isIp6(address) ? link.address6 : link.address4;
  if (source === "") {
    const version = isIp6(address) ? "IPv6" : "IPv4";
    const hint = `give it one, or pass --target-mac`;
    throw new CaromError(
      "environment",
      operation,
      `${link.interfaceName} has no ${version} address to ask from`,
      hint,
    );
  }
  const question = isIp6(address) ? neighborSolicitation(link, address) : arpRequest(link, address);
  for (let attempt = 0; attempt < TRIES; attempt++) {
    frames.send(question);
    for (const end = performance.now() + TRY_MS; performance.now() < end; await sleep(POLL_MS)) {
      for (const { frame } of frames.receive()) {
        const mac = answerIn(frame, address);
        if (mac !== "") return mac;
      }
    }
  }
  const hint =
    "check the cable and the address; when it is behind a router, pass the router's with --target-mac";
  throw new CaromError("environment", operation, "nobody answers", hint);
}

/** RFC 826: who has this address? */
function arpRequest(link: Link, address: string): Buffer {
  const mac = Buffer.from(link.mac.replaceAll(":", ""), "hex");
  const head = Buffer.from([0, 1, 8, 0, 6, 4, 0, 1]); // Ethernet, IPv4, their sizes, request
  const payload = Buffer.concat([head, mac, parseIp(link.address4), Buffer.alloc(6), parseIp(address)]);
  return buildFrame({ ethernet: { destination: "ff:ff:ff:ff:ff:ff", source: link.mac, type: ARP }, payload });
}

/** RFC 4861 §4.3, sent to the solicited-node group of the address (RFC 4291 §2.7.1). */
function neighborSolicitation(link: Link, address: string): Buffer {
  const target = parseIp(address);
  const low = target.toString("hex", 13);
  const destination = `ff02::1:ff${low.slice(0, 2)}:${low.slice(2)}`;
  const mac = Buffer.from(link.mac.replaceAll(":", ""), "hex");
  const message = Buffer.concat([Buffer.from([135, 0, 0, 0, 0, 0, 0, 0]), target, Buffer.from([1, 1]), mac]);
  const pseudo = Buffer.concat([
    parseIp(link.address6),
    parseIp(destination),
    Buffer.from([0, 0, 0, message.length, 0, 0, 0, ICMP6]),
  ]);
  message.writeUInt16BE(checksumOf(pseudo, message), 2); // RFC 4443 §2.3
  return buildFrame({
    ethernet: { destination: multicastMac(destination)!, source: link.mac },
    ip: { source: link.address6, destination, ttl: 255, protocol: ICMP6 },
    payload: message,
  });
}

/** The MAC address that a frame gives for the address, or "". */
function answerIn(bytes: Buffer, address: string): string {
  const { ethernet, ip, payload } = decodeFrame(bytes);
  if (ethernet === undefined) return "";
  const wanted = parseIp(address);
  if (ethernet.type === ARP && payload.length >= 28 && payload.readUInt16BE(6) === 2) {
    return payload.subarray(14, 18).equals(wanted) ? macAt(payload, 8) : "";
  }
  if (ip?.protocol !== ICMP6 || payload[0] !== 136 || !payload.subarray(8, 24).equals(wanted)) return "";
  // RFC 4861 §4.4: with its MAC address as option 2, as a rule.
  const hasOption = payload.length >= 32 && payload[24] === 2 && payload[25] === 1;
  return hasOption
    ? macAt(payload, 26)
    : normalAddress(ip.source) === normalAddress(address)
      ? ethernet.source
      : "";
}

function macAt(bytes: Buffer, offset: number): string {
  return bytes.toString("hex", offset, offset + 6).replace(/..(?!$)/g, "$&:");
}
