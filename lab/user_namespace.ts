/**
 * A lab without root: carom runs again in namespaces of its own, where it has every capability over the
 * network.
 */

import { CaromError } from "../native/error.js";
import { runInForeground } from "./child.js";
import { requireTools, TOOL_ENVIRONMENT, tryRun } from "./ip.js";

/** Set in the process that runs inside. */
const GUARD = "CAROM_USER_NAMESPACE";

const UNSHARE = ["unshare", "--user", "--map-root-user", "--net", "--mount", "--"];

// An own /run, where iproute2 and carom keep what they make. setpriv ends carom, and with it the lab,
// should the outer process be killed. Status 3 is the environment's.
const SETUP = 'mount -t tmpfs -o mode=755 tmpfs /run || exit 3; exec setpriv --pdeathsig TERM -- "$@"';

/** Whether this process is the one that reexecInUserNamespace started. */
export function isInUserNamespace(): boolean {
  return process.env[GUARD] === "1";
}

/**
 * Runs the current script again in a new user, network and mount namespace, with the same standard streams;
 * signals are passed on to it. Must not be called in the process so started: ask isInUserNamespace first.
 * @param argv the script's arguments
 * @returns the exit status of that process, 128 + n when signal n ended it
 * @throws CaromError (environment) when this machine doesn't allow it
 */
export async function reexecInUserNamespace(argv: readonly string[]): Promise<number> {
  const operation = "run in a user namespace";
  if (isInUserNamespace()) throw new CaromError("internal", operation, "this process is in one already");
  requireTools(operation, ["unshare", "mount", "setpriv", "sh"]);
  requireUserNamespaces(operation);
  const script = process.argv[1] ?? "";
  const inner = [process.execPath, ...process.execArgv, script, ...argv];
  return runInForeground(operation, [...UNSHARE, "sh", "-c", SETUP, "sh", ...inner], {
    env: { ...process.env, PATH: TOOL_ENVIRONMENT.PATH, [GUARD]: "1" },
  });
}

/**
 * Tried first, because unshare ends with status 1 when it is refused, which of carom means something else.
 */
function requireUserNamespaces(operation: string): void {
  const result = tryRun(operation, [...UNSHARE, "true"]);
  if (result.status === 0) return;
  const detail = result.stderr.trim() || "unshare was refused";
  const hint =
    "run as root, or allow it: sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone (Debian), " +
    "kernel.apparmor_restrict_unprivileged_userns (Ubuntu)";
  throw new CaromError("environment", operation, detail, hint);
}
