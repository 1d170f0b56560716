/** The reports of both ends of a run on two hosts, put together (docs/two-hosts.md). */

import { readFileSync, statSync } from "node:fs";
import { z } from "zod";
import { formatNs } from "../config/values.js";
import { CaromError } from "../native/error.js";
import type { Distribution } from "../native/histogram.js";
import type { Tie } from "./clock_ties.js";
import { type CommonClock, chosenStamps, clocksOf, commonClock } from "./join_clocks.js";
import { distributionOf, type OneWay, oneWay, type Side } from "./one_way.js";
import { readStamps } from "./stamps_read.js";

const TIES_MAX = 1 << 16;
const REPORT_BYTES_MAX = 64 << 20;
const ROWS_MAX = 16_000_000; // as many as there can be in a map

const time = z.number().min(0).max(1e18);
const whole = z
  .number()
  .int()
  .min(0)
  .max(2 ** 53 - 1);
const text64 = z.string().regex(/^-?\d{1,19}$/);

const stampsSchema = z.object({
  file: z
    .string()
    .min(1)
    .refine((path) => !path.includes("\0")),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  run_id: z.string().nullable(),
  one_in: z
    .number()
    .int()
    .min(1)
    .max(2 ** 20)
    .refine((value) => Number.isInteger(Math.log2(value))),
  room: whole,
  rows: z.object({
    sends: whole,
    answers: whole,
    passages: whole,
    nic_sent: whole,
    nic_received: whole,
  }),
  dropped: whole,
  clock: z.object({
    name: z.literal("CLOCK_REALTIME"),
    boot_id: z.string(),
    synchronised: z.boolean(),
    max_error_ns: time.nullable(),
    estimated_error_ns: time.nullable(),
    given_error_ns: time.nullable(),
    error_ns: time.nullable(),
    reading_error_ns: time,
    was_set: z.boolean(),
    bound_ns: time.nullable(),
    bound_reason: z.string(),
    ties: z
      .array(z.tuple([time, text64, time]))
      .min(1)
      .max(TIES_MAX),
  }),
  daemons: z
    .object({
      ptp: z
        .object({
          grandmaster: z.string().max(64),
          stamps: z.enum(["hardware", "software"]),
          interface: z.string(),
          error_ns: time.nullable(),
        })
        .nullable(),
    })
    .nullable(),
  nic_clock: z
    .object({
      device: z.string(),
      interface: z.string(),
      resolution_ns: time,
      method: z.string(),
      steps: whole,
      problem: z.string(),
      error_ns: time,
      raw_error_ns: time.nullable(),
      ties: z
        .array(z.tuple([text64, text64, text64.nullable(), time]))
        .min(1)
        .max(TIES_MAX),
    })
    .nullable(),
});

const strategySchema = z.record(z.string(), z.unknown());
const environmentSchema = z.object({ host: z.string(), carom: z.string() });

const generatorSchema = z.object({
  schema: z.literal("carom.report"),
  version: z.literal(1),
  started: z.string(),
  environment: environmentSchema,
  plan: z.object({
    generator: z.object({
      io: z.object({ localPort: whole, receives: z.boolean() }),
      strategy: strategySchema,
      streams: z.array(
        z.object({ lines: z.array(z.object({ destinationAddress: z.string(), destinationPort: whole })) }),
      ),
    }),
  }),
  counters: z.object({ generator: z.record(z.string(), z.number()) }),
  stamps: stampsSchema.nullish(),
});

const responderSchema = z.object({
  schema: z.literal("carom.responder"),
  version: z.literal(1),
  started: z.string(),
  environment: environmentSchema,
  config: z.object({
    io: z.object({ localPort: whole, backend: z.string() }),
    responsePort: whole,
    strategy: strategySchema,
  }),
  counters: z.record(z.string(), z.number()),
  stamps: stampsSchema.nullish(),
});

/** A receiver that answers nothing: it tells when each tick came, by the kernel's stamps. */
const captureSchema = z.object({
  schema: z.literal("carom.capture"),
  version: z.literal(1),
  started: z.string(),
  environment: environmentSchema,
  tick_port: whole,
  stamps: stampsSchema.nullish(),
});

type GeneratorEnd = z.infer<typeof generatorSchema>;
type ResponderEnd = z.infer<typeof responderSchema>;
type Stamps = z.infer<typeof stampsSchema>;

interface End<Report> {
  readonly path: string;
  readonly report: Report;
  readonly stamps: Stamps;
}

export interface Way {
  readonly followed: number; // ticks, or orders, of which the stamps tell
  readonly lost: number | null; // of those; null: the stamps of one end are not whole
  readonly unstamped: number; // of those that arrived, the ones that the stamps of a NIC are missing of
  readonly sent_counted: number; // by the counters of the end that sent, all of them
  readonly received_counted: number; // and of the other one
  readonly one_way: Distribution | null; // null: refused, or there is none
}

export interface Joined {
  readonly schema: "carom.join";
  readonly version: 1;
  readonly run_id: string | null;
  readonly ends: readonly {
    readonly role: "generator" | "responder" | "capture";
    readonly report: string;
    readonly host: string;
    readonly carom: string;
    readonly started: string;
    readonly one_in: number;
    readonly dropped: number;
  }[];
  readonly common_ticks: number;
  readonly clocks: {
    readonly stamps: "hardware" | "tsc"; // what all times are by: the NICs' stamps, or those of the loops
    readonly clock: string; // by which the two ends are compared
    readonly one_machine: boolean;
    /** How far a one-way latency is off at most, either way; null: nobody knows, and there is none. */
    readonly bound_ns: number | null;
    readonly bounds_ns: readonly (number | null)[]; // of each end
    readonly reasons: readonly string[];
    /** What the stamps themselves allow for the responder's clock less the generator's: nothing comes before it was sent. */
    readonly offset_least_ns: number | null;
    readonly offset_most_ns: number | null;
    readonly agree: boolean | null; // whether that and the bound have anything in common
  };
  readonly up: Way;
  readonly down: Way | null; // null: no answers were expected
  readonly responder: Distribution | null; // from when it took a tick up until it handed the order over
  readonly round_trip: Distribution | null;
  readonly notes: readonly string[];
  readonly faults: readonly string[];
}

/** @throws CaromError (usage) for reports that do not belong together */
export function joinReports(paths: readonly [string, string]): Joined {
  const read = paths.map((path) => ({ path, value: readReport(path) }));
  const generator = endOf(read, generatorSchema, "carom.report", "carom run or generate");
  const isCaptured = read.some(({ value }) => schemaOf(value) === "carom.capture");
  const responder = isCaptured
    ? asResponder(endOf(read, captureSchema, "carom.capture", "carom capture"))
    : endOf(read, responderSchema, "carom.responder", "carom respond or capture");
  refuseStrangers(generator, responder);
  const inKernel = responder.report.config.io.backend === "xdp";
  const common = commonClock(generator.stamps, responder.stamps);
  const found = oneWay(
    sideOf(generator, common, common.ties[0]),
    sideOf(responder, common, common.ties[1]),
    inKernel,
  );
  if (found.common === 0) {
    const detail = `no tick of the ${found.followed.toLocaleString("en-US")} that ${generator.path} has is in ${responder.path}`;
    throw new CaromError(
      "usage",
      "carom join",
      detail,
      "they are of two runs, or nothing arrived: carom respond counts it",
    );
  }
  return report(generator, responder, found, common, inKernel);
}

function report(
  generator: End<GeneratorEnd>,
  responder: End<ResponderEnd>,
  found: OneWay,
  common: CommonClock,
  inKernel: boolean,
): Joined {
  const clocks = clocksOf(common, found);
  const isGiven = clocks.bound_ns !== null;
  const distribution = (values: Float64Array) => (values.length > 0 ? distributionOf(values) : null);
  const near = generator.report.counters.generator;
  const far = responder.report.counters;
  const up: Way = {
    followed: found.followed,
    lost: found.lost_up,
    unstamped: found.unstamped_up,
    sent_counted: (near.sent ?? 0) + (near.warmup_sent ?? 0),
    received_counted: far.ticks ?? 0,
    one_way: isGiven ? distribution(found.up_ns) : null,
  };
  const isAnswered = responder.report.config.io.backend !== CAPTURE;
  const down: Way | null =
    isAnswered && generator.report.plan.generator.io.receives
      ? {
          followed: found.ordered,
          lost: found.lost_down,
          unstamped: found.unstamped_down,
          sent_counted: far.orders ?? 0,
          received_counted: (near.received ?? 0) + (near.warmup_answered ?? 0) + (near.warmup_faults ?? 0),
          one_way: isGiven ? distribution(found.down_ns) : null,
        }
      : null;
  return {
    schema: "carom.join",
    version: 1,
    run_id: generator.stamps.run_id ?? responder.stamps.run_id,
    ends: [
      { role: "generator" as const, ...toldOf(generator) },
      { role: isAnswered ? ("responder" as const) : ("capture" as const), ...toldOf(responder) },
    ],
    common_ticks: found.common,
    clocks,
    up,
    down,
    responder: distribution(found.responder_ns),
    round_trip: distribution(found.round_trip_ns),
    notes: [
      ...notesOf(generator, responder, inKernel),
      ...common.notes,
      ...unstampedNotes(found, clocks.stamps),
    ],
    faults: faultsOf(clocks, up, down),
  };
}

const CAPTURE = "capture";

/** A capture as the other end of a run: one that answers nothing. */
function asResponder({ path, report, stamps }: End<z.infer<typeof captureSchema>>): End<ResponderEnd> {
  const { version, started, environment, tick_port } = report;
  const config = { io: { localPort: tick_port, backend: CAPTURE }, responsePort: 0, strategy: {} };
  const counters = { ticks: stamps.rows.passages };
  const own = { schema: "carom.responder" as const, version, started, environment, config, counters, stamps };
  return { path, report: own, stamps };
}

function toldOf({ path, report, stamps }: End<GeneratorEnd | ResponderEnd>) {
  const { host, carom } = report.environment;
  return {
    report: path,
    host,
    carom,
    started: report.started,
    one_in: stamps.one_in,
    dropped: stamps.dropped,
  };
}

/** What is not wrong, and has to be known. */
function notesOf(generator: End<GeneratorEnd>, responder: End<ResponderEnd>, inKernel: boolean): string[] {
  const notes: string[] = [];
  const [near, far] = [generator.report.environment, responder.report.environment];
  if (near.carom !== far.carom)
    notes.push(`two versions of carom: ${near.carom} sent, ${far.carom} answered`);
  if (generator.stamps.run_id === null || responder.stamps.run_id === null)
    notes.push("without --run-id at both ends: they belong together by the ticks that both have seen");
  const settings = Object.entries(generator.report.plan.generator.strategy).filter(
    ([key, value]) => JSON.stringify(value) !== JSON.stringify(responder.report.config.strategy[key]),
  );
  const isAnswered = responder.report.config.io.backend !== CAPTURE;
  if (isAnswered && generator.report.plan.generator.io.receives && settings.length > 0)
    notes.push(`the ends differ in what is to be answered: ${settings.map(([key]) => key).join(", ")}`);
  for (const { path, stamps } of [generator, responder]) {
    if (stamps.dropped > 0)
      notes.push(
        `${path}: ${stamps.dropped.toLocaleString("en-US")} stamps found no room: raise --stamp-room or --stamp-every`,
      );
  }
  if (inKernel)
    notes.push(
      "the responder is in the kernel: it reads its clock once for each tick, and its own time is in the way back",
    );
  return notes;
}

function unstampedNotes(
  { unstamped_up, unstamped_down, common, ordered }: OneWay,
  stamps: "hardware" | "tsc",
): string[] {
  if (stamps === "tsc" || unstamped_up + unstamped_down === 0) return [];
  const text = (count: number, of: number) =>
    `${count.toLocaleString("en-US")} of ${of.toLocaleString("en-US")}`;
  return [
    `without the stamps of both NICs, and so in no way: ${text(unstamped_up, common)} ticks, ${text(unstamped_down, ordered)} orders`,
  ];
}

function faultsOf(clocks: Joined["clocks"], up: Way, down: Way | null): string[] {
  const faults: string[] = [];
  if (clocks.bound_ns === null)
    faults.push(
      `no one-way latency: ${clocks.reasons.filter((_, end) => clocks.bounds_ns[end] === null).join("; ")}`,
    );
  if (clocks.agree === false) {
    const { offset_least_ns: least, offset_most_ns: most, bound_ns: bound } = clocks;
    const apart = least! > 0 ? `at least ${formatNs(least!)} ahead` : `at least ${formatNs(-most!)} behind`;
    faults.push(
      `the clocks disagree: the responder's is ${apart}, and both together were said to be off by ${formatNs(bound!)} at most`,
    );
  }
  if (up.lost) faults.push(`${up.lost.toLocaleString("en-US")} ticks were lost on the way to the responder`);
  if (down?.lost) faults.push(`${down.lost.toLocaleString("en-US")} orders were lost on the way back`);
  return faults;
}

/** @throws CaromError (usage) */
function refuseStrangers(generator: End<GeneratorEnd>, responder: End<ResponderEnd>): void {
  const refuse = (detail: string): never => {
    const hint = "join the reports of the two ends of one run";
    throw new CaromError("usage", `carom join ${generator.path} ${responder.path}`, detail, hint);
  };
  const [near, far] = [generator.stamps.run_id, responder.stamps.run_id];
  if (near !== null && far !== null && near !== far)
    refuse(`the run is ${near} at one end and ${far} at the other`);
  const { io, streams } = generator.report.plan.generator;
  const { config } = responder.report;
  const ports = [
    ...new Set(streams.flatMap(({ lines }) => lines.map(({ destinationPort }) => destinationPort))),
  ];
  if (!ports.includes(config.io.localPort))
    refuse(`ticks went to port ${ports.join(", ")}, and the responder took those to ${config.io.localPort}`);
  if (config.io.backend !== CAPTURE && io.receives && config.responsePort !== io.localPort)
    refuse(`orders went to port ${config.responsePort}, and the generator took those to ${io.localPort}`);
}

function sideOf({ path, stamps }: End<unknown>, common: CommonClock, ties: readonly Tie[]): Side {
  const { one_in, dropped } = stamps;
  return { stamps: chosenStamps(common, stamps, readStamps(path, stamps)), one_in, dropped, ties };
}

function readReport(path: string): unknown {
  const operation = `read the report ${path}`;
  const hint = "carom run, generate and respond write one with --stamps FILE --json > report.json";
  try {
    if (statSync(path).size > REPORT_BYTES_MAX)
      throw new Error(`it is larger than ${REPORT_BYTES_MAX} bytes`);
    return JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new CaromError("usage", operation, code ?? message, hint);
  }
}

function schemaOf(value: unknown): unknown {
  return typeof value === "object" && value !== null ? (value as { schema?: unknown }).schema : undefined;
}

function endOf<Report extends { readonly stamps?: Stamps | null | undefined }>(
  read: readonly { readonly path: string; readonly value: unknown }[],
  schema: z.ZodType<Report>,
  name: string,
  command: string,
): End<Report> {
  const isOne = ({ value }: { readonly value: unknown }) => schemaOf(value) === name;
  const found = read.filter(isOne);
  const refuse = (operation: string, detail: string, hint: string): never => {
    throw new CaromError("usage", operation, detail, hint);
  };
  if (found.length !== 1)
    return refuse(
      "carom join",
      `${found.length} of the two are reports of ${command}`,
      "name one of each end",
    );
  const { path, value } = found[0]!;
  const parsed = schema.safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    return refuse(
      `read the report ${path}`,
      `${issue!.path.join(".")}: ${issue!.message}`,
      "it is of another version, or not whole",
    );
  }
  const { stamps } = parsed.data;
  if (stamps === null || stamps === undefined)
    return refuse(`read the report ${path}`, "it was made without stamps", `add --stamps FILE to ${command}`);
  if (Object.values(stamps.rows).some((rows) => rows > ROWS_MAX))
    return refuse(
      `read the report ${path}`,
      `more than ${ROWS_MAX} stamps can't be joined`,
      "raise --stamp-every",
    );
  return { path, report: parsed.data, stamps };
}
