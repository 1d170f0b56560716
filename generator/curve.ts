/** A recorded rate curve: a file of lines `time,rate`, in seconds and ticks a second. */

import { readBounded } from "../config/document.js";
import { CaromError } from "../native/error.js";

const NUMBER = /^\d{1,12}(\.\d{1,12})?$/;
const TIME_MAX_S = 7 * 24 * 3600;

export interface Curve {
  /** Pairs of ns from the beginning and ticks a second times 1000; the last one only ends the curve. */
  readonly points: Float64Array;
  readonly mean: number; // ticks a second
  readonly peak: number;
}

/**
 * The rate of a line holds until the time of the next one; the last line says when the curve ends. Times count
 * from the first one.
 * @param rateMax ticks a second
 * @throws CaromError (usage) with file, line and column
 */
export function readCurve(file: string, rateMax: number): Curve {
  return parseCurve(readBounded(file, "rate curve"), file, rateMax);
}

/** @throws CaromError as readCurve does */
export function parseCurve(text: string, file: string, rateMax: number): Curve {
  const points: number[] = [];
  let previous_s = -1;
  let first_s = 0;
  for (const [index, raw] of text.split(/\r?\n/).entries()) {
    const line = raw.replace(/#.*$/, "").trimEnd();
    if (line.trim() === "" || (points.length === 0 && /^\s*time(_s)?\s*,\s*rate(_pps)?$/.test(line)))
      continue;
    const fail = (column: number, detail: string, hint = ""): never => {
      throw new CaromError("usage", `${file}:${index + 1}:${column + 1}`, detail, hint);
    };
    const comma = line.indexOf(",");
    if (comma < 0) fail(0, `${JSON.stringify(line)} is not a time, a comma and a rate`);
    const [time, rate] = [line.slice(0, comma).trim(), line.slice(comma + 1).trim()];
    const rateAt = comma + 1 + (line.slice(comma + 1).length - line.slice(comma + 1).trimStart().length);
    if (!NUMBER.test(time) || Number(time) > TIME_MAX_S) {
      fail(0, `${JSON.stringify(time)} is not a time in seconds from 0 to ${TIME_MAX_S}`);
    }
    if (!NUMBER.test(rate)) fail(rateAt, `${JSON.stringify(rate)} is not a rate in ticks a second`);
    if (Number(rate) > rateMax) {
      fail(rateAt, `${rate} ticks/s are more than the link carries, ${Math.floor(rateMax)}`);
    }
    if (points.length === 0) first_s = Number(time);
    if (Number(time) <= previous_s) {
      fail(0, `the time ${time} does not come after ${previous_s}`, "sort the lines by time");
    }
    previous_s = Number(time);
    points.push(Math.round((previous_s - first_s) * 1e9), Math.round(Number(rate) * 1000));
  }
  if (points.length < 4) {
    const detail = points.length === 0 ? "the curve is empty" : "the curve has one point, and so no length";
    throw new CaromError("usage", file, detail, "give at least two lines of time,rate; the last one ends it");
  }
  return summarize(Float64Array.from(points), file);
}

function summarize(points: Float64Array, file: string): Curve {
  let ticks = 0;
  let peak = 0;
  for (let at = 0; at + 3 < points.length; at += 2) {
    ticks += ((points[at + 2]! - points[at]!) / 1e9) * (points[at + 1]! / 1000);
    peak = Math.max(peak, points[at + 1]! / 1000);
  }
  // The curve begins again at its end: with less than a tick in it, it would be gone through without one.
  if (ticks < 1) throw new CaromError("usage", file, "there is less than one tick in the whole curve");
  return { points, mean: ticks / (points.at(-2)! / 1e9), peak };
}
