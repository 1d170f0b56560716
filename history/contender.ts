/** One side of a comparison: a run of the history, or a report as JSON in a file. */

import { readFileSync, statSync } from "node:fs";
import { basename } from "node:path";
import { z } from "zod";
import { CaromError } from "../native/error.js";
import { type Bin, decodeHistogram } from "../run/histograms.js";
import { isRunName, openHistory } from "./store.js";

const FILE_MAX = 1 << 26; // bytes
const PARTS_MAX = 64;

const count = z.number().min(0).max(Number.MAX_SAFE_INTEGER);
const verdicts = z.object({
  correct: count,
  wrong: count,
  missing: count,
  duplicate: count,
  unexpected: count,
  late: count,
});

/** What is read of a report; it may hold more. */
const reported = z.object({
  schema: z.literal("carom.report"),
  version: z.literal(1),
  started: z.string().max(100),
  elapsed_s: z.number(),
  environment: z.record(z.string(), z.union([z.string(), z.number()])),
  clock: z.object({ provenance: z.string() }),
  verdicts,
  ticks: z.object({ sent: count, answered: count }),
  faults: z.array(z.string()),
  plan: z.object({
    generator: z.object({
      mode: z.string(),
      io: z.object({ backend: z.string() }),
    }),
    responder: z.object({ io: z.object({ backend: z.string() }) }).nullable(),
  }),
  histograms: z.object({
    latency_planned: z.string().nullable(),
    latency_actual: z.string().nullable(),
    parts: z.object({ of: z.enum(["planned", "actual"]), histograms: z.array(z.string()).max(PARTS_MAX) }),
  }),
  history: z.number().nullable().optional(),
});

export type Verdicts = z.output<typeof verdicts>;

export interface Contender {
  readonly name: string; // "run 12", or the file's
  readonly started: string;
  readonly elapsed_s: number;
  readonly backends: string;
  readonly mode: string;
  readonly environment: Readonly<Record<string, string | number>>;
  readonly clock: string;
  readonly sent: number;
  readonly answered: number;
  readonly verdicts: Verdicts;
  readonly of: "planned" | "actual"; // from which time on its round trips are judged
  readonly whole: readonly Bin[];
  readonly parts: readonly (readonly Bin[])[];
}

/** @param text the number of a run, last, last~1, or a file @throws CaromError */
export function readContender(text: string): Contender {
  if (!isRunName(text)) return contenderOf(basename(text), readFile(text));
  const history = openHistory();
  try {
    const { id, report } = history.get(text);
    return contenderOf(`run ${id}`, report);
  } finally {
    history.close();
  }
}

function readFile(path: string): unknown {
  const refuse = (detail: string, hint: string): never => {
    throw new CaromError("usage", `read the report ${path}`, detail, hint);
  };
  try {
    if (statSync(path).size > FILE_MAX) refuse(`it is larger than ${FILE_MAX} bytes`, "give a report");
    return JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    if (error instanceof CaromError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) return refuse("it is no JSON", "carom run --json writes a report");
    return refuse(code, "give the number of a run (carom history), or a file of carom run --json");
  }
}

/** @throws CaromError (usage) for what is no report of a run that can be compared */
export function contenderOf(name: string, value: unknown): Contender {
  const operation = `compare ${name}`;
  const parsed = reported.safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const detail = `it is no report with histograms (${issue!.path.join(".")}: ${issue!.message})`;
    throw new CaromError("usage", operation, detail, "carom run makes one");
  }
  const { histograms, plan, ticks, clock, ...report } = parsed.data;
  const { of } = histograms.parts;
  const whole = of === "planned" ? histograms.latency_planned : histograms.latency_actual;
  if (whole === null) {
    throw new CaromError("usage", operation, "no tick was answered in it", "carom run measures round trips");
  }
  const decode = (text: string) => {
    try {
      return decodeHistogram(text);
    } catch (error) {
      throw new CaromError("usage", operation, `a histogram can't be read: ${(error as Error).message}`);
    }
  };
  const { generator, responder } = plan;
  return {
    name,
    ...report,
    mode: generator.mode,
    backends: [generator.io.backend, ...(responder === null ? [] : [responder.io.backend])].join(" → "),
    clock: clock.provenance,
    sent: ticks.sent,
    answered: ticks.answered,
    of,
    whole: decode(whole),
    parts: histograms.parts.histograms.map(decode),
  };
}
