/**
 * Cases are run by processes of their own (check/checking_main.ts), one each time that the device is set anew, so that
 * nothing that reads what comes from a network keeps a capability.
 */

import { fileURLToPath } from "node:url";
import { ConfinedProcess, deathOf } from "../lab/confined_process.js";
import type { Privileges } from "../lab/privileges.js";
import { asCaromError, CaromError } from "../native/error.js";
import type { Earlier, FromChecking, LateOrder, Ran, ToChecking } from "./checking_messages.js";
import type { Attachment } from "./rig.js";
import type { Case } from "./script.js";

const MAIN = fileURLToPath(new URL("./checking_main.js", import.meta.url));
const OPERATION = "run a case";

export class CheckingProcess {
  private readonly process = new ConfinedProcess<ToChecking, FromChecking>(MAIN, OPERATION, false);
  /** Why no further case can be run: it has died, or carom's responder in it has ended. */
  problem: CaromError | undefined;
  hasDied = false;

  /** Once. @returns what it may still do @throws CaromError when something can't be opened, or given up */
  open(attachment: Attachment, earlier: Earlier): Promise<Privileges> {
    return this.ask({ type: "open", attachment, earlier }, (message, resolve) => {
      if (message.type === "opened") resolve(message.privileges);
    });
  }

  /** @throws CaromError when it dies */
  run(item: Case): Promise<Ran> {
    return this.ask({ type: "run", item }, (message, resolve) => {
      if (message.type === "ran") resolve(message);
    });
  }

  /** Closes everything. @returns what came since the last case @throws CaromError when it has died */
  leave(): Promise<readonly LateOrder[]> {
    return this.ask({ type: "leave" }, (message, resolve) => {
      if (message.type === "left") resolve(message.late);
    });
  }

  /** Ends it. May be called at any time and more than once. */
  close(): Promise<void> {
    return this.process.close();
  }

  private ask<Result>(
    request: ToChecking,
    hear: (message: FromChecking, resolve: (result: Result) => void) => void,
  ): Promise<Result> {
    const heard = (message: FromChecking, resolve: (result: Result) => void) => {
      if (message.type === "ended") this.problem = asCaromError(message.error, OPERATION);
      else hear(message, resolve);
    };
    return this.process.converse(request, heard, (how, said) => {
      const { detail, hint } = deathOf("the process that runs the cases", how, said);
      this.hasDied = true;
      this.problem = new CaromError("environment", OPERATION, detail, hint);
      return this.problem;
    });
  }
}
