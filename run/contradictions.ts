/** What of a run's options contradicts itself, or is more than a link carries. */

import { flagName } from "../config/option.js";
import { refusePast } from "../config/start_time.js";
import { isOpen } from "../generator/config.js";
import type { Feed } from "../generator/feed.js";
import { CaromError } from "../native/error.js";
import { isIp6 } from "../wire/address.js";
import type { RunValues } from "./plan.js";
import { refuseStampOptions } from "./stamps.js";

/** @throws CaromError (usage) */
export function refuseContradictions(values: RunValues): void {
  const refuse = (operation: string, detail: string, hint: string): never => {
    throw new CaromError("usage", operation, detail, hint);
  };
  const ofOne = ["rate", "profile", "scale", "scaleBy", "window"] as const;
  const given = values.streams === undefined ? undefined : ofOne.find((key) => values[key] !== undefined);
  if (given !== undefined) {
    const detail = "the file says of each stream when its ticks come";
    refuse(`--${flagName(given)} with --streams`, detail, "say it in the file");
  }
  if (values.interface !== undefined && values.lab !== undefined) {
    refuse("--interface with --lab", "a run is on a real link or in a lab", "give one of them");
  }
  if (values.namespace !== undefined && values.interface === undefined) {
    refuse("--namespace", "it says where --interface is", "give --interface, too");
  }
  refusePast(values.startAt);
  refuseStampOptions(values);
  if (values.stamps !== undefined && values.backend === "xdp_live") {
    const detail = "a tick is not handed to a backend: it is made in the driver";
    refuse("--stamps with xdp_live", detail, "use af_xdp, af_packet or udp");
  }
  if (values.breakdown && values.backend === "xdp_live") {
    refuse(
      "--breakdown with xdp_live",
      "a tick is not handed to a backend: it is made in the driver",
      "use af_xdp",
    );
  }
  if (values.capture !== undefined && values.backend === "xdp_live") {
    const detail = "its frames are made in the driver, and no loop has them";
    refuse("--capture with xdp_live", detail, "use af_xdp, af_packet or udp");
  }
  if (values.breakdown && (values.interface !== undefined || !values.responder)) {
    refuse(
      "--breakdown",
      "only the lab's own responder tells when a tick came to it",
      "leave out --interface and --no-responder",
    );
  }
  for (const [name, value] of [
    ["--tolerance", values.tolerance],
    ["--arrivals", values.arrivals],
  ] as const) {
    if (value !== undefined && !isOpen(values))
      refuse(name, "a closed loop, or --rate max, has no schedule to be held", "add --rate or --profile");
  }
  if (values.arrivals === "on" && values.interface !== undefined) {
    refuse("--arrivals on", "only in a lab the far end is at hand", "leave it out, or --interface");
  }
  if (
    values.multicast &&
    values.targetIp !== undefined &&
    isIp6(values.targetIp) !== isIp6(values.multicastGroup)
  ) {
    refuse(
      "--target-ip",
      "it is of another family than the multicast group",
      "add --no-multicast to send to it alone",
    );
  }
}

/** But for a profile that says so: its ceiling is none. */
export function refuseMoreThanTheLinkCarries(feeds: readonly Feed[]): void {
  const bound = feeds.filter(({ profile }) => profile === null || profile.ceiling > 0);
  const share = bound.reduce((sum, { rate_pps, carried_pps }) => sum + rate_pps / carried_pps, 0);
  if (share <= 1) return;
  const shown = (value: number) => Math.floor(value).toLocaleString("en-US");
  const [first] = bound;
  const [operation, detail] =
    feeds.length === 1
      ? [`--rate ${first!.rate_pps}`, `the link carries ${shown(first!.carried_pps)} such frames a second`]
      : ["--streams", `together they are ${share.toFixed(2)} times what the link carries`];
  throw new CaromError("usage", operation, detail, "lower it, or raise --link-speed");
}
