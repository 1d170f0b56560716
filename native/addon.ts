/**
 * Loads the addon, refuses one that was built from another wire layout, and turns the errors that it throws into
 * CaromErrors.
 */

import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { layoutHash } from "../wire/schema.js";
import type {
  CapturePreview,
  CompareConfig,
  CompareFound,
  FrameBatch,
  InspectConfig,
  InspectFound,
} from "./capture.js";
import type {
  CaptureConfig,
  FilterCaptureConfig,
  GeneratorConfig,
  Link,
  ResponderConfig,
  ScheduleConfig,
  TickConfig,
} from "./config.js";
import { asCaromError, CaromError } from "./error.js";
import type {
  BackendProbe,
  ClockDiscipline,
  ClockInfo,
  ClocksReading,
  FeedSample,
  PhcReading,
  RealtimeReading,
  ThreadPrivileges,
  TimestampingInfo,
} from "./facts.js";
import type {
  ArrivalFindings,
  FilterCaptureResult,
  FilterEngine,
  FilterExplanation,
  LinkFindings,
  SlowTurns,
} from "./result.js";
import type { Arrivals, Capture, FrameSocket, FrameSocketConfig, Generator, Responder } from "./roles.js";

export interface Addon {
  readonly layoutHash: string;
  readonly Generator: new (config: GeneratorConfig, other?: Generator) => Generator;
  readonly Responder: new (config: ResponderConfig, other?: Responder) => Responder;
  readonly Capture: new (config: CaptureConfig) => Capture;
  readonly FrameSocket: new (config: FrameSocketConfig) => FrameSocket;
  clock(): ClockInfo;
  readClocks(): ClocksReading;
  readRealtime(): RealtimeReading;
  clockDiscipline(): ClockDiscipline;
  backendNames(): string[];
  strategyNames(): string[];
  probeBackends(link: Link, queue: number, tries: boolean): BackendProbe[];
  spreadQueues(link: Link): number[];
  timestampingInfo(link: Link): TimestampingInfo;
  launchTime(link: Link): boolean;
  openPhc(path: string): (isLast: boolean) => PhcReading | null;
  openWire(from: Link, to: Link): (count: number) => BigUint64Array | null;
  driverDrops(link: Link): number | null;
  watchLink(link: Link, onGone: () => void): (isLast: boolean) => LinkFindings;
  xdpFeatures(link: Link): number | null;
  restoreTimestamping(): string[];
  spinOnCore(
    cpu: number,
    durationNs: number,
    thresholdNs: number,
    onEnd: (error: Error | null, turns: SlowTurns) => void,
  ): void;
  refusalReasons(): string[];
  sampleFeed(config: { schedule: ScheduleConfig; ticks: TickConfig }): (count: number) => FeedSample;
  attachXdpPass(link: Link): () => void;
  attachArrivals(link: Link, port: number): Arrivals;
  arrivalFindings(arrivals: Arrivals): ArrivalFindings;
  measureArrivalsFrom(arrivals: Arrivals, timestamp: bigint): void;
  closeArrivals(arrivals: Arrivals): void;
  inspectCapture(config: InspectConfig, onEnd: OnEnd<InspectFound>): () => [number, number, number];
  compareCaptures(config: CompareConfig, onEnd: OnEnd<CompareFound>): () => [number, number, number];
  listFrames(config: InspectConfig): (most: number) => FrameBatch;
  previewCapture(path: string, listed: number): CapturePreview;
  filterCapture(
    config: FilterCaptureConfig,
    onEnd: (error: unknown, result: FilterCaptureResult) => void,
  ): () => void;
  compileBeside(expression: string): () => boolean;
  explainFilter(expression: string, engine: string): FilterExplanation;
  readableBytes(descriptor: number): number;
  filterEngines(): FilterEngine[];
  confineProcess(): void;
  privileges(): ThreadPrivileges[];
  endWithParent(): void;
  setWatcher(command: readonly string[]): void;
  holdWatcher(operation: string): (release: boolean) => boolean;
  tryLock(descriptor: number): boolean;
  enterNamespace(path: string): void;
  leaveNamespace(): void;
}

export type OnEnd<Result> = (error: Error | null, result: Result) => void;

let loaded: Addon | undefined;

export function addon(): Addon {
  if (loaded !== undefined) return loaded;
  // Compiled, this file is dist/native/index.js; the addon stays where node-gyp builds it.
  const path = "../../native/build/Release/carom.node";
  let candidate: Addon;
  try {
    candidate = createRequire(import.meta.url)(path) as Addon;
  } catch (error) {
    throw new CaromError(
      "environment",
      "load the native core",
      (error as Error).message,
      "build it with npm run build",
    );
  }
  if (candidate.layoutHash !== layoutHash()) {
    const detail = `built from wire layout ${candidate.layoutHash}, this is ${layoutHash()}`;
    throw new CaromError("environment", "load the native core", detail, "build it again with npm run build");
  }
  loaded = candidate;
  candidate.setWatcher([
    process.execPath,
    fileURLToPath(new URL("../lab/put_back_main.js", import.meta.url)),
  ]);
  return candidate;
}

/** @throws CaromError */
export function call<T>(operation: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw asCaromError(error, operation);
  }
}
