/** What a replay did with its captures: for the report, and for people. */

import pc from "picocolors";
import { formatNs } from "../config/values.js";
import { escaped } from "../native/escape.js";
import type { ReplayFindings } from "../native/index.js";
import { count, counted, row } from "./lines.js";
import type { Measurement } from "./measure.js";
import type { Plan } from "./plan.js";
import { remarkFaults, remarkText } from "./remarks.js";

export interface ReplayReport extends ReplayFindings {
  readonly timing: string;
}

export function replayReport(plan: Plan, { generator }: Measurement): ReplayReport | null {
  const { replay } = plan.generator;
  if (replay === null || generator.replay === null) return null;
  const found = generator.replay;
  const n = (name: string) => generator.counters[name] ?? 0;
  // xdp_live takes frames some time before they are sent.
  const isAllSent =
    plan.generator.io.receives || found.frames + n("skipped") + n("unsent") >= sum(found, "taken");
  return { timing: timingText(plan), ...found, complete: found.complete && isAllSent };
}

/** When the frames of a replay are sent: "as captured", "twice as fast", … */
export function timingText({ generator: { replay } }: Plan): string {
  if (replay === null) return "";
  const { timing, speedMillionths, gapNs, rateMilliHz, keepsBursts, passes } = replay;
  const times = passes === 1 ? "" : passes === 0 ? ", again and again" : `, ${count(passes)} times`;
  const bursts = keepsBursts ? ", bursts kept" : "";
  const speed = speedMillionths === 1e6 ? "as captured" : `at ${speedMillionths / 1e6} times the speed`;
  const how = {
    captured: speed,
    gap: `${formatNs(gapNs)} apart`,
    rate: `${count(rateMilliHz / 1000)} frames/s`,
    fast: "as fast as it goes",
  }[timing];
  return `${how}${bursts}${times}`;
}

/** Why a replay was not all that it was to be. */
export function replayFaults({ generator: { replay } }: Measurement): string[] {
  if (replay === null) return [];
  const broken = replay.files
    .filter(({ broken: where }) => where !== "")
    .map(({ path, broken: where }) => `${escaped(path)} is broken: ${where}`);
  const refusal = replay.refusal === null ? [] : [`it ended early: ${replay.refusal.detail}`];
  const damaged = replay.files.flatMap(({ path, remarks }) =>
    remarkFaults(remarks).map((text) => `${escaped(path)}: ${text}`),
  );
  return [...damaged, ...broken, ...refusal];
}

/** What is to be known of the captures, and is no fault. */
export function replayNotes({ generator: { replay } }: Measurement): string[] {
  if (replay === null) return [];
  const notes: [number, string][] = [
    [replay.starved, "times nothing was ready, as the captures were read too slowly"],
    [replay.cuts, "gaps were longer than --max-gap, and cut to it"],
    [replay.crowded, "bursts began later, as the ones before them were not over"],
    [replay.restamped, "ticks got another timestamp, so that no two of them have the same"],
    [sum(replay, "backwards"), "frames were older than one before them, and went at the time of that one"],
    [sum(replay, "padded"), "frames had been cut off by the snap length, and were filled up with zeros"],
    [sum(replay, "unusable"), "records could not be made Ethernet frames"],
  ];
  return [
    ...notes.filter(([number]) => number > 0).map(([number, text]) => `${count(number)} ${text}`),
    ...replay.files.flatMap(({ path, remarks }) =>
      remarks.filter(({ is_fault }) => !is_fault).map((remark) => `${escaped(path)}: ${remarkText(remark)}`),
    ),
    ...(replay.refusal === null ? [] : [replay.refusal.hint]),
  ];
}

function sum(replay: ReplayFindings, key: "backwards" | "padded" | "taken" | "unusable"): number {
  return replay.files.reduce((total, file) => total + file[key], 0);
}

/** A line for each capture. */
export function replayLines(replay: ReplayReport | null): string[] {
  if (replay === null) return [];
  const files = replay.files.map((file, index) => {
    const packed = file.compression === "none" ? "" : `, ${file.compression}`;
    const left: [number, string][] = [
      [file.outside, "outside the span"],
      [file.filtered, "filtered"],
      [file.skipped, "skipped"],
      [file.unusable, "not usable"],
      [file.cut, "cut"],
    ];
    const shown = left.filter(([number]) => number > 0).map(([number, word]) => `, ${count(number)} ${word}`);
    const text = `${escaped(file.path)} (${file.format}${packed}, ${file.link_type}): ${count(file.frames)} read${shown.join("")}`;
    return row(index === 0 ? "captures" : "", text);
  });
  return [
    row("replayed", sentText(replay)),
    ...files,
    ...replay.files
      .filter(({ broken }) => broken !== "")
      .map(({ path, broken }) => row("", pc.red(`${escaped(path)} is broken: ${broken}`))),
  ];
}

/** What went to the wire; of a replay that ended early no more than that. */
function sentText({ frames, bytes, complete, sent_passes, sent_span_ns }: ReplayReport): string {
  const passes = sent_passes > 1 ? `, ${count(sent_passes)} times` : "";
  const planned = sent_span_ns > 0 ? `, planned over ${formatNs(sent_span_ns)}` : "";
  const early = complete ? "" : "; it ended before all was sent";
  return `${counted(frames, "frame")}, ${count(bytes)} bytes${passes}${planned}${early}`;
}

/**
 * One line while a replay goes on: how far it is, how late, and how long it still takes.
 * @param passes how often the captures are sent; 0: without an end
 */
export function replayProgress(
  elapsed_s: number,
  counters: Readonly<Record<string, number>>,
  passes: number,
): string {
  const n = (name: string) => counters[name] ?? 0;
  const left_s = replayTimeLeft_s(elapsed_s, counters, passes);
  const left = left_s === null ? "" : `, ${left_s.toFixed(0)} s left`;
  const starved = n("starved") > 0 ? `, starved ${count(n("starved"))} times` : "";
  const late = `${count(n("late_sends"))} late`;
  return `${elapsed_s.toFixed(0)} s: ${count(n("frames_out"))} frames, ${late}${starved}${left}`;
}

/** By the plan once all is read; before that by how much of the captures is. null: not known. */
export function replayTimeLeft_s(
  elapsed_s: number,
  counters: Readonly<Record<string, number>>,
  passes: number,
): number | null {
  const n = (name: string) => counters[name] ?? 0;
  const [end_ns, position_ns] = [n("end_ns"), n("position_ns")];
  if (end_ns > 0) return Math.max(0, end_ns - position_ns) / 1e9;
  const [read, size] = [n("read_bytes"), n("capture_bytes")];
  if (passes === 0 || read === 0 || size === 0 || read > size) return null;
  const done = (n("passes") + read / size) / passes;
  return done > 1 ? null : elapsed_s * (1 / done - 1);
}
