/** Which clock stamps ticks and orders, and why that one. */

import { CaromError } from "../native/error.js";
import { type Link, type Provenance, timestampingInfo } from "../native/index.js";
import { calibrationOf, type KeptCalibration } from "./calibrations.js";

export interface ChosenTimestamps {
  readonly provenance: Provenance;
  readonly reason: string;
  readonly isDemanded: boolean; // not only the best there is
}

/** @throws CaromError (environment) when hardware timestamps are demanded and can't be had */
export function chooseTimestamps(wanted: "auto" | Provenance, backend: string, link: Link): ChosenTimestamps {
  if (backend === "xdp_live") return ofPrograms(wanted);
  if (wanted === "tsc" || wanted === "kernel")
    return { provenance: wanted, reason: "as asked for", isDemanded: true };
  const lack = hardwareLack(backend, link);
  if (lack === "") {
    const reason =
      wanted === "hardware" ? "as asked for" : `${link.interfaceName} stamps both directions in hardware`;
    return { provenance: "hardware", reason, isDemanded: wanted === "hardware" };
  }
  if (wanted === "hardware") {
    throw new CaromError(
      "environment",
      `hardware timestamps on ${link.interfaceName}`,
      lack,
      "use --timestamps kernel or tsc, or auto to take the best there is",
    );
  }
  return {
    provenance: "tsc",
    reason: `${lack}; a spinning loop reads the TSC within one turn`,
    isDemanded: false,
  };
}

/** Programs in the kernel stamp with its monotonic clock when they make a tick, and when an order comes. */
function ofPrograms(wanted: "auto" | Provenance): ChosenTimestamps {
  if (wanted === "auto" || wanted === "kernel") {
    const reason = "CLOCK_MONOTONIC, read by the programs in the driver";
    return { provenance: "kernel", reason, isDemanded: wanted === "kernel" };
  }
  const detail = "its programs have no other clock than the kernel's";
  throw new CaromError("usage", `--timestamps ${wanted} with xdp_live`, detail, "use auto or kernel");
}

function hardwareLack(backend: string, link: Link): string {
  const info = timestampingInfo(link);
  if (info.phcIndex < 0) return `${link.interfaceName} has no hardware clock`;
  if (!info.hardwareRx) return `${link.interfaceName} can't stamp every received frame`;
  if (!info.hardwareTx) return `${link.interfaceName} can't stamp sent frames`;
  if (backend === "xdp") return "xdp answers in the kernel, which reads no stamps of the NIC";
  return backend === "af_xdp" ? "af_xdp can't read the NIC's receive time: af_packet and udp can" : "";
}

/** @throws CaromError (usage) without hardware stamps, (environment) when the interface was never calibrated */
export function chooseCalibration(
  isWanted: boolean,
  { provenance, reason }: ChosenTimestamps,
  link: Link,
): KeptCalibration | null {
  if (!isWanted) return null;
  if (provenance === "hardware") return calibrationOf(link);
  const detail = `the stamps are by ${provenance}: ${reason}`;
  throw new CaromError("usage", "--calibrated", detail, "it is about hardware stamps: --timestamps hardware");
}

/** A device that says it stamps, and never did; "" for any other. */
export function neverStampedText(
  { provenance }: ChosenTimestamps,
  { interfaceName }: Link,
  stamped: number,
  unstamped: number,
): string {
  if (provenance === "tsc" || stamped > 0 || unstamped === 0) return "";
  const all = unstamped.toLocaleString("en-US");
  return (
    `${interfaceName} took the order to stamp, and none of ${all} round trips has ${provenance} stamps: ` +
    "all are by the TSC; use --timestamps tsc"
  );
}
