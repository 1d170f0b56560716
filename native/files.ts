/** Captures that are read, and the packet filter. */

import { setTimeout as sleep } from "node:timers/promises";
import { addon, call, type OnEnd } from "./addon.js";
import type {
  CapturePreview,
  CaptureProgress,
  CompareConfig,
  CompareFound,
  FrameBatch,
  InspectConfig,
  InspectFound,
} from "./capture.js";
import type { FilterCaptureConfig } from "./config.js";
import { asCaromError } from "./error.js";
import type { FilterCaptureResult, FilterEngine, FilterExplanation } from "./result.js";

/** Called now and then while captures are read. */
type OnProgress = (progress: CaptureProgress) => void;

const PROGRESS_MS = 200;

/** Reads a capture to its end, beside this thread. @throws CaromError */
export function inspectCapture(config: InspectConfig, onProgress?: OnProgress): Promise<InspectFound> {
  return readBeside("inspect a capture", (onEnd) => addon().inspectCapture(config, onEnd), onProgress);
}

/** Reads two captures to their ends, beside this thread. @throws CaromError */
export function compareCaptures(config: CompareConfig, onProgress?: OnProgress): Promise<CompareFound> {
  return readBeside("compare captures", (onEnd) => addon().compareCaptures(config, onEnd), onProgress);
}

function readBeside<Result>(
  operation: string,
  start: (onEnd: OnEnd<Result>) => () => [number, number, number],
  onProgress: OnProgress | undefined,
): Promise<Result> {
  return new Promise((resolve, reject) => {
    let timer: NodeJS.Timeout | undefined;
    try {
      const look = start((error, result) => {
        clearInterval(timer);
        if (error !== null) reject(asCaromError(error, operation));
        else resolve(result);
      });
      if (onProgress === undefined) return;
      timer = setInterval(() => {
        const [frames, bytesRead, bytesTotal] = look();
        onProgress({ frames, bytesRead, bytesTotal });
      }, PROGRESS_MS);
    } catch (error) {
      reject(asCaromError(error, operation));
    }
  });
}

/**
 * The frames of a capture: each call of the function returned gives the next ones, up to so many.
 * @throws CaromError
 */
export function listFrames(config: InspectConfig): (most: number) => FrameBatch {
  return call("read a capture", () => addon().listFrames(config));
}

/**
 * The beginning of a capture, at once.
 * @param listed how many of its first frames are given, up to 256
 * @throws CaromError
 */
export function previewCapture(path: string, listed: number): CapturePreview {
  return call("read a capture", () => addon().previewCapture(path, listed));
}

/**
 * Reads a capture through the packet filter, to its end or until the signal says stop.
 * @throws CaromError
 */
export function filterCapture(config: FilterCaptureConfig, stop: AbortSignal): Promise<FilterCaptureResult> {
  const operation = `filter ${config.path}`;
  return new Promise((resolve, reject) => {
    const cancel = call(operation, () =>
      addon().filterCapture(config, (error, result) => {
        stop.removeEventListener("abort", cancel);
        if (error !== null) reject(asCaromError(error, operation));
        else resolve(result);
      }),
    );
    stop.addEventListener("abort", cancel);
    if (stop.aborted) cancel();
  });
}

/** How many bytes a pipe or a socket has for its reader; -1 for everything else, and when no more will come. */
export function readableBytes(descriptor: number): number {
  return call("look into a pipe", () => addon().readableBytes(descriptor));
}

const COMPILE_POLL_MS = 2;

/**
 * Compiles a filter beside this thread, for it may take seconds; what then uses it in this process finds it done.
 * @param stop nobody wants it any more
 * @throws CaromError (usage) for one that can't be compiled
 */
export async function compileFilter(expression: string, stop?: AbortSignal): Promise<void> {
  if (expression === "") return;
  const hasEnded = call("compile a filter", () => addon().compileBeside(expression));
  while (!stop?.aborted && !call("compile a filter", hasEnded)) await sleep(COMPILE_POLL_MS);
}

/** What a filter is made of. @throws CaromError */
export function explainFilter(expression: string, engine: string): FilterExplanation {
  return call("explain a filter", () => addon().explainFilter(expression, engine));
}

/** The packet filter's engines, from the reference to the fastest. */
export function filterEngines(): FilterEngine[] {
  return addon().filterEngines();
}
