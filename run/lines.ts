/** What lines of a report for people are made of. */

export function row(name: string, text: string): string {
  return `  ${name.padEnd(13)} ${text}`;
}

export function count(value: number): string {
  return value.toLocaleString("en-US");
}
