/** What the process that measures and the one that started it say to each other. */

import type { ErrorData, Failed } from "../lab/confined_process.js";
import type { Privileges } from "../lab/privileges.js";
import type { Example, Link, RecordedSoFar, RunChange } from "../native/index.js";
import type { MeasuredPlan, Measurement, Progress } from "./measure.js";
import type { InterfaceCounters } from "./statistics.js";

/** What is to be told while a run goes on. */
export interface Wanted {
  readonly progress: boolean; // once a second
  readonly live_hz: number; // counters so often, and once a second what was measured; 0: nothing
}

export type ToMeasuring =
  | { readonly type: "measure"; readonly plan: MeasuredPlan; readonly wanted: Wanted }
  | { readonly type: "confine" } // without measuring anything: what would be left?
  | { readonly type: "stop" } // as Watcher.onStopRequest
  | { readonly type: "counted"; readonly id: number; readonly found: InterfaceCounters | ErrorData }
  | { readonly type: "change"; readonly what: RunChange["what"]; readonly to: number }
  | { readonly type: "refreshing"; readonly isDrawn: boolean };

/** Of a run while it goes on. */
export interface Live extends Progress {
  /** Once a second: of each thread of the generator. */
  readonly measured: {
    readonly latency: readonly RecordedSoFar[];
    readonly lateness: readonly RecordedSoFar[];
    readonly recent: readonly Example[]; // not as expected, since the last time
  } | null;
}

/** The kernel's numbers of the threads that measure. */
export interface RunningThreads {
  readonly pid: number;
  readonly generator: readonly number[];
  readonly responder: readonly number[];
}

export type FromMeasuring =
  | { readonly type: "count"; readonly id: number; readonly link: Link } // asks for the counters of an interface
  | { readonly type: "running"; readonly threads: RunningThreads }
  | { readonly type: "progress"; readonly progress: Progress }
  | { readonly type: "live"; readonly live: Live }
  | { readonly type: "refused"; readonly error: ErrorData } // a change
  | { readonly type: "confined"; readonly privileges: Privileges }
  | { readonly type: "ended"; readonly found: Measurement }
  | Failed;
