/** carom respond: the responder alone, until stopped. */

import { spawn } from "node:child_process";
import { optionGroup } from "../config/option.js";
import { duration, filePath, flag, interfaceName, name } from "../config/values.js";
import { openLab, resolveLink } from "../lab/lab.js";
import { CaromError } from "../native/error.js";
import { attachXdpPass, type Counters } from "../native/index.js";
import { responderConfig, responderOptions } from "../responder/config.js";
import { isAnswered, serveControl } from "../responder/control.js";
import { RunningResponder } from "../responder/running.js";
import { refuseSecond } from "../responder/second.js";
import { openResponder, type ResponderThreads } from "../responder/threads.js";
import { chooseCores } from "../run/cores.js";
import { responderStalls } from "../run/interference.js";
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
  ...responderOptions,
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
    // Not the core that a generator on the same machine would take.
    const config = responderConfig(
      link,
      values,
      chooseCores(values.queues.length, values.backend === "xdp").responder,
    );
    if (values.plainClients && (values.lab === undefined || values.backend !== "xdp")) {
      const detail = "it is about the other end of a lab's veth, and the answers of xdp";
      throw new CaromError(
        "usage",
        "--plain-clients",
        detail,
        "leave it out, or add --lab and --backend xdp",
      );
    }
    if (values.detach) return detach(values.name, context);
    await refuseSecond(values.name, config.io);
    const responder = openResponder(config);
    const running = new RunningResponder(values.name, responder, config, values);
    let endControl = () => {};
    let detachPass = () => {};
    try {
      endControl = await serveControl(values.name, (command, settings) => running.handle(command, settings));
      if (values.plainClients) detachPass = attachXdpPass(openLab(values.lab!).generator);
      const started = performance.now();
      const group = config.io.groups.map((address) => ` and ${address}`).join("");
      context.say(
        `answering ticks to ${link.address4 || link.address6}${group}, UDP port ${config.io.localPort}, by ${config.io.backend} on ${link.interfaceName}; Ctrl-C stops`,
      );
      await untilStopped(responder, values.duration, context);
      const { counters, threads, notes } = responder.result();
      const elapsed_s = (performance.now() - started) / 1000;
      const interference = responderStalls(threads);
      for (const line of counterLines(counters)) context.say(line);
      context.result({
        schema: "carom.responder",
        version: 1,
        elapsed_s,
        config,
        counters,
        interference,
        notes,
      });
      return 0;
    } finally {
      endControl();
      detachPass();
      running.close();
      responder.close();
    }
  },
});

const DETACH_MS = 5000;
const DETACH_POLL_MS = 20;

/** Starts the same command in the background and waits until it answers, or has failed. */
async function detach(name: string, context: Context): Promise<number> {
  const operation = `start the responder ${name} in the background`;
  if (await isAnswered(name)) {
    throw new CaromError(
      "environment",
      operation,
      "one of that name is running",
      `carom stop --name ${name} ends it`,
    );
  }
  const args = process.argv.slice(1).filter((argument) => argument !== "--detach");
  const child = spawn(process.execPath, args, { detached: true, stdio: ["ignore", "ignore", "pipe"] });
  let complaint = "";
  child.stderr.on("data", (data: Buffer) => {
    complaint += data.toString();
  });
  const ended = new Promise<number>((resolve) => child.on("exit", (status) => resolve(status ?? 1)));
  for (const end = performance.now() + DETACH_MS; performance.now() < end; ) {
    const pause = new Promise<"wait">((resolve) => setTimeout(() => resolve("wait"), DETACH_POLL_MS));
    const status = await Promise.race([ended, pause]);
    if (status !== "wait") {
      process.stderr.write(complaint);
      return status === 0 ? 3 : status;
    }
    if (await isAnswered(name)) {
      child.stderr.destroy();
      child.unref();
      context.say(
        `the responder ${name} runs in the background, process ${child.pid}; carom stop --name ${name} ends it`,
      );
      context.result({ name, pid: child.pid });
      return 0;
    }
  }
  child.kill("SIGKILL");
  throw new CaromError("environment", operation, `it does not answer within ${DETACH_MS / 1000} s`);
}

function untilStopped(responder: ResponderThreads, duration_ns: number | undefined, context: Context) {
  return new Promise<void>((resolve, reject) => {
    const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
    let previous = 0;
    const shown = process.stderr.isTTY && !context.json;
    const watch = setInterval(() => {
      const { ticks = 0, orders = 0 } = responder.counters();
      const rate = ticks - previous;
      previous = ticks;
      if (shown) process.stderr.write(`\r\x1b[K${ticks} ticks, ${orders} orders, ${rate} ticks/s\r`);
    }, 1000);
    const stop = () => responder.stop();
    const limit = duration_ns === undefined ? undefined : setTimeout(stop, duration_ns / 1e6);
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
