/** Pacing by the NIC, which sends each frame at its planned time by its own clock, and not by a loop that spins. */

import { optionGroup, type Values } from "../config/option.js";
import { choice, duration } from "../config/values.js";
import { CaromError } from "../native/error.js";
import type { Link, ScheduleClock } from "../native/index.js";
import { findScheduleClock } from "./schedule_clock.js";

const when = optionGroup("When");

export const pacingOptions = {
  pacing: when(
    choice("spin", "launch-time"),
    "open loop: what holds the schedule: a loop that spins, or the NIC, which launches each frame at its time (af_packet, udp)",
    "how",
    "spin",
  ),
  launchLead: when(
    duration(2000, 100e6),
    "with launch-time: how long before its time a frame is given to the kernel (default: 200us)",
    "time",
  ),
} as const;

const LEAD_NS = 200_000;

type PacingValues = Values<typeof pacingOptions>;

/** 0 where a loop spins. */
export function launchLeadNs({ pacing, launchLead }: PacingValues): number {
  return pacing === "launch-time" ? Math.round(launchLead ?? LEAD_NS) : 0;
}

interface Others {
  readonly backend: string;
  readonly late?: string | undefined;
  readonly dscp: number;
  readonly scheduleClock?: string | undefined;
}

/** @throws CaromError (usage) for options that contradict each other */
export function refuseLaunches(values: PacingValues & Others, isOpen: boolean): void {
  const refuse = (operation: string, detail: string, hint: string): never => {
    throw new CaromError("usage", operation, detail, hint);
  };
  if (values.pacing !== "launch-time") {
    if (values.launchLead === undefined) return;
    refuse("--launch-lead", "no NIC launches anything", "add --pacing launch-time");
  }
  const name = "--pacing launch-time";
  if (!isOpen) refuse(name, "without a schedule there is no planned time", "add --rate or --profile");
  if (values.backend !== "udp" && values.backend !== "af_packet")
    refuse(
      `${name} with ${values.backend}`,
      "it goes by SO_TXTIME, which sockets have",
      "use --backend af_packet or udp",
    );
  if (values.late !== undefined && values.late !== "catch-up")
    refuse(
      `${name} with --late ${values.late}`,
      "what was given to the NIC is not taken back",
      "leave out --late",
    );
  if (values.backend === "udp" && values.dscp !== 0)
    refuse(`${name} with --dscp`, "the kernel would choose another queue by it", "use --backend af_packet");
  if (values.scheduleClock !== undefined && !/^(phc|\/dev\/)/.test(values.scheduleClock))
    refuse(
      `${name} with --schedule-clock ${values.scheduleClock}`,
      "the NIC goes by its own clock",
      "leave it out",
    );
}

/** The clock by which the interface launches. @throws CaromError (environment, usage) */
export function launchClock(given: string | undefined, link: Link): ScheduleClock {
  const own = findScheduleClock("phc", link, "--pacing launch-time");
  const other = given === undefined ? own : findScheduleClock(given, link);
  if (other === own) return own;
  const detail = `${link.interfaceName} launches by ${own}`;
  throw new CaromError("usage", `--schedule-clock ${given}`, detail, "leave it out");
}
