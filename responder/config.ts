/** The responder's options, and the native configuration made from them. */

import { ioConfig, ioOptions, RESPONDER_BACKENDS } from "../config/io.js";
import { optionGroup, type Values } from "../config/option.js";
import { strategyConfig, strategyOptions } from "../config/strategy.js";
import { choice, flag, integer, ipAddress, macAddress, multicastGroup } from "../config/values.js";
import { CaromError } from "../native/error.js";
import type { Link, ResponderConfig } from "../native/index.js";

const where = optionGroup("Where ticks come and orders go");

export const responderOptions = {
  protocol: where(choice("udp"), "transport of ticks and orders", "name", "udp"),
  targetIp: where(
    ipAddress(),
    "the address to which ticks come: one of the interface's, which is checked",
    "address",
  ),
  targetPort: where(integer(1, 65_535), "UDP port to which ticks come", "port", "8080"),
  multicast: where(flag(), "join the multicast group", "", "true"),
  multicastGroup: where(multicastGroup(), "the group to join", "address", "239.1.1.1"),
  responseIp: where(ipAddress(), "where orders go; without it, to the tick's sender", "address"),
  responseMac: where(macAddress(), "the MAC address that goes with --response-ip", "address"),
  responsePort: where(integer(1, 65_535), "UDP port to which orders go", "port", "9999"),
  answerLimit: where(
    integer(1, 1e9),
    "answers a second for each source, on an open network; no limit without it",
    "orders/s",
  ),
  ...strategyOptions,
  ...ioOptions,
  backend: {
    ...ioOptions.backend,
    type: choice(...RESPONDER_BACKENDS),
    description:
      "af_xdp (user space), xdp (in the kernel, answers from the driver), af_packet or udp (any interface)",
  },
} as const;

export type ResponderValues = Values<typeof responderOptions>;

/**
 * @param autoCpu the core for --cpu auto; -1 for none
 * @throws CaromError (usage) for options that contradict each other
 */
export function responderConfig(link: Link, values: ResponderValues, autoCpu = -1): ResponderConfig {
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
  return {
    io: ioConfig(link, values, autoCpu, {
      localPort: values.targetPort,
      sendPort: values.targetPort,
      receives: true,
      group: values.multicast ? values.multicastGroup : "",
      timestamps: "tsc",
      rxStamps: false,
      txStamps: false,
    }),
    strategy: strategyConfig(values),
    answerLimit: values.answerLimit ?? 0,
    breakdownEvery: 0,
    responseAddress: values.responseIp ?? "",
    responseMac: values.responseMac ?? "",
    responsePort: values.responsePort,
  };
}
