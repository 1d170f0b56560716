/** Who stamps the ticks that arrive at the far end, for the certificate; or why nobody does. */

import { hasProgram } from "../config/io.js";
import { formatNs, type Tolerance } from "../config/values.js";
import type { PlannedStream } from "../generator/config.js";
import { isPlain } from "../generator/frames.js";
import { scheduleClockText } from "../generator/schedule_clock.js";
import type { Lab } from "../lab/lab.js";
import { launchTimeText } from "../lab/launch_time.js";
import { CaromError } from "../native/error.js";
import type { GeneratorConfig } from "../native/index.js";
import type { ResponderPlan } from "../responder/config.js";
import { hasXdpProgram } from "./statistics.js";

export interface ReceiverPlan {
  /** The responder's own XDP program, or one that is attached for it. */
  readonly by: "responder" | "program" | "nobody";
  readonly reason: string;
}

export interface CertificatePlan {
  readonly tolerances: readonly Tolerance[];
  readonly receiver: ReceiverPlan;
  readonly pacing: string; // by which clock
  readonly launchTime: string;
}

interface Wanted {
  readonly arrivals?: "auto" | "on" | "off" | undefined;
  readonly tolerance?: readonly Tolerance[] | undefined;
}

/** Whether there is one stream, each tick of it in a frame of its own, and at its time. */
function isAlone(streams: readonly PlannedStream[]): boolean {
  return streams.length === 1 && isPlain(streams[0]!.feed.shape);
}

/** @throws CaromError (environment) when arrivals have to be stamped and can't be */
function planReceiver(
  { arrivals = "auto", tolerance }: Wanted,
  generator: GeneratorConfig,
  streams: readonly PlannedStream[],
  lab: Lab | null,
  responder: ResponderPlan | null,
): ReceiverPlan {
  const nobody = (reason: string): ReceiverPlan => ({ by: "nobody", reason });
  if (lab === null) return nobody("the far end is not carom's: only the sender's own view");
  if (arrivals === "off") return nobody("--arrivals off");
  const isWanted = arrivals === "on" || !generator.io.receives || tolerance !== undefined;
  if (!isWanted) return nobody("not asked for, as it would be part of each round trip (--arrivals on)");
  const name = lab.responder.interfaceName;
  if (!isAlone(streams)) {
    const detail =
      streams.length > 1
        ? "of several streams the far end can't tell which one a tick is of"
        : "not every tick arrives alone and at its planned time, as it was asked for";
    if (arrivals === "on")
      throw new CaromError("usage", "--arrivals on", detail, "leave out packing, lines and impairment");
    return nobody(detail);
  }
  if (responder !== null && hasProgram(responder.io.backend))
    return { by: "responder", reason: `stamped on ${name} by the responder's XDP program, kernel clock` };
  if (!hasXdpProgram(lab.responder))
    return { by: "program", reason: `stamped on ${name} by an XDP program of its own, kernel clock` };
  const detail = `${name} has somebody else's XDP program, and there is room for one only`;
  if (arrivals === "on")
    throw new CaromError("environment", "--arrivals on", detail, "detach it, or leave --arrivals out");
  return nobody(detail);
}

function pacingText({
  io: { backend, link, launches },
  launchLeadNs,
  scheduleClock,
}: GeneratorConfig): string {
  if (backend === "xdp_live") return "spinning on CLOCK_MONOTONIC, in the kernel";
  if (!launches) return "spinning on the TSC";
  return `launch-time: ${link.interfaceName} by ${scheduleClockText(scheduleClock)}, given ${formatNs(launchLeadNs)} ahead`;
}

/** @throws CaromError (usage, environment) */
export function planCertificate(
  values: Wanted,
  generator: GeneratorConfig,
  streams: readonly PlannedStream[],
  lab: Lab | null,
  responder: ResponderPlan | null,
): CertificatePlan {
  if (generator.late === "skip" && !isAlone(streams)) {
    const detail =
      "a datagram of several ticks, on several lines or with impairment is not left out for being late";
    throw new CaromError("usage", "--late skip", detail, "use --late catch-up or slip");
  }
  return {
    tolerances: values.tolerance ?? [],
    receiver: planReceiver(values, generator, streams, lab, responder),
    pacing: pacingText(generator),
    launchTime: generator.io.launches ? "used" : launchTimeText(generator.io.link),
  };
}
