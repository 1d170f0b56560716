/**
 * The process that runs cases against a device that is set in one way: it opens everything, gives up every capability,
 * and only then sends, receives and judges. It ends with the process that started it (check/checking_process.ts).
 */

import { serve, tell as tellAny, toData } from "../lab/confined_main.js";
import { dropPrivileges } from "../lab/privileges.js";
import { asCaromError } from "../native/error.js";
import { runCase, type Sieve } from "./case_run.js";
import type { FromChecking, LateOrder, ToChecking } from "./checking_messages.js";
import { type Arrival, ordersIn } from "./judge.js";
import { TickClock, Unavailable } from "./outgoing.js";
import type { SentDatagram } from "./result.js";
import type { Case } from "./script.js";
import { Station } from "./station.js";

const OPERATION = "run a case";

let station: Station | undefined;
let clock = new TickClock();
let earlier = new Set<string>(); // order identifiers of the ticks of earlier cases
let late: LateOrder[] = [];

const tell = (message: FromChecking) => tellAny(message);

async function obey(message: ToChecking): Promise<void> {
  switch (message.type) {
    case "open": {
      const { clOrdIds, lastTick_ns } = message.earlier;
      clock = new TickClock(lastTick_ns);
      earlier = new Set(clOrdIds);
      station = new Station(message.attachment);
      const privileges = dropPrivileges();
      station.start((error) => tell({ type: "ended", error: toData(error, OPERATION) }));
      tell({ type: "opened", privileges });
      break;
    }
    case "run":
      await run(message.item);
      break;
    case "leave":
      if (station !== undefined) sieve(station.inbox.receive(), new Set());
      station?.close();
      tell({ type: "left", late: takeLate() });
  }
}

async function run(item: Case): Promise<void> {
  const sent: SentDatagram[] = [];
  const findings = await findingsOf(item, sent);
  for (const { ticks } of sent) for (const { clOrdId } of ticks) earlier.add(clOrdId);
  tell({ type: "ran", findings, sent, late: takeLate(), lastTick_ns: clock.last_ns });
}

async function findingsOf(item: Case, sent: SentDatagram[]) {
  const { problem, sender } = station!;
  try {
    if (problem !== undefined) throw problem;
    return await runCase(item, station!, clock, sieve, sent);
  } catch (error) {
    // It can't be opened again here.
    if (sender.isLost) tell({ type: "ended", error: toData(error, OPERATION) });
    if (error instanceof Unavailable) return { outcome: "skipped", reason: error.message } as const;
    return { outcome: "error", reason: asCaromError(error, `check ${item.place}`).message } as const;
  }
}

/** Takes out what answers ticks of earlier cases, for it is held against those. */
const sieve: Sieve = (arrivals: readonly Arrival[], own: ReadonlySet<string>) =>
  arrivals.filter((arrival) => {
    const orders = ordersIn(arrival);
    const isLate = orders.map(({ clOrdId }) => !own.has(clOrdId) && earlier.has(clOrdId));
    orders.forEach(({ clOrdId }, index) => {
      if (isLate[index]) late.push({ clOrdId, time_ns: arrival.time_ns });
    });
    return !isLate.includes(true) || isLate.includes(false);
  });

function takeLate(): LateOrder[] {
  const taken = late;
  late = [];
  return taken;
}

serve(OPERATION, obey);
