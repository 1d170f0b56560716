/** A feed as a picture: rate over time, gaps and symbol weights, as SVG that can be read on light and on dark. */

import { formatNs } from "../config/values.js";
import { rateText } from "../run/lines.js";
import type { FeedSampled } from "./figures.js";

const WIDTH = 760;
const PANEL = 190; // height of a panel, with its title and its axis
const [LEFT, RIGHT, TOP, BOTTOM] = [70, 16, 34, 26]; // around a panel's plot
const PLOT_WIDTH = WIDTH - LEFT - RIGHT;
const PLOT_HEIGHT = PANEL - TOP - BOTTOM;
const HEAD = 40;

export const STYLE = `
  text { font: 12px system-ui, sans-serif; fill: #333; }
  .head { font-size: 16px; font-weight: 600; }
  .axis { stroke: #999; }
  .data { fill: #2a78b8; }
  .line { fill: none; stroke: #2a78b8; stroke-width: 1.5; }
  .ground { fill: #fff; }
  @media (prefers-color-scheme: dark) {
    text { fill: #ddd; }
    .axis { stroke: #777; }
    .data { fill: #6bb3ea; }
    .line { stroke: #6bb3ea; }
    .ground { fill: #16181b; }
  }`;

export function feedSvg(name: string, found: FeedSampled): string {
  const panels = [ratePanel(found), gapPanel(found), symbolPanel(found)];
  const height = HEAD + panels.length * PANEL;
  const rate = rateText(found.rate_pps);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}">`,
    `<style>${STYLE}\n</style>`,
    `<rect class="ground" width="${WIDTH}" height="${height}"/>`,
    label(LEFT, 26, `${name}: ${rate} ticks/s over ${found.duration_s} s`, "start", "head"),
    ...panels.map((panel, index) => `<g transform="translate(0 ${HEAD + index * PANEL})">${panel}</g>`),
    "</svg>\n",
  ].join("\n");
}

function ratePanel({ rate_over_time, duration_s }: FeedSampled): string {
  const most = Math.max(...rate_over_time.map(({ rate_pps }) => rate_pps), 1);
  const width = PLOT_WIDTH / rate_over_time.length;
  const bars = rate_over_time.map(({ rate_pps }, index) => bar(index * width, width, rate_pps / most));
  const ends = [label(LEFT, PANEL - 8, "0 s"), label(WIDTH - RIGHT, PANEL - 8, `${duration_s} s`, "end")];
  return [...frame("ticks a second, over time", short(most)), ...bars, ...ends].join("\n");
}

function gapPanel({ gapBins }: FeedSampled): string {
  const total = gapBins.reduce((sum, { count }) => sum + count, 0);
  const most = Math.max(...gapBins.map(({ count }) => count), 1);
  const width = PLOT_WIDTH / Math.max(1, gapBins.length);
  const bars = gapBins.map(({ count }, index) => bar(index * width, width, count / most));
  const every = Math.max(1, Math.ceil(gapBins.length / 10));
  const names = gapBins.flatMap(({ from_ns }, index) =>
    index % every === 0 ? [label(LEFT + index * width, PANEL - 8, formatNs(from_ns))] : [],
  );
  const top = `${((100 * most) / Math.max(1, total)).toFixed(0)} %`;
  return [...frame("time between neighbours, logarithmic scale", top), ...bars, ...names].join("\n");
}

/** Share of the ticks by rank, both logarithmic. */
function symbolPanel({ shares }: FeedSampled): string {
  const seen = shares.filter((share) => share > 0);
  const [most, least] = [seen[0] ?? 1, seen.at(-1) ?? 1];
  const x = (rank: number) => (seen.length < 2 ? 0 : Math.log(rank) / Math.log(seen.length)) * PLOT_WIDTH;
  const y = (share: number) =>
    (most === least ? 0 : Math.log(most / share) / Math.log(most / least)) * PLOT_HEIGHT;
  // As many points as can be seen.
  const ranks = [...new Set(Array.from({ length: 200 }, (_, i) => Math.round(seen.length ** (i / 199))))];
  const points = ranks.flatMap((rank) => {
    const share = seen[rank - 1];
    return share === undefined ? [] : [`${(LEFT + x(rank)).toFixed(1)},${(TOP + y(share)).toFixed(1)}`];
  });
  const ends = [label(LEFT, PANEL - 8, "1"), label(WIDTH - RIGHT, PANEL - 8, String(seen.length), "end")];
  const line = `<polyline class="line" points="${points.join(" ")}"/>`;
  const title = "share of the ticks by the symbol's rank, both logarithmic";
  return [...frame(title, percent(most), percent(least)), line, ...ends].join("\n");
}

function frame(title: string, top: string, bottom = "0"): string[] {
  const base = TOP + PLOT_HEIGHT;
  return [
    label(LEFT, 20, title),
    label(LEFT - 6, TOP + 10, top, "end"),
    label(LEFT - 6, base, bottom, "end"),
    `<line class="axis" x1="${LEFT}" y1="${base}" x2="${WIDTH - RIGHT}" y2="${base}"/>`,
    `<line class="axis" x1="${LEFT}" y1="${TOP}" x2="${LEFT}" y2="${base}"/>`,
  ];
}

function bar(x: number, width: number, part: number): string {
  const height = part * PLOT_HEIGHT;
  const y = TOP + PLOT_HEIGHT - height;
  const shown = [LEFT + x + 0.5, y, Math.max(0.5, width - 1), height].map((value) => value.toFixed(1));
  return `<rect class="data" x="${shown[0]}" y="${shown[1]}" width="${shown[2]}" height="${shown[3]}"/>`;
}

export function label(x: number, y: number, text: string, anchor = "start", style = ""): string {
  const escaped = text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
  return `<text x="${x.toFixed(1)}" y="${Number(y.toFixed(1))}" text-anchor="${anchor}"${style && ` class="${style}"`}>${escaped}</text>`;
}

function short(value: number): string {
  if (value >= 1e6) return `${(value / 1e6).toPrecision(3)}M`;
  return value >= 1e3 ? `${(value / 1e3).toPrecision(3)}k` : value.toPrecision(3);
}

function percent(share: number): string {
  return `${(100 * share).toPrecision(2)} %`;
}
