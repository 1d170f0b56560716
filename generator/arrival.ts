/** Arrival processes as a profile describes them: their keys, and what the native generator is given. */

import { resolve } from "node:path";
import { z } from "zod";
import type { Document } from "../config/document.js";
import { list, map, text, whole } from "../config/shape.js";
import { choice, decimal, duration, filePath, rate } from "../config/values.js";
import { CaromError } from "../native/error.js";
import type { ArrivalConfig } from "../native/index.js";
import { readCurve } from "./curve.js";

const PARTS_MAX = 16; // of one sum
const DEPTH_MAX = 8; // of sums in sums
const BURST_MAX = 1e9; // ticks
const SPAN_S = 0.05; // what a ring has to bridge
const DAY_NS = 24 * 3600e9;

const tickRate = text("a rate a second such as 200k or 1.5M, or link", (value) =>
  value === "link" ? ("link" as const) : rate(1e9).safeParse(value).data,
);
const time = () => duration(0, DAY_NS);
const period = () => duration(1, DAY_NS);

const kinds = {
  constant: map("constant", { rate: tickRate }),
  poisson: map("poisson", { rate: tickRate }),
  bursts: map("bursts", { count: whole(1, BURST_MAX), every: period(), gap: time().optional() }),
  microbursts: map("microbursts", { size: decimal(1, BURST_MAX), every: period(), gap: time().optional() }),
  hawkes: map("hawkes", { rate: tickRate, branching: decimal(0, 0.999), decay: period() }),
  curve: map("curve", { file: filePath(), process: choice("even", "poisson").optional() }),
};

type Kinds = { [K in keyof typeof kinds]?: z.output<(typeof kinds)[K]> | undefined };
export type ArrivalDocument = Kinds & { sum?: ArrivalDocument[] | undefined };

export const arrivalSchema: z.ZodType<ArrivalDocument, unknown> = map("an arrival process", {
  constant: kinds.constant.optional(),
  poisson: kinds.poisson.optional(),
  bursts: kinds.bursts.optional(),
  microbursts: kinds.microbursts.optional(),
  hawkes: kinds.hawkes.optional(),
  curve: kinds.curve.optional(),
  sum: list(
    "processes",
    z.lazy(() => arrivalSchema),
    PARTS_MAX,
  ).optional(),
});

/** A process, ready for the native generator, and how much it offers. */
export interface Arrival {
  readonly config: ArrivalConfig;
  readonly mean: number; // ticks a second
  readonly peak: number; // ticks a second that 50 ms hardly ever exceed: rings and ledger have room for that
}

/** Reads processes out of a document. */
export class ArrivalReader {
  /**
   * @param directory of the file: curves are found from there
   * @param linkRate ticks a second that the link carries
   */
  constructor(
    private readonly document: Document,
    private readonly directory: string,
    private readonly linkRate: number,
  ) {}

  /** @throws CaromError (usage) with file, line and column */
  read(node: ArrivalDocument, path: readonly PropertyKey[], depth = 0): Arrival {
    const given = Object.keys(node).filter((key) => node[key as keyof ArrivalDocument] !== undefined);
    if (given.length !== 1) {
      const detail = given.length === 0 ? "no process is given" : `${given.join(" and ")} exclude each other`;
      this.fail(path, detail, "add several processes up with sum:");
    }
    if (node.constant !== undefined) return this.constant(node.constant, [...path, "constant"]);
    if (node.poisson !== undefined) return this.poisson(node.poisson, [...path, "poisson"]);
    if (node.bursts !== undefined) return this.bursts(node.bursts, [...path, "bursts"]);
    if (node.microbursts !== undefined) return this.microbursts(node.microbursts, [...path, "microbursts"]);
    if (node.hawkes !== undefined) return this.hawkes(node.hawkes, [...path, "hawkes"]);
    if (node.curve !== undefined) return this.curve(node.curve);
    if (depth === DEPTH_MAX) this.fail(path, `sums are nested more than ${DEPTH_MAX} deep`);
    const parts = node.sum!.map((part, index) => this.read(part, [...path, "sum", index], depth + 1));
    return {
      config: { kind: "sum", parts: parts.map(({ config }) => config) },
      mean: parts.reduce((sum, { mean }) => sum + mean, 0),
      peak: parts.reduce((sum, { peak }) => sum + peak, 0),
    };
  }

  private fail(path: readonly PropertyKey[], detail: string, hint = ""): never {
    throw new CaromError("usage", this.document.place(path), detail, hint);
  }

  private rate(given: number | "link", path: readonly PropertyKey[]): number {
    // In thousandths, rounded down: what is sent at the link's own rate must fit.
    if (given === "link") return Math.floor(this.linkRate * 1000) / 1000;
    this.refuseAbove(given, [...path, "rate"]);
    return given;
  }

  private refuseAbove(mean: number, path: readonly PropertyKey[]): void {
    if (mean <= this.linkRate) return;
    const shown = (value: number) => Math.floor(value).toLocaleString("en-US");
    const detail = `${shown(mean)} ticks/s are more than the link carries, ${shown(this.linkRate)}`;
    this.fail(path, detail, "lower it, or raise --link-speed");
  }

  private constant(node: NonNullable<Kinds["constant"]>, path: readonly PropertyKey[]): Arrival {
    const mean = this.rate(node.rate, path);
    return { config: { kind: "constant", rateMilliHz: Math.round(mean * 1000) }, mean, peak: mean };
  }

  private poisson(node: NonNullable<Kinds["poisson"]>, path: readonly PropertyKey[]): Arrival {
    const mean = this.rate(node.rate, path);
    const config = { kind: "poisson", rateMilliHz: Math.round(mean * 1000) } as const;
    return { config, mean, peak: mean + scatter(mean * SPAN_S) / SPAN_S };
  }

  private bursts(
    { count, every, gap = 0 }: NonNullable<Kinds["bursts"]>,
    path: readonly PropertyKey[],
  ): Arrival {
    if ((count - 1) * gap > every) {
      this.fail([...path, "every"], "the next burst would begin before the last tick of this one");
    }
    const mean = (count / every) * 1e9;
    this.refuseAbove(mean, [...path, "count"]);
    const config = { kind: "bursts", count, everyNs: every, gapNs: gap } as const;
    return { config, mean, peak: (count * Math.ceil((SPAN_S * 1e9) / every)) / SPAN_S };
  }

  private microbursts(
    { size, every, gap = 0 }: NonNullable<Kinds["microbursts"]>,
    path: readonly PropertyKey[],
  ): Arrival {
    if ((size - 1) * gap >= every) {
      this.fail([...path, "every"], "bursts would take longer than the time from one to the next");
    }
    const mean = (size / every) * 1e9;
    this.refuseAbove(mean, [...path, "size"]);
    const config = { kind: "microbursts", size, everyNs: every, gapNs: gap } as const;
    return { config, mean, peak: mean + (scatter(2 * mean * SPAN_S * size) + 10 * size) / SPAN_S };
  }

  private hawkes(
    { rate: given, branching, decay }: NonNullable<Kinds["hawkes"]>,
    path: readonly PropertyKey[],
  ): Arrival {
    const base = this.rate(given, path);
    const mean = base / (1 - branching);
    this.refuseAbove(mean, [...path, "branching"]);
    const config = {
      kind: "hawkes",
      rateMilliHz: Math.round(base * 1000),
      branching,
      decayNs: decay,
    } as const;
    return { config, mean, peak: mean + scatter(mean * SPAN_S) / (1 - branching) / SPAN_S };
  }

  private curve(node: NonNullable<Kinds["curve"]>): Arrival {
    const { points, mean, peak } = readCurve(resolve(this.directory, node.file), this.linkRate);
    const isPoisson = node.process === "poisson";
    const config = { kind: "curve", points, poisson: isPoisson } as const;
    return { config, mean, peak: isPoisson ? peak + scatter(peak * SPAN_S) / SPAN_S : peak };
  }
}

/** Six standard deviations of a count whose variance is this. */
function scatter(variance: number): number {
  return 6 * Math.sqrt(variance);
}
