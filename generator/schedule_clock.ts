/** The clock by which a schedule goes: one of the kernel's by its name, a NIC's, or the bare TSC. */

import { existsSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import { fromText } from "../config/values.js";
import { CaromError } from "../native/error.js";
import { type KernelClock, type Link, type ScheduleClock, timestampingInfo } from "../native/index.js";

const KERNEL_CLOCKS: readonly KernelClock[] = ["monotonic", "raw", "tai"];
const PHC = "phc";

/** What a user says: "phc" is the clock of the interface that sends. */
export function scheduleClockName() {
  const allowed = `one of ${KERNEL_CLOCKS.join(", ")}, tsc, ${PHC}, ${PHC}:INTERFACE, /dev/ptpN`;
  return fromText(allowed, (text) => {
    const isName = [...KERNEL_CLOCKS, "tsc", PHC].includes(text);
    return isName || /^(phc:[^\s/:]{1,15}|\/dev\/ptp\d{1,6})$/.test(text) ? text : undefined;
  });
}

/** Whether a program in the kernel can go by it. */
export function isKernelReadable(name: string): boolean {
  return name === "monotonic" || name === "tai";
}

/** @throws CaromError (environment) where there is no such clock */
export function findScheduleClock(
  name: string,
  link: Link,
  operation = `--schedule-clock ${name}`,
): ScheduleClock {
  if (name === "tsc" || KERNEL_CLOCKS.some((clock) => clock === name)) return name as ScheduleClock;
  const hint =
    "ethtool -T INTERFACE shows a NIC's clock, ls /dev/ptp* all; or use monotonic, raw, tai or tsc";
  const refuse = (detail: string): never => {
    throw new CaromError("environment", operation, detail, hint);
  };
  if (name.startsWith("/dev/")) {
    if (!existsSync(name)) refuse("there is no such clock");
    return name as ScheduleClock;
  }
  const interfaceName = name === PHC ? link.interfaceName : name.slice(PHC.length + 1);
  const { phcIndex } = timestampingInfo({ ...link, interfaceName });
  if (phcIndex < 0) refuse(`${interfaceName} has no hardware clock`);
  return `/dev/ptp${phcIndex}`;
}

/** "CLOCK_MONOTONIC", "/dev/ptp0 (ixgbe)" */
export function scheduleClockText(clock: ScheduleClock): string {
  if (clock === "tsc") return "the TSC";
  if (clock === "raw") return "CLOCK_MONOTONIC_RAW";
  return clock.startsWith("/dev/") ? `${clock}${driverText(clock)}` : `CLOCK_${clock.toUpperCase()}`;
}

function driverText(path: string): string {
  try {
    return ` (${readFileSync(`/sys/class/ptp/${basename(path)}/clock_name`, "utf8").trim()})`;
  } catch {
    return ""; // it is a name for people, and the clock is there without it
  }
}
