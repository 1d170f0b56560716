/** What lines of a report for people are made of. */

export function row(name: string, text: string): string {
  return `  ${name.padEnd(13)} ${text}`;
}

/** "1 frame", "2,000 frames" */
export function counted(value: number, what: string): string {
  return `${count(value)} ${what}${value === 1 ? "" : "s"}`;
}

export function count(value: number): string {
  return value.toLocaleString("en-US");
}
