/** carom doctor: prints what the doctor finds, section by section, as it finds it. */

import pc from "picocolors";
import { optionGroup } from "../config/option.js";
import { filePath, flag, formatNs, integer, interfaceName } from "../config/values.js";
import {
  type CoreNoise,
  type Diagnosis,
  diagnose,
  type Finding,
  type Section,
  STALL_RANGES_NS,
  type Status,
  usableBackends,
} from "../lab/doctor.js";
import { CaromError } from "../native/error.js";
import { tryDropping } from "../run/measuring_process.js";
import { type Context, defineCommand } from "./command.js";

const WIDTH_MAX = 110; // columns
const WIDTH_MIN = 60;
const NAME_WIDTH = 27; // columns, the longest sysctl's name
const MARKS: Readonly<Record<Status, string>> = { ok: "✓", note: "!", problem: "✗" };

const option = optionGroup("Doctor");

export const command = defineCommand({
  name: "doctor",
  summary: "what this machine can do, and what to change so that it does better",
  description:
    "Looks at cores, kernel, clock, settings and interface, asks what every backend can do, and measures for each " +
    "core how often a thread that spins on it is stopped. Changes nothing, without --try.",
  options: {
    interface: option(interfaceName(), "the interface to look at; a lab made for this when left out", "name"),
    namespace: option(filePath(), "network namespace of the interface, by name or path", "name"),
    queue: option(integer(0, 63), "the queue on which the backends are tried", "number", "0"),
    try: option(
      flag(),
      "with --interface: attach XDP programs to it and bind AF_XDP sockets, for which drivers reset their " +
        "rings: the link may lose frames, and be down for seconds",
      "",
      "false",
    ),
    quick: option(flag(), "watch each core for 1 s instead of 5 s", "", "false"),
  },
  examples: [
    ["carom doctor", "looks at this machine and tries the backends in a lab"],
    ["carom doctor --interface eth1 --quick", "looks at eth1; attaches nothing, sends nothing"],
    ["carom doctor --interface eth1 --try", "tries the backends on eth1, which may interrupt its link"],
  ],
  async run(values, context) {
    if (values.try && values.interface === undefined) {
      const detail = "it is about --interface: on a lab of its own the doctor tries all of them";
      throw new CaromError("usage", "--try", detail, "leave it out, or add --interface");
    }
    if (values.namespace !== undefined && values.interface === undefined) {
      const detail = "it is that of --interface";
      throw new CaromError("usage", "--namespace", detail, "leave it out, or add --interface");
    }
    // Should it be interrupted, the lab goes with the exit.
    const interrupt = () => process.exit(130);
    process.once("SIGINT", interrupt);
    try {
      const printer = new Printer(context);
      const options = { queue: values.queue, quick: values.quick, tries: values.try, tryDropping };
      const { interface: interfaceName, namespace } = values;
      const diagnosis = await diagnose({ ...options, interfaceName, namespace }, printer);
      printer.summary(diagnosis);
      context.result({ ...diagnosis, usable: usableBackends(diagnosis) });
      return usableBackends(diagnosis).length > 0 ? 0 : 3;
    } finally {
      process.off("SIGINT", interrupt);
    }
  },
});

class Printer {
  private isFirstCore = true;

  constructor(private readonly context: Context) {}

  section(section: Section): void {
    this.say(pc.bold(section.title));
    for (const finding of section.findings) this.finding(finding);
    this.say("");
  }

  core(noise: CoreNoise, finding: Finding): void {
    if (this.isFirstCore) {
      const time = formatNs(Math.round(noise.observed_ns / 1e9) * 1e9);
      this.say(
        `${pc.bold("interference")}  a loop spins ${time} on each core: how often it is stopped, for how long`,
      );
      this.say(pc.dim(coreLine(["core", "stops/s", "share", "longest", ...STALL_RANGES_NS.map(rangeName)])));
    }
    this.isFirstCore = false;
    const cells = [
      String(noise.cpu),
      ((noise.count / noise.observed_ns) * 1e9).toFixed(0),
      `${((noise.total_ns / noise.observed_ns) * 100).toFixed(2)} %`,
      formatNs(noise.max_ns),
      ...noise.histogram.map(String),
    ];
    this.say(`${mark(finding.status)}${coreLine(cells).slice(3)}`);
    if (finding.change !== "") this.change(finding.change, 5);
  }

  summary(diagnosis: Diagnosis): void {
    const findings = diagnosis.sections.flatMap((section) => section.findings);
    const count = (status: Status) => findings.filter((finding) => finding.status === status).length;
    const usable = usableBackends(diagnosis);
    if (!this.isFirstCore) this.say("");
    this.say(
      usable.length > 0
        ? `Usable backends: ${pc.bold(usable.join(", "))}.`
        : pc.red(pc.bold("No backend is usable here.")),
    );
    const problems = `${count("problem")} problem${count("problem") === 1 ? "" : "s"}`;
    this.say(`${problems}, ${count("note")} note${count("note") === 1 ? "" : "s"}.`);
  }

  private finding({ name, value, status, change }: Finding): void {
    const indent = 3 + NAME_WIDTH + 2;
    const [first = "", ...rest] = wrap(value, width() - indent);
    this.say(`${mark(status)}${name.padEnd(NAME_WIDTH)}  ${first}`);
    for (const line of rest) this.say(" ".repeat(indent) + line);
    if (change !== "") this.change(change, indent);
  }

  private change(text: string, indent: number): void {
    const [first = "", ...rest] = wrap(text, width() - indent - 2);
    this.say(" ".repeat(indent) + pc.cyan(`→ ${first}`));
    for (const line of rest) this.say(" ".repeat(indent + 2) + pc.cyan(line));
  }

  private say(line: string): void {
    this.context.say(line);
  }
}

function mark(status: Status): string {
  const color = { ok: pc.green, note: pc.yellow, problem: pc.red }[status];
  return ` ${color(MARKS[status])} `;
}

/** Cells aligned to the right, below each other, behind the place of a mark. */
function coreLine(cells: readonly string[]): string {
  return `   ${cells.map((cell, index) => cell.padStart(index === 0 ? 4 : 11)).join("")}`;
}

function rangeName(from_ns: number, index: number): string {
  const to_ns = STALL_RANGES_NS[index + 1];
  return to_ns === undefined ? `> ${from_ns / 1000} µs` : `${from_ns / 1000}–${to_ns / 1000} µs`;
}

function width(): number {
  return Math.max(WIDTH_MIN, Math.min(WIDTH_MAX, process.stdout.columns ?? WIDTH_MAX));
}

/** Breaks a text at spaces, so that no line is longer than can be helped. */
function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const line = lines.at(-1);
    if (line !== undefined && line.length + 1 + word.length <= columns)
      lines[lines.length - 1] = `${line} ${word}`;
    else lines.push(word);
  }
  return lines;
}
