/** The one error type of carom: what was tried, what went wrong and what to do about it. */

import { escapedLines } from "./escape.js";

export type ErrorCode =
  | "usage" // the command line, a configuration file or a script is wrong: exit status 2
  | "environment" // this machine can't do it: exit status 3
  | "internal"; // a mistake of carom's own: exit status 3

export class CaromError extends Error {
  override readonly name = "CaromError";

  /**
   * @param code what kind of error it is; it decides the exit status
   * @param operation what was tried ("af_xdp on eth1: bind")
   * @param detail what went wrong ("EBUSY: queue 0 already has a socket")
   * @param hint what to do about it; "" when there is nothing to say
   */
  constructor(
    readonly code: ErrorCode,
    readonly operation: string,
    readonly detail: string,
    readonly hint = "",
  ) {
    // The message is for people, and may quote a name; the parts keep it as it is.
    super(escapedLines(hint === "" ? `${operation}: ${detail}` : `${operation}: ${detail}; ${hint}`, false));
  }

  /** The exit status that goes with the code (design: 2 bad usage or configuration, 3 the environment can't). */
  get exitStatus(): 2 | 3 {
    return this.code === "usage" ? 2 : 3;
  }

  toJSON() {
    return { code: this.code, operation: this.operation, detail: this.detail, hint: this.hint };
  }
}

/** What an unknown thrown value says, as one of ours. */
export function asCaromError(error: unknown, operation: string): CaromError {
  if (error instanceof CaromError) return error;
  if (isErrorLike(error)) return new CaromError(error.code, error.operation, error.detail, error.hint);
  const detail = error instanceof Error ? error.message : String(error);
  return new CaromError("internal", operation, detail);
}

interface ErrorLike {
  code: ErrorCode;
  operation: string;
  detail: string;
  hint: string;
}

function isErrorLike(error: unknown): error is ErrorLike {
  const candidate = error as Partial<ErrorLike> | null;
  return (
    typeof candidate === "object" &&
    candidate !== null &&
    typeof candidate.operation === "string" &&
    typeof candidate.detail === "string"
  );
}
