/** A plan: everything a run needs, validated and complete, before anything starts. */

import { bufferSize, captureOutput } from "../config/capture.js";
import { ioOptions, RESPONDER_BACKENDS } from "../config/io.js";
import { optionGroup, type Values } from "../config/option.js";
import { besideReport, choice, filePath, flag, interfaceName, name } from "../config/values.js";
import {
  closedLoopRing,
  DEFAULT_DURATION_NS,
  type Destination,
  generatorConfig,
  generatorOptions,
  isFlatOut,
  isOpen,
  openLoopRing,
  type PlannedStream,
  streamConfig,
} from "../generator/config.js";
import { type Feed, feedOf } from "../generator/feed.js";
import { type ReplayValues, replayConfig } from "../generator/replay.js";
import { type StreamEntry, streamEntries } from "../generator/streams.js";
import { type GeneratorPlan, generatorPlan } from "../generator/threads.js";
import { createLab, type Lab, openLab, resolveLink } from "../lab/lab.js";
import { askNeighbor } from "../lab/neighbor.js";
import { restoreNics } from "../lab/nic_changes.js";
import { type NicWatch, watchLaunches, watchSteering } from "../lab/nic_watch.js";
import { CaromError } from "../native/error.js";
import {
  attachXdpPass,
  type CaptureOutputConfig,
  clockInfo,
  type GeneratorConfig,
  type Link,
} from "../native/index.js";
import { type ResponderPlan, responderOptions } from "../responder/config.js";
import { multicastMac } from "../wire/address.js";
import type { KeptCalibration } from "./calibrations.js";
import { certificateOptions } from "./certificate.js";
import { refuseContradictions, refuseMoreThanTheLinkCarries } from "./contradictions.js";
import { type ChosenCores, chooseCores } from "./cores.js";
import {
  responderBackend,
  responderPlan,
  servedQueues,
  takesXdpBack,
  takesXdpSent,
  withStamps,
} from "./far_end.js";
import { type CertificatePlan, planCertificate } from "./receiver.js";
import { followEvery, type StampsPlan, stampOptions, stampsPlan } from "./stamps.js";
import { type ChosenTimestamps, chooseCalibration, chooseTimestamps } from "./timestamps.js";

const where = optionGroup("Where it runs");
const far = optionGroup("The responder in the lab");

/** An existing interface or lab instead of one made for the run. */
export const linkOptions = {
  interface: where(interfaceName(), "a real interface; without it, the built-in lab", "name"),
  namespace: where(filePath(), "network namespace of the interface, by name or path", "name"),
  lab: where(name(), "a lab that carom lab up made, instead of one for this run alone", "name"),
} as const;

const shown = optionGroup("Output");

/** For run and generate alike. */
export const captureOptions = {
  capture: shown(
    besideReport(),
    "write what is sent and what comes back as pcapng, each order with its verdict",
    "file",
  ),
  captureBuffer: shown(bufferSize(), "what may wait to be written", "bytes", "64MiB"),
} as const;

export const runOptions = {
  ...linkOptions,
  ...captureOptions,
  ...stampOptions,
  breakdown: shown(flag(), "split the round trip into its parts, with the lab's responder", "", "false"),
  responder: far(
    flag(),
    "start carom's own responder in the lab; off when your program answers there",
    "",
    "true",
  ),
  responderBackend: far(
    choice(...RESPONDER_BACKENDS),
    "its backend (default: the same as --backend)",
    "name",
  ),
  responderCpu: { ...responderOptions.cpu, group: far(flag(), "").group },
  queues: { ...responderOptions.queues, group: far(flag(), "").group },
  ...generatorOptions,
  ...certificateOptions,
  ringSize: {
    ...ioOptions.ringSize,
    fallback: undefined,
    description: `${ioOptions.ringSize.description} (default: what the window needs, or 50 ms at the highest rate)`,
  },
} as const;

export type RunValues = Values<typeof runOptions>;

/** What is sent instead of what the streams say. */
export interface ReplayRequest {
  readonly files: readonly string[];
  readonly values: ReplayValues;
}

export interface Plan {
  readonly generator: GeneratorConfig; // all streams, as if one thread sent them
  readonly sending: GeneratorPlan; // which thread sends which
  readonly streams: readonly PlannedStream[];
  readonly feed: Feed; // of all streams together: rates added up
  readonly responder: ResponderPlan | null; // null: somebody else's device answers
  readonly certificate: CertificatePlan | null; // null: a closed loop
  readonly lab: Lab | null;
  readonly timestamps: ChosenTimestamps;
  readonly calibration: KeptCalibration | null; // with --calibrated
  readonly splits: boolean; // the round trip, into its parts
  readonly stamps: StampsPlan | null; // where they are kept, for carom join
  readonly nic: NicWatch | null; // what was changed on the generator's NIC
  readonly restored: readonly string[]; // on NICs that killed processes had left changed
  /** Gives back what planning took: the lab, if it was made for this run. */
  release(): void;
}

interface FedStream extends StreamEntry<RunValues> {
  readonly feed: Feed;
}

interface Circumstances {
  /** A lab for many runs: it stays when the plan is released. */
  readonly lab?: Lab | undefined;
  /** Captures to be sent, for carom replay. */
  readonly replay?: ReplayRequest | undefined;
  /** For a rate that many times as high, while it runs (run/changes.ts). */
  readonly room?: number;
  /** Of a search: the rate may be far beyond what can be sent. */
  readonly isTrial?: boolean;
  /** What fedStreams gave for these values, where it was called before. */
  readonly streams?: readonly FedStream[];
}

/**
 * Validates the values, makes or finds the link, and completes the plan.
 * @param expectAnswers false for carom generate
 * @throws CaromError
 */
export async function planRun(
  values: RunValues,
  expectAnswers: boolean,
  { lab: shared, replay, room = 1, isTrial = false, streams = fedStreams(values) }: Circumstances = {},
): Promise<Plan> {
  const threads = 1 + Math.max(...streams.map(({ thread }) => thread));
  const lab = shared === undefined ? labOf(values, threads) : { ...shared, down: () => {} };
  try {
    return await complete(values, streams, threads, lab, { expectAnswers, replay, room, isTrial });
  } catch (error) {
    lab?.down();
    throw error;
  }
}

/** What is sent, as far as the values alone say it. @throws CaromError (usage) */
export function fedStreams(values: RunValues): FedStream[] {
  refuseContradictions(values);
  const streams = streamEntries(values).map((entry): FedStream => {
    const { multicast, multicastGroup, targetIp, vlan } = entry.values;
    const to = multicast ? multicastGroup : (targetIp ?? "");
    return { ...entry, feed: entry.within(() => feedOf(entry.values, to, vlan)) };
  });
  refuseMoreThanTheLinkCarries(streams.map(({ feed }) => feed));
  return streams;
}

type Placed = Pick<RunValues, "interface" | "lab" | "queues" | "queue"> & { readonly backend?: string };

/**
 * The lab that a run is in: made for it, or there already; null on a real interface.
 * @param threads of the generator: with af_xdp each has a queue
 * @throws CaromError
 */
export function labOf(values: Placed, threads = 1): Lab | null {
  if (values.interface !== undefined) return null;
  if (values.lab !== undefined) return openLab(values.lab);
  const own = threads > 1 && values.backend === "af_xdp" ? (values.queue ?? 0) + threads : 1;
  return createLab({ queues: Math.max(...(values.queues ?? []).map((queue) => queue + 1), own) });
}

interface Wanted {
  readonly expectAnswers: boolean;
  readonly replay: ReplayRequest | undefined;
  readonly room: number;
  readonly isTrial: boolean;
}

async function complete(
  given: RunValues,
  fed: readonly FedStream[],
  threads: number,
  lab: Lab | null,
  { expectAnswers, replay, room, isTrial }: Wanted,
): Promise<Plan> {
  const feed = totalFeed(fed.map((stream) => stream.feed));
  const ring =
    given.ringSize ??
    (isOpen(given) || isFlatOut(given)
      ? openLoopRing(room * feed.peak_pps)
      : closedLoopRing(given.window ?? 1));
  const queues = servedQueues(given, threads);
  const values = { ...given, ringSize: ring, queues };
  const link = lab?.generator ?? resolveLink(values.interface!, values.namespace);
  const restored = restoreNics();
  const withResponder = lab !== null && values.responder && expectAnswers;
  const asleep = responderBackend(values) === "xdp";
  const cores = chooseCores(withResponder ? (queues?.length ?? 1) : 0, asleep, threads);
  if (withResponder && values.dutLines === "both") {
    const detail = "carom's own responder answers every copy of a tick: it does not arbitrate";
    throw new CaromError(
      "usage",
      "--dut-lines both",
      detail,
      "add --no-responder, and start your own device",
    );
  }
  const timestamps = chooseTimestamps(values.timestamps, values.backend, link);
  const calibration = chooseCalibration(values.calibrated, timestamps, link);
  const streams: PlannedStream[] = [];
  for (const { name, thread, values: own, feed: its, within } of fed) {
    const destination = await findDestination(own, link, lab?.responder);
    const stream = { name, thread, values: { ...own, ringSize: ring }, feed: its, destination };
    within(() => streamConfig(link, stream));
    streams.push(stream);
  }
  const stamps = stampsPlan(values, expectedTicks(values, feed));
  const splits = values.breakdown ? followEvery(expectedTicks(values, feed), BREAKDOWN_TICKS) : 0;
  const circumstances = {
    timestamps: timestamps.provenance,
    pathNs: calibration?.path_ns ?? 0,
    expectAnswers,
    // Both look at the same ticks: those of the one that looks at fewer.
    breakdownEvery: Math.max(splits, stamps?.one_in ?? 0),
    passageRoom: Math.max(splits === 0 ? 0 : BREAKDOWN_ROOM, stamps?.room ?? 0),
    capture: captureOf(values),
    room,
    isRateKnown: !isTrial && replay === undefined,
  };
  const plain = generatorConfig(link, values, streams, circumstances);
  const generator = replay === undefined ? plain : withReplay(plain, values, replay, lab);
  const sending = generatorPlan(generator, streams, values, generatorCores(values, cores));
  const responder = withResponder ? responderPlan(lab.responder, values, generator, cores) : null;
  const certificate = isOpen(values) ? planCertificate(values, generator, streams, lab, responder) : null;
  const { localPort: port, queue } = generator.io;
  const nic =
    generator.launchLeadNs > 0
      ? watchLaunches(link, generator.launchLeadNs)
      : watchSteering(link, values, port, queue);
  const detach = attachedPasses(
    nic,
    ...(takesXdpBack(lab, generator, responder) ? [link] : []),
    ...(takesXdpSent(lab, generator, responder, certificate) ? [lab!.responder] : []),
  );
  const release = () => {
    nic?.release();
    detach();
    lab?.down();
  };
  return {
    generator,
    sending,
    streams,
    feed,
    responder: certificate?.receiver.by === "responder" ? withStamps(responder!, generator) : responder,
    certificate,
    lab,
    timestamps,
    calibration,
    splits: splits > 0,
    nic,
    restored,
    stamps,
    release,
  };
}

/** @throws CaromError; then the NIC is put back */
function attachedPasses(nic: NicWatch | null, ...links: readonly Link[]): () => void {
  try {
    return attachXdpPass(...links);
  } catch (error) {
    nic?.release();
    throw error;
  }
}

/** The streams only say where ticks go to, and orders come from. @throws CaromError (usage) */
function withReplay(
  generator: GeneratorConfig,
  { duration, targetPort }: RunValues,
  { files, values }: ReplayRequest,
  lab: Lab | null,
): GeneratorConfig {
  const far = lab?.responder.mac;
  const replay = replayConfig(files, values, {
    tickPort: targetPort,
    defaultTargetMac: generator.io.receives ? (far ?? "") : "",
    ownTargetMac: far ?? "ff:ff:ff:ff:ff:ff",
  });
  return { ...generator, replay, durationNs: duration ?? 0, warmupNs: 0 };
}

function totalFeed(feeds: readonly Feed[]): Feed {
  const [first] = feeds;
  if (feeds.length === 1) return first!;
  const sum = (key: "rate_pps" | "peak_pps") => feeds.reduce((total, feed) => total + feed[key], 0);
  return { ...first!, profile: null, scale: 1, rate_pps: sum("rate_pps"), peak_pps: sum("peak_pps") };
}

/** With several threads, --cpu names the core of the first one, and the others have the next. */
function generatorCores({ cpu }: RunValues, { generators }: ChosenCores): readonly number[] {
  if (cpu === "auto") return generators;
  return generators.map((_, thread) => (cpu === "none" ? -1 : cpu + thread));
}

const BREAKDOWN_TICKS = 50_000; // wanted
const BREAKDOWN_ROOM = 1 << 17; // more than twice as many
const CLOSED_LOOP_TICKS_PER_S = 500_000; // about what one window sends

/** How many ticks are measured, at most. */
function expectedTicks(values: RunValues, feed: Feed): number {
  const seconds = (values.duration ?? (values.count === undefined ? DEFAULT_DURATION_NS : Infinity)) / 1e9;
  const pps = isOpen(values) || isFlatOut(values) ? feed.rate_pps : CLOSED_LOOP_TICKS_PER_S;
  return Math.min(values.count ?? Infinity, pps * seconds);
}

/** The capture of a run: the loop's own frames, by the loop's own clock. */
function captureOf(values: RunValues): CaptureOutputConfig | null {
  if (values.capture === undefined) return null;
  const rebuilt = values.backend === "udp" ? "; the kernel's sockets show no headers: these are rebuilt" : "";
  return captureOutput({
    path: values.capture,
    bufferBytes: values.captureBuffer,
    comment: "what carom's generator sent and received",
    interfaceComment:
      `carom: timestamps by the TSC (${clockInfo().resolutionNs.toFixed(2)} ns), tied to CLOCK_REALTIME at the start: ` +
      `sent when handed to ${values.backend}, received when the loop had it${rebuilt}`,
  });
}

async function findDestination(
  values: RunValues,
  link: Link,
  device: Link | undefined,
): Promise<Destination> {
  if (values.multicast) {
    const address = values.multicastGroup;
    return { address, mac: values.targetMac ?? multicastMac(address) ?? "" };
  }
  const address = values.targetIp ?? device?.address4;
  if (address === undefined) {
    const hint = "pass --target-ip, or --multicast to send to the group";
    throw new CaromError("usage", "send to one address", "no --target-ip was given", hint);
  }
  const known = [device?.address4, device?.address6].includes(address) ? device?.mac : undefined;
  const mac = values.targetMac ?? known ?? (await askNeighbor(link, address));
  return { address, mac };
}
