/** A plan as data: for the report as JSON. */

import type { ArrivalConfig, StreamConfig } from "../native/index.js";
import type { Plan } from "./plan.js";

/** The plan without what is not data. */
export function plainPlan(plan: Plan): object {
  const { threads } = plan.sending;
  const generator = {
    ...plan.generator,
    threads,
    startAtNs: plan.generator.startAtNs.toString(),
    streams: plan.generator.streams.map((stream, index) => ({
      name: plan.streams[index]!.name,
      ...plainStream(stream),
    })),
  };
  return { generator, responder: plan.responder, lab: plan.lab?.name ?? null, profile: plainProfile(plan) };
}

function plainStream(stream: StreamConfig): object {
  const { schedule, ticks } = stream;
  return {
    ...stream,
    schedule: { ...schedule, arrival: plainArrival(schedule.arrival), seed: schedule.seed.toString() },
    // Of thousands of symbols the number tells enough.
    ticks: {
      ...ticks,
      seed: ticks.seed.toString(),
      symbols: ticks.symbols.length > SYMBOLS_SHOWN ? ticks.symbols.length : ticks.symbols,
      weights: typeof ticks.weights === "number" ? ticks.weights : "listed",
    },
  };
}

const SYMBOLS_SHOWN = 100;

function plainArrival(arrival: ArrivalConfig): object {
  if (arrival.kind === "sum") return { ...arrival, parts: arrival.parts.map(plainArrival) };
  return arrival.kind === "curve" ? { ...arrival, points: arrival.points.length / 2 } : arrival;
}

function plainProfile({ feed: { profile, scale, rate_pps, peak_pps } }: Plan): object | null {
  return profile === null ? null : { name: profile.name, scale, rate_pps, peak_pps };
}
