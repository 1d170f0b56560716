/** The options that every role has: how it moves frames, and where on the machine it runs. */

import { CaromError } from "../native/error.js";
import { type IoConfig, type Link, spreadQueues } from "../native/index.js";
import { optionGroup, type Values } from "./option.js";
import { choice, core, dscp, duration, flag, integer, MAX_QUEUE, powerOfTwo } from "./values.js";

const io = optionGroup("How frames move");

export const BACKENDS = ["af_xdp", "af_packet", "udp"] as const;
export const RESPONDER_BACKENDS = [...BACKENDS, "xdp"] as const;
export const GENERATOR_BACKENDS = [...BACKENDS, "xdp_live"] as const;

/** Whether a backend has a program in the driver, and so a queue and a mode of it. */
export function hasProgram(backend: string): boolean {
  return backend !== "af_packet" && backend !== "udp";
}

export const ioOptions = {
  backend: io(
    choice(...GENERATOR_BACKENDS),
    "xdp_live (in the kernel: the highest rates), af_xdp, af_packet or udp (any interface)",
    "name",
    "af_xdp",
  ),
  queue: io(
    integer(0, MAX_QUEUE),
    "queue of the interface (af_xdp, xdp_live) (default: all over which it spreads what comes, up to 16)",
    "number",
  ),
  steer: io(
    flag(),
    "have a rule of the NIC (ethtool -N) bring the port's frames to the queue; it goes when carom ends (af_xdp, xdp)",
    "",
    "false",
  ),
  cpu: io(core(), "core to which the thread is pinned: a number, auto or none", "core", "auto"),
  ringSize: io(powerOfTwo(64, 65536), "frames in each ring, a power of two", "frames", "4096"),
  vlan: io(integer(1, 4094), "VLAN identifier of every frame, in and out; untagged without it", "id"),
  ttl: io(integer(1, 255), "time to live of what is sent", "hops", "16"),
  dscp: io(
    dscp(),
    "differentiated services code point of what is sent: EF, AF41, CS3, or 0 to 63",
    "code point",
    "0",
  ),
  busyPoll: io(
    duration(0, 1e6),
    "let the socket poll the driver this long (SO_BUSY_POLL); for NICs",
    "time",
    "0",
  ),
  copyMode: io(
    choice("auto", "copy", "zero-copy"),
    "af_xdp, xdp: zero-copy where the driver can, or not",
    "mode",
    "auto",
  ),
  xdpMode: io(
    choice("auto", "native", "generic"),
    "af_xdp, xdp, xdp_live: where the XDP program runs",
    "mode",
    "auto",
  ),
  stallThreshold: io(
    duration(100, 1e9),
    "a turn of the loop longer than this counts as a stall of its core",
    "time",
    "3us",
  ),
} as const;

export type IoValues = Omit<Values<typeof ioOptions>, "backend"> & { readonly backend: string };

type Rest = Omit<
  IoConfig,
  | "backend"
  | "link"
  | "queue"
  | "moreQueues"
  | "cpu"
  | "ringSize"
  | "vlan"
  | "ttl"
  | "dscp"
  | "busyPollUs"
  | "copyMode"
  | "xdpMode"
  | "stallThresholdNs"
  | "stampsArrivals"
  | "stampsAny"
  | "launches"
>;

/** @throws CaromError (usage) for options that only one backend has, given to another */
function refuseForeign(values: IoValues): void {
  if (hasProgram(values.backend)) return;
  const given = [
    (values.queue ?? 0) !== 0 && "--queue",
    values.copyMode !== "auto" && "--copy-mode",
    values.xdpMode !== "auto" && "--xdp-mode",
    values.steer === true && "--steer",
  ].find((name): name is string => name !== false);
  if (given === undefined) return;
  const detail = `it is about a program in the driver, the backend is ${values.backend}`;
  throw new CaromError("usage", given, detail, "leave it out, or add --backend af_xdp");
}

const SPREAD_MAX = 16; // queues that one thread looks at in turn, with the memory of a ring for each

/**
 * The queue of a role, and those by which it receives besides: where none was named, all over which the interface spreads
 * what comes, as nobody knows by which of them it will be.
 * @throws CaromError (environment) where they are too many
 */
function queuesOf(link: Link, values: IoValues, receives: boolean): [queue: number, more: readonly number[]] {
  if (values.queue !== undefined) return [values.queue, []];
  if (!hasProgram(values.backend) || values.steer || !receives) return [0, []];
  const [first = 0, ...more] = spreadQueues(link);
  if (more.length < SPREAD_MAX) return [first, more];
  const { interfaceName: name } = link;
  throw new CaromError(
    "environment",
    `choose the queues of ${name}`,
    `it spreads what comes over ${more.length + 1}, and carom serves ${SPREAD_MAX} that nobody has named`,
    `name those by which frames come (--queue N, carom respond --queues 0-3), add --steer, or ethtool -X ${name} equal ${SPREAD_MAX}`,
  );
}

/** The native configuration from the values; `cpu` is the one chosen for auto, -1 for none. */
export function ioConfig(link: Link, values: IoValues, autoCpu: number, rest: Rest): IoConfig {
  refuseForeign(values);
  const [queue, moreQueues] = queuesOf(link, values, rest.receives);
  return {
    backend: values.backend,
    link,
    queue,
    moreQueues,
    cpu: values.cpu === "auto" ? autoCpu : values.cpu === "none" ? -1 : values.cpu,
    ringSize: values.ringSize,
    vlan: values.vlan ?? -1,
    ttl: values.ttl,
    dscp: values.dscp,
    busyPollUs: Math.round(values.busyPoll / 1000),
    copyMode: values.copyMode,
    xdpMode: values.xdpMode,
    stallThresholdNs: values.stallThreshold,
    stampsArrivals: false,
    stampsAny: false,
    launches: false,
    ...rest,
  };
}
