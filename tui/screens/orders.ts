/** The screen Orders: how orders were judged, and those that were not right, field by field. */

import type { Example } from "../../native/index.js";
import { decodeOrder, decodeTick } from "../../wire/codec.js";
import { around, bold, dim, EMPTY, heading, type Line, line, printable, type Size } from "../line.js";
import type { State } from "../state.js";

const VERDICTS = ["correct", "wrong", "missing", "late", "duplicate", "unexpected"] as const;
const DETAIL_ROWS = 10;

export function orderLines({ run, orders }: State, size: Size): Line[] {
  const n = (name: string) =>
    run.report?.verdicts[name as (typeof VERDICTS)[number]] ?? run.live.generator[name] ?? 0;
  const total = VERDICTS.reduce((sum, name) => sum + n(name), 0);
  const counts = VERDICTS.map((name): Line => {
    const share = total === 0 ? "" : `${((100 * n(name)) / total).toFixed(n(name) === total ? 0 : 3)} %`;
    const isFault = name !== "correct" && n(name) > 0;
    return [
      {
        text: `${isFault ? "✗" : name === "correct" && n(name) > 0 ? "✓" : " "} `,
        color: isFault ? "red" : "green",
      },
      { text: name.padEnd(12), bold: isFault },
      { text: n(name).toLocaleString("en-US").padStart(15), color: isFault ? "red" : undefined },
      dim(share.padStart(12)),
    ];
  });
  const { latest } = run.live;
  const rows = Math.max(2, size.rows - counts.length - DETAIL_ROWS - 5);
  const shown = around(latest, orders.chosen, rows);
  const list = shown.items.map((example, index) =>
    exampleLine(example, shown.from + index === orders.chosen),
  );
  const none = line(
    dim(
      total === 0
        ? "  no run yet: 1 goes to Run, s starts one"
        : total > n("correct")
          ? "  the first of each kind are in the report: carom history show"
          : "  every order so far was right, and none is missing",
    ),
  );
  const chosen = latest[orders.chosen];
  return [
    heading("verdicts", size.columns),
    ...counts,
    EMPTY,
    heading("not as expected, the latest first", size.columns),
    ...(list.length === 0 ? [none] : list),
    EMPTY,
    ...(chosen === undefined ? [] : detailLines(chosen, size.columns)),
  ];
}

function exampleLine({ verdict, tick }: Example, isChosen: boolean): Line {
  const of = tick === null ? undefined : decodeTick(tick);
  const text =
    of === undefined ? "no tick" : `${printable(of.symbol)} ${of.price}¢ × ${of.quantity} @ ${of.timestamp}`;
  return [
    { text: isChosen ? "› " : "  ", bold: true },
    { text: verdict.padEnd(12), color: "red", bold: isChosen },
    { text },
  ];
}

/** The tick, what had to come and what came, side by side. */
function detailLines({ tick, expected, received }: Example, width: number): Line[] {
  const sides = [
    tick === null ? null : (decodeTick(tick) as unknown as Record<string, unknown>),
    expected === null ? null : (decodeOrder(expected) as unknown as Record<string, unknown>),
    received === null ? null : (decodeOrder(received) as unknown as Record<string, unknown>),
  ];
  const cell = (text: string) => text.slice(0, 20).padEnd(21);
  const fields = ["symbol", "price", "quantity", "side", "timestamp", "clOrdId"];
  const text = (side: Record<string, unknown> | null, field: string) => {
    if (side === null) return "–";
    const value = side[field];
    if (field === "side" && value !== undefined)
      return value === 0 ? "0 buy" : value === 1 ? "1 sell" : String(value);
    return value === undefined ? "" : printable(String(value));
  };
  return [
    heading("tick, expected and received", width),
    line(dim(`  ${"".padEnd(11)}${["tick", "expected", "received"].map(cell).join("")}`)),
    ...fields.map((field): Line => {
      const [of, must, is] = sides.map((side) => text(side, field));
      const differs = field !== "timestamp" && expected !== null && received !== null && must !== is;
      return [
        dim(`  ${field.padEnd(11)}`),
        { text: cell(of!) },
        { text: cell(field === "timestamp" && expected !== null ? "any" : must!) },
        { ...bold(cell(is!), differs ? "red" : undefined), bold: differs },
        { text: differs ? "≠" : "", color: "red" },
      ];
    }),
  ];
}
