/**
 * Where the round trip goes: ticks that were followed, split at the moments when they passed from one side to the
 * other. The parts of one tick add up to its round trip, exactly.
 */

import { summarize } from "../native/histogram.js";
import type { GeneratorResult, HistogramData } from "../native/index.js";
import type { ResponderFindings } from "../responder/threads.js";

/** One part of the round trip, over all ticks that were followed. */
export interface Part {
  readonly name: string;
  readonly description: string;
  readonly provenance: string;
  readonly samples: number;
  readonly mean_ns: number;
  readonly p50_ns: number | null;
  readonly p99_ns: number | null;
}

export interface Breakdown {
  readonly one_in: number; // of so many ticks one was followed
  readonly round_trip: Part;
  readonly parts: readonly Part[]; // one after the other: their means add up to that of the round trip
  readonly within: readonly Part[]; // what lies inside them
}

const TSC = "tsc (one timeline for all cores)";
const ORDER = "tsc; kernel clock in the order's timestamp, tied to the tsc for each tick";
const SEND = "the call that sends; on a veth it carries the frame to the other end";

/**
 * @param one_in of so many ticks one was followed
 * @param inKernel the responder is the program in the kernel: what it decides leaves no passages
 */
export function breakdownOf(
  { sends, answers }: Pick<GeneratorResult, "sends" | "answers">,
  responder: ResponderFindings,
  one_in: number,
  inKernel: boolean,
): Breakdown {
  const sent = byTick([sends]);
  const made = byTick(responder.passages);
  const gaps = { out: [] as number[], own: [] as number[], back: [] as number[], total: [] as number[] };
  const calls = { tick: [] as number[], order: [] as number[] };
  for (const [tick, answer] of byTick([answers])) {
    const send = sent.get(tick);
    const response = inKernel ? answer : made.get(tick);
    if (send === undefined || response === undefined) continue; // of the warm-up, or not followed to its end
    gaps.total.push(Number(answer.handed - send.handed));
    gaps.out.push(Number(response.begin - send.handed));
    calls.tick.push(Number(send.returned - send.handed));
    if (inKernel) {
      gaps.back.push(Number(answer.handed - answer.begin));
    } else {
      gaps.own.push(Number(response.handed - response.begin));
      gaps.back.push(Number(answer.handed - response.handed));
      calls.order.push(Number(response.returned - response.handed));
    }
  }
  const out = "sent, through the kernel and over the wire, until the responder took it up";
  const own = "taken up, parsed, decided, until the order was handed over to be sent";
  const back = "sent, through the kernel and over the wire, until the generator took it up";
  return {
    one_in,
    round_trip: partOf("round trip", "from the actual send until the order was taken up", TSC, gaps.total),
    parts: inKernel
      ? [
          partOf("out", out, ORDER, gaps.out),
          partOf("responder, back", "decided in the kernel, and the order on its way back", ORDER, gaps.back),
        ]
      : [
          partOf("out", out, TSC, gaps.out),
          partOf("responder", own, TSC, gaps.own),
          partOf("back", back, TSC, gaps.back),
        ],
    within: [
      partOf("generator's send", SEND, TSC, calls.tick),
      inKernel
        ? programPart(responder.processing)
        : partOf("responder's send", "the same for the order", TSC, calls.order),
    ],
  };
}

interface Passage {
  readonly begin: bigint;
  readonly handed: bigint;
  readonly returned: bigint;
}

/** Rows of tick, begin, handed and returned, by their ticks. */
function byTick(logs: readonly BigUint64Array[]): Map<bigint, Passage> {
  const found = new Map<bigint, Passage>();
  for (const rows of logs) {
    for (let at = 0; at < rows.length; at += 4) {
      found.set(rows[at]!, { begin: rows[at + 1]!, handed: rows[at + 2]!, returned: rows[at + 3]! });
    }
  }
  return found;
}

function partOf(name: string, description: string, provenance: string, values_ns: number[]): Part {
  const sorted = Float64Array.from(values_ns).sort();
  const samples = sorted.length;
  const at = (part: number) => sorted[Math.max(0, Math.ceil(part * samples) - 1)] ?? null;
  const mean_ns = sorted.reduce((sum, value) => sum + value, 0) / Math.max(1, samples);
  return { name, description, provenance, samples, mean_ns, p50_ns: at(0.5), p99_ns: at(0.99) };
}

/** What the program in the kernel takes for a packet, by its own samples. */
function programPart(data: HistogramData): Part {
  const { count: samples, mean_ns, percentiles } = summarize(data);
  const at = (wanted: number) =>
    percentiles.find(({ percentile }) => percentile === wanted)?.value_ns ?? null;
  return {
    name: "responder's program",
    description: "parse, decide, make the order; sampled by the program itself",
    provenance: "kernel (bpf_ktime_get_ns)",
    samples,
    mean_ns,
    p50_ns: at(50),
    p99_ns: at(99),
  };
}
