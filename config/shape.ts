/** The shape of a YAML document: kinds of values, each from its text, maps that refuse unknown keys, and what is said. */

import { z } from "zod";
import { CaromError } from "../native/error.js";
import type { Document } from "./document.js";

const MISSING = "is missing";

/** A value from its text, or what is allowed. */
export function text<T>(allowed: string, read: (value: string) => T | undefined) {
  return z.string().transform((value, context): T => {
    const result = read(value);
    if (result !== undefined) return result;
    context.addIssue({ code: "custom", message: `${JSON.stringify(value)} is not ${allowed}` });
    return z.NEVER;
  });
}

/** What reports print: one line without control characters. */
export function line(what: string) {
  return text(`${what} of 1 to 200 characters`, (value) => {
    const plain = value.trim().replace(/\s+/g, " ");
    return /^[^\p{Cc}\p{Cs}]{1,200}$/u.test(plain) ? plain : undefined;
  });
}

/** Decimal, or hexadecimal with 0x. */
export function whole(min: number, max: number) {
  return text(`a whole number from ${min} to ${max}`, (value) => {
    const number = /^(-?\d{1,15}|0x[0-9a-f]{1,12})$/i.test(value) ? Number(value) : Number.NaN;
    return number >= min && number <= max ? number : undefined;
  });
}

/** A map that refuses unknown keys and says which ones there are. */
export function map<S extends z.ZodRawShape>(what: string, shape: S) {
  const allowed = Object.keys(shape).join(", ");
  return z.strictObject(shape, {
    error: (issue) =>
      issue.code === "unrecognized_keys"
        ? `${issue.keys.map((key) => JSON.stringify(key)).join(", ")}: no such key in ${what}; allowed are: ${allowed}`
        : issue.input === undefined
          ? MISSING
          : `${what} is a map with the keys: ${allowed}`,
  });
}

/** What is said of a value that fits none of several shapes. */
export function orMissing(allowed: string) {
  return (issue: z.core.$ZodRawIssue) => (issue.input === undefined ? MISSING : allowed);
}

export function list<T extends z.ZodType>(what: string, item: T, max: number) {
  const allowed = `a list of 1 to ${max} ${what}`;
  const error = orMissing(allowed);
  return z.array(item, { error }).min(1, { error }).max(max, { error });
}

/**
 * The document as its schema has it.
 * @throws CaromError (usage) with file, line and column of the first thing that is wrong
 */
export function validateDocument<T extends z.ZodType>(schema: T, document: Document): z.output<T> {
  const result = schema.safeParse(document.value, { error: (issue) => plainMessage(issue) });
  if (result.success) return result.data;
  const { path, key, message } = firstFlaw(result.error.issues, []);
  throw new CaromError(
    "usage",
    key === undefined ? document.place(path) : document.placeOfKey(path, key),
    message,
  );
}

interface Flaw {
  readonly path: readonly PropertyKey[];
  readonly key: string | undefined; // an unknown key of the map at the path
  readonly message: string;
}

function plainMessage(issue: z.core.$ZodRawIssue): string | undefined {
  if (issue.code !== "invalid_type") return undefined;
  if (issue.input === undefined) return MISSING;
  return `a text is wanted here, this is a ${Array.isArray(issue.input) ? "list" : "map"}`;
}

function firstFlaw(issues: readonly z.core.$ZodIssue[], around: readonly PropertyKey[]): Flaw {
  // A key that is missing may well be there, but misspelt.
  const issue = issues.find(({ code }) => code === "unrecognized_keys") ?? issues[0]!;
  const path = [...around, ...issue.path];
  if (issue.code === "invalid_union") {
    // The alternative that the writer meant is the one whose outer shape fits. The first issue tells: others may follow
    // from it, as a text has a length too.
    const meant = issue.errors.find(
      ([first]) => first !== undefined && (first.path.length > 0 || !isShape(first)),
    );
    if (meant !== undefined) return firstFlaw(meant, path);
  }
  if (issue.code === "unrecognized_keys") return { path, key: issue.keys[0], message: issue.message };
  const last = path.at(-1);
  const missing = issue.message === MISSING;
  return { path, key: undefined, message: missing ? `${String(last)} ${MISSING}` : issue.message };
}

function isShape(issue: z.core.$ZodIssue): boolean {
  return issue.code === "invalid_type" || issue.code === "invalid_value";
}
