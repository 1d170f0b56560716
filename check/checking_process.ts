/**
 * Cases are run by processes of their own (check/checking_main.ts), one each time that the device is set anew, so that
 * nothing that reads what comes from a network keeps a capability.
 */

import { fileURLToPath } from "node:url";
import { ConfinedProcess } from "../lab/confined_process.js";
import type { Privileges } from "../lab/privileges.js";
import { asCaromError, type CaromError } from "../native/error.js";
import type { Earlier, FromChecking, LateOrder, Ran, ToChecking } from "./checking_messages.js";
import type { Attachment } from "./rig.js";
import type { Case } from "./script.js";

const MAIN = fileURLToPath(new URL("./checking_main.js", import.meta.url));
const OPERATION = "run a case";

export class CheckingProcess {
  private readonly process = new ConfinedProcess<ToChecking, FromChecking>(
    MAIN,
    OPERATION,
    "runs the cases",
    false,
  );
  /** Why no further case can be run: it has died, or carom's responder in it has ended. */
  problem: CaromError | undefined;
  hasDied = false;

  /** Once. @returns what it may still do @throws CaromError when something can't be opened, or given up */
  async open(attachment: Attachment, earlier: Earlier): Promise<Privileges> {
    return (await this.ask({ type: "open", attachment, earlier }, "opened")).privileges;
  }

  /** @throws CaromError when it dies */
  run(item: Case): Promise<Ran> {
    return this.ask({ type: "run", item }, "ran");
  }

  /** Closes everything. @returns what came since the last case @throws CaromError when it has died */
  async leave(): Promise<readonly LateOrder[]> {
    return (await this.ask({ type: "leave" }, "left")).late;
  }

  /** Ends it. May be called at any time and more than once. */
  close(): Promise<void> {
    return this.process.close();
  }

  private ask<Type extends FromChecking["type"]>(request: ToChecking, answer: Type) {
    const hear = (message: FromChecking) => {
      if (message.type === "ended") this.problem = asCaromError(message.error, OPERATION);
    };
    return this.process.ask(request, answer, hear, (how, said) => {
      this.hasDied = true;
      this.problem = this.process.death(how, said);
      return this.problem;
    });
  }
}
