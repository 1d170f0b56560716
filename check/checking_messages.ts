/** What the process that runs cases and the one that started it say to each other. */

import type { ErrorData, Failed } from "../lab/confined_process.js";
import type { Privileges } from "../lab/privileges.js";
import type { CaseFindings } from "./case_run.js";
import type { CaseResult, SentDatagram } from "./result.js";
import type { Attachment } from "./rig.js";
import type { Case } from "./script.js";

/** An order that answers a tick of an earlier case. */
export interface LateOrder {
  readonly clOrdId: string;
  readonly time_ns: bigint; // of its arrival, since the epoch
}

/** What the cases before have sent. */
export interface Earlier {
  readonly clOrdIds: readonly string[];
  readonly lastTick_ns: bigint; // the last timestamp that was given
}

export interface Ran {
  /** What it found, or why it could not be run. */
  readonly findings: CaseFindings | Pick<CaseResult, "outcome" | "reason">;
  readonly sent: readonly SentDatagram[];
  readonly late: readonly LateOrder[];
  readonly lastTick_ns: bigint;
}

export type ToChecking =
  | { readonly type: "open"; readonly attachment: Attachment; readonly earlier: Earlier }
  | { readonly type: "run"; readonly item: Case }
  | { readonly type: "leave" }; // what is open is closed

export type FromChecking =
  | { readonly type: "opened"; readonly privileges: Privileges }
  | ({ readonly type: "ran" } & Ran)
  | { readonly type: "left"; readonly late: readonly LateOrder[] } // that came since the last case
  | { readonly type: "ended"; readonly error: ErrorData } // carom's responder, by itself
  | Failed;
