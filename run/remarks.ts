/** What is to be said of the frames of a capture that are left out, or not taken just as they are in it. */

import pc from "picocolors";
import type { CaptureRemark } from "../native/index.js";
import { count, counted } from "./lines.js";

/** "1 frame, number 7, left out: …", "3 frames, the first number 7, …" */
export function remarkText({ frames, first_frame, text }: CaptureRemark): string {
  const first = frames === 1 ? "number" : "the first number";
  return `${counted(frames, "frame")}, ${first} ${count(first_frame)}, ${text}`;
}

/** Those that make a run not as expected. */
export function remarkFaults(remarks: readonly CaptureRemark[]): string[] {
  return remarks.filter(({ is_fault }) => is_fault).map(remarkText);
}

export function remarkColour({ is_fault }: CaptureRemark): (text: string) => string {
  return is_fault ? pc.red : (text) => text;
}
