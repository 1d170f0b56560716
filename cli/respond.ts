/** carom respond: the responder alone, until stopped. */

import { spawn } from "node:child_process";
import { closeSync, constants, fstatSync, openSync } from "node:fs";
import { optionGroup, type Values } from "../config/option.js";
import { refusePast, startAt, timeText, untilStartMs } from "../config/start_time.js";
import {
  choice,
  duration,
  filePath,
  flag,
  interfaceName,
  MAX_QUEUE,
  name,
  queuesOrAll,
} from "../config/values.js";
import { unfinishedNotes } from "../lab/checksum_offload.js";
import { allowedCores } from "../lab/finding.js";
import { openLab, resolveLink } from "../lab/lab.js";
import { tscDoubts } from "../lab/machine.js";
import { restoreNics } from "../lab/nic_changes.js";
import { receivingQueues, watchSteering } from "../lab/nic_watch.js";
import { dropPrivileges } from "../lab/privileges.js";
import { waitForProcess } from "../lab/progress.js";
import { asCaromError, CaromError } from "../native/error.js";
import { attachXdpPass, type Counters, compileFilter, type Link } from "../native/index.js";
import { type ResponderPlan, responderConfig, responderOptions } from "../responder/config.js";
import { isAnswered, serveControl, withStartLock } from "../responder/control.js";
import { RunningResponder } from "../responder/running.js";
import { refuseSecond } from "../responder/second.js";
import { openResponder, type ResponderThreads } from "../responder/threads.js";
import { ClockTies, disciplineNotes } from "../run/clock_ties.js";
import { chooseCores } from "../run/cores.js";
import { environment } from "../run/environment.js";
import { responderTurns } from "../run/interference.js";
import { nicClockNotes, nicClockReport } from "../run/nic_clock.js";
import { PhcWatch, watchPhc } from "../run/phc.js";
import { aSecond, RecentRate } from "../run/rate.js";
import {
  refuseStampOptions,
  type StampsPlan,
  stampOptions,
  stampsNotes,
  stampsPlan,
  writeStamps,
} from "../run/stamps.js";
import { followDaemons } from "../run/time_daemons.js";
import { type ChosenTimestamps, chooseTimestamps } from "../run/timestamps.js";
import { type Context, defineCommand } from "./command.js";
import { formatTable } from "./table.js";

const where = optionGroup("Where it runs");

const options = {
  interface: where(interfaceName(), "the interface on which ticks come", "name"),
  namespace: where(filePath(), "network namespace of the interface, by name or path", "name"),
  lab: where(name(), "the responder's end of a lab of carom lab up", "name"),
  duration: where(duration(1e6), "stop by itself after this time", "time"),
  name: where(name(), "the name under which carom status, config, stop … find it", "name", "responder"),
  plainClients: where(
    flag(),
    "with --lab and --backend xdp: kernel sockets at the other end get the answers, too; af_xdp there does not",
    "",
    "false",
  ),
  detach: where(flag(), "run in the background; carom stop ends it", "", "false"),
  log: where(filePath(), "with --detach: append what it says to this file", "file"),
  startAt: where(
    startAt.type,
    "answer from this time of CLOCK_REALTIME on, as at the generator's --start-at",
    "time",
  ),
  ...stampOptions,
  timestamps: where(
    choice("auto", "hardware", "tsc"),
    "with --stamps: whether the NIC's stamps are kept, too; auto: where it has them",
    "clock",
    "auto",
  ),
  ...responderOptions,
  queues: {
    ...responderOptions.queues,
    type: queuesOrAll(),
    description:
      "queues of the interface, a thread for each (af_xdp, xdp): 0-3, or all (default: one thread for all over which it spreads what comes, up to 16)",
  },
} as const;

export const command = defineCommand({
  name: "respond",
  summary: "the responder alone: answers ticks with orders until stopped",
  description:
    "Receives ticks, decides, and sends orders: a reference for the system under test. It runs until Ctrl-C and " +
    "then prints what it counted.",
  options,
  examples: [
    ["carom respond --interface eth1", "af_xdp; joins 239.1.1.1 and answers ticks to UDP port 8080"],
    [
      "carom respond --lab mylab --backend udp --threshold 5000",
      "in a lab, with kernel sockets, below $50.00",
    ],
  ],
  async run(values, context) {
    if ((values.interface === undefined) === (values.lab === undefined)) {
      throw new CaromError(
        "usage",
        "carom respond",
        "it needs either --interface or --lab",
        "ip -br link lists the interfaces",
      );
    }
    const link =
      values.lab === undefined
        ? resolveLink(values.interface!, values.namespace)
        : openLab(values.lab).responder;
    const served = { ...values, queues: values.queues === "all" ? allQueues(link, values) : values.queues };
    // Not the core that a generator on the same machine would take.
    const cores = chooseCores(served.queues?.length ?? 1, values.backend === "xdp").responder;
    const plain = responderConfig(link, served, cores);
    if (values.plainClients && (values.lab === undefined || values.backend !== "xdp")) {
      const detail = "it is about the other end of a lab's veth, and the answers of xdp";
      throw new CaromError(
        "usage",
        "--plain-clients",
        detail,
        "leave it out, or add --lab and --backend xdp",
      );
    }
    if (values.log !== undefined && !values.detach) {
      throw new CaromError("usage", "--log", "it is about --detach", "leave it out, or add --detach");
    }
    refusePast(values.startAt);
    refuseStampOptions(values);
    if (values.timestamps === "hardware" && values.stamps === undefined)
      throw new CaromError(
        "usage",
        "--timestamps",
        "it is about --stamps",
        "add --stamps FILE, or leave it out",
      );
    const stamps = stampsPlan(values, Number.POSITIVE_INFINITY);
    const timestamps = stamps === null ? null : chooseTimestamps(values.timestamps, values.backend, link);
    const config = withStamps(plain, stamps, timestamps);
    const isInBackground = process.env[IN_BACKGROUND] !== undefined;
    if (values.detach && !isInBackground) return detach(values.name, values.log, context);
    await compileFilter(config.filter);
    for (const line of restoreNics()) context.say(line);
    const nic = watchSteering(link, values, config.io.localPort, config.threads[0]!.queue);
    const { responder, running, endControl } = await withStartLock(values.name, () =>
      open(config, served),
    ).catch((error: unknown) => {
      nic?.release();
      throw error;
    });
    const phc = timestamps?.provenance === "hardware" ? watchPhc(link) : null;
    let detachPass = () => {};
    try {
      if (values.plainClients) detachPass = attachXdpPass(openLab(values.lab!).generator);
      const capabilities = dropPrivileges();
      if (isInBackground && !process.connected) {
        const detail = "who started it has not waited for it";
        throw new CaromError("environment", `start the responder ${values.name}`, detail);
      }
      const away_ms = values.startAt === undefined ? 0 : untilStartMs(values.startAt);
      const started = performance.now() + away_ms;
      const startedAt = new Date(Date.now() + away_ms);
      const group = config.io.groups.map((address) => ` and ${address}`).join("");
      const sayNotes = notesOnce(link.interfaceName, context);
      const endTies = stamps === null ? null : ClockTies.follow();
      const daemons = stamps === null ? null : followDaemons(values.ptpSocket);
      if (phc instanceof PhcWatch) phc.start();
      const enable = startLater(running, away_ms);
      // Before it says so: from then on somebody may press Ctrl-C.
      const stopped = untilStopped(responder, values.duration, away_ms, sayNotes, context).finally(() => {
        enable();
        daemons?.close();
      });
      context.say(
        `answering ticks to ${link.address4 || link.address6}${group}, UDP port ${config.io.localPort}, by ${config.io.backend} on ${link.interfaceName}; Ctrl-C stops`,
      );
      for (const note of tscDoubts()) context.say(note);
      void daemons?.first.then((first) => {
        for (const note of disciplineNotes(values.clockError ?? null, first)) context.say(note);
      });
      await stopped;
      const ties = endTies?.();
      const said = (await daemons?.end()) ?? null;
      const phcFindings = phc instanceof PhcWatch ? phc.end() : phc;
      const { counters, threads, passages, nicSent, nicReceived, unlogged, notes } = responder.result();
      const elapsed_s = Math.max(0, performance.now() - started) / 1000;
      const kept =
        stamps === null || ties === undefined
          ? null
          : writeStamps(
              stamps,
              {
                passages: joined(passages),
                nic_sent: joined(nicSent),
                nic_received: joined(nicReceived),
                unlogged,
              },
              ClockTies.of(ties).report(stamps.clock_error_ns, said),
              said,
              nicClockReport(link.interfaceName, phcFindings),
            );
      const interference = responderTurns(threads);
      sayNotes(counters);
      const faults = [...running.linkFaults(), ...(nic?.release() ?? [])];
      for (const line of [...counterLines(counters), ...faults]) context.say(line);
      context.result({
        schema: "carom.responder",
        version: 1,
        started: startedAt.toISOString(),
        start_at: values.startAt === undefined ? null : timeText(values.startAt),
        elapsed_s,
        config,
        environment: environment(),
        stamps: kept,
        capabilities,
        counters,
        interference,
        notes: [...tscDoubts(), ...notes, ...stampsNotes(kept), ...nicClockNotes(phcFindings)],
        faults,
      });
      return faults.length === 0 ? 0 : 1;
    } finally {
      nic?.release();
      endControl();
      detachPass();
      if (phc instanceof PhcWatch) phc.close();
      running.close();
      responder.close();
    }
  },
});

/** What the responder keeps for carom join. */
function withStamps(
  plan: ResponderPlan,
  stamps: StampsPlan | null,
  timestamps: ChosenTimestamps | null,
): ResponderPlan {
  const isStamped = timestamps?.provenance === "hardware";
  const own = isStamped ? { timestamps: "hardware" as const, rxStamps: true, txStamps: true } : {};
  const kept = { breakdownEvery: stamps?.one_in ?? 0, passageRoom: stamps?.room ?? 0 };
  return { ...plan, ...kept, io: { ...plan.io, ...own } };
}

/** Until a start that is still to come, ticks are counted and not answered. @returns what forgets it */
function startLater(running: RunningResponder, away_ms: number): () => void {
  if (away_ms === 0) return () => {};
  running.handle("disable", {});
  const timer = setTimeout(() => running.handle("enable", {}), away_ms);
  return () => clearTimeout(timer);
}

/** The rows of all threads. */
function joined(logs: readonly BigUint64Array[]): BigUint64Array {
  const all = new BigUint64Array(logs.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const log of logs) {
    all.set(log, at);
    at += log.length;
  }
  return all;
}

type ServedValues = Values<typeof options> & { readonly queues: number[] | undefined };

/** @throws CaromError (environment) where threads that spin would have to share cores */
function allQueues(link: Link, { backend, cpu }: Values<typeof options>): number[] {
  const count = receivingQueues(link);
  if (count > MAX_QUEUE + 1 || (backend !== "xdp" && cpu === "auto" && count > allowedCores().length)) {
    const detail = `${link.interfaceName} has ${count}, a thread for each spins, and there are ${allowedCores().length} cores`;
    const hint = `ethtool -L ${link.interfaceName} combined 1 leaves one; --cpu none has the threads share cores, and is slow`;
    throw new CaromError("environment", "--queues all", detail, hint);
  }
  return Array.from({ length: count }, (_, queue) => queue);
}

/** Opens the responder, and its socket, so that of two that start in the same moment one is told of the other. */
async function open(config: ResponderPlan, values: ServedValues) {
  await refuseSecond(values.name, config.io);
  const responder = openResponder(config);
  const running = new RunningResponder(values.name, responder, config, values);
  try {
    const endControl = await serveControl(values.name, (command, settings) =>
      running.handle(command, settings),
    );
    return { responder, running, endControl };
  } catch (error) {
    running.close();
    responder.close();
    throw error;
  }
}

/** Set in the process that runs in the background. */
const IN_BACKGROUND = "CAROM_IN_BACKGROUND";
const IDLE_MS = 5000; // in which a responder that is starting has done nothing at all

/** Starts the same command in the background and waits until it answers, or has failed. */
async function detach(name: string, log: string | undefined, context: Context): Promise<number> {
  const operation = `start the responder ${name} in the background`;
  if (await isAnswered(name)) {
    throw new CaromError(
      "environment",
      operation,
      "one of that name is running",
      `carom stop --name ${name} ends it`,
    );
  }
  const output = openLog(log ?? "/dev/null");
  // What it says goes to no pipe of this process, which ends before it; why it can't start comes over the channel.
  const child = spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {
    detached: true,
    stdio: ["ignore", output, output, "ipc"],
    env: { ...process.env, [IN_BACKGROUND]: "1" },
  });
  closeSync(output);
  let failure: unknown;
  child.on("message", (message) => {
    failure = message;
  });
  const ended = new Promise<string>((resolve, reject) => {
    child.on("error", ({ message }) => reject(new CaromError("environment", operation, message)));
    child.on("close", (status, signal) => resolve(`it ended with ${signal ?? `status ${status}`}`));
  });
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  const interrupt = () => {
    child.kill("SIGKILL");
    process.exit(130);
  };
  for (const signal of signals) process.on(signal, interrupt);
  const state = await waitForProcess(child.pid ?? 0, () => isAnswered(name), IDLE_MS);
  for (const signal of signals) process.off(signal, interrupt);
  if (state === "ready") {
    child.disconnect();
    child.unref();
    context.say(
      `the responder ${name} runs in the background, process ${child.pid}; carom stop --name ${name} ends it`,
    );
    context.result({ name, pid: child.pid, log: log ?? null });
    return 0;
  }
  child.kill("SIGKILL");
  const end = await ended;
  if (failure !== undefined) throw asCaromError(failure, operation);
  const detail = state === "ended" ? end : `it does not answer, and has done nothing for ${IDLE_MS / 1000} s`;
  const hint = log === undefined ? "--log FILE keeps what it says" : `${log} may say why`;
  throw new CaromError("environment", operation, detail, hint);
}

/** @throws CaromError (environment) */
function openLog(path: string): number {
  const operation = `write the log ${path}`;
  const { O_WRONLY, O_APPEND, O_CREAT, O_NONBLOCK, O_NOCTTY } = constants;
  let descriptor: number;
  try {
    // Not to wait for the reader of a pipe, which is refused anyway: when that goes, what is said goes nowhere.
    descriptor = openSync(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY, 0o640);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new CaromError("environment", operation, code ?? message, "choose another path");
  }
  if (fstatSync(descriptor).isFile() || path === "/dev/null") return descriptor;
  closeSync(descriptor);
  throw new CaromError("environment", operation, "it is no file", "choose another path");
}

/** Says what there is to say of what was counted, the first time that there is. */
function notesOnce(interfaceName: string, context: Context): (counters: Counters) => void {
  let isSaid = false;
  return (counters) => {
    if (isSaid) return;
    const notes = unfinishedNotes(counters, interfaceName);
    isSaid = notes.length > 0;
    for (const note of notes) context.say(`note: ${note}`);
  };
}

function untilStopped(
  responder: ResponderThreads,
  duration_ns: number | undefined,
  away_ms: number,
  sayNotes: (counters: Counters) => void,
  context: Context,
) {
  return new Promise<void>((resolve, reject) => {
    const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
    const rate = new RecentRate();
    rate.at(performance.now() / 1000, 0);
    const shown = process.stderr.isTTY && !context.json;
    const watch = setInterval(() => {
      const counters = responder.counters();
      sayNotes(counters);
      const { ticks = 0, orders = 0 } = counters;
      const shownRate = aSecond(rate.at(performance.now() / 1000, ticks));
      if (shown) process.stderr.write(`\r\x1b[K${ticks} ticks, ${orders} orders, ${shownRate}\r`);
    }, 1000);
    const stop = () => responder.stop();
    const limit = duration_ns === undefined ? undefined : setTimeout(stop, away_ms + duration_ns / 1e6);
    for (const signal of signals) process.on(signal, stop);
    responder.start((error) => {
      clearInterval(watch);
      clearTimeout(limit);
      for (const signal of signals) process.off(signal, stop);
      if (shown) process.stderr.write("\r\x1b[K");
      if (error === null) resolve();
      else reject(error);
    });
  });
}

/** The counters that are not zero; a responder that saw nothing says so. */
function counterLines(counters: Counters): string[] {
  if (counters.frames === 0 && !counters.filtered) return ["nothing was received"];
  const rows = Object.entries(counters).filter(([, value]) => value !== 0);
  return formatTable(
    rows.map(([key, value]) => [`  ${key.replaceAll("_", " ")}`, value.toLocaleString("en-US")]),
  );
}
