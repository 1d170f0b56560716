/** What the processes have in common that work for another one of carom's (lab/confined_process.ts). */

import { asCaromError } from "../native/error.js";
import { endWithParent } from "../native/index.js";
import type { ErrorData, Failed } from "./confined_process.js";

/** A terminal sends these to this process, too: the one that started it decides what they mean. */
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** To the process that started this one. */
export function tell(message: object): void {
  if (process.connected) process.send!(message);
}

export function tellFailure(error: unknown, operation: string): void {
  tell({ type: "failed", error: toData(error, operation) } satisfies Failed);
}

export function toData(error: unknown, operation: string): ErrorData {
  return asCaromError(error, operation).toJSON();
}

/** Does what is asked, one message at a time, until the other process ends or lets go of this one. */
export function serve<Message>(operation: string, obey: (message: Message) => void | Promise<void>): void {
  for (const signal of SIGNALS) process.on(signal, () => {});
  process.on("message", (message) => {
    // What is thrown is the answer.
    void (async () => obey(message as Message))().catch((error) => tellFailure(error, operation));
  });
  process.on("disconnect", () => process.exit());
  try {
    endWithParent();
  } catch (error) {
    tellFailure(error, operation);
  }
}
