/** Limits as a picture: throughput as bars, and latency against load, as SVG that can be read on light and on dark. */

import { formatNs } from "../config/values.js";
import { label, STYLE } from "../generator/svg.js";
import { type LimitReport, type LimitResult, nameOf, type Spread } from "./limit_report.js";

const WIDTH = 860;
const HEAD = 48;
const ROW = 26; // of the throughput
const [LEFT, RIGHT] = [200, 220]; // around both plots: names to the left, labels of lines to the right
const PLOT_WIDTH = WIDTH - LEFT - RIGHT;
const PLOT_HEIGHT = 260;
const LABEL = 14; // pixels between two labels of lines

// Okabe and Ito's colours, told apart by those who see no red or no green; each line has its name beside it, too.
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"] as const;

export function limitSvg({ results, settings }: LimitReport): string {
  const bars = throughput(results);
  const top = HEAD + results.length * ROW + 50;
  const height = top + PLOT_HEIGHT + 50;
  const title = `carom limit, ${settings.place}: loss ≤ ${100 * settings.loss} %, trials of ${settings.trial_s} s`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}">`,
    `<style>${STYLE}\n  .series { fill: none; stroke-width: 2; }\n</style>`,
    `<rect class="ground" width="${WIDTH}" height="${height}"/>`,
    label(16, 26, title, "start", "head"),
    ...bars,
    `<g transform="translate(0 ${top})">`,
    ...latency(results),
    "</g>",
    "</svg>\n",
  ].join("\n");
}

function throughput(results: readonly LimitResult[]): string[] {
  const most = Math.max(...results.map(({ pps }) => pps), 1);
  return results.flatMap((result, index) => {
    const y = HEAD + index * ROW;
    const width = (result.pps / most) * PLOT_WIDTH;
    const sign = result.pps > 0 && result.limited_by !== "device" ? "≥ " : "";
    const text = `${sign}${Math.round(result.pps).toLocaleString("en-US")} ticks/s (${result.limited_by})`;
    return [
      label(LEFT - 8, y + 15, nameOf(result, results), "end"),
      `<rect x="${LEFT}" y="${y + 3}" width="${width.toFixed(1)}" height="${ROW - 8}" fill="${colour(index)}"/>`,
      label(LEFT + width + 6, y + 15, text),
    ];
  });
}

/** p50 with a full line and p99 with a dashed one, the time on a logarithmic scale. */
function latency(results: readonly LimitResult[]): string[] {
  const points = results
    .flatMap((result) => result.latency)
    .flatMap(({ planned: { p50, p99 } }) => [p50, p99]);
  const values = points.flatMap(({ median_ns }) => (median_ns === null ? [] : [median_ns]));
  if (values.length === 0) return [];
  const first = 10 ** Math.floor(Math.log10(Math.min(...values)));
  const last = Math.max(10 * first, 10 ** Math.ceil(Math.log10(Math.max(...values))));
  const decades = Math.round(Math.log10(last / first));
  const x = (load: number) => LEFT + load * PLOT_WIDTH;
  const y = (value_ns: number) => PLOT_HEIGHT * (1 - Math.log(value_ns / first) / Math.log(last / first));
  const lines = results.flatMap((result, index) =>
    (["p50", "p99"] as const).flatMap((name) => {
      const shown = result.latency.flatMap(({ load, planned }) => pointOf(load, planned[name]));
      const end = shown.at(-1);
      if (end === undefined) return [];
      const path = shown
        .map(([load, value_ns]) => `${x(load).toFixed(1)},${y(value_ns).toFixed(1)}`)
        .join(" ");
      const dashes = name === "p99" ? ' stroke-dasharray="5 4"' : "";
      const line = `<polyline class="series" points="${path}" stroke="${colour(index)}"${dashes}/>`;
      return [{ line, text: `${nameOf(result, results)} ${name}`, y: y(end[1]) + 4 }];
    }),
  );
  const grid = Array.from({ length: decades + 1 }, (_, i) => {
    const at = y(first * 10 ** i);
    return [
      `<line class="axis" x1="${LEFT}" y1="${at.toFixed(1)}" x2="${LEFT + PLOT_WIDTH}" y2="${at.toFixed(1)}" stroke-opacity="0.4"/>`,
      label(LEFT - 8, at + 4, formatNs(first * 10 ** i), "end"),
    ];
  });
  const loads = [...new Set(results.flatMap((result) => result.latency.map(({ load }) => load)))];
  return [
    label(LEFT, -12, "round trip from the planned send, against the part of the limit that is offered"),
    ...grid.flat(),
    ...lines.map(({ line }) => line),
    ...apart(lines).map(({ text, y: at }) => label(LEFT + PLOT_WIDTH + 8, at, text)),
    ...loads.map((load) => label(x(load), PLOT_HEIGHT + 20, `${Math.round(100 * load)} %`, "middle")),
  ];
}

function pointOf(load: number, { median_ns }: Spread): (readonly [number, number])[] {
  return median_ns === null ? [] : [[load, median_ns]];
}

/** Labels pushed down, so that none lies on another. */
function apart(labels: readonly { readonly text: string; readonly y: number }[]) {
  let free = Number.NEGATIVE_INFINITY;
  return [...labels]
    .sort((a, b) => a.y - b.y)
    .map(({ text, y }) => {
      const at = Math.max(y, free);
      free = at + LABEL;
      return { text, y: at };
    });
}

function colour(index: number): string {
  return COLOURS[index % COLOURS.length]!;
}
