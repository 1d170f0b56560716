/**
 * The balances of a run: equations between what was counted in different places, which hold when nothing was lost that
 * nobody tells of.
 */

import { isPlain } from "../generator/frames.js";
import { type LinkReport, type Links, notLeft } from "./links.js";
import type { Measurement } from "./measure.js";
import type { Plan } from "./plan.js";
import { type InterfaceCounters, lostOnArrival } from "./statistics.js";
/** One equation that must hold at the end of a run. */
export interface Balance {
  readonly name: string;
  readonly equation: string;
  readonly holds: boolean;
}

export function balancesOf(
  n: (name: string) => number,
  answered: number,
  plan: Plan,
  found: Measurement,
  links: Links,
): Balance[] {
  const not_left = notLeft(n, links.generator, found);
  const sent = n("sent") - not_left;
  const ledger = [
    equation(
      "ticks",
      [["sent", sent], ...some("not left", not_left)],
      [
        ["answered", answered],
        ["missing", n("missing")],
        ["not to be answered", n("quiet")],
        ...some("withheld", n("withheld")),
        ...some("forgotten", n("forgotten")),
      ],
    ),
    equation(
      "orders",
      [["received", n("received")]],
      [
        ["correct", n("correct")],
        ["wrong", n("wrong")],
        ["late", n("late")],
        ["duplicate", n("duplicate")],
        ["unexpected", n("unexpected")],
        ...some("to copies", n("answered_copies")),
        ...some("not judged", n("unjudged")),
      ],
    ),
  ];
  const frames = n("frames_out") - (links.generator.not_left ?? 0);
  const isReplay = found.generator.replay !== null;
  const what = isReplay
    ? "frames of the replay"
    : plan.streams.every(({ feed }) => isPlain(feed.shape))
      ? "ticks, warm-up included"
      : "frames handed over, warm-up included";
  const near = found.interfaces.generator;
  const far = found.interfaces.responder;
  const nearName = plan.generator.io.link.interfaceName;
  const farName = plan.lab?.responder.interfaceName ?? "";
  return [
    ...(plan.generator.io.receives ? ledger : []),
    ...streamBalances(n, found),
    ...(near === null ? [] : atLeast(`${nearName} sent`, near.tx_packets, what, frames, links.generator)),
    ...(near === null || n("frames_in") === 0
      ? []
      : atLeast(`${nearName} received`, near.rx_packets, "that carom took", n("frames_in"), links.generator)),
    ...(far === null ? [] : atLeast(`${farName} received`, far.rx_packets, what, frames, links.responder)),
    ...(found.arrivals === null
      ? []
      : [
          equation(
            "arrivals",
            [["sent", isReplay ? frames : sent]],
            [[`stamped at ${farName}`, found.arrivals.ticks]],
          ),
        ]),
    // A real link carries other traffic, and a NIC drops what nobody wants: only a lab's must drop nothing.
    ...(near === null ? [] : [clean(nearName, near, plan.lab !== null)]),
    ...(far === null ? [] : [clean(farName, far, true)]),
  ];
}

/** Between streams, and between threads: nothing is lost on the way from one to the other. */
function streamBalances(n: (name: string) => number, { generator }: Measurement): Balance[] {
  const { streams, threads } = generator;
  const sent = streams.map((stream, index): [string, number] => [`of stream ${index + 1}`, stream.sent]);
  const handed = equation(
    "handed",
    [["handed to other threads", n("handed")]],
    [
      ["taken", n("handed_in")],
      ["lost", n("handed_lost")],
    ],
  );
  return [
    ...(streams.length > 1 ? [equation("streams", [["sent", n("sent")]], sent)] : []),
    ...(threads.length > 1 && n("received") > 0 ? [handed] : []),
  ];
}

type Terms = readonly (readonly [name: string, value: number])[];

/** A term that there is only when something is done on purpose. */
function some(name: string, value: number): Terms {
  return value === 0 ? [] : [[name, value]];
}

function equation(name: string, left: Terms, right: Terms): Balance {
  const text = (terms: Terms) =>
    terms.map(([term, value]) => `${term} ${value.toLocaleString("en-US")}`).join(" + ");
  const sum = (terms: Terms) => terms.reduce((total, [, value]) => total + value, 0);
  return { name, equation: `${text(left)} = ${text(right)}`, holds: sum(left) === sum(right) };
}

/** None where a driver began to count anew and is behind: what it had not told before nobody knows (resetNotes says so). */
function atLeast(
  name: string,
  value: number,
  what: string,
  least: number,
  link: LinkReport | null,
): Balance[] {
  if (value < least && link !== null && link.counter_resets > 0) return [];
  const [shown, wanted] = [value, least].map((number) => number.toLocaleString("en-US"));
  return [{ name, equation: `${name} ${shown} frames ≥ ${wanted} ${what}`, holds: value >= least }];
}

function clean(name: string, counters: InterfaceCounters, isStrict: boolean): Balance {
  const { rx_errors, tx_errors, tx_dropped } = counters;
  const rx_dropped = lostOnArrival(counters);
  const equation = `${name} dropped ${rx_dropped} in, ${tx_dropped} out; errors ${rx_errors} in, ${tx_errors} out`;
  const isClean = rx_errors + rx_dropped + tx_errors + tx_dropped === 0;
  return { name: `${name} drops`, equation, holds: isClean || !isStrict };
}
