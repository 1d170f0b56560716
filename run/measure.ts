/** One measured run: opens both sides, starts them, waits, and collects what they found. */

import { untilShortlyBefore, untilStartMs } from "../config/start_time.js";
import type { GeneratorFindings } from "../generator/merge.js";
import { type GeneratorThreads, openGenerator } from "../generator/threads.js";
import type { Privileges } from "../lab/privileges.js";
import { asCaromError, type CaromError } from "../native/error.js";
import {
  type ArrivalFindings,
  type Arrivals,
  arrivalFindings,
  attachArrivals,
  type ClockInfo,
  type ClocksReading,
  type Counters,
  clockInfo,
  closeArrivals,
  type Link,
  type LinkFindings,
  type LinkWatch,
  readClocks,
  watchLink,
} from "../native/index.js";
import { openResponder, type ResponderFindings, type ResponderThreads } from "../responder/threads.js";
import { ClockTies, type TieFindings } from "./clock_ties.js";
import { type PhcFindings, type PhcLack, PhcWatch, watchPhc } from "./phc.js";
import type { Plan } from "./plan.js";
import { type InterfaceCounters, readInterface, since } from "./statistics.js";
import type { DaemonFindings } from "./time_daemons.js";

const PROGRESS_MS = 1000;
const COUNTERS_MS = 2500; // some NICs bring their counters up to date every two seconds
const COUNTERS_POLL_MS = 100;
const SETTLE_MS = 20; // for what is still on its way when both sides have stopped

export interface Progress {
  readonly elapsed_s: number;
  readonly generator: Counters;
  readonly responder: Counters | null;
}

/** The part of a plan that is carried out here: plain data, so that it can be sent to another process. */
export type MeasuredPlan = Pick<Plan, "generator" | "sending" | "responder" | "certificate" | "stamps"> & {
  readonly lab: { readonly responder: Link } | null;
};

export interface RunningRoles {
  readonly generator: GeneratorThreads;
  readonly responder: ResponderThreads | null;
}

export interface Watcher {
  /** Called once a second while the run goes on; without it nothing disturbs the hot threads. */
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  /** Called when both sides run: what they have counted and measured can be asked for at any time. */
  readonly onRunning?: (roles: RunningRoles) => void;
  /** Called when everything is open, before anything is sent: gives up what is no longer needed. May throw. */
  readonly onOpened?: () => Privileges;
  /** Reads the counters of an interface; here, unless that is left to a process that still may. */
  readonly readInterface?: (link: Link) => InterfaceCounters | Promise<InterfaceCounters>;
  /** Resolves or is called when the run is to end early. */
  readonly onStopRequest?: (stop: () => void) => void;
}

export interface Measurement {
  readonly started: Date;
  readonly elapsed_s: number;
  readonly interrupted: boolean;
  readonly generator: GeneratorFindings;
  readonly responder: ResponderFindings | null;
  /** What the interfaces counted during the run; null when they could not be read any more. */
  readonly interfaces: {
    readonly generator: InterfaceCounters | null;
    readonly responder: InterfaceCounters | null;
  };
  readonly clocks: readonly [ClocksReading, ClocksReading]; // before the start, and after the end
  readonly phc: PhcFindings | PhcLack | null; // with hardware stamps
  readonly ties: TieFindings | null; // of the timeline to CLOCK_REALTIME, where stamps are kept
  readonly daemons?: DaemonFindings | null; // asked by the process that does not measure, where stamps are kept
  /** What became of the interfaces. */
  readonly links: { readonly generator: LinkFindings; readonly responder: LinkFindings | null };
  readonly arrivals: ArrivalFindings | null; // as stamped at the far end of a lab
  readonly clock: ClockInfo; // of the process that measured
  readonly privileges: Privileges | null; // what that process still had while it did; null: nothing was given up
  readonly problems: readonly CaromError[]; // what went wrong on the way, without ending the run
}

/**
 * Runs a plan to its end.
 * @throws CaromError when a side can't be opened
 */
export async function measure(plan: MeasuredPlan, watcher: Watcher = {}): Promise<Measurement> {
  const problems: CaromError[] = [];
  const count = async (link: Link, watch?: LinkWatch | null) => {
    if (watch?.found().gone) return null;
    try {
      return await (watcher.readInterface ?? readInterface)(link);
    } catch (error) {
      problems.push(asCaromError(error, `read the counters of ${link.interfaceName}`));
      return null;
    }
  };
  const nearLink = plan.generator.io.link;
  const farLink = plan.lab?.responder ?? null;
  const responder = plan.responder === null ? null : openResponder(plan.responder);
  let arrivals: Arrivals | null = null;
  try {
    arrivals = openArrivals(plan, responder);
    const generator = openGenerator(plan.sending);
    // Nothing more can leave, or come back.
    let isStarted = false;
    const onGone = () => {
      if (isStarted) generator.close();
    };
    const watches: LinkWatch[] = [];
    let phc: PhcWatch | PhcLack | null = null;
    try {
      const [near, far] = [nearLink, farLink].map((link) => {
        if (link === null) return null;
        const watch = watchLink(link, onGone);
        watches.push(watch);
        return watch;
      }) as [LinkWatch, LinkWatch | null];
      if (arrivals !== null) generator.stampedBy(arrivals);
      phc = plan.generator.io.timestamps === "hardware" ? watchPhc(nearLink) : null;
      const privileges = watcher.onOpened?.() ?? null;
      const both = async () => ({
        generator: await count(nearLink, near),
        responder: farLink && (await count(farLink, far)),
      });
      const { startAtNs } = plan.generator;
      await untilShortlyBefore(startAtNs);
      const before = await both();
      const clocksBefore = readClocks();
      const endTies = plan.stamps === null ? null : ClockTies.follow();
      const away_ms = startAtNs === 0n ? 0 : untilStartMs(startAtNs);
      const started = new Date(Date.now() + away_ms);
      const begin = performance.now() + away_ms;
      if (phc instanceof PhcWatch) phc.start();
      let interrupted = false;
      responder?.start((error) => {
        if (error !== null) problems.push(asCaromError(error, "the responder"));
      });
      const timer =
        watcher.onProgress &&
        setInterval(() => {
          watcher.onProgress?.({
            elapsed_s: (performance.now() - begin) / 1000,
            generator: generator.counters(),
            responder: responder?.counters() ?? null,
          });
        }, PROGRESS_MS);
      await new Promise<void>((resolve) => {
        generator.start((error) => {
          if (error !== null) problems.push(asCaromError(error, "the generator"));
          resolve();
        });
        isStarted = true;
        if (near.found().gone) generator.close();
        watcher.onRunning?.({ generator, responder });
        watcher.onStopRequest?.(() => {
          // Asked once it waits for what is in flight; asked again it does not.
          if (interrupted) generator.close();
          else generator.stop();
          interrupted = true;
        });
      });
      clearInterval(timer);
      const elapsed_s = (performance.now() - begin) / 1000;
      const clocks = [clocksBefore, readClocks()] as const;
      const phcFindings = phc instanceof PhcWatch ? phc.end() : phc;
      phc = null;
      await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
      responder?.stop();
      // What did not leave is never counted.
      if (near.found().outages === 0)
        await untilCounted(generator.counters(), before.generator, () => count(nearLink, near));
      const after = await both(); // while the sockets are open: some drivers forget what they counted with the last one
      const links = { generator: near.found(), responder: far?.found() ?? null };
      const difference = (side: "generator" | "responder") => {
        const [first, last] = [before[side], after[side]];
        return first === null || last === null ? null : since(last, first, links[side]?.lost);
      };
      return {
        started,
        elapsed_s,
        interrupted,
        generator: generator.result(),
        responder: responder?.result() ?? null,
        clocks,
        phc: phcFindings,
        ties: endTies?.() ?? null,
        arrivals: arrivals && arrivalFindings(arrivals),
        clock: clockInfo(),
        privileges,
        links,
        interfaces: { generator: difference("generator"), responder: difference("responder") },
        problems,
      };
    } finally {
      for (const watch of watches) watch.close();
      if (phc instanceof PhcWatch) phc.close();
      generator.close();
    }
  } finally {
    if (arrivals !== null) closeArrivals(arrivals);
    responder?.close();
  }
}

/** What stamps the arrivals, as planned: the responder's own program, or one of its own. */
function openArrivals(plan: MeasuredPlan, responder: ResponderThreads | null): Arrivals | null {
  const by = plan.certificate?.receiver.by ?? "nobody";
  if (by === "nobody") return null;
  if (by === "responder") return responder!.arrivals();
  if (plan.generator.replay !== null) return attachArrivals(plan.lab!.responder, 0);
  const { destinationPort } = plan.generator.streams[0]!.lines[0]!;
  return attachArrivals(plan.lab!.responder, destinationPort);
}

/** Waits until the interface has counted what was sent: a NIC's counters may lag behind. */
async function untilCounted(
  counters: Counters,
  before: InterfaceCounters | null,
  read: () => Promise<InterfaceCounters | null>,
): Promise<void> {
  const sent = counters.frames_out ?? 0;
  for (const end = performance.now() + COUNTERS_MS; before !== null && performance.now() < end; ) {
    const now = await read();
    if (now === null || now.tx_packets - before.tx_packets >= sent) return;
    await new Promise((resolve) => setTimeout(resolve, COUNTERS_POLL_MS));
  }
}
