/** The lab's far end: carom's own responder there, as the generator's streams need it. */

import { hasProgram, type RESPONDER_BACKENDS } from "../config/io.js";
import { keepsState } from "../config/strategy_rules.js";
import { isMulticast } from "../config/values.js";
import type { Lab } from "../lab/lab.js";
import { CaromError } from "../native/error.js";
import type { GeneratorConfig, Link } from "../native/index.js";
import { GROUPS_MAX, type ResponderPlan, responderConfig } from "../responder/config.js";
import type { ChosenCores } from "./cores.js";
import type { RunValues } from "./plan.js";
import type { CertificatePlan } from "./receiver.js";
import { hasXdpProgram } from "./statistics.js";

/** With a generator in the kernel the responder is there, too, unless something else was asked for. */
export function responderBackend(values: RunValues): (typeof RESPONDER_BACKENDS)[number] {
  return values.responderBackend ?? (values.backend === "xdp_live" ? "xdp" : values.backend);
}

/** The responder's queues: in the lab those by which the threads' ticks come, too. */
export function servedQueues(values: RunValues, threads: number): number[] | undefined {
  const isQueued = values.backend === "af_xdp" && hasProgram(responderBackend(values));
  if (threads === 1 || !isQueued) return values.queues;
  const needed = Array.from({ length: threads }, (_, thread) => (values.queue ?? 0) + thread);
  return [...new Set([...(values.queues ?? [0]), ...needed])];
}

export function responderPlan(
  link: Link,
  values: RunValues & { ringSize: number },
  generator: GeneratorConfig,
  cores: ChosenCores,
): ResponderPlan {
  const { groups, port, vlan } = listening(generator);
  const isPacked = generator.streams.some(({ packing }) => packing.most > 1);
  if (isPacked && keepsState(values.strategy) && responderBackend(values) === "xdp") {
    const detail = `what ${values.strategy} remembers is in the kernel, where only single ticks are decided`;
    throw new CaromError("usage", "packing", detail, "leave it out, or add --responder-backend af_xdp");
  }
  const own = {
    ...values,
    backend: responderBackend(values),
    multicast: groups.length > 0,
    multicastGroup: groups,
    targetPort: port,
    vlan: vlan < 0 ? undefined : vlan,
    cpu: values.responderCpu,
    steer: false, // it is about the generator's interface
    targetIp: undefined, // the generator's; the lab's far end has what it has
    responseIp: undefined,
    responseMac: undefined,
    answerLimit: undefined,
    filter: undefined,
  };
  const { breakdownEvery, passageRoom } = generator;
  return { ...responderConfig(link, own, cores.responder), breakdownEvery, passageRoom };
}

/** Where the lab's responder has to listen. @throws CaromError (usage) when that is more than one can do */
function listening({ streams }: GeneratorConfig) {
  const lines = streams.flatMap((stream) => stream.lines.filter(({ judged }) => judged));
  const all = <T>(pick: (line: (typeof lines)[number]) => T) => [...new Set(lines.map(pick))];
  const groups = all(({ destinationAddress }) => destinationAddress).filter(isMulticast);
  const ports = all(({ destinationPort }) => destinationPort);
  const vlans = all(({ vlan }) => vlan);
  const refuse = (operation: string, detail: string): never => {
    const hint = "add --no-responder, and start a device of your own for each";
    throw new CaromError("usage", operation, detail, hint);
  };
  if (ports.length > 1) refuse("--streams", `the lab's responder takes ticks on one port, not ${ports}`);
  if (vlans.length > 1) refuse("--streams", "the lab's responder is in one VLAN, the streams are in several");
  if (groups.length > GROUPS_MAX) refuse("--streams", `the lab's responder joins up to ${GROUPS_MAX} groups`);
  return { groups, port: ports[0]!, vlan: vlans[0]! };
}

export function withStamps(responder: ResponderPlan, generator: GeneratorConfig): ResponderPlan {
  const stampsAny = generator.replay !== null;
  return { ...responder, io: { ...responder.io, stampsArrivals: true, stampsAny } };
}

/** Whether the lab's near end needs a program of its own to see what one at the far end sends back. */
export function takesXdpBack(
  lab: Lab | null,
  generator: GeneratorConfig,
  responder: ResponderPlan | null,
): boolean {
  if (lab === null || hasProgram(generator.io.backend)) return false;
  return responder === null ? hasXdpProgram(lab.responder) : responder.io.backend === "xdp";
}

/** Whether the lab's far end needs one to see what a program at the near end sends. */
export function takesXdpSent(
  lab: Lab | null,
  generator: GeneratorConfig,
  responder: ResponderPlan | null,
  certificate: CertificatePlan | null,
): boolean {
  if (lab === null || generator.io.backend !== "xdp_live" || certificate?.receiver.by === "program")
    return false;
  return responder === null ? !hasXdpProgram(lab.responder) : !hasProgram(responder.io.backend);
}
