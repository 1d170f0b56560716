/** The captures that a replay can be chosen from, and what is in the beginning of one. */

import { readdirSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { frameLine } from "../inspect/frame_line.js";
import { asCaromError, CaromError } from "../native/error.js";
import { type CapturePreview, previewCapture } from "../native/index.js";
import { rateText } from "../run/lines.js";
import { remarkText } from "../run/remarks.js";
import type { Captured, Preview } from "./state.js";

const NAMES = /\.(pcap|pcapng|cap)(\.gz|\.zst)?$/i;
const LISTED = 500;
const REPLACED = "\ufffd"; // what Node makes of bytes of a name that are not UTF-8
const FRAMES = 40; // as many as a tall terminal shows
const NUMBER_ROOM = 6; // of the 8 columns of a number, that so few leave empty
const PORTS = { tickPort: 8080, orderPort: 9999 }; // by default
const SAMPLES = fileURLToPath(new URL("../../pcaps", import.meta.url)); // that come with carom

/** Of the folder and its pcaps/, and those that come with carom. */
export function findCaptures(folder: string): Captured[] {
  const folders = new Set([folder, join(folder, "pcaps"), SAMPLES]);
  return [...folders].flatMap((from) => capturesOf(folder, from)).slice(0, LISTED);
}

function capturesOf(folder: string, from: string): Captured[] {
  try {
    return readdirSync(from)
      .filter((name) => NAMES.test(name))
      .sort()
      .flatMap((name) => {
        const path = join(from, name);
        const found = statSync(path, { throwIfNoEntry: false });
        if (found === undefined && name.includes(REPLACED))
          return [{ path: shortest(folder, path), size: 0 }];
        return found?.isFile() ? [{ path: shortest(folder, path), size: found.size }] : [];
      });
  } catch {
    return []; // there is no such folder, or it is not to be read: nothing can be chosen from it
  }
}

function shortest(folder: string, path: string): string {
  const near = relative(folder, path);
  return near.startsWith("..") ? path : near;
}

/** Whether it can be chosen, as one that was typed. @throws CaromError (usage) */
export function captureAt(path: string): Captured {
  const found = statSync(path, { throwIfNoEntry: false });
  // A pipe would be waited for, and what was read of it is gone.
  if (found?.isFile()) return { path, size: found.size };
  if (found === undefined && path.includes(REPLACED)) {
    const hint = "rename it, or send it by carom replay - < FILE";
    throw new CaromError("usage", `choose ${path}`, "its name has bytes that are not UTF-8", hint);
  }
  const detail = found === undefined ? "there is no such file" : "it is no file that can be read twice";
  throw new CaromError("usage", `choose ${path}`, detail, "carom replay takes pipes");
}

/** Reads a little of a capture, however large it is. */
export function lookAt(path: string): Preview {
  try {
    captureAt(path); // what was a file when it was listed may be a pipe by now
    const found = previewCapture(path, FRAMES);
    return { path, problem: "", lines: [...summaryLines(found)], frames: found.first.map(frameText) };
  } catch (error) {
    const { detail, hint } = asCaromError(error, "read it");
    return { path, problem: `${detail}${hint === "" ? "" : `; ${hint}`}`, lines: [], frames: [] };
  }

  function frameText(frame: CapturePreview["first"][number]): string {
    return frameLine(frame, PORTS).slice(NUMBER_ROOM);
  }
}

/** What is said of all frames holds for those that were read: the first 50,000, or 16 MiB of them. */
function* summaryLines(found: CapturePreview): Generator<string> {
  const { format, compression, linkType, frames, bytes, span_ns, isWhole, part, broken, remarks } = found;
  const packed = compression === "none" ? "" : `, ${compression}`;
  yield `${format}${packed} · ${linkType}`;
  const many = frames.toLocaleString("en-US");
  const all = Math.round(frames / Math.max(part, 1e-9));
  const about = `the first ${many} frames of some ${Number(all.toPrecision(2)).toLocaleString("en-US")}`;
  const rate_pps = span_ns > 0 ? ((frames - 1) * 1e9) / span_ns : null;
  const rate = rate_pps === null ? "" : ` · ${rateText(rate_pps)} frames/s on average`;
  const size = frames === 0 ? "" : ` · ${Math.round(bytes / frames)} bytes each`;
  yield `${isWhole ? `${many} frames` : about} in ${rateText(span_ns / 1e9)} s${rate}${size}`;
  if (broken !== "") yield `broken: ${broken}`;
  yield* remarks.map(remarkText);
}
