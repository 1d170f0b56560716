/** The table of docs/kernels.md. */

import { type Backend, backendsOf, type Cell, cellId, DEEDS, DRIVERS, type Kept, NONE } from "./cells.js";

const BEGIN = "<!-- written by npm run vm: begin -->";
const END = "<!-- written by npm run vm: end -->";
const NOT_TRIED = "·";

/** The names of devices in a guest (tests/vm/inside/pair.ts), so that a reason that several drivers share is told once. */
const DEVICES = /\b(gen0|dut0|[\w-]+-[ab])(?= |:|;|$)/g;

/** Why a cell is not ✓, each reason once, by its number. */
class Reasons {
  private readonly numbers = new Map<string, number>();

  markOf(result: Kept | undefined): string {
    if (result === undefined) return NOT_TRIED;
    if (result.outcome === "yes") return "✓";
    const said = result.said.replace(DEVICES, "DEVICE");
    const text = `${result.outcome === "failed" ? "**fails**: " : ""}${said}`;
    const number = this.numbers.get(text) ?? this.numbers.size + 1;
    this.numbers.set(text, number);
    return `${result.outcome === "failed" ? "✗" : "–"} ${number}`;
  }

  lines(): string[] {
    return [...this.numbers].map(([text, number]) => `${number}. ${escaped(text)}`);
  }
}

function escaped(text: string): string {
  return text.replace(/\s+/g, " ").replace(/[|<>]/g, (character) => `\\${character}`);
}

/** One mark where all kernels agree, otherwise one for each. */
function joined(marks: readonly string[]): string {
  return new Set(marks).size === 1 ? marks[0]! : marks.join(" / ");
}

/** A row for each driver and backend, a column for each deed, and below it the reasons. */
export function tableText(
  kernels: readonly { readonly name: string; readonly release: string }[],
  backends: readonly Backend[],
  kept: ReadonlyMap<string, Kept>,
): string {
  const reasons = new Reasons();
  const mark = (cell: Omit<Cell, "kernel">) =>
    joined(kernels.map(({ name }) => reasons.markOf(kept.get(cellId({ ...cell, kernel: name })))));
  const columns = DEEDS.filter(({ of }) => of !== "kernel");
  const row = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const whole = DEEDS.filter(({ of }) => of === "kernel").map(
    ({ name, says }) => `- ${says}: ${mark({ driver: NONE, backend: NONE, deed: name })}`,
  );
  const rows = DRIVERS.flatMap(({ name: driver }) =>
    [NONE, ...backends.map((backend) => backend.name)].map((backend) =>
      row([
        backend === NONE ? driver : "",
        backend === NONE ? "" : backend,
        ...columns.map((deed) =>
          backendsOf(deed, driver, backends).includes(backend)
            ? mark({ driver, backend, deed: deed.name })
            : "",
        ),
      ]),
    ),
  );
  const lines = reasons.lines();
  return [
    `Kernels, in the order of the marks: ${kernels.map(({ release }) => release).join(", ")}.`,
    "",
    ...whole,
    "",
    row(["driver", "backend", ...columns.map(({ name }) => name)]),
    row(["---", "---", ...columns.map(() => "---")]),
    ...rows,
    "",
    "| column | what is tried |",
    "| --- | --- |",
    ...columns.map(({ name, says }) => row([name, says])),
    ...(lines.length === 0 ? [] : ["", "Why not:", "", ...lines]),
  ].join("\n");
}

/** A document with the table in it instead of the one that was there. */
export function withTable(document: string, table: string): string {
  const [begin, end] = [document.indexOf(BEGIN), document.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`the document lacks "${BEGIN}" or, behind it, "${END}"`);
  return `${document.slice(0, begin + BEGIN.length)}\n\n${table}\n\n${document.slice(end)}`;
}
