/** The responder's options, and the native configuration made from them. */

import { hasProgram, ioConfig, ioOptions, RESPONDER_BACKENDS } from "../config/io.js";
import { optionGroup, type Values } from "../config/option.js";
import { strategyConfig, strategyOptions } from "../config/strategy.js";
import {
  choice,
  cores,
  FILTER_LANGUAGE,
  flag,
  integer,
  ipAddress,
  macAddress,
  multicastGroups,
  packetFilter,
  queues,
} from "../config/values.js";
import { CaromError } from "../native/error.js";
import type { Link, ResponderConfig } from "../native/index.js";

const where = optionGroup("Where ticks come and orders go");

/** The responder's native code has room for so many. */
export const GROUPS_MAX = 16;

const { queue: _, ...perThread } = ioOptions;

export const responderOptions = {
  protocol: where(choice("udp"), "transport of ticks and orders", "name", "udp"),
  targetIp: where(
    ipAddress(),
    "the address to which ticks come: one of the interface's, which is checked",
    "address",
  ),
  targetPort: where(integer(1, 65_535), "UDP port to which ticks come", "port", "8080"),
  multicast: where(flag(), "join the multicast group", "", "true"),
  multicastGroup: where(
    multicastGroups(GROUPS_MAX),
    "the group to join, or up to 16, separated by commas",
    "address",
    "239.1.1.1",
  ),
  responseIp: where(ipAddress(), "where orders go; without it, to the tick's sender", "address"),
  responseMac: where(macAddress(), "the MAC address that goes with --response-ip", "address"),
  responsePort: where(integer(1, 65_535), "UDP port to which orders go", "port", "9999"),
  answerLimit: where(
    integer(0, 1e9),
    "answers a second for each source, on an open network; no limit without it, and with 0",
    "orders/s",
  ),
  filter: where(
    packetFilter(),
    `take only these frames for the port, as early as can be: ${FILTER_LANGUAGE}`,
    "expr",
  ),
  ...strategyOptions,
  ...perThread,
  backend: {
    ...ioOptions.backend,
    type: choice(...RESPONDER_BACKENDS),
    description:
      "af_xdp (user space), xdp (in the kernel, answers from the driver), af_packet or udp (any interface)",
  },
  queues: {
    ...ioOptions.queue,
    type: queues(),
    description:
      "queues of the interface, a thread for each (af_xdp, xdp): 0-3 (default: one thread for all over which it spreads what comes, up to 16)",
    value: "list",
  },
  cpu: {
    ...ioOptions.cpu,
    type: cores(),
    description: "cores to which the threads are pinned: numbers such as 2-4, auto or none",
    value: "cores",
  },
} as const;

export type ResponderValues = Values<typeof responderOptions>;

/** One queue, served by one thread on its core. */
export interface ResponderThread {
  readonly queue: number;
  readonly cpu: number; // -1: not pinned
}

/** The configuration of the thread of the first queue; the others differ from it in queue and core alone. */
export interface ResponderPlan extends ResponderConfig {
  readonly threads: readonly ResponderThread[];
}

/**
 * @param autoCores the cores for --cpu auto, one for each queue; -1 for none
 * @throws CaromError (usage) for options that contradict each other
 */
export function responderConfig(
  link: Link,
  values: ResponderValues,
  autoCores: readonly number[] = [],
): ResponderPlan {
  if ((values.responseIp === undefined) !== (values.responseMac === undefined)) {
    const detail = "one says where orders go, the other how to get there";
    throw new CaromError("usage", "--response-ip and --response-mac", detail, "give both or none");
  }
  if (values.targetIp !== undefined && ![link.address4, link.address6].includes(values.targetIp)) {
    const own = [link.address4, link.address6].filter((address) => address !== "").join(" and ");
    const detail = `${link.interfaceName} has ${own === "" ? "no address" : own}`;
    throw new CaromError(
      "usage",
      `--target-ip ${values.targetIp}`,
      detail,
      "leave it out, or choose another interface",
    );
  }
  const threads = threadsOf(values, autoCores);
  const { cpu } = threads[0]!;
  const io = ioConfig(link, { ...values, queue: values.queues?.[0], cpu: cpu < 0 ? "none" : cpu }, -1, {
    localPort: values.targetPort,
    sendPort: values.targetPort,
    receives: true,
    groups: values.multicast ? values.multicastGroup : [],
    timestamps: "tsc",
    rxStamps: false,
    txStamps: false,
  });
  return {
    threads: values.queues === undefined ? [{ queue: io.queue, cpu }] : threads,
    io,
    filter: values.filter ?? "",
    strategy: strategyConfig(values),
    answerLimit: values.answerLimit ?? 0,
    breakdownEvery: 0,
    passageRoom: 0,
    responseAddress: values.responseIp ?? "",
    responseMac: values.responseMac ?? "",
    responsePort: values.responsePort,
  };
}

function threadsOf(values: ResponderValues, autoCores: readonly number[]): ResponderThread[] {
  const { queues: wanted = [0], cpu } = values;
  if (typeof cpu === "object" && cpu.length !== wanted.length) {
    const detail = `${cpu.length} cores for the ${wanted.length} threads of --queues`;
    throw new CaromError("usage", "--cpu", detail, "give a core for each queue, auto or none");
  }
  if (!hasProgram(values.backend) && (wanted.length > 1 || wanted[0] !== 0)) {
    const detail = `only af_xdp and xdp have them, the backend is ${values.backend}`;
    throw new CaromError("usage", "--queues", detail, "leave it out, or add --backend af_xdp");
  }
  return wanted.map((queue, index) => ({
    queue,
    cpu: cpu === "none" ? -1 : cpu === "auto" ? (autoCores[index] ?? -1) : cpu[index]!,
  }));
}
