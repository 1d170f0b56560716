/** Medians and their spread: what one run says is noise, what several say in turn is a comparison. */

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly values: readonly number[];
}

export function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const median = sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
  return { median, min: sorted[0]!, max: sorted.at(-1)!, values };
}

/** "0.66 (0.62–0.71)" */
export function spreadText({ median, min, max }: Spread, digits = 2): string {
  return `${median.toFixed(digits)} (${min.toFixed(digits)}–${max.toFixed(digits)})`;
}

export interface Goal {
  readonly name: string;
  readonly measured: number;
  readonly limit: number;
  readonly met: boolean;
  readonly isLeast?: boolean; // the limit is the least that will do, not the most
}

/** A figure that has to be at most its limit. */
export function atMost(name: string, measured: number, limit: number): Goal {
  return { name, measured, limit, met: measured <= limit };
}

/** A figure that has to be at least its limit. */
export function atLeast(name: string, measured: number, limit: number): Goal {
  return { name, measured, limit, met: measured >= limit, isLeast: true };
}

export function goalLine({ name, measured, limit, met, isLeast = false }: Goal): string {
  const figure = Number(measured.toPrecision(4));
  return `  ${met ? "met   " : "MISSED"}  ${name}: ${figure}, at ${isLeast ? "least" : "most"} ${limit}`;
}

export interface SuiteResult {
  readonly suite: string;
  readonly figures: Readonly<Record<string, unknown>>;
  readonly goals: readonly Goal[];
}
