/** What a user can set: one table of options for each role, used by the flags, the configuration file and the help. */

import type { z } from "zod";

export interface Option<T extends z.ZodType = z.ZodType, F extends string | undefined = string | undefined> {
  /** What a value looks like in the help ("ticks/s"); a flag that takes no value has "". */
  readonly value: string;
  /** Turns the text of a flag or of a configuration file into the value, or says what is allowed. */
  readonly type: T;
  /** The text used when nothing is given; undefined when there is no default. */
  readonly fallback: F;
  readonly description: string;
  /** The heading under which the help lists it. */
  readonly group: string;
  /** It may be given several times: the values come as one text, with commas between them. */
  readonly repeats?: boolean;
}

/** Options by their names in camelCase: `triggerRatio` is --trigger-ratio and trigger_ratio=. */
export type OptionTable = Readonly<Record<string, Option>>;

/** What a table's options give: those without a default may be undefined. */
export type Values<T extends OptionTable> = {
  readonly [K in keyof T]: T[K]["fallback"] extends string
    ? z.output<T[K]["type"]>
    : z.output<T[K]["type"]> | undefined;
};

/** One group of options, with a helper that keeps their types. */
export function optionGroup(group: string) {
  return <T extends z.ZodType, F extends string | undefined = undefined>(
    type: T,
    description: string,
    value = "",
    fallback: F = undefined as F,
  ): Option<T, F> => ({ type, description, value, fallback, group });
}

export function flagName(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

export function keyName(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

export function nameOfKey(key: string): string {
  return key.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}
