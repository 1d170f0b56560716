/** One case of a script: what it sends, how long it waits, and the verdict. */

import { setTimeout as sleep } from "node:timers/promises";
import { orderPrice } from "../config/strategy_rules.js";
import type { Counters } from "../native/index.js";
import { type Arrival, type Expectation, judge, ordersIn } from "./judge.js";
import { addressOf, buildOutgoing, type SentTick, type TickClock } from "./outgoing.js";
import { probeOf } from "./probe.js";
import type { CaseResult, SentDatagram } from "./result.js";
import { type Case, type ExpectedOrder, plainSend, type SendItem } from "./script.js";
import type { Station } from "./station.js";

const POLL_MS = 1;
const SENDS_PER_POLL = 32; // so that answers to many datagrams don't overflow the socket's buffer
const NOTES_MAX = 5;
const FRESH_SYMBOLS = 36n ** 7n;

/** What became of a case that was run. */
export type CaseFindings = Pick<
  CaseResult,
  "outcome" | "faults" | "expectations" | "received" | "notes" | "counters"
>;

/** Takes out the answers to ticks of earlier cases; what is given are the identifiers of this one's. */
export type Sieve = (arrivals: readonly Arrival[], own: ReadonlySet<string>) => readonly Arrival[];

/**
 * Runs one case.
 * @param sent takes what is sent, so that it is known when an error ends the case half way
 * @throws Unavailable, before anything is sent, when the link lacks what the case needs; CaromError when something can't be sent
 */
export function runCase(
  item: Case,
  station: Station,
  clock: TickClock,
  sieve: Sieve,
  sent: SentDatagram[],
): Promise<CaseFindings> {
  return new CaseRun(item, station, clock, sieve, sent).run();
}

class CaseRun {
  private readonly ticks: SentTick[] = []; // without the probe's
  private readonly sentAt = new Map<SentTick, bigint>();
  private readonly own = new Set<string>(); // order identifiers of all ticks sent
  private readonly arrivals: Arrival[] = [];
  private readonly answers = new Map<string, number>(); // how often each identifier came
  private readonly notes: string[] = [];
  private expectations: readonly Expectation[] = [];

  constructor(
    private readonly item: Case,
    private readonly station: Station,
    private readonly clock: TickClock,
    private readonly sieve: Sieve,
    private readonly sent: SentDatagram[],
  ) {}

  async run(): Promise<CaseFindings> {
    const { item, station, ticks, notes } = this;
    this.rehearse();
    const before = station.counters();
    for (const send of item.sends) {
      if (send.pause_ns > 0) await sleep(send.pause_ns / 1e6);
      for (let count = 1; count <= send.repeat; count++) {
        ticks.push(...(await this.send(send, false)));
        if (count % SENDS_PER_POLL === 0) this.receive();
      }
    }
    this.expectations = item.expected.map((expected) => this.resolve(expected, ticks[expected.tick]!, false));
    if (this.wantsProbe()) await this.probe();
    await this.wait();
    const { arrivals, expectations } = this;
    const { within_ns, inOrder, datagrams } = item;
    const sentAt = (tick: SentTick) => this.sentAt.get(tick) ?? 0n;
    const { faults, received } = judge({
      expectations,
      ticks,
      arrivals,
      within_ns,
      sentAt,
      inOrder,
      datagrams,
    });
    const counters = difference(before, station.counters());
    const outcome = faults.length === 0 ? "passed" : "failed";
    return { outcome, faults: [...faults], received, expectations, notes, counters };
  }

  /** Builds everything once and sends nothing. @throws Unavailable */
  private rehearse(): void {
    const { item, station } = this;
    const ticks = item.sends.flatMap((send) => {
      const once = buildOutgoing(send, station.wiring, this.clock).ticks;
      return Array.from({ length: send.repeat }, () => once).flat();
    });
    for (const expected of item.expected) this.resolve(expected, ticks[expected.tick]!, false);
    if (this.wantsProbe()) probeOf(station.config.strategy, "");
  }

  private wantsProbe(): boolean {
    return this.item.expected.length === 0 && this.item.probe;
  }

  private async send(item: SendItem, isProbe: boolean): Promise<readonly SentTick[]> {
    const outgoing = buildOutgoing(item, this.station.wiring, this.clock);
    const { frame, way, ticks } = outgoing;
    const time_ns = BigInt(Date.now()) * 1_000_000n;
    for (const tick of ticks) {
      this.sentAt.set(tick, time_ns);
      this.own.add(tick.clOrdId);
    }
    await this.station.sender.send(outgoing);
    this.sent.push({ way, frame, ticks, isProbe, time_ns });
    return ticks;
  }

  /**
   * Good ticks behind those that must not be answered, of which the last must be: so the device is alive, and as it takes ticks in the
   * order in which they come, it has decided about the others before.
   */
  private async probe(): Promise<void> {
    const fresh = `P${(this.clock.next() % FRESH_SYMBOLS).toString(36).toUpperCase()}`;
    const { ticks, side } = probeOf(this.station.config.strategy, fresh);
    for (const tick of ticks) {
      const sent = await this.send(plainSend("probe", [tick]), true);
      this.expectations = sent.map((one) => this.resolve({ tick: 0, side }, one, true));
    }
  }

  /** Until everything that must come has come, or the time is over; then a little longer, for what must not. */
  private async wait(): Promise<void> {
    const { within_ns, quiet_ns } = this.item;
    const deadline = performance.now() + within_ns / 1e6;
    for (;;) {
      this.receive();
      if (this.isComplete() || performance.now() > deadline) break;
      await sleep(POLL_MS);
    }
    const end = performance.now() + quiet_ns / 1e6;
    while (performance.now() < end) {
      await sleep(POLL_MS);
      this.receive();
    }
  }

  private receive(): void {
    const came = this.station.inbox.receive((note) => {
      if (this.notes.length < NOTES_MAX && !this.notes.includes(note)) this.notes.push(note);
    });
    for (const arrival of this.sieve(came, this.own)) {
      this.arrivals.push(arrival);
      for (const { clOrdId } of ordersIn(arrival))
        this.answers.set(clOrdId, (this.answers.get(clOrdId) ?? 0) + 1);
    }
  }

  private isComplete(): boolean {
    const left = new Map(this.answers);
    return this.expectations.every(({ clOrdId }) => {
      const count = left.get(clOrdId) ?? 0;
      left.set(clOrdId, count - 1);
      return count > 0;
    });
  }

  /** What an expectation leaves open follows from the tick, the device's settings and the addresses on the link. */
  private resolve(expected: ExpectedOrder, tick: SentTick, isProbe: boolean): Expectation {
    const { wiring, config } = this.station;
    const { strategy } = config;
    const { outgoing, spec } = tick;
    const side = expected.side ?? strategy.side;
    const { ip, udp, ethernet, vlans } = outgoing.decoded;
    const version = ip?.version ?? 4;
    const named = (name: string | undefined) =>
      name === undefined ? undefined : addressOf(name, version, wiring);
    const device = version === 6 ? wiring.device.address6 : wiring.device.address4;
    return {
      tick,
      tickNumber: expected.tick + 1,
      isProbe,
      symbol: (expected.symbol ?? spec.symbol).toString("latin1"),
      price: expected.price ?? orderPrice(strategy, spec.price, side) >>> 0,
      quantity: expected.quantity ?? strategy.quantity,
      side,
      timestamp: expected.timestamp,
      clOrdId: expected.clOrdId ?? tick.clOrdId,
      vlan: expected.vlan ?? (vlans[0]?.id || -1), // identifier 0 is that of no VLAN
      sourceMac: wiring.device.mac || undefined,
      destinationMac: config.responseMac || ethernet?.source,
      source: named(expected.source) ?? (device || undefined),
      destination: named(expected.destination) ?? (config.responseAddress || ip?.source),
      ttl: expected.ttl ?? (this.item.settings.has("ttl") ? config.io.ttl : undefined),
      sourcePort: expected.sourcePort ?? udp?.destinationPort ?? wiring.targetPort,
      destinationPort: expected.destinationPort ?? wiring.responsePort,
    };
  }
}

function difference(before: Counters, after: Counters): Counters {
  const changed = Object.entries(after).filter(([name, value]) => value !== (before[name] ?? 0));
  return Object.fromEntries(changed.map(([name, value]) => [name, value - (before[name] ?? 0)]));
}
