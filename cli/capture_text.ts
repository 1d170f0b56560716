/** What a capture found: one object, the same for people and as JSON (docs/capture.md). */

import pc from "picocolors";
import { asCaromError } from "../native/error.js";
import type { CaptureConfig, CaptureResult, Counters } from "../native/index.js";
import { type Environment, environment } from "../run/environment.js";
import { count } from "../run/lines.js";
import { aSecond } from "../run/rate.js";
import type { StampsReport } from "../run/stamps.js";
import { formatTable } from "./table.js";

export interface CaptureReport {
  readonly schema: "carom.capture";
  readonly version: 1;
  readonly interface: string;
  readonly started: string; // ISO 8601
  readonly elapsed_s: number;
  readonly interrupted: boolean;
  readonly frames: number; // taken: in the file or dropped by the writer
  readonly bytes: number; // of them, on the wire
  readonly captured_bytes: number; // of them, kept
  readonly in: number;
  readonly out: number;
  readonly first_ns: string; // since the epoch; "0": none
  readonly last_ns: string;
  readonly timestamps: {
    readonly provenance: "kernel" | "hardware";
    readonly hardware: number; // frames that have the NIC's
  };
  readonly written: {
    readonly frames: number;
    readonly bytes: number;
    readonly files: number;
    readonly last_file: string;
  };
  readonly drops: {
    readonly ring: number; // no room in the kernel's ring
    readonly writer: number; // the disk was too slow, or full
    readonly interface: number; // by the interface's own count
  };
  readonly start_at: string | null; // with --start-at
  readonly tick_port: number;
  readonly environment: Environment;
  readonly stamps: StampsReport | null; // with --stamps
  readonly notes: readonly string[];
  readonly faults: readonly string[]; // why the exit status is not 0
}

interface Found {
  readonly started: Date;
  readonly elapsed_s: number;
  readonly interrupted: boolean;
  readonly result: CaptureResult;
  readonly notes: readonly string[];
  readonly start_at: string | null;
  readonly tick_port: number;
  readonly stamps: StampsReport | null;
}

export function captureReport(config: CaptureConfig, found: Found): CaptureReport {
  const { counters, captured, first_ns, last_ns, notes } = found.result;
  const n = (name: string) => counters[name] ?? 0;
  const drops = { ring: n("ring_drops"), writer: captured.dropped, interface: n("interface_drops") };
  const failure = found.result.failure ?? captured.failure;
  const faults = [
    ...Object.entries(drops)
      .filter(([, dropped]) => dropped > 0)
      .map(([place, dropped]) => `${count(dropped)} dropped by the ${place}`),
    ...(failure === null ? [] : [asCaromError(failure, "capture").message]),
  ];
  return {
    schema: "carom.capture",
    version: 1,
    interface: config.link.interfaceName,
    started: found.started.toISOString(),
    elapsed_s: found.elapsed_s,
    interrupted: found.interrupted,
    frames: n("frames"),
    bytes: n("bytes"),
    captured_bytes: n("captured_bytes"),
    in: n("in"),
    out: n("out"),
    first_ns: first_ns.toString(),
    last_ns: last_ns.toString(),
    timestamps: { provenance: config.timestamps, hardware: n("hardware_stamped") },
    written: {
      frames: captured.frames,
      bytes: captured.bytes,
      files: captured.files,
      last_file: captured.lastFile,
    },
    drops,
    start_at: found.start_at,
    tick_port: found.tick_port,
    environment: environment(),
    stamps: found.stamps,
    notes: [...notes, ...found.notes],
    faults,
  };
}

export function captureLines(report: CaptureReport): string[] {
  const { drops, written, timestamps } = report;
  const isWhole = report.faults.length === 0;
  const file =
    written.files === 1 ? written.last_file : `${count(written.files)} files, the last ${written.last_file}`;
  const stamps =
    timestamps.provenance === "kernel"
      ? "kernel (CLOCK_REALTIME)"
      : `hardware, ${count(timestamps.hardware)} of ${count(report.frames)} frames; the others kernel`;
  const rows = [
    [
      "  frames",
      `${count(report.frames)}, ${count(report.in)} in and ${count(report.out)} out, ${count(report.bytes)} bytes`,
    ],
    [
      "  written",
      `${count(written.frames)} frames, ${count(written.bytes)} bytes in ${file === "-" ? "standard output" : file}`,
    ],
    [
      "  dropped",
      `ring ${count(drops.ring)}   writer ${count(drops.writer)}   interface ${count(drops.interface)}`,
    ],
    ["  timestamps", stamps],
    ...(report.frames === 0
      ? []
      : [
          ["  from", timeText(report.first_ns)],
          ["  to", timeText(report.last_ns)],
        ]),
    ...report.notes.map((note, index) => [index === 0 ? "  notes" : "", note]),
  ];
  const verdict = isWhole
    ? pc.green(pc.bold("  nothing dropped"))
    : pc.red(pc.bold(`  ${report.faults.join("; ")}`));
  return [...formatTable(rows), verdict];
}

/** One line while it runs. */
export function captureProgress(now: Counters, rate: number): string {
  const n = (name: string) => now[name] ?? 0;
  const dropped = n("ring_drops") + n("writer_drops") + n("interface_drops");
  const megabytes = (n("written_bytes") / 1e6).toFixed(1);
  return `${count(n("frames"))} frames, ${aSecond(rate)}, ${megabytes} MB written, ${count(dropped)} dropped`;
}

/** ns since the epoch as a time of day with all its digits. */
function timeText(time_ns: string): string {
  const time = BigInt(time_ns);
  const date = new Date(Number(time / 1_000_000n));
  const digits = String(time % 1_000_000_000n).padStart(9, "0");
  return `${date.toISOString().slice(0, 19)}.${digits}Z`;
}
