/** The screen Doctor: what this machine can do, and what to change. */

import { formatNs } from "../../config/values.js";
import type { Status } from "../../lab/doctor.js";
import { rateText } from "../../run/lines.js";
import {
  bold,
  type Color,
  dim,
  EMPTY,
  heading,
  type Line,
  line,
  printable,
  type Size,
  wrap,
} from "../line.js";
import type { DoctorState } from "../state.js";

const MARKS: Readonly<Record<Status, readonly [string, Color]>> = {
  ok: ["✓", "green"],
  note: ["!", "yellow"],
  problem: ["✗", "red"],
};
const NAME = 28;

export function doctorLines(doctor: DoctorState, size: Size): Line[] {
  if (doctor.phase === "idle") {
    return [
      heading("doctor", size.columns),
      line(
        dim("  s looks at cores, kernel, clock, settings and backends, and watches each core for a second"),
      ),
    ];
  }
  const all = [
    ...doctor.sections.flatMap((section) => sectionLines(section, size.columns)),
    ...coreLines(doctor, size.columns),
  ];
  const from = Math.max(0, Math.min(doctor.from, all.length - size.rows + 2));
  const head = doctor.phase === "running" ? bold("● looking", "green") : bold("■ done", undefined);
  const more =
    all.length > size.rows - 2
      ? dim(`  lines ${from + 1} to ${Math.min(all.length, from + size.rows - 2)} of ${all.length}`)
      : "";
  return [line(head, more), ...all.slice(from, from + size.rows - 2)];
}

function sectionLines({ title, findings }: DoctorState["sections"][number], width: number): Line[] {
  return [
    heading(title, width),
    ...findings.flatMap(({ name, value, status, change }): Line[] => {
      const [mark, color] = MARKS[status];
      const [first = "", ...rest] = wrap(printable(value), Math.max(20, width - NAME - 5));
      const indent = " ".repeat(NAME + 3);
      return [
        [
          { text: ` ${mark} `, color, bold: true },
          { text: name.slice(0, NAME - 1).padEnd(NAME) },
          { text: first },
        ],
        ...rest.map((text) => line(`${indent}${text}`)),
        ...(change === ""
          ? []
          : wrap(`→ ${printable(change)}`, Math.max(20, width - 8)).map((text) =>
              line({ text: `     ${text}`, color: "cyan" }),
            )),
      ];
    }),
    EMPTY,
  ];
}

function coreLines({ cores }: DoctorState, width: number): Line[] {
  if (cores.length === 0) return [];
  return [
    heading("interference: how often a loop that spins on a core is stopped", width),
    ...cores.map(({ cpu, count, observed_ns, total_ns, max_ns }) => {
      const share = ((100 * total_ns) / Math.max(1, observed_ns)).toFixed(2);
      const rate = rateText((count / Math.max(1, observed_ns)) * 1e9);
      return line(
        `   core ${String(cpu).padStart(3)}  ${rate.padStart(6)} stops/s  ${share.padStart(6)} %  longest ${formatNs(max_ns)}`,
      );
    }),
  ];
}
