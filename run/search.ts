/** The search for the highest rate that passes: which rate to try next, whatever a trial is (docs/limit.md). */

export type Verdict = "pass" | "loss" | "wrong" | "sender";

/** What one trial at a rate says. */
export interface Trial {
  readonly rate_pps: number;
  readonly verdict: Verdict;
  /** What got through: near the limit when more was offered. */
  readonly carried_pps: number;
}

export interface SearchRange {
  readonly min_pps: number; // the lowest rate tried
  readonly max_pps: number; // the first rate tried
  readonly resolution: number; // the search ends when what passed and what failed are this part apart
}

export interface SearchResult<T extends Trial> {
  /** The highest rate that passed, or 0. */
  readonly pps: number;
  /** Whether it passed a second time, in a trial of full length. */
  readonly confirmed: boolean;
  /** The lowest rate above it that failed; null when none did. */
  readonly failed: T | null;
  readonly trials: readonly T[];
}

/**
 * Looks for the limit, then confirms it with trials of full length, lowering the rate until one passes.
 * @param attempt makes a trial at a whole number of ticks a second; null: the search is to end
 */
export async function findLimit<T extends Trial>(
  range: SearchRange,
  attempt: (rate_pps: number, kind: "search" | "confirm") => Promise<T | null>,
): Promise<SearchResult<T>> {
  const trials: T[] = [];
  const trial = (kind: "search" | "confirm") => async (rate_pps: number) => {
    const result = await attempt(rate_pps, kind);
    if (result !== null) trials.push(result);
    return result;
  };
  const searched = await narrow(range, trial("search"));
  const confirmed =
    searched.stopped || searched.pps === 0
      ? { pps: 0, stopped: searched.stopped }
      : await narrow({ ...range, max_pps: searched.pps }, trial("confirm"));
  const isConfirmed = confirmed.pps > 0;
  // Stopped in the middle, what passed once is all there is.
  const pps = isConfirmed || !confirmed.stopped ? confirmed.pps : searched.pps;
  const failed = trials
    .filter(({ rate_pps, verdict }) => verdict !== "pass" && rate_pps > pps)
    .reduce<T | null>(
      (least, next) => (least === null || next.rate_pps < least.rate_pps ? next : least),
      null,
    );
  return { pps, confirmed: isConfirmed, failed, trials };
}

/**
 * From the highest rate down. A trial that failed has seen how much gets through, so the next one is there, and
 * those after it a growing step away from what is known; then the interval is halved, on a logarithmic scale.
 * So a good guess ends the search early, and a bad one can't keep it going.
 */
async function narrow(
  { min_pps, max_pps, resolution }: SearchRange,
  attempt: (rate_pps: number) => Promise<Trial | null>,
): Promise<{ pps: number; stopped: boolean }> {
  const bottom = Math.max(1, Math.min(min_pps, max_pps));
  let low = 0; // passed
  let high = max_pps; // failed, once it was tried
  let step = resolution;
  for (let rate = max_pps; ; ) {
    const trial = await attempt(rate);
    if (trial === null) return { pps: low, stopped: true };
    const passed = trial.verdict === "pass";
    if (passed) low = rate;
    else high = rate;
    const least = low === 0 ? bottom : low + 1;
    if (low === high || least >= high || (low > 0 && high - low <= resolution * high)) {
      return { pps: low, stopped: false };
    }
    let next = Math.sqrt((low === 0 ? bottom : low) * high);
    if (step < 0.5) {
      const above = low === 0 ? bottom : low * (1 + step);
      const guess = passed ? above : Math.max(above, Math.min(trial.carried_pps, high * (1 - step)));
      if (guess < high * (1 - resolution / 2)) next = guess;
      step *= 2;
    }
    rate = Math.min(high - 1, Math.max(least, Math.round(next)));
  }
}
