/** What the UI shows of a run is true: figures, faults, and what becomes of a setting that is changed. */

import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Listed } from "../history/store.js";
import { CaromError } from "../native/error.js";
import { ANEW } from "../run/changes.js";
import { percentileCurve } from "../tui/charts.js";
import { ended, recordedAt, START } from "../tui/live.js";
import type { Running } from "../tui/measuring.js";
import { changeTo, checkRun } from "../tui/run_job.js";
import { initialState, SCREENS } from "../tui/state.js";
import { Store } from "../tui/store.js";
import { after, SMALL, textOf, typed } from "./tui_support.js";

test("a run that has ended shows the figures of its report, and what was never answered is longer than any", () => {
  const generator = { correct: 99, received: 99, missing: 1 };
  const histogram = (value: number, count: number) => {
    const counts = new Float64Array(4096);
    counts[value] = count;
    const [sum, sumOfSquares] = [value * count, value * value * count];
    return { counts, count, min: value, max: value, sum, sumOfSquares };
  };
  const final = { elapsed_s: 0.9, generator, responder: null };
  const live = ended(START, { ...final, latency: histogram(1000, 99), late: histogram(200, 100) });
  assert.is(live.elapsed_s, 0.9);
  assert.is(recordedAt(live.whole, 99), 1000);
  assert.is(recordedAt(live.whole, 99.9), null);
  assert.is(recordedAt(live.lateness, 99.99), 200);
  const { run, ...rest } = initialState(SMALL);
  const shown = textOf({ ...rest, run: { ...run, live } });
  assert.match(shown, /p99 +– +1 µs +200 ns *\n[^\n]*p99\.9 +– +missing +200 ns *\n/);
  // xdp_live has round trips at the end alone: that is not as if none was answered.
  assert.match(shown, "none by the second");
  assert.match(textOf(initialState(SMALL)), "nothing was answered yet");
});

test("a percentile curve ends where ticks were never answered, and is as high as it gets", () => {
  const lost = percentileCurve((percentile) => (percentile > 99 ? null : 1000 + percentile * 100), 60, 10);
  assert.match(lost[0]!.map(({ text }) => text).join(""), /^ *1[01]\.\d µs .*[^ ]/);
  assert.match(
    lost
      .at(-2)!
      .map(({ text }) => text)
      .join(""),
    /^ *1 µs /,
  );
});

test("faults are seen on a small screen, however many answers were right", () => {
  const { run, ...rest } = initialState(SMALL);
  const generator = { correct: 123_456_789, unexpected: 1 };
  const shown = textOf({ ...rest, run: { ...run, live: { ...START, generator } } });
  assert.match(shown, /correct 123,456,789 {2}unexpected 1 {2}others 0/);
  // Orders does not call it right either when it has no example.
  assert.not.match(
    textOf({ ...rest, screen: "Orders", run: { ...run, live: { ...START, generator } } }),
    "every order so far was right",
  );
});

test("a run goes on when a setting is typed that no run can have, or that says nothing of it", () => {
  const storeWith = (fields: Readonly<Record<string, string>>) => {
    const { run, ...rest } = initialState(SMALL);
    return new Store({ ...rest, run: { ...run, fields: { ...run.fields, ...fields } } });
  };
  const refused = (fields: Readonly<Record<string, string>>, detail: string) =>
    assert.throws(
      () => checkRun(storeWith(fields)),
      (error: unknown) => error instanceof CaromError && error.message.includes(detail),
    );
  refused({ seed: "x" }, "seed");
  refused({ rate: "5k", window: "4" }, "--rate with --window");
  refused({ rate: "5k", profile: "steady" }, "--rate with --profile");
  checkRun(storeWith({ rate: "5k" }));
  const running = (mode: string) => ({ plan: { generator: { mode } } }) as unknown as Running;
  changeTo(storeWith({ rate: "5k" }), running("open"), "window");
  changeTo(storeWith({ window: "4" }), running("closed"), "rate");
  const anew = (fields: Readonly<Record<string, string>>, mode: string, what: "rate" | "window") =>
    assert.throws(
      () => changeTo(storeWith(fields), running(mode), what),
      (error: unknown) => error instanceof CaromError && error.hint === ANEW,
    );
  anew({ rate: "5k" }, "closed", "window"); // a rate that was typed before
  anew({ rate: "" }, "open", "rate");
});

test("what is known of one responder is not shown as another's", () => {
  const status = { enabled: true };
  const two = after(
    initialState(SMALL),
    { type: "screen", screen: "Responder" },
    { type: "responder", change: { names: ["a", "b"], status } },
  );
  assert.is(typed(two, { input: "", name: "up" }).state.responder.status, status);
  const { responder } = typed(two, { input: "", name: "down" }).state;
  assert.equal([responder.chosen, responder.status], [1, null]);
});

test("the last line of each screen has all its keys at 80 columns", () => {
  for (const screen of SCREENS) {
    const state = after(initialState(SMALL), { type: "screen", screen });
    assert.match(textOf(state).split("\n").at(-1)!, /q quit *$/, screen);
  }
});

test("what a message quotes is one line, and is not obeyed", () => {
  const error = new CaromError("usage", "do it", "one\ntwo\x1b[2J", "or\nnot");
  const shown = textOf(after(initialState(SMALL), { type: "failed", error }));
  assert.match(shown, /✗ do it: one·two·\[2J → or·not/);
  // What is too long for a line goes on in the next, and is not cut off.
  const long = new CaromError("usage", "do it", "word ".repeat(30).concat("end"), "what ".repeat(20));
  const rows = textOf(after(initialState(SMALL), { type: "failed", error: long })).split("\n");
  assert.is(rows.length, SMALL.rows - 1);
  assert.match(rows.at(-3)!, /end *$/);
  assert.match(rows.at(-2)!, /^→ what/);
  assert.match(rows.at(-1)!, /^what .* · Esc closes *$/);
});

test("a run of the history has the time of the clock on the wall", () => {
  const before = process.env.TZ;
  process.env.TZ = "Asia/Tokyo";
  try {
    const summary = { backends: "udp", loop: "", elapsed_s: 1, sent: 1, p50_ns: 1, p99_ns: 1, faults: 0 };
    const run = { id: 7, command: "run", started: "2026-03-01T20:05:09.000Z", summary } as Listed;
    const state = after(
      initialState(SMALL),
      { type: "screen", screen: "Compare" },
      { type: "compare", change: { runs: [run] } },
    );
    assert.match(textOf(state), /7 03-02 05:05:09 /);
  } finally {
    if (before === undefined) delete process.env.TZ;
    else process.env.TZ = before;
  }
});

test.run();
