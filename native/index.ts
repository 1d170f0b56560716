/**
 * The one door to the native core: what opens a role, and what tells of this machine and this process. What is about
 * interfaces is in links.ts, what is about captures and filters in files.ts.
 *
 * TypeScript hands over complete, validated values; the core asserts them again.
 */

import { addon, call } from "./addon.js";
import type {
  CaptureConfig,
  GeneratorConfig,
  Link,
  ResponderConfig,
  ScheduleConfig,
  TickConfig,
} from "./config.js";
import { asCaromError } from "./error.js";
import type {
  BackendProbe,
  ClockDiscipline,
  ClockInfo,
  ClocksReading,
  FeedSample,
  RealtimeReading,
  ThreadPrivileges,
} from "./facts.js";
import type { SlowTurns } from "./result.js";
import type { Capture, FrameSocket, FrameSocketConfig, Generator, Responder } from "./roles.js";

export type * from "./capture.js";
export type * from "./config.js";
export type * from "./facts.js";
export * from "./files.js";
export * from "./links.js";
export type * from "./result.js";
export { CAUSES } from "./result.js";
export type * from "./roles.js";

/**
 * Opens the generator's side: sockets, rings and thread. Nothing is sent before start.
 * @param other the run's first thread, for all but that one: they begin together and hand orders to each other
 * @throws CaromError
 */
export function openGenerator(config: GeneratorConfig, other?: Generator): Generator {
  return call("open the generator", () => new (addon().Generator)(config, other));
}

/**
 * Opens the responder's side. Nothing is answered before start.
 * @param other the thread of another queue of the same interface: one XDP program serves both
 * @throws CaromError
 */
export function openResponder(config: ResponderConfig, other?: Responder): Responder {
  return call("open the responder", () => new (addon().Responder)(config, other));
}

/**
 * Opens a tap on an interface, and the file. What comes from then on is taken; it is written from start on.
 * @throws CaromError
 */
export function openCapture(config: CaptureConfig): Capture {
  return call("open the capture", () => new (addon().Capture)(config));
}

/** @throws CaromError */
export function openFrameSocket(config: FrameSocketConfig): FrameSocket {
  return call("open a frame socket", () => new (addon().FrameSocket)(config));
}

/** The TSC as calibrated when the addon was loaded. */
export function clockInfo(): ClockInfo {
  return addon().clock();
}

export function readClocks(): ClocksReading {
  return addon().readClocks();
}

export function readRealtime(): RealtimeReading {
  return addon().readRealtime();
}

/** @throws CaromError */
export function clockDiscipline(): ClockDiscipline {
  return call("read the state of the system's clock", () => addon().clockDiscipline());
}

/** The names of all backends, in the order of the one table. */
export function backendNames(): string[] {
  return addon().backendNames();
}

/** The names of all strategies, in the order of the one table. */
export function strategyNames(): string[] {
  return addon().strategyNames();
}

/**
 * For each backend whether it can be used on the link.
 * @param tries attaches programs to the interface and binds sockets to it, for which some drivers reset their rings
 */
export function probeBackends(link: Link, queue: number, tries: boolean): BackendProbe[] {
  return call("probe the backends", () => addon().probeBackends(link, queue, tries));
}

/** Spins on a core, doing nothing, and reports how often, and for how long, that was interrupted. */
export function spinOnCore(cpu: number, durationNs: number, thresholdNs: number): Promise<SlowTurns> {
  return new Promise((resolve, reject) => {
    try {
      addon().spinOnCore(cpu, durationNs, thresholdNs, (error, turns) => {
        if (error !== null) reject(asCaromError(error, `watch core ${cpu}`));
        else resolve(turns);
      });
    } catch (error) {
      reject(asCaromError(error, `watch core ${cpu}`));
    }
  });
}

/**
 * Plans ticks without sending them: each call of the function returned gives the next ones, up to a million.
 * @throws CaromError
 */
export function sampleFeed(schedule: ScheduleConfig, ticks: TickConfig): (count: number) => FeedSample {
  return call("sample a feed", () => addon().sampleFeed({ schedule, ticks }));
}

/** The names of the counters of frames that the parser refused. */
export function refusalReasons(): string[] {
  return addon().refusalReasons();
}

/**
 * Everything is open: every thread of this process gives up its capabilities, and can get no others. Threads that
 * need some (native/core/privileges.h) have said so before. The kernel is asked what is left.
 * @throws CaromError (environment) when more is left
 */
export function confineProcess(): void {
  call("drop capabilities", () => addon().confineProcess());
}

/** Of every thread of this process. @throws CaromError (environment) */
export function privileges(): ThreadPrivileges[] {
  return call("read what this process may do", () => addon().privileges());
}

/** This process is killed when the one that started it ends, however that ends. */
export function endWithParent(): void {
  call("end with the parent process", () => addon().endWithParent());
}

/** A small process that has everything put back when this one is killed: native/io/watcher.h. */
export interface Watcher {
  /**
   * Has it put back now what nobody holds, and waits for that; for a process that has given up its privileges.
   * @returns whether all of it has worked
   */
  putBack(): boolean;
  /** What was changed is put back: this holder needs it no more. */
  release(): void;
}

/** To be called before something is changed that outlives this process. @throws CaromError (environment) */
export function holdWatcher(operation: string): Watcher {
  const native = call(operation, () => addon().holdWatcher(operation));
  return { putBack: () => native(false), release: () => void native(true) };
}

/**
 * Takes the lock of an open file, which the kernel gives back when the file is closed, however the process ends.
 * @returns false when another process has it
 * @throws CaromError
 */
export function tryLock(descriptor: number): boolean {
  return call("lock a file", () => addon().tryLock(descriptor));
}

/** Runs an action with the calling thread in another network namespace: what it opens stays there. */
export function inNamespace<T>(path: string, action: () => T): T {
  if (path === "") return action();
  call(`enter the namespace ${path}`, () => addon().enterNamespace(path));
  try {
    return action();
  } finally {
    addon().leaveNamespace();
  }
}
