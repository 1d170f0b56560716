/** carom check: the scripted functional test, against carom's own responder or any other device. */

import { accessSync, constants } from "node:fs";
import { dirname } from "node:path";
import { junitXml } from "../check/junit.js";
import { loadScript } from "../check/reader.js";
import { amendedLines, caseLines, listLines, runAsJson, scriptLines, summaryLine } from "../check/report.js";
import { type RunResult, summarize } from "../check/result.js";
import { deviceRig, labRig, type Rig } from "../check/rig.js";
import { runScripts, type Selection, settingsText } from "../check/runner.js";
import { parseSettings, selectCases, shippedScripts, skipOtherSettings } from "../check/select.js";
import type { Texts } from "../config/file.js";
import { flagName, optionGroup, type Values } from "../config/option.js";
import { writeAsked } from "../config/output.js";
import {
  besideReport,
  choice,
  filePath,
  flag,
  integer,
  interfaceName,
  ipAddress,
  macAddress,
  multicastGroup,
  name,
} from "../config/values.js";
import { openLab, resolveLink } from "../lab/lab.js";
import { asCaromError, CaromError } from "../native/error.js";
import { responderOptions } from "../responder/config.js";
import { hasXdpProgram } from "../run/statistics.js";
import { isIp6 } from "../wire/address.js";
import { type Context, defineCommand, refuseTogether } from "./command.js";

const DEFAULT_BACKEND = "af_xdp";
const INTERRUPTED = 130; // 128 + SIGINT, as shells count

const own = optionGroup("Carom's own responder, in a lab of its own");
const device = optionGroup("Another device under test");
const which = optionGroup("Which cases");
const output = optionGroup("Output");

/** How carom's own responder runs; without defaults, so that one that was given for another device is noticed. */
const ownOptions = {
  backend: own(
    responderOptions.backend.type,
    `how the responder moves frames (default: ${DEFAULT_BACKEND})`,
    "name",
  ),
  cpu: own(
    responderOptions.cpu.type,
    "core of the responder's thread: a number, or none (the default)",
    "core",
  ),
  ringSize: own(responderOptions.ringSize.type, "frames in each ring, a power of two", "frames"),
  copyMode: own(responderOptions.copyMode.type, "af_xdp: auto, copy or zero-copy", "mode"),
  xdpMode: own(
    responderOptions.xdpMode.type,
    "af_xdp: where the XDP program runs: auto, native or generic",
    "mode",
  ),
};
const OWN_ONLY = ["backend", "cpu", "ringSize", "copyMode", "xdpMode"] as const;

const options = {
  ...ownOptions,
  lab: device(name(), "a lab of carom lab up, in which the device was started by hand", "name"),
  interface: device(interfaceName(), "the interface that leads to the device", "name"),
  namespace: device(filePath(), "network namespace of the interface, by name or path", "name"),
  targetIp: device(ipAddress(), "the device's address", "address"),
  targetIp6: device(ipAddress(), "its IPv6 address, for the cases over IPv6", "address"),
  targetMac: device(macAddress(), "where frames to it go (default: the link is asked)", "address"),
  protocol: device(choice("udp"), "transport of ticks and orders", "name"),
  targetPort: device(integer(1, 65_535), "UDP port to which it listens", "port"),
  responsePort: device(integer(1, 65_535), "UDP port to which it answers", "port"),
  multicast: device(flag(), "send ticks to the multicast group unless a script says otherwise"),
  multicastGroup: device(multicastGroup(), "the group that it joins", "address"),
  assume: device(
    filePath(),
    "its settings, as in 'threshold=20000 side=sell'; cases that need others are skipped",
    "settings",
  ),
  only: which(filePath(), "only the cases in whose name, or script's name, this text is", "text"),
  list: which(flag(), "list the cases instead of running them", "", "false"),
  junit: output(besideReport(), "write the results as JUnit XML too", "file"),
  verbose: output(flag(), "tell of each case what was sent, how, and every field", "", "false"),
};

type CheckValues = Values<typeof options>;

export const command = defineCommand({
  name: "check",
  summary: "the scripted functional test: what is sent, and what must come back",
  description:
    "Runs scripts that say what is sent and what must come back, within a time, or that nothing must. Without a FILE it runs " +
    "those that come with carom. Without --interface or --lab it tests carom's own responder in a lab of its own; " +
    "with one of them, whatever device is there. How scripts are written is in docs/check.md.",
  arguments: "[file...]",
  options,
  examples: [
    ["carom check", "everything, against carom's responder on af_xdp"],
    ["carom check --backend udp --only VLAN", "the cases about VLANs, against the one on plain sockets"],
    [
      "carom check my.yaml --lab lab --junit my.xml",
      "a script of your own, against the device in the lab named lab",
    ],
    [
      "carom check --interface eth1 --target-ip 198.18.0.2",
      "all that a device with default settings must do, on a real link",
    ],
  ],
  async run(given, context) {
    const files = context.args.length > 0 ? context.args : shippedScripts();
    const scripts = files.map((file) => loadScript(file, responderOptions));
    const selections = selectCases(scripts, given.only ?? "");
    if (given.list) return list(selections, context);
    if (given.junit !== undefined) requireWritable(given.junit);
    return isForeign(given) ? runForeign(given, selections, context) : runOwn(given, selections, context);
  },
});

function list(selections: readonly Selection[], context: Context): number {
  for (const { script, cases } of selections) {
    for (const line of listLines(
      script,
      cases.map(({ item }) => item),
    ))
      context.say(line);
  }
  const scripts = selections.map(({ script, cases }) => ({
    name: script.name,
    file: script.file,
    description: script.description,
    cases: cases.map(({ item }) => ({
      name: item.name,
      place: item.place,
      settings: settingsText(item.settings),
    })),
  }));
  context.result({ schema: "carom.check-list", version: 1, scripts });
  return 0;
}

function isForeign(given: CheckValues): boolean {
  const isThere = given.interface !== undefined || given.lab !== undefined;
  if (given.interface !== undefined && given.lab !== undefined) {
    refuseTogether("interface", "lab", "both say where the device is");
  }
  const needs = isThere ? OWN_ONLY : FOREIGN_ONLY;
  const stray = needs.find((key) => given[key] !== undefined);
  if (stray === undefined) return isThere;
  if (isThere)
    refuseTogether(
      stray,
      given.lab === undefined ? "interface" : "lab",
      "carom's own responder is not started",
    );
  const hint = "say where the device is with --interface or --lab";
  throw new CaromError(
    "usage",
    `--${flagName(stray)}`,
    "is about another device than carom's responder",
    hint,
  );
}

const FOREIGN_ONLY = [
  "namespace",
  "targetIp",
  "targetIp6",
  "targetMac",
  "targetPort",
  "responsePort",
  "multicast",
  "multicastGroup",
  "assume",
] as const;

async function runOwn(
  given: CheckValues,
  selections: readonly Selection[],
  context: Context,
): Promise<number> {
  const base: Texts = new Map([["backend", { text: DEFAULT_BACKEND, place: "--backend" }]]);
  for (const key of OWN_ONLY) {
    if (given[key] !== undefined) base.set(key, { text: String(given[key]), place: `--${flagName(key)}` });
  }
  return runAndReport(labRig(given.backend ?? DEFAULT_BACKEND, base), selections, given, context);
}

async function runForeign(
  given: CheckValues,
  selections: readonly Selection[],
  context: Context,
): Promise<number> {
  const overrides: Texts = new Map();
  for (const key of ["targetPort", "responsePort", "multicast", "multicastGroup"] as const) {
    const value = given[key];
    if (value !== undefined) overrides.set(key, { text: String(value), place: `--${flagName(key)}` });
  }
  // Scripts of the user's choice are run as they are; of those that come with carom, what fits a device.
  const isChosen = context.args.length > 0 && given.assume === undefined;
  const assumed = parseSettings(given.assume ?? "", "--assume", responderOptions);
  const fitting = isChosen ? selections : skipOtherSettings(selections, assumed, overrides, responderOptions);
  return runAndReport(await foreignRig(given, overrides), fitting, given, context);
}

function foreignRig(given: CheckValues, overrides: Texts): Promise<Rig> {
  if (given.lab !== undefined) {
    const { generator, responder } = openLab(given.lab);
    const addresses = [given.targetIp ?? responder.address4, given.targetIp6 ?? responder.address6].filter(
      (a) => a !== "",
    );
    const mac = given.targetMac ?? responder.mac;
    const kernelResolves = given.targetMac === undefined;
    const takesXdpBack = hasXdpProgram(responder);
    return deviceRig({ link: generator, addresses, mac, kernelResolves, overrides, takesXdpBack });
  }
  const link = resolveLink(given.interface!, given.namespace);
  const addresses = [given.targetIp, given.targetIp6].filter((address) => address !== undefined);
  const zoned = addresses.find((address) => address.includes("%"));
  if (zoned !== undefined) {
    throw new CaromError(
      "usage",
      "--target-ip",
      `${zoned} has a zone`,
      "leave it out: the interface says which link it is",
    );
  }
  if (addresses.length === 2 && isIp6(addresses[0]!) === isIp6(addresses[1]!)) {
    refuseTogether("targetIp", "targetIp6", "they are of one IP version");
  }
  if (addresses.length === 0 && given.multicast !== true) {
    throw new CaromError(
      "usage",
      "--interface",
      "the device's address is missing",
      "pass --target-ip, or --multicast",
    );
  }
  const mac = given.targetMac ?? "";
  return deviceRig({ link, addresses, mac, kernelResolves: mac === "", overrides, takesXdpBack: false });
}

async function runAndReport(
  rig: Rig,
  selections: readonly Selection[],
  given: CheckValues,
  context: Context,
): Promise<number> {
  const interrupt = onInterrupt(context);
  let settings: string | undefined;
  let run: RunResult;
  const failures: CaromError[] = [];
  try {
    context.say(`against ${rig.device}`);
    const listener = {
      script: (script: Selection["script"]) => scriptLines(script).forEach(context.say),
      case: (result: RunResult["cases"][number]) => {
        if (result.outcome !== "skipped" && result.settings !== settings) {
          settings = result.settings;
          const verb =
            rig.backend === undefined ? "the device is taken to be set to" : "the responder is set to";
          context.say(`  ${verb}: ${settings === "" ? "its defaults" : settings}`);
        }
        caseLines(result, given.verbose).forEach(context.say);
      },
      amended: (result: RunResult["cases"][number]) => amendedLines(result).forEach(context.say),
    };
    run = await runScripts(selections, rig, listener, interrupt.wanted);
  } finally {
    interrupt.end();
    await attempt("tear the lab down", () => rig.close(), failures);
  }
  context.say(`\n${summaryLine(run)}`);
  const { junit } = given;
  if (junit !== undefined) await attempt(`write ${junit}`, () => writeAsked(junit, junitXml(run)), failures);
  for (const failure of failures) process.stderr.write(`carom: ${failure.message}\n`);
  context.result({ ...runAsJson(run), errors: failures });
  const { failed, error } = summarize(run.cases);
  if (error > 0 || failures.length > 0) return 3;
  return failed > 0 ? 1 : run.interrupted ? INTERRUPTED : 0;
}

/** What was found is still to be told when this fails. */
async function attempt(
  operation: string,
  action: () => void | Promise<void>,
  failures: CaromError[],
): Promise<void> {
  try {
    await action();
  } catch (error) {
    const { message } = asCaromError(error, operation);
    failures.push(error instanceof CaromError ? error : new CaromError("environment", operation, message));
  }
}

/** The first Ctrl-C lets the current case end; the second ends at once, by way of what removes the lab. */
function onInterrupt(context: Context) {
  let count = 0;
  const listener = () => {
    if (++count > 1) process.exit(INTERRUPTED);
    context.say("stopping after this case; once more to stop now");
  };
  process.on("SIGINT", listener);
  return { wanted: () => count > 0, end: () => process.off("SIGINT", listener) };
}

/** Before anything runs, as far as that can be known. */
function requireWritable(file: string): void {
  try {
    accessSync(dirname(file), constants.W_OK);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new CaromError(
      "usage",
      `--junit ${file}`,
      code ?? message,
      "the directory must be there and writable",
    );
  }
}
