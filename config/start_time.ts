/** --start-at: the moment of a clock that several machines have in common, at which they begin together. */

import { CaromError } from "../native/error.js";
import { optionGroup } from "./option.js";
import { duration, fromText } from "./values.js";

const LATEST_NS = 7n * 24n * 3600n * 1_000_000_000n; // from now on: what is further away is a slip of the pen
const ALLOWED =
  "a time with its zone such as 2026-11-30T18:00:00Z or 2026-11-30T18:00:00.25+01:00, a time from now on such as +10s, " +
  "or seconds or ns since the epoch";

/** ns since the epoch, by CLOCK_REALTIME. */
function startTime() {
  const fromNow = duration(0, Number(LATEST_NS));
  return fromText(ALLOWED, (text): bigint | undefined => {
    if (text.startsWith("+")) {
      const after = fromNow.safeParse(text.slice(1));
      return after.success ? nowNs() + BigInt(after.data) : undefined;
    }
    const epoch = /^(?:(\d{9,10})(?:\.(\d{1,9}))?|(\d{18,19}))$/.exec(text);
    if (epoch !== null) return epoch[3] === undefined ? join(epoch[1]!, epoch[2]) : BigInt(epoch[3]);
    const written = /^(\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)$/.exec(text);
    if (written === null) return undefined;
    const [, day = "", fraction, zone = ""] = written;
    const whole_ms = Date.parse(`${day.toUpperCase().replace(" ", "T")}${zone.toUpperCase()}`);
    return Number.isNaN(whole_ms) || whole_ms < 0 ? undefined : join(String(whole_ms / 1000), fraction);
  });
}

function join(seconds: string, fraction = ""): bigint {
  return BigInt(seconds) * 1_000_000_000n + BigInt(fraction.padEnd(9, "0"));
}

function nowNs(): bigint {
  return BigInt(Date.now()) * 1_000_000n;
}

export const startAt = optionGroup("When")(
  startTime(),
  "begin at this time of CLOCK_REALTIME, together with others: 2026-11-30T18:00:00Z, +10s from now, or since the epoch",
  "time",
);

/**
 * Before anything is opened.
 * @throws CaromError (usage) for a time that is over, or further away than a week
 */
export function refusePast(start_ns: bigint | undefined): void {
  if (start_ns === undefined) return;
  const away_ns = start_ns - nowNs();
  const shown = timeText(start_ns);
  if (away_ns <= 0n) {
    const detail = `that was ${(Number(-away_ns) / 1e9).toFixed(1)} s ago, by this machine's clock`;
    const hint =
      "name a time to come, far enough away that all ends are ready by then; date -u tells the time here";
    throw new CaromError("usage", `--start-at ${shown}`, detail, hint);
  }
  if (away_ns > LATEST_NS)
    throw new CaromError(
      "usage",
      `--start-at ${shown}`,
      "that is more than a week away",
      "name an earlier one",
    );
}

/** RFC 3339, to the ns. */
export function timeText(time_ns: bigint): string {
  const second = new Date(Number(time_ns / 1_000_000_000n) * 1000).toISOString().slice(0, 19);
  return `${second}.${String(time_ns % 1_000_000_000n).padStart(9, "0")}Z`;
}

/** How long before the start everything that is read and started at the last moment begins. */
const LEAD_NS = 300_000_000n;

/**
 * Waits until shortly before a start, with everything open.
 * @throws CaromError (environment) when it took so long to open everything that the time is over
 */
export async function untilShortlyBefore(start_ns: bigint | undefined): Promise<void> {
  if (start_ns === undefined || start_ns === 0n) return;
  const late = () => nowNs() - start_ns;
  if (late() > 0n) {
    const detail = `everything was open ${(Number(late()) / 1e9).toFixed(3)} s after it`;
    throw new CaromError("environment", `start at ${timeText(start_ns)}`, detail, "name a later time");
  }
  // A timer may be early, and a clock may be slewed: what is left is looked at again.
  for (let left_ns = -late() - LEAD_NS; left_ns > 0n; left_ns = -late() - LEAD_NS)
    await new Promise((resolve) => setTimeout(resolve, Math.min(1000, Number(left_ns / 1_000_000n) + 1)));
}

/** ms until it. */
export function untilStartMs(start_ns: bigint): number {
  return Math.max(0, Number(start_ns - nowNs()) / 1e6);
}
