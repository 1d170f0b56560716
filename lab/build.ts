/** Makes and removes the namespaces and the veth pair of a lab, with as few programs started as it takes. */

import { existsSync } from "node:fs";
import { CaromError } from "../native/error.js";
import { ENDS, type End, type LabRole, namespaceName, PREFIX4, PREFIX6 } from "./address.js";
import { namespaceArguments, namespacePath, run, tryRun } from "./ip.js";
import type { LabRecord } from "./state.js";

/** The smallest MTU that IPv6 works with (RFC 8200, section 5). */
export const MIN_MTU_IPV6 = 1280; // bytes

/**
 * What is set in a namespace that iproute2 can't, the interface being $1. Settings that a container keeps
 * read-only are left as they are: they make the link quieter, but it works without.
 *
 * - rp_filter is taken over from the first namespace, where it may drop what comes from another network.
 * - A link that nobody uses must be silent: no solicitations, no repeated reports of multicast groups.
 * - Checksums are made by the sender: on veth a socket's frames would otherwise cross with unfinished ones,
 *   which whoever reads raw frames sees as wrong.
 */
const SETUP = `
put() { { echo "$1" > "/proc/sys/net/$2"; } 2> /dev/null || :; }
put 0 ipv4/conf/all/rp_filter
put 0 "ipv4/conf/$1/rp_filter"
put 2000000000 "ipv4/conf/$1/igmpv2_unsolicited_report_interval"
put 2000000000 "ipv4/conf/$1/igmpv3_unsolicited_report_interval"
if [ -d /proc/sys/net/ipv6 ]; then
  put 0 ipv6/conf/lo/disable_ipv6
  put 0 "ipv6/conf/$1/disable_ipv6"
  put 0 "ipv6/conf/$1/accept_dad"
  put 0 "ipv6/conf/$1/router_solicitations"
  put 0 "ipv6/conf/$1/accept_ra"
  put 0 "ipv6/conf/$1/autoconf"
  put 2000000000 "ipv6/conf/$1/mldv1_unsolicited_report_interval"
  put 2000000000 "ipv6/conf/$1/mldv2_unsolicited_report_interval"
fi
ethtool -K "$1" tx off > /dev/null || exit 1
exec ip -batch -`;

/**
 * Makes the network of a lab whose file is written.
 * @throws CaromError (environment); parts may then be there
 */
export function buildNetwork(record: LabRecord, queues: number): void {
  const operation = `make the lab ${record.name}`;
  const { generator, responder } = ENDS;
  const namespaces = [
    namespaceName(record.name, "generator"),
    namespaceName(record.name, "responder"),
  ] as const;
  const queueCounts = `numrxqueues ${queues} numtxqueues ${queues}`;
  const end = ({ interfaceName, mac }: End, namespace: string) =>
    `name ${interfaceName} netns ${namespace} address ${mac} mtu ${record.mtu} ${queueCounts}`;
  run(operation, ["ip", "-batch", "-"], {
    input: lines(
      ...namespaces.map((namespace) => `netns add ${namespace}`),
      `link add ${end(generator, namespaces[0])} type veth peer ${end(responder, namespaces[1])}`,
    ),
  });
  setUpEnd(operation, record, namespaces[0], generator, responder);
  setUpEnd(operation, record, namespaces[1], responder, generator);
  for (const [index, { interfaceName }] of [generator, responder].entries()) {
    // A new interface drops what is sent until a worker of the kernel's has noticed that it is up
    // (net/core/link_watch.c). To be asked for its state makes the kernel see to that first.
    run(operation, [
      ...namespaceArguments(namespacePath(namespaces[index]!)),
      "ip",
      "link",
      "show",
      "dev",
      interfaceName,
    ]);
  }
}

function setUpEnd(operation: string, record: LabRecord, namespace: string, own: End, peer: End): void {
  const device = own.interfaceName;
  const ipv4 = [
    `address add ${own.address4}/${PREFIX4} dev ${device}`,
    `neigh replace ${peer.address4} lladdr ${peer.mac} dev ${device} nud permanent`,
  ];
  const ipv6 = [
    `address add ${own.address6}/${PREFIX6} dev ${device} nodad`,
    `neigh replace ${peer.address6} lladdr ${peer.mac} dev ${device} nud permanent`,
  ];
  const input = lines(
    "link set dev lo up",
    // No link-local address: nothing to announce, and no choice of source address to make.
    ...(record.ipv6 ? [`link set dev ${device} addrgenmode none`] : []),
    `link set dev ${device} up`,
    ...ipv4,
    ...(record.ipv6 ? ipv6 : []),
    // For plain sockets that send to a group and name no interface; IPv6 has ff00::/8 on every link by
    // itself.
    `route add 224.0.0.0/4 dev ${device}`,
  );
  run(operation, [...namespaceArguments(namespacePath(namespace)), "sh", "-c", SETUP, "sh", device], {
    input,
  });
}

/** Removes what there is of the network of a lab. @throws CaromError (environment) when some of it stays */
export function demolishNetwork(lab: string): void {
  const operation = `remove the lab ${lab}`;
  const roles: readonly LabRole[] = ["generator", "responder"];
  const present = roles.filter((role) => existsSync(namespacePath(namespaceName(lab, role))));
  for (const role of present) {
    // The pair goes first and at once: a namespace that a process is still in lives on without its name.
    const enter = namespaceArguments(namespacePath(namespaceName(lab, role)));
    const result = tryRun(operation, [...enter, "ip", "link", "delete", "dev", ENDS[role].interfaceName]);
    if (result.status === 0) break; // both ends are gone
  }
  if (present.length === 0) return;
  const namespaces = present.map((role) => namespaceName(lab, role));
  const result = tryRun(operation, ["ip", "-force", "-batch", "-"], {
    input: lines(...namespaces.map((namespace) => `netns delete ${namespace}`)),
  });
  const left = namespaces.filter((namespace) => existsSync(namespacePath(namespace)));
  if (left.length > 0)
    throw new CaromError("environment", operation, `${left.join(", ")} stays: ${result.stderr.trim()}`);
}

function lines(...commands: string[]): string {
  return `${commands.join("\n")}\n`;
}
