/** carom trace: what becomes of each packet of a running responder, one line a packet, as it comes. */

import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import pc from "picocolors";
import { optionGroup } from "../config/option.js";
import { FILTER_LANGUAGE, integer, name, packetFilter } from "../config/values.js";
import { CaromError } from "../native/error.js";
import { ANSWER_MS, ask, isAnswered } from "../responder/control.js";
import { TRACE_RATE_MAX, type TraceAnswer, traceAnswer } from "../responder/trace.js";
import { type Context, defineCommand } from "./command.js";
import { TraceLines, traceJson } from "./trace_line.js";

const which = optionGroup("Which responder");
const packets = optionGroup("Which packets");
const POLL_MS = 100;
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

const options = {
  name: which(name(), "its name, as given to carom respond", "name", "responder"),
  count: packets(integer(1, 1e9), "end after so many", "packets"),
  filter: packets(packetFilter(), `only those of this filter, ${FILTER_LANGUAGE}`, "expr"),
  rate: packets(integer(1, TRACE_RATE_MAX), "trace no more than this", "packets/s", "1000"),
} as const;

interface Wanted {
  readonly name: string;
  readonly count: number; // Infinity for no limit
  readonly filter: string;
  readonly rate: number;
}

export const command = defineCommand({
  name: "trace",
  summary: "what becomes of each packet of a running responder, as it comes",
  description:
    "One line a packet: when it came, from where and to where, the time spent on it, what was decided and why. " +
    "It can stay on under load: of more than --rate packets a second only some are shown, and the last line says " +
    "how many. Ctrl-C ends it. With --json one object a line.",
  options,
  examples: [
    ["carom trace --count 20", "the next twenty packets"],
    ["carom trace --filter 'src host 198.18.0.7'", "only those of one sender"],
  ],
  async run(values, context) {
    const { count = Number.POSITIVE_INFINITY, filter = "" } = values;
    const client = `${process.pid}-${randomBytes(4).toString("hex")}`;
    const request = { client, rate: String(values.rate), ...(filter !== "" && { filter }) };
    // A filter may take long to be compiled; until it is, a signal ends this process, and the responder forgets it.
    const first = traceAnswer.parse(await ask(values.name, "trace", request, filter === "" ? ANSWER_MS : 0));
    const stop = new AbortController();
    const onSignal = () => stop.abort();
    for (const signal of SIGNALS) process.on(signal, onSignal);
    try {
      const wanted = { name: values.name, count, filter, rate: values.rate };
      await follow(wanted, request, first, stop.signal, context);
    } finally {
      for (const signal of SIGNALS) process.off(signal, onSignal);
    }
    return 0;
  },
});

/** Shows what comes until it is enough, the signal says stop, or the responder has ended. */
async function follow(
  wanted: Wanted,
  request: Readonly<Record<string, string>>,
  first: TraceAnswer,
  stop: AbortSignal,
  context: Context,
): Promise<void> {
  const lines = new TraceLines(first.queues > 1);
  context.say(context.json ? `tracing ${wanted.name}; Ctrl-C ends it` : pc.bold(lines.header()));
  let answer = first;
  let [shown, missed] = [0, 0];
  let hasEnded = false;
  for (let isLast = false; !isLast && !hasEnded; ) {
    if (!answer.more) await sleep(POLL_MS, undefined, { signal: stop }).catch(() => {});
    isLast = stop.aborted;
    const next = await poll(wanted.name, { ...request, after: String(answer.last), ...leaving(isLast) });
    hasEnded = next === null;
    if (next === null) break;
    answer = next;
    missed += next.missed;
    const room = wanted.count - shown;
    const records = next.records.slice(0, room);
    const texts = records.map((record) => (context.json ? traceJson(record) : lines.line(record)));
    if (texts.length > 0) await print(texts, stop);
    shown += texts.length;
    if (shown < wanted.count || isLast) continue;
    isLast = true;
    await poll(wanted.name, { ...request, ...leaving(true) });
  }
  if (hasEnded) context.say(`the responder ${wanted.name} has ended`);
  context.say(summary(wanted, shown, first, answer, missed));
}

const leaving = (isLeaving: boolean) => (isLeaving ? { leave: "true" } : {});

/** @returns null when the responder has ended; that it does not answer, although it is there, is an error */
async function poll(name: string, settings: Readonly<Record<string, string>>): Promise<TraceAnswer | null> {
  try {
    return traceAnswer.parse(await ask(name, "trace", settings));
  } catch (error) {
    if (error instanceof CaromError && error.code === "environment" && !(await isAnswered(name))) return null;
    throw error;
  }
}

/** Waits for a reader that is slower than the packets, unless it is to stop. */
async function print(lines: readonly string[], stop: AbortSignal): Promise<void> {
  if (process.stdout.write(`${lines.join("\n")}\n`)) return;
  await once(process.stdout, "drain", { signal: stop }).catch(() => {});
}

function summary(
  wanted: Wanted,
  shown: number,
  first: TraceAnswer,
  last: TraceAnswer,
  missed: number,
): string {
  const n = (value: number) => value.toLocaleString("en-US");
  const received = last.frames - first.frames;
  const lost = last.lost - first.lost + missed;
  const reasons: string[] = [];
  if (shown >= wanted.count) reasons.push("came after the last");
  if (wanted.filter !== "") reasons.push("did not match --filter");
  reasons.push(`were above --rate ${wanted.rate}`);
  const others = received - shown - lost;
  const parts = [`${n(shown)} of ${n(Math.max(received, shown))} packets shown`];
  if (others > 0) parts.push(`${n(others)} ${reasons.join(" or ")}`);
  if (lost > 0) parts.push(`${n(lost)} were lost: they came faster than they were taken`);
  return parts.join("; ");
}
