/** The screen Responder: one that runs, started with carom respond: what it counts, and its settings. */

import { formatNs } from "../../config/values.js";
import { beside, bold, dim, EMPTY, heading, type Line, line, printable, type Size } from "../line.js";
import type { Prompt, ResponderState } from "../state.js";

const TALL = 46; // rows, with which there is room for everything

type Values = Readonly<Record<string, unknown>>;

export function responderLines(
  { names, chosen, status, isTraced, trace }: ResponderState,
  prompt: Prompt | null,
  size: Size,
): Line[] {
  if (names.length === 0) {
    return [
      heading("responder", size.columns),
      line(dim("  none is running here; carom respond --lab lab, or --interface eth1, starts one")),
    ];
  }
  const list = names.map(
    (name, index): Line => [
      { text: index === chosen ? "› " : "  ", bold: true },
      { text: printable(name), bold: index === chosen },
    ],
  );
  const asked =
    prompt !== null && prompt.into === "responder"
      ? [EMPTY, line(`change ${prompt.label}: `, { text: `${prompt.text}▏`, inverse: true })]
      : [];
  if (status === null) return [heading("responders", size.columns), ...list, ...asked];
  const width = Math.floor((size.columns - 2) / 2);
  const left = [
    heading("packets", width),
    ...valueLines(status.packets as Values),
    EMPTY,
    heading("processing", width),
    ...valueLines(status.processing as Values),
  ];
  const errors = status.errors as Values;
  const right = [
    heading("settings", width),
    ...settingLines(status.settings as Values),
    EMPTY,
    heading("refused, by reason", width),
    ...(Object.keys(errors).length === 0 ? [line(dim("  none"))] : valueLines(errors)),
  ];
  const head = [heading("responders", size.columns), ...list, headLine(status), ...asked, EMPTY];
  const values = beside(left, right, width);
  if (!isTraced) return [...head, ...values];
  const rows = Math.max(4, size.rows - head.length - (size.rows < TALL ? 0 : values.length + 1));
  const packets = [heading("packets, up to 20 a second", size.columns), ...traceLines(trace, rows - 1)];
  // Where there is no room for both, it is the packets that were asked for.
  return size.rows < TALL ? [...head, ...packets] : [...head, ...values, EMPTY, ...packets];
}

function traceLines(trace: ResponderState["trace"], rows: number): Line[] {
  if (trace.length === 0) return [line(dim("  none yet"))];
  return trace.slice(-rows).map(({ time_ns, outcome, why, length, spent_ns, ticks, orders }) => {
    const date = new Date(Number(BigInt(time_ns) / 1_000_000n));
    const time = `${date.toTimeString().slice(0, 8)}.${String(date.getMilliseconds()).padStart(3, "0")}`;
    const isGood = outcome === "answered" || outcome === "quiet";
    return line(
      dim(`  ${time}  `),
      { text: outcome.padEnd(10), color: isGood ? "green" : "red", bold: !isGood },
      `${formatNs(spent_ns).padStart(8)}  ${String(length).padStart(5)} bytes  ${ticks} → ${orders}  ${printable(why)}`,
    );
  });
}

function headLine(status: Values): Line {
  const isOn = status.enabled === true;
  const text = [
    status.interface,
    status.backend,
    `port ${status.port}`,
    `up ${Math.round(Number(status.uptime_s))} s`,
    `pid ${status.pid}`,
  ];
  return line(
    bold(isOn ? "● answers" : "○ answers nothing for now", isOn ? "green" : "yellow"),
    `  ${printable(text.join(" · "))}`,
  );
}

function valueLines(values: Values): Line[] {
  return Object.entries(values).map(([name, value]) =>
    line(
      dim(`  ${name.replace(/_ns$/, "").replaceAll("_", " ").padEnd(22)}`),
      valueText(name, value).padStart(14),
    ),
  );
}

function valueText(name: string, value: unknown): string {
  if (typeof value !== "number") return value === null ? "–" : printable(String(value));
  return name.endsWith("_ns") ? formatNs(value) : value.toLocaleString("en-US");
}

const SHOWN = [
  "strategy",
  "threshold",
  "quantity",
  "price_offset",
  "side",
  "symbols",
  "answer_limit",
  "spread",
];

function settingLines(settings: Values): Line[] {
  return SHOWN.filter((name) => settings[name] !== undefined && settings[name] !== null).map((name) =>
    line(dim(`  ${name.padEnd(22)}`), printable(String(settings[name]))),
  );
}
