/** Runs check scripts, case by case, and keeps what each of them found. */

import type { Texts } from "../config/file.js";
import { keyName } from "../config/option.js";
import type { Privileges } from "../lab/privileges.js";
import { asCaromError } from "../native/error.js";
import type { LateOrder, Ran } from "./checking_messages.js";
import { CheckingProcess } from "./checking_process.js";
import { ms } from "./judge.js";
import type { SentTick } from "./outgoing.js";
import type { CaseResult, RunResult } from "./result.js";
import type { Attachment, Rig } from "./rig.js";
import type { Case, Script } from "./script.js";

const READY = 2; // processes

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
  const runner = new Runner(rig, listener, selections);
  let interrupted = false;
  try {
    for (const { script, cases } of selections) {
      listener.script(script);
      for (const { item, skip } of cases) {
        interrupted ||= stopped();
        await runner.run(script, item, interrupted ? "interrupted before it" : skip);
      }
    }
    await runner.leave();
  } finally {
    await runner.close();
  }
  const duration_ns = (performance.now() - begin) * 1e6;
  return {
    device: rig.device,
    backend: rig.backend,
    started,
    duration_ns,
    interrupted,
    privileges: runner.privileges,
    cases: runner.results,
  };
}

type Findings = Pick<Ran, "findings" | "sent">;

const nothingSent = (outcome: "skipped" | "error", reason: string): Findings => ({
  findings: { outcome, reason },
  sent: [],
});

/** The device as it is set now. */
interface Current {
  readonly key: string;
  readonly attachment: Attachment;
  readonly process: CheckingProcess;
}

class Runner {
  readonly results: CaseResult[] = [];
  privileges: Privileges | null = null;
  private readonly keys: readonly string[]; // of the cases that are to be run
  private begun = 0; // of these
  private readonly earlier = new Map<string, { result: CaseResult; tick: SentTick; time_ns: bigint }>();
  private lastTick_ns = 0n;
  private current: Current | undefined;
  private wasAttached = false;
  private readonly ending: Promise<void>[] = [];
  private readonly next: CheckingProcess[] = []; // get ready while cases are run

  constructor(
    private readonly rig: Rig,
    private readonly listener: Listener,
    selections: readonly Selection[],
  ) {
    this.keys = selections.flatMap(({ script, cases }) =>
      cases
        .filter(({ item, skip }) => skip === "" && this.unsuitable(item) === "")
        .map(({ item }) => rig.key(item.settings, script.mtu)),
    );
  }

  async run(script: Script, item: Case, skip: string): Promise<void> {
    const begin = performance.now();
    const { findings, sent } = await this.findingsOf(
      script,
      item,
      skip === "" ? this.unsuitable(item) : skip,
    );
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

  /** Lets go of the device, and takes note of what came after the last case had ended. */
  async leave(): Promise<void> {
    const { current } = this;
    this.current = undefined;
    if (current === undefined) return;
    // One that has died has nothing more to say, and its last case told so.
    if (!current.process.hasDied) this.amend(await current.process.leave(), "it had ended");
    // With everything closed there is no need to wait for its end.
    this.ending.push(current.process.close());
  }

  /** Ends what runs. */
  async close(): Promise<void> {
    await Promise.all([
      ...this.ending,
      this.current?.process.close(),
      ...this.next.map((process) => process.close()),
    ]);
  }

  private unsuitable({ unless }: Case): string {
    return this.rig.backend !== undefined && unless.backends.includes(this.rig.backend) ? unless.reason : "";
  }

  private async findingsOf(script: Script, item: Case, skip: string): Promise<Findings> {
    if (skip !== "") return nothingSent("skipped", skip);
    try {
      const { attachment, process } = await this.attach(script, item);
      const lack = lackOf(script, item, attachment);
      if (lack !== "") return nothingSent("skipped", lack);
      const ran = await process.run(item);
      this.lastTick_ns = ran.lastTick_ns;
      this.amend(ran.late, `the case ${JSON.stringify(item.name)} was running`);
      return ran;
    } catch (error) {
      const known = asCaromError(error, `check ${item.place}`);
      if (!this.wasAttached) throw known;
      return nothingSent("error", known.message);
    }
  }

  /** The device, set as a case needs it: as it is when nothing has to change. */
  private async attach(script: Script, item: Case): Promise<Current> {
    const key = this.rig.key(item.settings, script.mtu);
    this.begun++;
    if (this.current?.key === key && this.current.process.problem === undefined) return this.current;
    // What the device as it is set now still has to say is asked before it is set anew.
    await this.leave();
    const process = this.next.shift() ?? new CheckingProcess();
    try {
      const attachment = this.rig.prepare(item.settings, script.mtu);
      const earlier = { clOrdIds: [...this.earlier.keys()], lastTick_ns: this.lastTick_ns };
      this.privileges = await process.open(attachment, earlier);
      this.current = { key, attachment, process };
      this.wasAttached = true;
    } catch (error) {
      await process.close();
      throw error;
    }
    this.getReady(key);
    return this.current;
  }

  /** For the next times that the device is set anew: a process takes longer to start than most cases. */
  private getReady(key: string): void {
    let last = key;
    let changes = 0;
    for (let at = this.begun; at < this.keys.length && changes < READY; at++) {
      if (this.keys[at] !== last) changes++;
      last = this.keys[at]!;
    }
    while (this.next.length < changes) this.next.push(new CheckingProcess());
  }

  /** Holds what came late against the cases whose ticks it answers. */
  private amend(late: readonly LateOrder[], when: string): void {
    for (const { clOrdId, time_ns } of late) {
      const { result, tick, time_ns: sent_ns } = this.earlier.get(clOrdId)!;
      const isExpected = result.expectations.some((one) => one.clOrdId === tick.clOrdId);
      const isMissing = result.faults.some(({ kind }) => kind === "missing" || kind === "probe");
      const kind = !isExpected ? "unexpected" : isMissing ? "late" : "duplicate";
      const what = {
        unexpected: "an answer that must not come",
        late: "an answer",
        duplicate: "a further answer",
      }[kind];
      const after = ms(Number(time_ns - sent_ns));
      result.faults.push({ kind, reason: `${what} came ${after} after the tick, when ${when}`, rows: [] });
      if (result.outcome === "passed") result.outcome = "failed";
      this.listener.amended(result);
    }
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
