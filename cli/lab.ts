/** carom lab: a lab that stays, for work by hand beside it or for a device under test that runs in it. */

import { optionGroup } from "../config/option.js";
import { flag, integer, name } from "../config/values.js";
import { runInForeground } from "../lab/child.js";
import { findTool } from "../lab/ip.js";
import {
  createLab,
  type Lab,
  type LabRole,
  type LabState,
  listLabs,
  namespaceName,
  openLab,
  removeAllLabs,
  removeLab,
} from "../lab/lab.js";
import { CaromError } from "../native/error.js";
import type { Link } from "../native/index.js";
import { type CommandSpec, defineCommand } from "./command.js";
import { formatTable } from "./table.js";

const DEFAULT_NAME = "lab";

const option = optionGroup("Lab");

const up = defineCommand({
  name: "lab up",
  summary: "make a lab that stays until lab down",
  description:
    "Makes a lab that stays: two network namespaces and a veth pair between them, with addresses set aside for " +
    "benchmarks. carom run makes one of its own, which goes when it ends, and needs none of these.",
  options: {
    name: option(name(), "name of the lab", "name", DEFAULT_NAME),
    mtu: option(
      integer(68, 65535),
      "bytes of the largest IP packet; below 1280 there is no IPv6",
      "bytes",
      "1500",
    ),
    queues: option(integer(1, 64), "RX and TX queues of each end", "count", "1"),
  },
  examples: [
    ["carom lab up", "makes the lab named lab"],
    ["carom lab up --name jumbo --mtu 9000", "makes another, beside it"],
  ],
  async run(values, context) {
    const lab = createLab({ name: values.name, mtu: values.mtu, queues: values.queues, stay: true });
    context.say(`lab ${lab.name} is up\n`);
    for (const line of describeLab(lab)) context.say(line);
    context.say("\nUse it:");
    for (const line of usage(lab.name)) context.say(line);
    context.result(labAsJson(lab));
    return 0;
  },
});

const down = defineCommand({
  name: "lab down",
  summary: "remove a lab, or all of them",
  description: "Removes the lab of that name, lab when none is given, and nothing that carom did not make.",
  arguments: "[name]",
  options: {
    all: option(flag(), "remove every lab on this machine, those of running measurements too", "", "false"),
  },
  examples: [["carom lab down --all", "removes every lab that carom made"]],
  async run(values, context) {
    const [given] = context.args;
    if (values.all && given !== undefined) {
      throw new CaromError("usage", `lab down ${given} --all`, "--all takes no name", "give one of the two");
    }
    const removed = values.all ? removeAllLabs() : removeOne(given ?? DEFAULT_NAME);
    if (removed.length === 0) context.say("there are no labs");
    for (const lab of removed) context.say(`lab ${lab} is removed`);
    context.result({ removed });
    return 0;
  },
});

const exec = defineCommand({
  name: "lab exec",
  summary: "run a command at one end of a lab",
  description:
    "Runs a command in the namespace of a role, generator or responder (short: gen, dut), through ip netns exec, " +
    "and ends with the command's own exit status. Options of the command go behind --.",
  arguments: "<role> <command...>",
  options: {
    name: option(name(), "name of the lab", "name", DEFAULT_NAME),
  },
  examples: [
    ["carom lab exec responder -- ./my-strategy --port 8080", "runs a device under test in the lab"],
    ["carom lab exec gen -- tcpdump -ni gen0", "shows what arrives at the generator's end"],
  ],
  async run(values, context) {
    const [role = "", ...command] = context.args;
    const namespace = namespaceName(openLab(values.name).name, parseRole(role));
    const ip = findTool("ip") ?? "ip"; // an ordinary PATH may lack it
    const status = await runInForeground("lab exec", [ip, "netns", "exec", namespace, ...command], {
      stdio: ["inherit", context.json ? 2 : "inherit", "inherit"],
    });
    context.result({ lab: values.name, namespace, command, status });
    return status;
  },
});

const list = defineCommand({
  name: "lab list",
  summary: "show the labs of this machine",
  description: "Shows every lab that carom made on this machine, who made it and whether it is whole.",
  options: {},
  async run(_values, context) {
    const labs = listLabs();
    if (labs.length === 0) context.say("there are no labs");
    else {
      const rows = labs.map((lab) => [
        lab.name,
        ownerOf(lab),
        ageOf(lab),
        addressesOf(lab),
        lab.problem || "ok",
      ]);
      for (const line of formatTable([["name", "made by", "age", "addresses", "state"], ...rows]))
        context.say(line);
    }
    context.result({ labs });
    return 0;
  },
});

export const commands: readonly CommandSpec[] = [up, down, exec, list];

function removeOne(lab: string): string[] {
  removeLab(lab);
  return [lab];
}

function describeLab(lab: Lab): string[] {
  const row = (role: LabRole, link: Link) => [
    role,
    namespaceName(lab.name, role),
    link.interfaceName,
    link.mac,
    link.address4,
    link.address6,
  ];
  const head = ["role", "namespace", "interface", "MAC", "IPv4", "IPv6"];
  return formatTable([head, row("generator", lab.generator), row("responder", lab.responder)]);
}

function usage(lab: string): string[] {
  const named = lab === DEFAULT_NAME ? "" : ` --name ${lab}`;
  return formatTable([
    [`  carom lab exec responder${named} -- COMMAND`, "a device under test, or any other program"],
    [`  carom lab exec generator${named} -- tcpdump -ni gen0`, "what arrives there"],
    [`  carom lab down${lab === DEFAULT_NAME ? "" : ` ${lab}`}`, "removes it"],
  ]);
}

function labAsJson(lab: Lab): object {
  return { name: lab.name, generator: lab.generator, responder: lab.responder };
}

function parseRole(text: string): LabRole {
  if (text === "generator" || text === "gen") return "generator";
  if (text === "responder" || text === "dut") return "responder";
  const detail = `${JSON.stringify(text)} is no role`;
  throw new CaromError("usage", "lab exec", detail, "roles are generator (gen) and responder (dut)");
}

function ownerOf(lab: LabState): string {
  if (lab.pid === 0) return "unknown";
  if (lab.stay) return "lab up";
  return `process ${lab.pid}${lab.alive ? "" : " (dead)"}`;
}

function ageOf(lab: LabState): string {
  const age_s = Math.round((Date.now() - Date.parse(lab.created)) / 1000);
  if (Number.isNaN(age_s)) return "";
  if (age_s < 120) return `${age_s} s`;
  return age_s < 7200 ? `${Math.round(age_s / 60)} min` : `${Math.round(age_s / 3600)} h`;
}

function addressesOf(lab: LabState): string {
  return `${lab.generator.address4} and ${lab.responder.address4}`;
}
