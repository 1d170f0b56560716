/** The doctor: what this machine can do, how quiet it is, and what to change so that it does better. */

import { asCaromError, CaromError } from "../native/error.js";
import {
  attachXdpPass,
  type BackendProbe,
  type ClockInfo,
  clockDiscipline,
  clockInfo,
  type Link,
  probeBackends,
  restoreTimestamping,
  spinOnCore,
  timestampingInfo,
  xdpFeatures,
} from "../native/index.js";
import { rateText } from "../run/lines.js";
import { allowedCores, type Finding, note, ok, problem, type Section } from "./finding.js";
import { createLab, resolveLink } from "./lab.js";
import { launchTimeText } from "./launch_time.js";
import {
  capabilityFindings,
  clockFindings,
  machineFindings,
  sysctlFindings,
  toolFindings,
} from "./machine.js";
import { backendFindings, interfaceFindings, timestampFindings, xdpFindings } from "./nic.js";
import { restoreNics } from "./nic_changes.js";
import { keptText, type Privileges } from "./privileges.js";

export type { Finding, Section, Status } from "./finding.js";

const STALL_THRESHOLD_NS = 3000; // longer than any turn of a loop that does nothing
const SLICE_NS = 5e8;
const STALL_TIME_NS = 5e9;
const STALL_TIME_QUICK_NS = 1e9;

/** Lower ends of the ranges by which stops are counted; the last has no upper end. */
export const STALL_RANGES_NS = [STALL_THRESHOLD_NS, 10_000, 50_000, 200_000] as const;

export interface DoctorOptions {
  /** The interface to look at; a lab for the time being when left out. */
  readonly interfaceName?: string | undefined;
  readonly namespace?: string | undefined; // of that interface
  readonly queue?: number; // 0 when left out
  /** Attaches programs to the interface and binds sockets to it; in a lab of its own it always does. */
  readonly tries?: boolean;
  /** Looks at each core for 1 s instead of 5 s. */
  readonly quick?: boolean;
  /** Has a process give up what one that measures gives up, and says what it has left. */
  readonly tryDropping: () => Promise<Privileges>;
}

/** How often, and for how long, a loop that spins on a core was stopped. */
export interface CoreNoise {
  readonly cpu: number;
  readonly observed_ns: number;
  readonly count: number;
  readonly total_ns: number;
  readonly max_ns: number;
  /** Stops by length, in the ranges of STALL_RANGES_NS. */
  readonly histogram: readonly number[];
}

export interface Diagnosis {
  readonly schema: "carom.doctor";
  readonly version: 1;
  readonly sections: readonly Section[];
  readonly link: Link | null; // null: there was none, or it was that of a lab made for this
  readonly backends: readonly BackendProbe[];
  readonly clock: ClockInfo | null;
  readonly cores: readonly CoreNoise[];
}

/** What is told while the doctor is at work. */
export interface DoctorListener {
  section(section: Section): void;
  /** A core was watched. */
  core(noise: CoreNoise, finding: Finding): void;
}

/**
 * Looks at everything. What can't be found out becomes a finding of its own, so that the rest is still told.
 * @throws CaromError (usage) when the interface that was asked for does not exist, (environment) when it is
 * down
 */
export async function diagnose(options: DoctorOptions, listener: DoctorListener): Promise<Diagnosis> {
  const sections: Section[] = [];
  const tell = (title: string, findings: readonly Finding[]): void => {
    sections.push({ title, findings });
    listener.section({ title, findings });
  };
  const given =
    options.interfaceName === undefined ? undefined : resolveLink(options.interfaceName, options.namespace);
  tell("machine", machineFindings());
  tell("capabilities", [...capabilityFindings(), await droppedFinding(options.tryDropping)]);
  const clock = attempt("clock", clockInfo);
  const clocks = attempt("clock", () => clockFindings(clockInfo(), clockDiscipline()));
  tell("clock", findingsOr("clock", clocks));
  tell("settings", sysctlFindings());
  tell("tools", toolFindings());
  const seen = lookAtLink(given, options, tell);
  const { cores, findings } = await watchCores(
    options.quick === true ? STALL_TIME_QUICK_NS : STALL_TIME_NS,
    listener,
  );
  sections.push({ title: "interference", findings });
  return {
    schema: "carom.doctor",
    version: 1,
    sections,
    ...seen,
    clock: clock instanceof CaromError ? null : clock,
    cores,
  };
}

/** What a run keeps: of that, a backend's own threads aside, there must be nothing. */
async function droppedFinding(tryDropping: DoctorOptions["tryDropping"]): Promise<Finding> {
  const name = "left while measuring";
  try {
    const left = await tryDropping();
    return ok(name, `${keptText(left)}, in ${left.threads} threads of a process of its own; no_new_privs`);
  } catch (error) {
    return failed(name, asCaromError(error, name));
  }
}

/** The names of the backends that can be used. */
export function usableBackends(diagnosis: Diagnosis): string[] {
  return diagnosis.backends.filter((probe) => probe.reason === "").map((probe) => probe.name);
}

type Tell = (title: string, findings: readonly Finding[]) => void;
type Seen = Pick<Diagnosis, "link" | "backends">;

function lookAtLink(given: Link | undefined, options: DoctorOptions, tell: Tell): Seen {
  const queue = options.queue ?? 0;
  if (given !== undefined) {
    const how = { isTemporary: false, tries: options.tries ?? false };
    return { link: given, backends: examine(given, queue, how, tell) };
  }
  const lab = attempt("lab", createLab);
  if (lab instanceof CaromError) {
    tell("interface", [failed("lab", lab)]);
    tell("backends", [
      problem("none", "there is nothing to try them on", "name an interface with --interface"),
    ]);
    return { link: null, backends: [] };
  }
  // As a run does for the backends that need it; where it can't be, they say so themselves.
  const pass = attempt("the lab's far end", () => attachXdpPass(lab.responder));
  try {
    return {
      link: null,
      backends: examine(lab.generator, queue, { isTemporary: true, tries: true }, tell),
    };
  } finally {
    if (!(pass instanceof CaromError)) pass();
    lab.down();
  }
}

interface How {
  readonly isTemporary: boolean; // a lab's
  readonly tries: boolean;
}

function examine(link: Link, queue: number, how: How, tell: Tell): readonly BackendProbe[] {
  const { isTemporary, tries } = how;
  const found = attempt("interface", () => interfaceFindings(link, queue, isTemporary));
  const stamps = attempt("timestamps", () => timestampFindings(timestampingInfo(link)));
  const restored = attempt("put back", () => [
    ...restoreTimestamping().map((line) => note("timestamps", line)),
    ...restoreNics().map((line) => note("put back", line)),
  ]);
  const driver =
    found instanceof CaromError ? "" : (found.find(({ name }) => name === "driver")?.value ?? "");
  const xdp = attempt("XDP", () => xdpFindings(link, xdpFeatures(link), driver));
  const launch = attempt("launch time", () => [ok("launch time", launchTimeText(link, tries))]);
  tell("interface", [
    ...findingsOr("interface", found),
    ...findingsOr("XDP", xdp),
    ...findingsOr("timestamps", restored),
    ...findingsOr("timestamps", stamps),
    ...findingsOr("launch time", launch),
  ]);
  const probes = attempt("backends", () => probeBackends(link, queue, tries));
  if (probes instanceof CaromError) {
    tell("backends", [failed("backends", probes)]);
    return [];
  }
  tell("backends", backendFindings(probes));
  return probes;
}

async function watchCores(
  time_ns: number,
  listener: DoctorListener,
): Promise<{ cores: CoreNoise[]; findings: Finding[] }> {
  const cores: CoreNoise[] = [];
  const findings: Finding[] = [];
  for (const cpu of allowedCores()) {
    try {
      const noise = await watchCore(cpu, time_ns);
      const finding = judge(noise);
      cores.push(noise);
      findings.push(finding);
      listener.core(noise, finding);
    } catch (error) {
      const finding = failed(`core ${cpu}`, asCaromError(error, `core ${cpu}`));
      findings.push(finding);
      listener.section({ title: "interference", findings: [finding] });
      break; // the others would fail for the same reason
    }
  }
  return { cores, findings };
}

/** In slices: a measurement can't be broken off, and nobody who presses Ctrl-C wants to wait for 5 s. */
async function watchCore(cpu: number, time_ns: number): Promise<CoreNoise> {
  const histogram = STALL_RANGES_NS.map(() => 0);
  const noise = { cpu, observed_ns: 0, count: 0, total_ns: 0, max_ns: 0, histogram };
  for (let slice = 0; slice < time_ns / SLICE_NS; slice++) {
    const log = await spinOnCore(cpu, SLICE_NS, STALL_THRESHOLD_NS);
    noise.observed_ns += log.observed_ns;
    noise.count += log.count;
    noise.total_ns += log.total_ns;
    noise.max_ns = Math.max(noise.max_ns, log.max_ns);
    for (const [index, end_ns] of log.ends_ns.entries()) {
      const length_ns = end_ns - (log.starts_ns[index] ?? end_ns);
      const shorter = STALL_RANGES_NS.filter((from_ns) => length_ns >= from_ns).length;
      histogram[Math.max(shorter - 1, 0)]! += 1;
    }
  }
  return noise;
}

const QUIET_SHARE = 0.001;
const QUIET_MAX_NS = 50_000;
const LOUD_SHARE = 0.05;
const LOUD_MAX_NS = 10_000_000;

function judge(noise: CoreNoise): Finding {
  const share = noise.total_ns / noise.observed_ns;
  const rate = (noise.count / noise.observed_ns) * 1e9;
  const name = `core ${noise.cpu}`;
  const value = `stopped ${rateText(rate)} times a second, ${(share * 100).toFixed(2)} % of the time`;
  if (share <= QUIET_SHARE && noise.max_ns <= QUIET_MAX_NS) return ok(name, value);
  if (share < LOUD_SHARE && noise.max_ns < LOUD_MAX_NS) return note(name, value);
  return problem(name, value, "look for what else runs there: top, then press 1 and f");
}

/** What an action gives, or why it could not. */
function attempt<T>(name: string, action: () => T): T | CaromError {
  try {
    return action();
  } catch (error) {
    return asCaromError(error, name);
  }
}

function findingsOr(name: string, found: readonly Finding[] | CaromError): readonly Finding[] {
  return found instanceof CaromError ? [failed(name, found)] : found;
}

function failed(name: string, error: CaromError): Finding {
  return problem(name, `${error.operation}: ${error.detail}`, error.hint);
}
