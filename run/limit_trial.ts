/** One trial at one rate, judged: did the sender hold the rate, and did the device answer every tick? */

import type { Distribution } from "../native/histogram.js";
import type { Counters } from "../native/index.js";
import type { Report } from "./report.js";
import type { Trial, Verdict } from "./search.js";
import { lostOnArrival } from "./statistics.js";

/** The sender has held a rate when it reached this part of it, a stop of its core at the end aside. */
export const HELD = 0.995;

/** Counters of a backend or of a responder that say where frames or orders were dropped. */
const DROPS = [
  "fill_ring_empty",
  "rx_ring_drops",
  "orders_unsent",
  "orders_limited",
  "tx_refused",
  "tx_invalid",
  "xdp_tx_errors",
] as const;

export interface LimitTrial extends Trial {
  readonly kind: "search" | "confirm" | "latency";
  readonly duration_s: number;
  readonly sent: number;
  readonly unsent: number;
  readonly sent_pps: number;
  readonly answered: number;
  readonly lost: number; // had to be answered, and were not within the timeout
  readonly loss: number; // part of those that had to be answered
  readonly reasons: readonly string[]; // why it did not pass
  readonly where_lost: LossPlaces;
  readonly interference: {
    readonly share: number; // of the time, on the core that was stopped most
    readonly longest_ns: number;
    /** It failed, and cores were stopped for long enough to be the cause: for as much as the sender fell short
     * of the rate, or for more than the rings hold. */
    readonly explains: boolean;
  };
  readonly latency: { readonly planned: Distribution; readonly actual: Distribution };
}

/** Ticks and orders that went missing, warm-up included; null where nobody at that end counts. */
export interface LossPlaces {
  readonly out: number | null; // sent, and never seen by the responder
  readonly responder: number | null; // seen, and no order sent
  readonly back: number | null; // sent by the responder, and never seen
  /** What counted drops: "responder fill_ring_empty", "dut0 rx_dropped". */
  readonly counters: Readonly<Record<string, number>>;
}

interface TrialSettings {
  readonly kind: LimitTrial["kind"];
  readonly rate_pps: number;
  readonly duration_ns: number;
  readonly loss: number; // that still passes
  readonly ringSize: number; // frames
}

export function judge(report: Report, settings: TrialSettings): LimitTrial {
  const { verdicts, ticks } = report;
  const { kind, rate_pps, duration_ns } = settings;
  const due = ticks.sent - ticks.quiet;
  const lost = verdicts.missing + verdicts.late;
  const loss = due > 0 ? lost / due : 0;
  const reached_pps = reached(report);
  const isHeld = holds(report, settings);
  const wrong = faultsOf(report);
  const verdict: Verdict = !isHeld
    ? "sender"
    : wrong.length > 0
      ? "wrong"
      : loss > settings.loss
        ? "loss"
        : "pass";
  const reasons = [
    ...(isHeld ? [] : [`the sender reached ${count(reached_pps)} of ${count(rate_pps)} ticks a second`]),
    ...wrong,
    ...(loss > settings.loss ? [`${count(lost)} of ${count(due)} ticks were not answered`] : []),
  ];
  const { cores } = report.interference;
  const share = Math.max(0, ...cores.map(({ by_cause }) => by_cause.machine.share));
  const longest_ns = Math.max(0, ...cores.map(({ by_cause }) => by_cause.machine.max_ns));
  const isExplained =
    verdict === "sender"
      ? 1 - reached_pps / rate_pps <= share
      : verdict === "loss" && (rate_pps * longest_ns) / 1e9 > settings.ringSize;
  return {
    rate_pps,
    verdict,
    carried_pps: (1 - loss) * Math.min(rate_pps, reached_pps),
    kind,
    duration_s: duration_ns / 1e9,
    sent: ticks.sent,
    unsent: ticks.unsent,
    sent_pps: reached_pps,
    answered: ticks.answered,
    lost,
    loss,
    reasons,
    where_lost: whereLost(report),
    interference: { share, longest_ns, explains: isExplained },
    latency: report.latency!,
  };
}

/** A sender that is always behind may not even have come to the end of the warm-up. */
function reached({ ticks, rates, warmup, elapsed_s }: Report): number {
  return ticks.sent > 1 ? rates.sent_pps : warmup.sent / Math.max(1e-9, elapsed_s);
}

/** Every tick was sent, and the last of them no later than the part that may lack, and one stop of the core, explain. */
function holds({ ticks, counters, interference }: Report, { rate_pps, duration_ns }: TrialSettings): boolean {
  const longest_ns =
    interference.cores.find(({ role }) => role === "generator")?.by_cause.machine.max_ns ?? 0;
  const lag_ns = (counters.generator.measured_ns ?? 0) - ((ticks.sent - 1) * 1e9) / rate_pps;
  return ticks.unsent === 0 && ticks.sent > 0 && lag_ns <= (1 - HELD) * duration_ns + longest_ns;
}

/** What no loss allows: orders that are not right, and accounts that do not add up. */
function faultsOf({ verdicts, balances, ticks }: Report): string[] {
  const kinds = (["wrong", "duplicate", "unexpected"] as const).filter((name) => verdicts[name] > 0);
  return [
    ...kinds.map((name) => `${count(verdicts[name])} ${name}`),
    // Drops are why ticks are lost, and are judged by the loss.
    ...balances
      .filter(({ name, holds }) => !holds && !/ (drops|received)$/.test(name))
      .map(({ name, equation }) => `the balance of ${name} does not hold (${equation})`),
    ...(ticks.forgotten > 0 ? [`${count(ticks.forgotten)} were forgotten before their time was over`] : []),
    ...(ticks.sent > 0 && ticks.sent === ticks.quiet ? ["no tick had to be answered"] : []),
  ];
}

function whereLost(report: Report): LossPlaces {
  const { generator, responder } = report.counters;
  const n = (counters: Counters, name: string) => counters[name] ?? 0;
  const sent = n(generator, "sent") + n(generator, "warmup_sent");
  const received = n(generator, "received") + n(generator, "warmup_answered");
  const drops = [
    ...DROPS.map((name) => [`generator ${name}`, n(generator, name)] as const),
    ...DROPS.map((name) => [`responder ${name}`, responder === null ? 0 : n(responder, name)] as const),
    ...(["generator", "responder"] as const).flatMap((side) =>
      (["rx_dropped", "tx_dropped", "rx_errors", "tx_errors"] as const).map((name) => {
        const counted = report.interfaces[side];
        const value = counted && (name === "rx_dropped" ? lostOnArrival(counted) : counted[name]);
        return [`${side}'s interface ${name}`, value ?? 0] as const;
      }),
    ),
  ];
  const counters = Object.fromEntries(drops.filter(([, value]) => value > 0));
  if (responder === null) return { out: null, responder: null, back: null, counters };
  const [ticks, orders] = [n(responder, "ticks"), n(responder, "orders")];
  const quiet = n(responder, "quiet_ticks");
  return {
    out: Math.max(0, sent - ticks),
    responder: Math.max(0, ticks - quiet - orders),
    back: Math.max(0, orders - received),
    counters,
  };
}

function count(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}
