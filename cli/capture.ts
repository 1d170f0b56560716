/** carom capture: what goes in and out of an interface, into a file. */

import { bufferBytes, bufferSize, captureOutput } from "../config/capture.js";
import { optionGroup, type Values } from "../config/option.js";
import { refusePast, startAt, timeText, untilShortlyBefore, untilStartMs } from "../config/start_time.js";
import {
  byteSize,
  choice,
  core,
  duration,
  FILTER_LANGUAGE,
  filePath,
  flag,
  framesFile,
  integer,
  interfaceName,
  labEnd,
  packetFilter,
} from "../config/values.js";
import { openLab, resolveLink } from "../lab/lab.js";
import { dropPrivileges } from "../lab/privileges.js";
import { asCaromError, CaromError } from "../native/error.js";
import { type Capture, type CaptureConfig, compileFilter, type Link, openCapture } from "../native/index.js";
import { ticksOf } from "../run/captured_stamps.js";
import { ClockTies, type TieFindings } from "../run/clock_ties.js";
import { RecentRate } from "../run/rate.js";
import {
  refuseStampOptions,
  type StampsPlan,
  type StampsReport,
  stampOptions,
  stampsPlan,
  writeStamps,
} from "../run/stamps.js";
import { hasXdpProgram } from "../run/statistics.js";
import { type DaemonFindings, followDaemons } from "../run/time_daemons.js";
import { captureLines, captureProgress, captureReport } from "./capture_text.js";
import { type Context, defineCommand, shown } from "./command.js";

const where = optionGroup("Where");
const packets = optionGroup("Which packets");
const files = optionGroup("Files");
const how = optionGroup("How");
const SNAP_MAX = 262_144; // more than any frame has, and what other tools take for all of it
const PROGRESS_MS = 1000;
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

const options = {
  interface: where(interfaceName(), "the interface", "name"),
  namespace: where(filePath(), "network namespace of the interface, by name or path", "name"),
  lab: where(labEnd(), "an end of a lab of carom lab up: NAME, NAME:generator or NAME:responder", "end"),
  write: files(framesFile(), "the file; - for standard output, to be piped into another program", "file"),
  files: files(integer(1, 1e6), "keep so many files, the newest; with one of the next two", "number"),
  fileSize: files(byteSize(1000, 1e15), "begin another file when one is this large", "bytes"),
  fileTime: files(duration(1e9), "begin another file when one is this old", "time"),
  filter: packets(packetFilter(), `only those of this filter, ${FILTER_LANGUAGE}`, "expr"),
  direction: packets(choice("both", "in", "out"), "both, in or out", "which", "both"),
  promiscuous: packets(flag(), "take frames for other hosts, too", "", "true"),
  snapLength: packets(integer(1, SNAP_MAX), "keep so many bytes of each", "bytes", String(SNAP_MAX)),
  count: packets(integer(1, 1e15), "end after so many", "packets"),
  duration: packets(duration(1e6), "end after this time", "time"),
  startAt: where(startAt.type, "begin at this time of CLOCK_REALTIME, as carom run --start-at", "time"),
  ...stampOptions,
  stamps: { ...stampOptions.stamps, description: "keep when each tick came in this file, for carom join" },
  tickPort: {
    ...stampOptions.stampRoom,
    type: integer(1, 65_535),
    fallback: "8080",
    value: "port",
    description: "with --stamps: the UDP port of the ticks",
  },
  timestamps: how(choice("kernel", "hardware"), "whose: the kernel's, or the NIC's", "clock", "kernel"),
  ring: how(bufferSize(), "of the kernel: what bridges a stall of this program", "bytes", "64MiB"),
  buffer: how(bufferSize(), "what may wait for a slow disk", "bytes", "64MiB"),
  cpu: how(core(), "core to which the receiving thread is pinned: a number or none", "core", "none"),
} as const;

type CaptureValues = Values<typeof options>;

export const command = defineCommand({
  name: "capture",
  summary: "what goes in and out of an interface, into a pcapng file, with nothing dropped uncounted",
  description:
    "Takes what the kernel's network stack sees of an interface, with timestamps in ns, and writes it as pcapng. " +
    "What could not be kept is counted, shown, and written into the file. It runs until Ctrl-C. What af_xdp and " +
    "xdp programs move goes past it: for a run, carom run --capture writes that.",
  options,
  examples: [
    ["carom capture --interface eth1 --write feed.pcapng --filter 'udp dst port 8080'", "the ticks alone"],
    ["carom capture --lab mylab:responder --write - | tshark -r -", "straight into another program"],
    [
      "carom capture --interface eth1 --write day.pcapng --file-size 1GB --files 10",
      "the last ten gigabytes, in files such as day_00001_20261122214500.pcapng",
    ],
  ],
  async run(values, context) {
    refusePast(values.startAt);
    const config = captureConfig(values, context.json);
    const stamps = stampsPlan(values, Number.POSITIVE_INFINITY);
    // With the packets on standard output there is no room for words.
    const say =
      config.output.path === "-" ? (line: string) => process.stderr.write(`${shown(line)}\n`) : context.say;
    const blind = hasXdpProgram(config.link)
      ? [`an XDP program on ${config.link.interfaceName} may take frames before they are seen here`]
      : [];
    await compileFilter(config.filter);
    await untilShortlyBefore(values.startAt);
    const away_ms = values.startAt === undefined ? 0 : untilStartMs(values.startAt);
    await new Promise((resolve) => setTimeout(resolve, away_ms));
    const capture = openCapture(config);
    try {
      dropPrivileges();
      const { namespace, interfaceName: on } = config.link;
      const started = new Date();
      const begin = performance.now();
      const endTies = stamps === null ? null : ClockTies.follow();
      const daemons = stamps === null ? null : followDaemons(values.ptpSocket);
      const ended = untilEnded(capture, context); // before it says so: from then on somebody may press Ctrl-C
      say(`capturing on ${on}${namespace === "" ? "" : ` in ${namespace}`}; Ctrl-C ends it`);
      const interrupted = await ended.finally(() => daemons?.close());
      const elapsed_s = (performance.now() - begin) / 1000;
      const ties = endTies?.();
      const result = capture.result();
      const report = captureReport(config, {
        ...{ started, elapsed_s, interrupted, result, notes: blind, tick_port: values.tickPort },
        start_at: values.startAt === undefined ? null : timeText(values.startAt),
        stamps:
          stamps === null || ties === undefined || daemons === null
            ? null
            : keepStamps(stamps, config, ties, await daemons.end(), values.tickPort),
      });
      for (const line of captureLines(report)) say(line);
      context.result(report);
      const failure = result.failure ?? result.captured.failure;
      if (failure !== null) {
        const error = asCaromError(failure, "capture");
        process.stderr.write(`carom: ${error.message}\n`);
        return error.exitStatus;
      }
      return report.faults.length === 0 ? 0 : 1;
    } finally {
      capture.close();
    }
  },
});

/** What the file has of ticks. @throws CaromError when it can't be read, or the stamps not written */
function keepStamps(
  plan: StampsPlan,
  { output }: CaptureConfig,
  ties: TieFindings,
  daemons: DaemonFindings,
  port: number,
): StampsReport {
  const found = ticksOf(output.path, port, plan.one_in, plan.room);
  return writeStamps(plan, found, ClockTies.of(ties).reportOfOwn(plan.clock_error_ns, daemons), daemons);
}

/** @throws CaromError for what contradicts itself, or is not there */
function captureConfig(values: CaptureValues, isJson: boolean): CaptureConfig {
  const refuse = (operation: string, detail: string, hint: string): never => {
    throw new CaromError("usage", operation, detail, hint);
  };
  if (values.write === undefined)
    return refuse("carom capture", "it does not say where to", "add --write FILE");
  const isSeries = values.fileSize !== undefined || values.fileTime !== undefined;
  if (values.files !== undefined && !isSeries)
    refuse("--files", "nothing says when the next file begins", "add --file-size or --file-time");
  if (values.write === "-") {
    if (isJson) refuse("--write - with --json", "both go to standard output", "write to a file");
    if (isSeries)
      refuse(
        "--write -",
        "standard output is not a series of files",
        "leave out --file-size and --file-time",
      );
    if (process.stdout.isTTY) refuse("--write -", "standard output is a terminal", "pipe it into a program");
  }
  refuseStampOptions(values);
  if (values.stamps !== undefined && (isSeries || values.write === "-"))
    refuse("--stamps", "they are taken from the one file that was written", "write to one file");
  if (values.stamps !== undefined && values.timestamps === "hardware")
    refuse("--stamps", "CLOCK_REALTIME is what two hosts have in common", "use --timestamps kernel");
  const link = linkOf(values);
  return {
    link,
    cpu: typeof values.cpu === "number" ? values.cpu : -1,
    filter: values.filter ?? "",
    snapLength: values.snapLength,
    direction: values.direction,
    promiscuous: values.promiscuous,
    ringBytes: bufferBytes(values.ring),
    timestamps: values.timestamps,
    count: values.count ?? 0,
    durationNs: values.duration ?? 0,
    output: captureOutput({
      path: values.write,
      bufferBytes: values.buffer,
      keep: values.files ?? 0,
      fileBytes: values.fileSize ?? 0,
      fileNs: values.fileTime ?? 0,
      comment: "",
      interfaceComment:
        values.timestamps === "hardware"
          ? "carom: timestamps by the NIC's own clock, 1 ns; a packet that has the kernel's says so"
          : "carom: timestamps by the kernel (CLOCK_REALTIME), 1 ns, taken when it saw the packet",
    }),
  };
}

function linkOf(values: CaptureValues): Link {
  if ((values.interface === undefined) === (values.lab === undefined)) {
    const hint = "ip -br link lists the interfaces, carom lab list the labs";
    throw new CaromError("usage", "carom capture", "it needs either --interface or --lab", hint);
  }
  if (values.lab === undefined) return resolveLink(values.interface!, values.namespace);
  if (values.namespace !== undefined)
    throw new CaromError("usage", "--namespace", "it says where --interface is", "leave it out");
  return openLab(values.lab.lab)[values.lab.end];
}

/** Starts it and waits for its end. A second signal gives up what is not written yet. */
function untilEnded(capture: Capture, context: Context): Promise<boolean> {
  return new Promise((resolve, reject) => {
    let interrupted = false;
    const isShown = process.stderr.isTTY && !context.json;
    const rate = new RecentRate();
    rate.at(performance.now() / 1000, 0);
    const watch = setInterval(() => {
      if (!isShown) return;
      const now = capture.counters();
      const rate_pps = rate.at(performance.now() / 1000, now.frames ?? 0);
      process.stderr.write(`\r\x1b[K${captureProgress(now, rate_pps)}\r`);
    }, PROGRESS_MS);
    const onSignal = () => {
      if (interrupted) capture.close();
      else capture.stop();
      interrupted = true;
    };
    for (const signal of SIGNALS) process.on(signal, onSignal);
    capture.start((error) => {
      clearInterval(watch);
      for (const signal of SIGNALS) process.off(signal, onSignal);
      if (isShown) process.stderr.write("\r\x1b[K");
      if (error === null) resolve(interrupted);
      else reject(asCaromError(error, "capture"));
    });
  });
}
