/**
 * The highest rate that a device takes, and its latency below it, after RFC 2544 sections 23 to 26: trials, each a
 * run of its own, at rates that run/search.ts chooses. docs/limit.md says what is done and where it differs.
 */

import { isIP } from "node:net";
import { resolveValues } from "../config/file.js";
import { RESPONDER_BACKENDS } from "../config/io.js";
import { FASTEST_LINK } from "../generator/feed.js";
import { BETWEEN_FRAMES, linkRate, PLAIN } from "../generator/frames.js";
import type { Lab } from "../lab/lab.js";
import { tscDoubts } from "../lab/machine.js";
import { asCaromError, type CaromError } from "../native/error.js";
import { environment } from "./environment.js";
import { HIGHEST, type LimitValues, refuseContradictions } from "./limit_options.js";
import {
  faultsOf,
  type LimitedBy,
  type LimitReport,
  type LimitResult,
  LOADS,
  loadLatency,
  middle,
  rateAt,
  type Throughput,
} from "./limit_report.js";
import { judge, type LimitTrial } from "./limit_trial.js";
import { MeasuringProcess } from "./measuring_process.js";
import { labOf, type Plan, planRun, type RunValues, runOptions } from "./plan.js";
import { makeReport } from "./report.js";
import { findLimit } from "./search.js";

const DEVICE_PAUSE_NS = 5e9; // RFC 2544, section 23 e
const OWN_PAUSE_NS = 100e6;
const EXPECTED_TRIALS = 6; // of a search, for the time left
const FINALS = 1 + LOADS.length; // that confirm the limit, and at parts of it

/** A trial that begins, and what is known of the rest. */
export interface LimitProgress {
  readonly generator: string;
  readonly responder: string | null;
  readonly frame_bytes: number;
  readonly kind: LimitTrial["kind"];
  readonly rate_pps: number;
  readonly left_s: number; // about
}

export interface LimitWatcher {
  readonly onBegin?: (progress: LimitProgress) => void;
  readonly onEnd?: (progress: LimitProgress, trial: LimitTrial) => void;
  /** Is called once with what ends everything early; called again that does not wait for what is in flight. */
  readonly onStopRequest?: (stop: () => void) => void;
}

/** @throws CaromError before anything was measured */
export async function measureLimit(values: LimitValues, watcher: LimitWatcher = {}): Promise<LimitReport> {
  const setups = setupsOf(values);
  refuseContradictions(values, Math.min(...setups.map(({ max_pps }) => max_pps)));
  const lab = labOf(values);
  const started = new Date();
  const begin = performance.now();
  const suite = new Suite(values, setups, lab, watcher);
  watcher.onStopRequest?.(() => suite.stop());
  try {
    await suite.check();
    const results: LimitResult[] = [];
    for (const setup of setups) {
      if (!suite.stopped) results.push(await suite.measureSetup(setup));
    }
    const draft = {
      schema: "carom.limit",
      version: 1,
      started: started.toISOString(),
      elapsed_s: (performance.now() - begin) / 1000,
      interrupted: suite.stopped,
      settings: suite.settings(),
      environment: environment(),
      results,
      notes: tscDoubts(),
    } as const;
    return { ...draft, faults: faultsOf(draft, setups.length) };
  } finally {
    lab?.down();
  }
}

/** One combination that is measured. */
interface Setup {
  readonly generator: RunValues["backend"];
  readonly responder: RunValues["responderBackend"]; // undefined: another device answers
  readonly size: number | undefined; // of the frames, when it was asked for
  readonly frame_bytes: number; // with the FCS
  readonly l1_bits: number; // of a tick, with preamble, start and gap
  readonly max_pps: number;
}

function setupsOf(values: LimitValues): Setup[] {
  const isIp6 = isIP(values.multicast ? values.multicastGroup : (values.targetIp ?? "")) === 6;
  const isTagged = values.vlan !== undefined;
  const isOwn = values.interface === undefined && values.responder;
  const sizes = values.sizes ?? [undefined];
  return values.backends.flatMap(([generator, responder]) =>
    sizes.map((size) => {
      const shape = { ...PLAIN, sizes: size === undefined ? [] : [size] };
      const carried_pps = linkRate(values.linkSpeed, isIp6, isTagged, shape);
      const l1_bits = values.linkSpeed / carried_pps;
      const same = RESPONDER_BACKENDS.find((name) => name === generator) ?? "xdp";
      return {
        generator,
        responder: isOwn ? (responder ?? same) : undefined,
        size,
        frame_bytes: l1_bits / 8 - BETWEEN_FRAMES,
        l1_bits,
        max_pps: Math.floor(Math.min(HIGHEST, values.maxRate ?? carried_pps)),
      };
    }),
  );
}

/** All trials of all setups, one after the other. */
class Suite {
  stopped = false;
  private readonly trial_ns: number;
  private readonly final_ns: number;
  private readonly pause_ns: number;
  private stopTrial: () => void = () => {};
  private readonly left = { searches: 0, finals: 0, tried: 0 }; // tried: trials of the search that goes on
  private overhead_ns = 500e6; // of a trial, beyond its traffic; measured
  private done = 0;
  private clock: LimitResult["clock"] = null;

  constructor(
    private readonly values: LimitValues,
    private readonly setups: readonly Setup[],
    private readonly lab: Lab | null,
    private readonly watcher: LimitWatcher,
  ) {
    const isOwn = lab !== null && values.responder;
    this.trial_ns = values.trial;
    this.final_ns = values.final ?? values.trial;
    this.pause_ns = values.pause ?? (isOwn ? OWN_PAUSE_NS : DEVICE_PAUSE_NS);
    this.expect(setups.length);
  }

  private expect(setups: number): void {
    const searches = setups * this.values.trials;
    Object.assign(this.left, { searches, finals: searches * FINALS, tried: 0 });
  }

  stop(): void {
    this.stopped = true;
    this.stopTrial();
  }

  /** Plans a trial of each setup, so that what can't be is refused before the first one is measured. */
  async check(): Promise<void> {
    for (const setup of this.setups) {
      (await this.plan(setup, setup.max_pps, this.trial_ns)).release();
    }
  }

  async measureSetup(setup: Setup): Promise<LimitResult> {
    const { values } = this;
    const searches: Throughput[] = [];
    const latency: LimitTrial[][] = LOADS.map(() => []);
    let error: CaromError | null = null;
    this.clock = null;
    try {
      for (let i = 0; i < values.trials && !this.stopped; i++) searches.push(await this.search(setup));
      const limit = middle(searches);
      for (let i = 0; i < values.trials && !this.stopped && limit.pps > 0; i++) {
        for (const [index, load] of LOADS.entries()) {
          const trial = await this.attempt(setup, rateAt(limit.pps, load), "latency");
          if (trial === null) break;
          latency[index]!.push(trial);
        }
      }
    } catch (thrown) {
      error = asCaromError(thrown, `${setup.generator} at the limit`);
    }
    this.expect(this.setups.length - 1 - this.setups.indexOf(setup));
    return this.result(setup, searches, latency, error);
  }

  settings(): LimitReport["settings"] {
    const { values } = this;
    return {
      trial_s: this.trial_ns / 1e9,
      final_s: this.final_ns / 1e9,
      pause_s: this.pause_ns / 1e9,
      warmup_s: values.warmup / 1e9,
      timeout_s: values.timeout / 1e9,
      loss: values.loss,
      resolution: values.resolution,
      min_pps: values.minRate,
      trials: values.trials,
      at_least_pps: values.atLeast ?? null,
      seed: (values.seed ?? 1n).toString(),
      place: this.lab === null ? values.interface! : "lab",
    };
  }

  private async search(setup: Setup): Promise<Throughput> {
    const range = {
      min_pps: Math.ceil(this.values.minRate),
      max_pps: setup.max_pps,
      resolution: this.values.resolution,
    };
    const found = await findLimit(range, (rate_pps, kind) => this.attempt(setup, rate_pps, kind));
    this.left.searches--;
    this.left.tried = 0;
    const { pps, confirmed, failed, trials } = found;
    const limited_by: LimitedBy =
      this.stopped && !confirmed
        ? "unknown"
        : pps === 0
          ? "nothing passed"
          : failed === null
            ? "offered"
            : failed.verdict === "sender"
              ? "sender"
              : "device";
    return { pps, confirmed, failed_pps: failed?.rate_pps ?? null, limited_by, trials };
  }

  /** One trial, and the pause before it; null when everything is to end. @throws CaromError */
  private async attempt(
    setup: Setup,
    rate_pps: number,
    kind: LimitTrial["kind"],
  ): Promise<LimitTrial | null> {
    if (this.done++ > 0) await this.wait(this.pause_ns);
    if (this.stopped) return null;
    const duration_ns = kind === "search" ? this.trial_ns : this.final_ns;
    const progress = this.progress(setup, rate_pps, kind);
    this.watcher.onBegin?.(progress);
    const begin = performance.now();
    const measuring = new MeasuringProcess();
    let plan: Plan | undefined;
    try {
      plan = await this.plan(setup, rate_pps, duration_ns);
      const found = await measuring.measure(plan, { onStopRequest: (stop) => (this.stopTrial = stop) });
      this.stopTrial = () => {};
      if (this.stopped) return null;
      if (found.problems.length > 0) throw found.problems[0];
      const report = makeReport("run", plan, found);
      this.clock = { provenance: report.clock.provenance, reason: report.clock.reason };
      const { loss } = this.values;
      const { ringSize } = plan.generator.io;
      const trial = judge(report, { kind, rate_pps, duration_ns, loss, ringSize });
      this.overhead_ns = 1e6 * (performance.now() - begin) - duration_ns;
      if (kind === "search") this.left.tried++;
      else this.left.finals--;
      this.watcher.onEnd?.(progress, trial);
      return trial;
    } catch (error) {
      if (this.stopped) return null; // before anything was sent
      throw error;
    } finally {
      await measuring.close();
      plan?.release();
    }
  }

  private plan({ generator, responder, size }: Setup, rate: number, duration: number): Promise<Plan> {
    const { backends: _, sizes: __, ...shared } = this.values;
    const values: RunValues = {
      ...resolveValues(runOptions, new Map()),
      ...shared,
      backend: generator,
      responderBackend: responder,
      size,
      rate,
      linkSpeed: FASTEST_LINK, // what the real one carries is the first rate that is tried, or --max-rate is
      duration,
      triggerRatio: 1,
    };
    return planRun(values, true, { lab: this.lab ?? undefined, isTrial: true });
  }

  private progress(
    { generator, responder, frame_bytes }: Setup,
    rate_pps: number,
    kind: LimitTrial["kind"],
  ): LimitProgress {
    const each_ns = this.overhead_ns + this.pause_ns;
    const { searches, finals, tried } = this.left;
    const rest = kind === "search" ? Math.max(1, EXPECTED_TRIALS - tried) : 0;
    const others = kind === "latency" ? searches : searches - 1;
    const left_ns =
      (rest + others * EXPECTED_TRIALS) * (this.trial_ns + each_ns) +
      Math.max(1, finals) * (this.final_ns + each_ns);
    return { generator, responder: responder ?? null, frame_bytes, kind, rate_pps, left_s: left_ns / 1e9 };
  }

  private wait(time_ns: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, time_ns / 1e6);
      this.stopTrial = () => {
        clearTimeout(timer);
        resolve();
      };
      if (this.stopped) this.stopTrial();
    });
  }

  private result(
    setup: Setup,
    searches: readonly Throughput[],
    latency: readonly (readonly LimitTrial[])[],
    error: CaromError | null,
  ): LimitResult {
    const { pps, confirmed, limited_by } = middle(searches);
    const all = searches.map((search) => search.pps);
    const failed = searches.flatMap(({ trials }) => trials).filter(({ verdict }) => verdict !== "pass");
    return {
      generator: setup.generator,
      responder: setup.responder ?? null,
      frame_bytes: setup.frame_bytes,
      offered_pps: setup.max_pps,
      pps,
      mbit_l1: (pps * setup.l1_bits) / 1e6,
      spread: { min_pps: Math.min(pps, ...all), max_pps: Math.max(pps, ...all) },
      confirmed,
      limited_by,
      searches,
      latency: LOADS.flatMap((load, index) => {
        const trials = latency[index]!;
        return trials.length === 0 ? [] : [loadLatency(load, pps, trials)];
      }),
      failed_trials: failed.length,
      interference_share: Math.max(
        0,
        ...[...searches.flatMap(({ trials }) => trials), ...latency.flat()].map(
          (trial) => trial.interference.share,
        ),
      ),
      failed_in_stall: failed.filter(({ interference }) => interference.explains).length,
      clock: this.clock,
      error,
    };
  }
}
