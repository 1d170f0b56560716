/**
 * The trace of a running responder: what its threads sampled, numbered and kept for a while, so that every client
 * that asks sees all of it. It begins when somebody asks and ends by itself when nobody does any more.
 */

import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { FILTER_MAX } from "../config/values.js";
import { CaromError } from "../native/error.js";
import { compileFilter, type Responder, type TraceRecord } from "../native/index.js";

export const TRACE_EXPIRY_MS = 2000; // a client that has not asked for so long is gone
export const TRACE_RATE_MAX = 1_000_000; // packets a second
const KEPT = 8192; // records
const ANSWER_RECORDS = 1000; // in one answer at the most: some 600 KB
const RING_HALF = 2048; // records: half of what a thread's ring holds
const TAKE_UP_MS = { poll: 1, limit: 1500 }; // until the threads trace: the client is told before it gives up
const DRAIN_MS = { least: 10, most: 500 };

const query = z.strictObject({
  client: z.string().regex(/^[\w-]{1,64}$/),
  filter: z.string().max(FILTER_MAX).default(""),
  rate: z
    .string()
    .regex(/^[1-9]\d{0,6}$/)
    .refine((text) => Number(text) <= TRACE_RATE_MAX),
  after: z
    .string()
    .regex(/^\d{1,15}$/)
    .optional(),
  leave: z.literal("true").optional(),
});

/** One packet, as it crosses the control socket. */
const entry = z.object({
  number: z.number(), // counts up by one
  time_ns: z.string(), // since the epoch
  spent_ns: z.number(),
  outcome: z.enum(["answered", "quiet", "limited", "unsent", "refused", "disabled"]),
  why: z.string(),
  length: z.number(), // bytes of the whole frame
  queue: z.number(),
  ticks: z.number(),
  orders: z.number(),
  frame: z.string(), // its first bytes, as hex
  tick: z.string().nullable(), // the first one, as hex
  price: z.number(), // of its order, as quantity and side
  quantity: z.number(),
  side: z.number(),
});

export const traceAnswer = z.object({
  records: z.array(entry), // oldest first
  last: z.number(), // what to ask after next time
  more: z.boolean(), // there are more than fitted into this answer
  missed: z.number(), // records after the one asked for that are not kept any more
  lost: z.number(), // records that ever found no room
  frames: z.number(), // packets that were ever received
  queues: z.number(),
});

export type TraceEntry = z.output<typeof entry>;
export type TraceAnswer = z.output<typeof traceAnswer>;

interface Wanted {
  readonly filter: string;
  readonly rate: number;
}

export class TraceLog {
  private wanted: Wanted | null = null;
  private timer: NodeJS.Timeout | undefined;
  private readonly clients = new Map<string, number>(); // when each asked last, by performance.now()
  private kept: TraceEntry[] = [];
  private last = 0; // number of the newest record
  private readonly closed = new AbortController();
  private lost = 0; // records for which a thread's ring had no room

  /** @param threads those of one responder */
  constructor(private readonly threads: readonly Responder[]) {}

  /** Gives a client what it has not seen, and traces on for it. @throws CaromError (usage) */
  async answer(settings: Readonly<Record<string, string>>): Promise<TraceAnswer> {
    const parsed = query.safeParse(settings);
    if (!parsed.success)
      throw new CaromError("usage", "trace", "it is asked for in a way that this responder does not know");
    const { client, filter, rate, after, leave } = parsed.data;
    if (leave === undefined) await this.follow(client, { filter, rate: Number(rate) });
    if (this.wanted !== null) this.drain();
    const answer = this.since(Math.min(Number(after ?? this.last), this.last));
    if (leave !== undefined && this.clients.delete(client) && this.clients.size === 0) this.end();
    return answer;
  }

  /** Ends the trace, whoever still asks. */
  close(): void {
    this.closed.abort();
    this.clients.clear();
    this.end();
  }

  private async follow(client: string, wanted: Wanted): Promise<void> {
    this.expire();
    if (this.wanted === null) await compileFilter(wanted.filter, this.closed.signal);
    if (this.closed.signal.aborted) throw new CaromError("environment", "trace", "the responder has ended");
    const now = this.wanted; // another client's by now, maybe
    if (now === null) this.begin(wanted);
    else if (now.filter !== wanted.filter || now.rate !== wanted.rate) {
      const detail = `another trace is on, with ${described(now)}: all see the same packets`;
      const hint = `ask for the same, or wait until it has ended: ${TRACE_EXPIRY_MS / 1000} s after its last client is gone`;
      throw new CaromError("usage", `trace with ${described(wanted)}`, detail, hint);
    }
    this.clients.set(client, performance.now());
    await this.takenUp();
  }

  /** Who is told that the trace is on may send a packet at once, and will look for it. */
  private async takenUp(): Promise<void> {
    const limit = performance.now() + TAKE_UP_MS.limit;
    while (this.wanted !== null && !this.threads.every((thread) => thread.isTracing())) {
      if (performance.now() > limit) {
        const detail = `a thread has not begun within ${TAKE_UP_MS.limit} ms: it is held up, or its core is taken`;
        throw new CaromError("environment", "trace", detail, "try again; carom stats shows whether it works");
      }
      await sleep(TAKE_UP_MS.poll);
    }
  }

  private begin(wanted: Wanted): void {
    // A filter that can't be compiled is refused by the first thread, before any of them traces.
    for (const thread of this.threads) thread.trace({ perSecond: wanted.rate, filter: wanted.filter });
    this.wanted = wanted;
    const pace_ms = (1000 * RING_HALF) / wanted.rate;
    const every_ms = Math.min(Math.max(pace_ms, DRAIN_MS.least), DRAIN_MS.most);
    this.timer = setInterval(() => {
      this.expire();
      this.drain();
    }, every_ms).unref();
  }

  private end(): void {
    clearInterval(this.timer);
    if (this.wanted === null) return;
    this.wanted = null;
    for (const thread of this.threads) {
      thread.trace(null);
      thread.takeTrace(); // what nobody will see
    }
    this.kept = [];
  }

  private expire(): void {
    const limit = performance.now() - TRACE_EXPIRY_MS;
    for (const [client, asked] of this.clients) if (asked < limit) this.clients.delete(client);
    if (this.clients.size === 0) this.end();
  }

  private drain(): void {
    const taken = this.threads.map((thread) => thread.takeTrace());
    this.lost = taken.reduce((sum, { lost }) => sum + lost, 0);
    const records = taken.flatMap((thread) => thread.records);
    records.sort((a, b) => (a.time_ns < b.time_ns ? -1 : a.time_ns > b.time_ns ? 1 : 0));
    for (const record of records) this.kept.push(entryOf(++this.last, record));
    if (this.kept.length > KEPT) this.kept.splice(0, this.kept.length - KEPT);
  }

  private since(after: number): TraceAnswer {
    const fresh = Math.min(this.last - after, this.kept.length);
    const begin = this.kept.length - fresh;
    const records = this.kept.slice(begin, begin + ANSWER_RECORDS);
    return {
      records,
      last: records.at(-1)?.number ?? this.last,
      more: records.length < fresh,
      missed: this.last - after - fresh,
      lost: this.lost,
      frames: this.threads.reduce((sum, thread) => sum + (thread.counters().frames ?? 0), 0),
      queues: this.threads.length,
    };
  }
}

function entryOf(number: number, { time_ns, frame, tick, ...rest }: TraceRecord): TraceEntry {
  return {
    number,
    time_ns: String(time_ns),
    ...rest,
    frame: frame.toString("hex"),
    tick: tick?.toString("hex") ?? null,
  };
}

function described({ filter, rate }: Wanted): string {
  return `${filter === "" ? "no filter" : `the filter ${JSON.stringify(filter)}`} and --rate ${rate}`;
}
