/** What lines of a report for people are made of. */

export function row(name: string, text: string): string {
  return `  ${name.padEnd(13)} ${text}`;
}

/** "1 frame", "2,000 frames" */
export function counted(value: number, what: string): string {
  return `${count(value)} ${what}${value === 1 ? "" : "s"}`;
}

/** "16.2", "186,865", "0.000000222": three digits at least, and no more behind the point than they need. */
export function rateText(value: number): string {
  return value >= 100
    ? count(Math.round(value))
    : value.toLocaleString("en-US", { maximumSignificantDigits: 3 });
}

export function count(value: number): string {
  return value.toLocaleString("en-US");
}
