/** Where the two roles are: the addresses of a lab, and those of an interface that was there before. */

import { existsSync, readdirSync } from "node:fs";
import { z } from "zod";
import { interfaceName as interfaceNameType } from "../config/values.js";
import { CaromError } from "../native/error.js";
import type { Link } from "../native/index.js";
import { namespaceArguments, namespacePath, run, tryRun } from "./ip.js";

export type LabRole = "generator" | "responder";

/**
 * The fixed part of one end of a lab. IPv4 from RFC 2544 and IPv6 from RFC 5180: both are set aside for
 * benchmarks.
 */
export interface End {
  readonly suffix: string; // of the namespace's name
  readonly interfaceName: string;
  readonly mac: string; // locally administered
  readonly address4: string;
  readonly address6: string;
}

const MAX_PACKET = 65535; // bytes; RFC 791, section 3.1

export const PREFIX4 = 24; // bits
export const PREFIX6 = 64; // bits

export const ENDS: Readonly<Record<LabRole, End>> = {
  generator: {
    suffix: "gen",
    interfaceName: "gen0",
    mac: "02:ca:40:00:00:01",
    address4: "198.18.0.1",
    address6: "2001:2::1",
  },
  responder: {
    suffix: "dut",
    interfaceName: "dut0",
    mac: "02:ca:40:00:00:02",
    address4: "198.18.0.2",
    address6: "2001:2::2",
  },
};

/** The name of a role's namespace, as `ip netns` lists it. */
export function namespaceName(lab: string, role: LabRole): string {
  return `carom-${lab}-${ENDS[role].suffix}`;
}

/** One end of a lab, as a role is attached to it. */
export function labLink(lab: string, role: LabRole, mtu: number, hasIpv6: boolean): Link {
  const { interfaceName, mac, address4, address6 } = ENDS[role];
  const namespace = namespacePath(namespaceName(lab, role));
  return { namespace, interfaceName, mac, address4, address6: hasIpv6 ? address6 : "", mtu };
}

const interfaceType = z.object({
  ifname: z.string(),
  flags: z.array(z.string()),
  mtu: z.int(),
  address: z.string().default("00:00:00:00:00:00"), // a tunnel has none
  addr_info: z
    .array(
      z.object({
        family: z.string(),
        local: z.string(),
        scope: z.string(),
        tentative: z.boolean().default(false), // not usable: duplicate address detection is not over
      }),
    )
    .default([]),
});

/**
 * An interface of this machine, as a role is attached to it.
 * @param namespace a network namespace, as a path or as the name that `ip netns` lists; the one carom runs
 * in when left out
 * @throws CaromError (usage) when there is no such interface or namespace, (environment) when it is down
 */
export function resolveLink(interfaceName: string, namespace = ""): Link {
  const where = namespace === "" || namespace.includes("/") ? namespace : namespacePath(namespace);
  const operation = `interface ${interfaceName}${where === "" ? "" : ` in ${where}`}`;
  if (where !== "" && !existsSync(where)) {
    throw new CaromError(
      "usage",
      operation,
      "there is no such network namespace",
      hintOf("namespaces", namespaces()),
    );
  }
  const checked = interfaceNameType().safeParse(interfaceName);
  if (!checked.success)
    throw new CaromError("usage", operation, checked.error.issues[0]?.message ?? "bad name");
  const show = [...namespaceArguments(where), "ip", "-json", "addr", "show"];
  const result = tryRun(operation, [...show, "dev", interfaceName]);
  if (result.status !== 0) {
    // Lists them; when even that is refused (no privilege to enter the namespace), it throws what the
    // kernel said.
    const names = parseInterfaces(run(operation, show)).map((found) => found.ifname);
    throw new CaromError("usage", operation, "there is no such interface", hintOf("interfaces", names));
  }
  const found = parseInterfaces(result.stdout)[0];
  if (found === undefined)
    throw new CaromError("internal", operation, `ip said ${JSON.stringify(result.stdout)}`);
  requireUp(operation, found, where);
  return {
    namespace: where,
    interfaceName: found.ifname,
    mac: found.address,
    address4: pickAddress(found, "inet"),
    address6: pickAddress(found, "inet6"),
    mtu: Math.min(found.mtu, MAX_PACKET), // lo has one more
  };
}

type Interface = z.output<typeof interfaceType>;

function parseInterfaces(text: string): Interface[] {
  return z.array(interfaceType).parse(JSON.parse(text));
}

function requireUp(operation: string, found: Interface, where: string): void {
  if (!found.flags.includes("UP")) {
    const enter = namespaceArguments(where).join(" ");
    const hint = `bring it up: ${enter === "" ? "" : `${enter} `}ip link set ${found.ifname} up`;
    throw new CaromError("environment", operation, "it is down", hint);
  }
  if (found.flags.includes("NO-CARRIER")) {
    throw new CaromError(
      "environment",
      operation,
      "it has no carrier",
      "check the cable, or bring the other end up",
    );
  }
}

/** The first usable address that reaches beyond the link, otherwise the first that does not, otherwise "". */
function pickAddress(found: Interface, family: "inet" | "inet6"): string {
  const usable = found.addr_info.filter((address) => address.family === family && !address.tentative);
  return (usable.find((address) => address.scope === "global") ?? usable[0])?.local ?? "";
}

function namespaces(): string[] {
  try {
    return readdirSync(namespacePath(""));
  } catch {
    return []; // no namespace was ever made
  }
}

function hintOf(what: string, names: readonly string[]): string {
  return names.length === 0 ? `there are no ${what}` : `${what} that exist: ${[...names].sort().join(", ")}`;
}
