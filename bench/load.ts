/** A flood of ticks in a lab, and the counters by which every one of them is accounted for. */

import { run } from "../lab/ip.js";
import { type Lab, namespaceArguments } from "../lab/lab.js";
import { CaromError } from "../native/error.js";
import type { Link } from "../native/index.js";
import { readInterface } from "../run/statistics.js";
import { compile, compileBpf, execute } from "./program.js";
import type { TickTable } from "./ticks.js";

/** What the flood's own programs counted: of what came back, how much on each core. */
interface Counted {
  readonly sent: number;
  readonly elapsed_ns: number;
  readonly orders: readonly number[];
  readonly echoes: readonly number[];
  readonly others: readonly number[];
  readonly gaps: readonly (readonly [from_ns: number, to_ns: number])[];
}

export interface Flood extends Counted {
  /** Ticks that found no room in the queue between the two ends. */
  readonly queue_full: number;
  /** Answers that found none on the way back. */
  readonly answers_dropped: number;
}

export interface FloodOptions {
  readonly cpu: number;
  readonly rate: number; // ticks a second; 0: as many as it goes
  readonly seconds: number;
  readonly gap_ns?: number; // times without orders longer than this are noted
}

export type FloodProgram = (
  lab: Lab,
  table: TickTable,
  options: FloodOptions,
  onStart?: (pid: number) => void,
) => Promise<Flood>;

/** Builds what makes a flood: from the generator's end of a lab to whatever is at the other one. */
export function buildFlood(): FloodProgram {
  const program = compile("flood", ["core/thread.cpp"], ["-lbpf"]);
  const object = compileBpf("flood");
  return async (lab, { frames }, { cpu, rate, seconds, gap_ns = 0 }, onStart) => {
    const { namespace, interfaceName } = lab.generator;
    const numbers = [rate, seconds, gap_ns].map(String);
    const command = [program, namespace, interfaceName, String(cpu), object, ...numbers];
    const before = dropped(lab);
    const { status, stdout, stderr } = await execute(command, onStart, frames);
    if (status !== 0) throw new CaromError("environment", "flood a lab with ticks", stderr.trim());
    const after = dropped(lab);
    return {
      ...(JSON.parse(stdout) as Counted),
      queue_full: after.ticks - before.ticks,
      answers_dropped: after.answers - before.answers,
    };
  };
}

function dropped({ generator, responder }: Lab) {
  return {
    ticks: driverCounter(generator, "tx_queue_0_xdp_xmit_errors"),
    answers: readInterface(responder).tx_dropped,
  };
}

function driverCounter({ namespace, interfaceName }: Link, name: string): number {
  const command = [...namespaceArguments(namespace), "ethtool", "-S", interfaceName];
  const text = run(`read the counters of ${interfaceName}'s driver`, command);
  const found = new RegExp(`^\\s*${name}: (\\d+)$`, "m").exec(text);
  if (found === null)
    throw new CaromError("environment", `read ${name} of ${interfaceName}`, "its driver has no such counter");
  return Number(found[1]);
}

/** A whole and the named parts that it must be made of, added up over rounds. */
export class Balance {
  private total = 0;
  private unaccounted = 0;
  private readonly parts = new Map<string, number>();

  constructor(private readonly whole: string) {}

  add(total: number, parts: Readonly<Record<string, number>>): void {
    this.total += total;
    let rest = total;
    for (const [name, value] of Object.entries(parts)) {
      this.parts.set(name, (this.parts.get(name) ?? 0) + value);
      rest -= value;
    }
    this.unaccounted += Math.abs(rest); // what is missing in one round does not make up for another's surplus
  }

  /** How many are missing in the rounds, or too many. */
  get open(): number {
    return this.unaccounted;
  }

  /** "sent 3 = answered 2 + queue full 1 ✓" */
  toString(): string {
    const parts = [...this.parts].map(([name, value]) => `${name} ${value.toLocaleString("en-US")}`);
    const sign = this.unaccounted === 0 ? "✓" : `✗ ${this.unaccounted} unaccounted for`;
    return `${this.whole} ${this.total.toLocaleString("en-US")} = ${parts.join(" + ")} ${sign}`;
  }
}

/**
 * Where the ticks of floods to a carom responder went: those that it received, what it did with them, and its
 * orders.
 */
export class Accounts {
  private readonly ticks: Balance;
  private readonly decided: Balance;
  private readonly orders: Balance;

  constructor(name: string) {
    this.ticks = new Balance(`${name}: sent`);
    this.decided = new Balance(`${name}: received`);
    this.orders = new Balance(`${name}: orders made`);
  }

  /** @param counters the responder's, of that flood alone */
  add(flood: Flood, counters: Readonly<Record<string, number>>): void {
    const n = (counter: string) => counters[counter] ?? 0;
    this.ticks.add(flood.sent, {
      received: n("frames"),
      // Without a buffer to receive into, a frame is counted under both names.
      "fill ring empty": n("fill_ring_empty"),
      "rx ring full": n("rx_ring_drops"),
      "veth queue full": flood.queue_full,
    });
    this.decided.add(n("frames"), {
      answered: n("orders"),
      quiet: n("quiet_ticks"),
      disabled: n("disabled"),
      "orders unsent": n("orders_unsent"),
    });
    this.orders.add(n("orders"), { "came back": sum(flood.orders), dropped: flood.answers_dropped });
  }

  get balances(): readonly Balance[] {
    return [this.ticks, this.decided, this.orders];
  }
}

export function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
