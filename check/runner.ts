/** Runs check scripts, case by case, and keeps what each of them found. */

import type { Texts } from "../config/file.js";
import { keyName } from "../config/option.js";
import { asCaromError } from "../native/error.js";
import { type CaseFindings, runCase, type Sieve } from "./case_run.js";
import { type Arrival, ms, ordersIn, type ReceivedOrder } from "./judge.js";
import { type SentTick, TickClock, Unavailable } from "./outgoing.js";
import type { CaseResult, RunResult, SentDatagram } from "./result.js";
import type { Attachment, Rig } from "./rig.js";
import type { Case, Script } from "./script.js";

export interface Listener {
  /** Before the first case of a script. */
  script(script: Script): void;
  case(result: CaseResult): void;
  /** An answer came after its case had ended, and made it fail. */
  amended(result: CaseResult): void;
}

/** What is to be run of a script. */
export interface Selection {
  readonly script: Script;
  readonly cases: readonly { readonly item: Case; readonly skip: string }[]; // skip: why, or ""
}

/**
 * Runs the cases one after the other. A fault is a result, and so is what keeps a case from running; but when the device
 * can't even be reached or started for the first of them, that is thrown.
 * @param stopped asked before each case: true leaves out the rest
 * @throws CaromError
 */
export async function runScripts(
  selections: readonly Selection[],
  rig: Rig,
  listener: Listener,
  stopped: () => boolean,
): Promise<RunResult> {
  const started = new Date();
  const begin = performance.now();
  const runner = new Runner(rig, listener);
  let interrupted = false;
  for (const { script, cases } of selections) {
    listener.script(script);
    for (const { item, skip } of cases) {
      interrupted ||= stopped();
      await runner.run(script, item, interrupted ? "interrupted before it" : skip);
    }
  }
  runner.settle();
  const duration_ns = (performance.now() - begin) * 1e6;
  return {
    device: rig.device,
    backend: rig.backend,
    started,
    duration_ns,
    interrupted,
    cases: runner.results,
  };
}

type Findings = CaseFindings | Pick<CaseResult, "outcome" | "reason">;

class Runner {
  readonly results: CaseResult[] = [];
  private readonly clock = new TickClock();
  private readonly earlier = new Map<string, { result: CaseResult; tick: SentTick; time_ns: bigint }>();
  private attachment: Attachment | undefined;

  constructor(
    private readonly rig: Rig,
    private readonly listener: Listener,
  ) {}

  async run(script: Script, item: Case, skip: string): Promise<void> {
    const begin = performance.now();
    const sent: SentDatagram[] = [];
    const findings = await this.findingsOf(script, item, skip === "" ? this.unsuitable(item) : skip, sent);
    const result: CaseResult = {
      script,
      case: item,
      settings: settingsText(item.settings),
      reason: "",
      faults: [],
      sent,
      expectations: [],
      received: [],
      notes: [],
      counters: {},
      duration_ns: (performance.now() - begin) * 1e6,
      ...findings,
    };
    this.results.push(result);
    for (const { ticks, time_ns } of result.sent) {
      for (const tick of ticks) this.earlier.set(tick.clOrdId, { result, tick, time_ns });
    }
    this.listener.case(result);
  }

  /** Takes note of what came after the last case had ended. */
  settle(): void {
    if (this.attachment !== undefined) this.sieve(this.attachment.inbox.receive(), new Set(), "it had ended");
  }

  private unsuitable({ unless }: Case): string {
    return this.rig.backend !== undefined && unless.backends.includes(this.rig.backend) ? unless.reason : "";
  }

  private async findingsOf(
    script: Script,
    item: Case,
    skip: string,
    sent: SentDatagram[],
  ): Promise<Findings> {
    if (skip !== "") return { outcome: "skipped", reason: skip };
    try {
      const attachment = await this.attach(script, item);
      const lack = lackOf(script, item, attachment);
      if (lack !== "") return { outcome: "skipped", reason: lack };
      const when = `the case ${JSON.stringify(item.name)} was running`;
      const sieve: Sieve = (arrivals, own) => this.sieve(arrivals, own, when);
      return await runCase(item, attachment, this.clock, sieve, sent);
    } catch (error) {
      if (error instanceof Unavailable) return { outcome: "skipped", reason: error.message };
      const known = asCaromError(error, `check ${item.place}`);
      if (this.attachment === undefined) throw known;
      return { outcome: "error", reason: known.message };
    }
  }

  private async attach(script: Script, item: Case): Promise<Attachment> {
    // What the device as it is set now still has to say is asked before it is set anew.
    const attachment = await this.rig.attach(item.settings, script.mtu, () => this.settle());
    this.attachment = attachment;
    const problem = attachment.problem();
    if (problem !== undefined) throw problem;
    return attachment;
  }

  /** Takes out what answers ticks of earlier cases, and holds it against those. */
  private sieve(arrivals: readonly Arrival[], own: ReadonlySet<string>, when: string): Arrival[] {
    return arrivals.filter((arrival) => {
      const orders = ordersIn(arrival);
      const late = orders.filter(({ clOrdId }) => !own.has(clOrdId) && this.earlier.has(clOrdId));
      for (const order of late) this.amend(order, when);
      return late.length === 0 || late.length < orders.length;
    });
  }

  private amend(order: ReceivedOrder, when: string): void {
    const { result, tick, time_ns } = this.earlier.get(order.clOrdId)!;
    const isExpected = result.expectations.some(({ clOrdId }) => clOrdId === tick.clOrdId);
    const isMissing = result.faults.some(({ kind }) => kind === "missing" || kind === "probe");
    const kind = !isExpected ? "unexpected" : isMissing ? "late" : "duplicate";
    const what = {
      unexpected: "an answer that must not come",
      late: "an answer",
      duplicate: "a further answer",
    }[kind];
    const after = ms(Number(order.arrival.time_ns - time_ns));
    result.faults.push({ kind, reason: `${what} came ${after} after the tick, when ${when}`, rows: [] });
    if (result.outcome === "passed") result.outcome = "failed";
    this.listener.amended(result);
  }
}

/** What a case needs and the link has not; "" when it has everything. */
function lackOf(script: Script, { needs }: Case, { wiring: { generator, device } }: Attachment): string {
  const mtu = Math.max(needs.mtu, script.mtu ?? 0);
  if (mtu > generator.mtu) return `needs an MTU of ${mtu} bytes, here it is ${generator.mtu}`;
  if (needs.ipv6 && generator.address6 === "") return "needs IPv6, and the generator has no IPv6 address";
  if (needs.ipv6 && device.address6 === "") return "needs IPv6, and the device has no IPv6 address here";
  return "";
}

/** "threshold=20000 side=sell". */
export function settingsText(settings: Texts): string {
  return [...settings].map(([name, { text }]) => `${keyName(name)}=${text}`).join(" ");
}
