/** Whether a process that is not ready yet is still on its way, however slow the machine is. */

import { readFileSync } from "node:fs";

const POLL_MS = 20;

/**
 * Waits until something is so, as long as the process that is to bring it about makes progress: until it has ended,
 * or has done nothing at all for a while.
 * @param patience_ms how long it may do nothing
 * @returns "ready": it is so; "ended": the process is gone; "idle": it has done nothing for so long
 */
export async function waitForProcess(
  pid: number,
  isReady: () => Promise<boolean>,
  patience_ms: number,
): Promise<"ready" | "ended" | "idle"> {
  let before = "";
  for (let idle_ms = 0; idle_ms <= patience_ms; idle_ms += POLL_MS) {
    if (await isReady()) return "ready";
    const now = activityOf(pid);
    if (now === "gone") return "ended";
    if (now === "waits" || now !== before) idle_ms = 0;
    before = now;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  return "idle";
}

/**
 * What /proc/PID/stat says (proc(5)): its memory, its threads, its processor time change with whatever it does.
 * "waits" when it waits for a core or a disk, so that it is the machine that has to do something; "gone" when it has
 * ended.
 */
function activityOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2); // the name before it may have spaces
    const [state = ""] = fields;
    if (state === "Z" || state === "X") return "gone";
    return state === "R" || state === "D" ? "waits" : fields;
  } catch {
    return "gone";
  }
}
