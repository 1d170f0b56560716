/**
 * The process that measures one run: it opens everything, gives up every capability that it no longer needs, measures,
 * and sends what it found to the process that started it (run/measuring_process.ts), with which it ends.
 */

import { toData as asData, serve, tell as tellAny } from "../lab/confined_main.js";
import { dropPrivileges } from "../lab/privileges.js";
import type { CaromError } from "../native/error.js";
import { clockInfo } from "../native/index.js";
import { measure, type RunningRoles } from "./measure.js";
import type { FromMeasuring, Live, ToMeasuring, Wanted } from "./measuring_messages.js";
import type { InterfaceCounters } from "./statistics.js";

const SECOND_MS = 1000;
const OPERATION = "measure";

let roles: RunningRoles | undefined;
let stops = 0; // asked for so far
let stop: (() => void) | undefined;
let drawing = 0; // how many are at it: the user interface, and what is read for it here
const counting = new Map<number, (found: InterfaceCounters | object) => void>();

const tell = (message: FromMeasuring) => tellAny(message);
const toData = (error: unknown) => asData(error, OPERATION);

function obey(message: ToMeasuring): void | Promise<void> {
  switch (message.type) {
    case "measure":
      return run(message);
    case "confine":
      tell({ type: "confined", privileges: dropPrivileges() });
      break;
    case "stop":
      stops++;
      stop?.();
      break;
    case "counted":
      counting.get(message.id)?.(message.found);
      break;
    case "change":
      try {
        if (message.what === "rate") roles?.generator.setRate(message.to);
        else roles?.generator.setWindow(message.to);
      } catch (error) {
        tell({ type: "refused", error: toData(error) });
      }
      break;
    case "refreshing":
      refreshing(message.isDrawn);
      break;
  }
}

async function run({ plan, wanted }: Extract<ToMeasuring, { type: "measure" }>): Promise<void> {
  const timers: NodeJS.Timeout[] = [];
  const found = await measure(plan, {
    onProgress: wanted.progress ? (progress) => tell({ type: "progress", progress }) : undefined,
    onOpened: () => dropPrivileges(),
    readInterface: (link) =>
      new Promise((resolve, reject) => {
        const id = counting.size;
        counting.set(id, (counted) =>
          "code" in counted ? reject(counted) : resolve(counted as InterfaceCounters),
        );
        tell({ type: "count", id, link });
      }),
    onRunning: (running) => {
      roles = running;
      const responder = running.responder?.threads.map((thread) => thread.threadId()) ?? [];
      tell({
        type: "running",
        threads: { pid: process.pid, generator: running.generator.threadIds(), responder },
      });
      timers.push(...watch(running, wanted));
    },
    onStopRequest: (request) => {
      stop = request;
      for (let asked = 0; asked < stops; asked++) request();
    },
  }).finally(() => {
    timers.forEach(clearInterval);
    roles = undefined;
  });
  const { capture } = found.generator;
  // An error loses what is carom's own on its way.
  const plain = capture && { ...capture, failure: capture.failure && toData(capture.failure) };
  const problems = found.problems.map(toData) as unknown as readonly CaromError[];
  tell({ type: "ended", found: { ...found, generator: { ...found.generator, capture: plain }, problems } });
}

/** Reads what is to be shown; that takes time of a core, as drawing it does. @returns the timers */
function watch({ generator, responder }: RunningRoles, { live_hz }: Wanted): NodeJS.Timeout[] {
  if (live_hz === 0) return [];
  const begin = performance.now();
  const read = (isWhole: boolean) => {
    refreshing(true);
    const snapshots = isWhole ? generator.snapshots() : [];
    const live: Live = {
      elapsed_s: (performance.now() - begin) / 1000,
      generator: generator.counters(),
      responder: responder?.counters() ?? null,
      measured: isWhole
        ? {
            latency: snapshots.map(({ latency }) => latency),
            lateness: snapshots.map(({ lateness }) => lateness),
            recent: generator.takeRecent(),
          }
        : null,
    };
    tell({ type: "live", live });
    refreshing(false);
  };
  const timers = [setInterval(() => read(true), SECOND_MS)];
  if (live_hz > 1) timers.push(setInterval(() => read(false), SECOND_MS / live_hz));
  return timers;
}

function refreshing(isDrawn: boolean): void {
  const before = drawing;
  drawing = Math.max(0, drawing + (isDrawn ? 1 : -1));
  if ((before === 0) !== (drawing === 0)) roles?.generator.refreshing(isDrawn);
}

serve(OPERATION, obey);
clockInfo(); // calibrated while the run is planned
