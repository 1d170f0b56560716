/** The screen Replay: captures to choose from, how one is sent, how far that is, and what its certificate says. */

import { formatNs } from "../../config/values.js";
import { rateText } from "../../run/lines.js";
import { recentRate } from "../../run/rate.js";
import { replayTimeLeft_s } from "../../run/replay_report.js";
import { percentileCurve, sparkline } from "../charts.js";
import { atText, REPLAY_FIELDS } from "../fields.js";
import {
  around,
  beside,
  bold,
  colored,
  dim,
  EMPTY,
  heading,
  type Line,
  line,
  printable,
  type Size,
  wrap,
} from "../line.js";
import { recordedAt } from "../live.js";
import type { Captured, Preview, Prompt, ReplayState } from "../state.js";
import { fieldLines, PHASES } from "./settings.js";

const OPTIONS = 32; // columns
const BAR = 40;
const NARROW = 110; // columns: with fewer, blanks between the parts of a frame are left out

export function replayScreenLines(replay: ReplayState, prompt: Prompt | null, size: Size): Line[] {
  const body = replay.result ? resultLines(replay, size) : choiceLines(replay, prompt, size);
  return [statusLine(replay), ...body];
}

function statusLine({ phase, live, description, replayed, id }: ReplayState): Line {
  const [text, color] = PHASES[phase];
  const parts = [
    ...(live.elapsed_s > 0 ? [`${live.elapsed_s.toFixed(phase === "ended" ? 1 : 0)} s`] : []),
    ...(description === null ? [] : [description.backends, description.loop]),
    ...(id === null ? [] : [`kept as run ${id}`]),
  ];
  const idle = phase === "idle" ? "○ not running: s sends the chosen capture" : text;
  const name = phase === "idle" || replayed === "" ? [] : [printable(replayed)];
  const rest = phase === "idle" ? "" : `  ${[...name, ...parts].join(" · ")}`;
  return line(bold(idle, color), rest);
}

function choiceLines(replay: ReplayState, prompt: Prompt | null, size: Size): Line[] {
  const { captures, chosen, preview, pane, fields, field } = replay;
  const left = size.columns - OPTIONS - 3;
  const rows = Math.max(REPLAY_FIELDS.length, Math.floor((size.rows - 4) / 2));
  const shown = around(captures, chosen, rows);
  const typed =
    prompt?.into === "capture" ? [line("  path ", { text: `${prompt.text}▏`, inverse: true })] : [];
  const list = [
    ...typed,
    ...shown.items.map((item, index) =>
      captureLine(item, shown.from + index === chosen, pane === "captures", left),
    ),
  ];
  const none = line(dim("  none here and in pcaps/: p takes a path"));
  const edited = prompt !== null && typeof prompt.into === "object" ? prompt : null;
  const choices = {
    fields: REPLAY_FIELDS,
    texts: fields,
    chosen: pane === "options" ? field : -1,
    prompt: edited,
  };
  const upper = beside(
    [heading(`captures: ${captures.length}`, left), ...(list.length === 0 ? [none] : list)].slice(
      0,
      rows + 1,
    ),
    [heading("options", OPTIONS), ...fieldLines(choices, (name) => (name === "at" ? atText(fields) : null))],
    left,
    " │ ",
  );
  return [...upper, EMPTY, ...previewLines(preview, captures[chosen], size)];
}

function captureLine({ path, size }: Captured, isChosen: boolean, isHere: boolean, width: number): Line {
  const room = width - 14;
  const name = printable(path);
  const text = name.length > room ? `…${name.slice(name.length - room + 1)}` : name;
  return [
    { text: isChosen ? "› " : "  ", bold: true },
    { text: text.padEnd(room), bold: isChosen, dim: isChosen && !isHere },
    dim(bytesText(size).padStart(11)),
  ];
}

function bytesText(size: number): string {
  const units = ["B", "KB", "MB", "GB", "TB"];
  const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, size)) / 3));
  return power === 0 ? `${size} B` : `${(size / 1000 ** power).toPrecision(3)} ${units[power]}`;
}

function previewLines(preview: Preview | null, chosen: Captured | undefined, size: Size): Line[] {
  if (chosen === undefined) return [];
  const title = heading(`the beginning of ${printable(chosen.path)}`, size.columns);
  if (preview?.path !== chosen.path) return [title, line(dim("  it is looked at when nothing is measured"))];
  if (preview.problem !== "") {
    const words = wrap(printable(preview.problem), size.columns - 4);
    return [title, ...words.map((text, row) => line(bold(`${row === 0 ? "✗ " : "  "}${text}`, "red")))];
  }
  const frames = preview.frames.map((text) => (size.columns < NARROW ? text.replace(/ {2,}/g, "  ") : text));
  return [
    title,
    ...preview.lines.map((text) => line(`  ${printable(text)}`)),
    ...frames.map((text) => line(dim(`  ${printable(text)}`))),
  ];
}

function resultLines(replay: ReplayState, size: Size): Line[] {
  const { live, report, lines, phase } = replay;
  const n = (name: string) => live.generator[name] ?? 0;
  const chart = Math.max(10, Math.min(120, size.columns - 30));
  const time = (percentile: number) => {
    const value_ns = recordedAt(live.lateness, percentile);
    return value_ns === null ? "–" : formatNs(value_ns);
  };
  const late = `${n("late_sends").toLocaleString("en-US")} late`;
  const starved =
    n("starved") > 0 ? ` · nothing was ready ${n("starved").toLocaleString("en-US")} times` : "";
  const head: Line[] = [
    EMPTY,
    barLine(replay),
    line(
      dim("sent     "),
      `${rateText(recentRate(live.sent_pps)).padStart(11)}/s `,
      colored(sparkline(live.sent_pps, chart), "cyan"),
    ),
    line(dim("frames   "), `${n("frames_out").toLocaleString("en-US").padStart(11)}   ${late}${starved}`),
    line(dim("late by  "), `p50 ${time(50)} · p99 ${time(99)} · p99.9 ${time(99.9)}`),
    EMPTY,
  ];
  if (report === null || phase !== "ended") {
    const rows = Math.min(20, size.rows - head.length - 2);
    const curve = percentileCurve((percentile) => recordedAt(live.lateness, percentile), size.columns, rows);
    return [...head, heading("late by, by percentile", size.columns), ...curve];
  }
  const verdict =
    report.faults.length === 0
      ? [line(bold("✓ all as expected", "green"))]
      : wrap(`✗ not as expected: ${report.faults.join("; ")}`, size.columns)
          .slice(0, 2)
          .map((text) => line(bold(text, "red")));
  // The verdict first: a small screen may not have room for all.
  return [...verdict, ...(size.rows < 30 ? [] : head), ...lines.map((text) => line(printable(text)))];
}

function barLine({ live, passes, phase }: ReplayState): Line {
  const left_s = phase === "ended" ? 0 : replayTimeLeft_s(live.elapsed_s, live.generator, passes);
  if (left_s === null) return line(dim("how long it still takes is not known yet, or it has no end"));
  const done = live.elapsed_s / Math.max(1e-3, live.elapsed_s + left_s);
  const filled = Math.round(BAR * done);
  const bar = `${"█".repeat(filled)}${"░".repeat(BAR - filled)}`;
  return line(bar, ` ${Math.round(100 * done)} %`, dim(` · ${left_s.toFixed(0)} s left`));
}
