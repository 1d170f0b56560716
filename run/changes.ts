/** What can change while a run goes on: the rate of an open loop, the window of a closed one. */

import { CaromError } from "../native/error.js";
import type { RunChange } from "../native/index.js";
import type { Measurement } from "./measure.js";
import type { RunningControls } from "./measuring_process.js";
import type { Plan } from "./plan.js";

/** The hint of what can only be had by another run. */
export const ANEW = "start it anew";

const WINDOW_FRAMES = 4; // of the ring, for each tick in flight (generator/config.ts, closedLoopRing)

/** The highest rate that a run planned with room for changes may get. */
const ROOM_PPS = 200_000;
const ROOM_MAX = 10; // times as high

/** How much room a run at a rate is given, of which nothing is seen but its memory. */
export function roomFor(rate_pps: number): number {
  return Math.max(1, Math.min(ROOM_MAX, ROOM_PPS / Math.max(1, rate_pps)));
}

/** Why a rate can't be changed within the run; "" if it can. */
export function rateRefusal({ generator, feed, sending }: Plan, rate_pps: number): string {
  if (generator.mode !== "open") return "the run has no rate";
  if (generator.replay !== null) return "a capture has a rate of its own";
  if (generator.io.backend === "xdp_live")
    return "xdp_live plans ahead of the program in the kernel that sends";
  if (sending.threads.length > 1) return "several threads would not change it at the same time";
  const room_pps = (feed.rate_pps * generator.peakRate) / Math.max(1, feed.peak_pps);
  const remembered_pps = (generator.ledgerTicks * 1e9) / (generator.timeoutNs + generator.holdNs);
  if (rate_pps > Math.min(room_pps, feed.carried_pps, remembered_pps))
    return "there is no room for so many ticks";
  return "";
}

/** Why a window can't be changed within the run; "" if it can. */
export function windowRefusal({ generator }: Plan, ticks: number): string {
  if (generator.mode !== "closed") return "the run has no window";
  if (generator.io.backend === "xdp_live") return "with xdp_live the program in the kernel has it";
  // A run of one tick in flight remembers few, and stays in a core's cache.
  if (generator.window === 1) return "a run of one in flight has no room for more";
  if (ticks * WINDOW_FRAMES > generator.io.ringSize) return "the ring has no room for so many";
  return "";
}

/** @throws CaromError (usage) where the run has to start anew for it */
export function changeRun(plan: Plan, controls: RunningControls, what: RunChange["what"], to: number): void {
  const refusal = what === "rate" ? rateRefusal(plan, to) : windowRefusal(plan, to);
  if (refusal !== "") throw new CaromError("usage", `change the ${what}`, refusal, ANEW);
  controls.change(what, to);
}

/** What was asked for on average, over the time in which ticks were measured. */
export function requestedRate(rate_pps: number, { generator }: Measurement): number {
  const whole_ns = generator.counters.measured_ns ?? 0;
  const changes = generator.changes.filter(({ what }) => what === "rate");
  if (changes.length === 0 || whole_ns === 0) return changes.at(-1)?.to ?? rate_pps;
  let [ticks, from_ns, now_pps] = [0, 0, rate_pps];
  for (const { after_ns, to } of changes) {
    const at_ns = Math.min(whole_ns, Math.max(0, after_ns));
    ticks += (at_ns - from_ns) * now_pps;
    [from_ns, now_pps] = [at_ns, to];
  }
  return (ticks + (whole_ns - from_ns) * now_pps) / whole_ns;
}

/** "at 3.21 s the rate went from 5,000 to 20,000 ticks/s" */
export function changeText({ what, after_ns, from, to }: RunChange): string {
  const [a, b] = [from, to].map((value) => value.toLocaleString("en-US"));
  const when = after_ns < 0 ? "in the warm-up" : `at ${(after_ns / 1e9).toFixed(2)} s`;
  return `${when} the ${what} went from ${a} to ${b} ${what === "rate" ? "ticks/s" : "in flight"}`;
}
