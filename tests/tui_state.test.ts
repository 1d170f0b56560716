/** The UI without a terminal: what each key does, how the state changes, and what the screens show of it. */

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { render } from "ink-testing-library";
import { createElement } from "react";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { CaromError } from "../native/error.js";
import { type GeneratorSnapshot, previewCapture } from "../native/index.js";
import { App } from "../tui/app.js";
import { captureAt, findCaptures, lookAt } from "../tui/captures.js";
import { percentileCurve, sparkline, spectrum, spectrumBin, spectrumValue } from "../tui/charts.js";
import { keysIn } from "../tui/early_keys.js";
import { givenFields, givenReplayFields } from "../tui/fields.js";
import { type CommandName, paletteEntries } from "../tui/keys.js";
import { fit, line, widthOf } from "../tui/line.js";
import { measured, recordedAt, START } from "../tui/live.js";
import { Painter } from "../tui/painter.js";
import type { Executor } from "../tui/press.js";
import { Refreshes } from "../tui/refreshes.js";
import { viewLines } from "../tui/shell.js";
import { type Action, initialState, SCREENS, type State } from "../tui/state.js";
import { Store } from "../tui/store.js";
import { sleep, until } from "./lab_support.js";
import { after, key, SMALL, textOf, typed } from "./tui_support.js";

test("numbers and Tab go to each screen; its keys give its commands", () => {
  for (const [index, screen] of SCREENS.entries()) {
    assert.is(typed(initialState(SMALL), key(String(index + 1))).state.screen, screen);
    const tabs = new Array(index).fill({ input: "", name: "tab" });
    assert.is(typed(initialState(SMALL), ...tabs).state.screen, screen);
  }
  assert.is(typed(initialState(SMALL), { input: "", name: "back-tab" }).state.screen, SCREENS.at(-1));
  assert.equal(typed(initialState(SMALL), key("s"), key("4"), key("s"), key("q")).commands, [
    "run.toggle",
    "checks.toggle",
    "quit",
  ]);
  assert.equal(typed(initialState(SMALL), { input: "", name: "interrupt" }).commands, ["quit"]);
});

test("a setting is typed or chosen; while a run is on it starts anew", () => {
  const enter = { input: "", name: "return" as const };
  const rate = typed(
    initialState(SMALL),
    enter,
    key("2"),
    key("0"),
    key("x"),
    { input: "", name: "backspace" },
    key("k"),
    enter,
  );
  assert.is(rate.state.run.fields.rate, "20k");
  assert.equal(rate.commands, ["run.changed rate"]);
  assert.equal(givenFields(rate.state.run.fields), {
    rate: "20k",
    backend: "af_xdp",
    strategy: "threshold",
    duration: "20s",
  });
  assert.equal(typed(rate.state, enter, enter).commands, [], "it is as it was");
  // q and ? are letters there, and Esc leaves the field as it was.
  const left = typed(rate.state, enter, key("q"), key("?"), { input: "", name: "escape" });
  assert.is(left.state.run.fields.rate, "20k");
  assert.equal(left.commands, []);
  const down = { input: "", name: "down" as const };
  const chosen = typed(rate.state, down, down, down, { input: "", name: "right" });
  assert.is(chosen.state.run.fields.backend, "af_packet");
  const back = typed(rate.state, down, down, down, { input: "", name: "left" });
  assert.is(back.state.run.fields.backend, "xdp_live", "it goes round");
});

test("a capture is chosen, and how it is sent; what is typed for one timing is not for another", () => {
  const enter = { input: "", name: "return" as const };
  const [down, right] = [
    { input: "", name: "down" as const },
    { input: "", name: "right" as const },
  ];
  const captures = [
    { path: "a.pcap", size: 1 },
    { path: "b.pcap", size: 2_500_000 },
  ];
  const list = after(
    initialState(SMALL),
    { type: "screen", screen: "Replay" },
    { type: "replay", change: { captures } },
  );
  const { state } = typed(list, down, down, key("o"), right, down, enter, key("4"), enter);
  assert.is(state.replay.chosen, 1, "not beyond the last");
  assert.match(textOf(state), /› b\.pcap +2\.50 MB +│/);
  assert.match(textOf(state), /timing +speed[\s\S]*› at +4 times/);
  const given = { speed: "4", backend: "af_xdp" };
  assert.equal(givenReplayFields(state.replay.fields), given);
  const up = { input: "", name: "up" as const };
  const paced = typed(state, up, right).state;
  assert.equal(givenReplayFields(paced.replay.fields), { gap: "1ms", backend: "af_xdp" });
  const fast = typed(paced, right, right).state;
  assert.equal(givenReplayFields(fast.replay.fields), { fast: "true", backend: "af_xdp" });
  assert.equal(typed(fast, key("p"), key("c"), enter).commands, ["replay.path c"]);
  // What is sent is what is seen; the arrows bring the list back once it has ended.
  const running = after(fast, {
    type: "replay",
    change: { phase: "running", result: true, replayed: "b.pcap" },
  });
  assert.match(textOf(typed(running, down).state), /● running +b\.pcap/);
  const ended = after(running, { type: "replay", change: { phase: "ended" } });
  assert.match(textOf(typed(ended, down).state), "captures: 2");
  assert.is(typed(ended, down, key("v")).state.replay.result, true);
});

test("captures are found in a folder and its pcaps/; one that can't be read says why", () => {
  const folder = mkdtempSync(join(tmpdir(), "carom-captures-"));
  try {
    mkdirSync(join(folder, "pcaps"));
    for (const name of ["b.pcap", "a.pcapng.zst", "notes.txt", "pcaps/c.cap"])
      writeFileSync(join(folder, name), "x");
    mkdirSync(join(folder, "d.pcap"));
    const found = findCaptures(folder);
    assert.equal(
      found.slice(0, 3).map(({ path }) => path),
      ["a.pcapng.zst", "b.pcap", "pcaps/c.cap"],
    );
    assert.ok(
      found.some(({ path }) => path.endsWith("/pcaps/steady.pcap")),
      "those that come with carom",
    );
    assert.throws(() => captureAt(folder), /choose .*: it is no file that can be read twice/);
    assert.match(lookAt(join(folder, "b.pcap")).problem, "not a capture");
  } finally {
    rmSync(folder, { recursive: true });
  }
  const steady = lookAt("pcaps/steady.pcap");
  assert.equal(steady.lines, [
    "pcap µs · EN10MB (Ethernet)",
    "200 frames in 0.00199 s · 100,000 frames/s on average · 66 bytes each",
  ]);
  assert.is(steady.frames.length, 40);
  assert.match(
    steady.frames[1]!,
    /^ 2 +0\.000010000 +198\.18\.0\.1:8080 +→ 239\.1\.1\.1:8080 +66 +tick META 9856¢ × 300/,
  );
  assert.match(lookAt("pcaps/broken.pcapng").lines.at(-1)!, /^broken: frame \d+/);
  // As replay and inspect say it.
  assert.match(lookAt("tests/cases/P28-nonsense_time.pcapng").lines.at(-1)!, /^1 frame, number \d+, .*time/);
});

test("of a large capture only the beginning is read", () => {
  const folder = mkdtempSync(join(tmpdir(), "carom-captures-"));
  try {
    const one = readFileSync("pcaps/steady.pcap");
    const records = one.subarray(24);
    const path = join(folder, "large.pcap");
    writeFileSync(path, Buffer.concat([one.subarray(0, 24), ...new Array(1000).fill(records)]));
    const found = previewCapture(path, 2);
    assert.equal([found.frames, found.isWhole, found.first.length], [50_000, false, 2]);
    assert.ok(found.part > 0.2 && found.part < 0.4, `${found.part} of it was read`);
    assert.match(lookAt(path).lines[1]!, /^the first 50,000 frames of some (1[5-9]|2[0-5])0,000 in /);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("keys before Ink is loaded are the same keys", () => {
  const named = (text: string) => keysIn(text).map(({ input, name }) => name || input);
  assert.equal(named("2k\r\x1b[A\x1b[B\t\x1b[Z\x7f?\x1b[6~\x03"), [
    ..."2k",
    "return",
    "up",
    "down",
    "tab",
    "back-tab",
    "backspace",
    "?",
    "page-down",
    "interrupt",
  ]);
  assert.equal(named("\x1b"), ["escape"]);
  assert.equal(named("\x1b[15~\x01é"), ["é"], "others are none");
});

test("/ finds a command by its words, and does it", () => {
  const enter = { input: "", name: "return" as const };
  const { state, commands } = typed(initialState(SMALL), key("/"), ..."machine".split("").map(key), enter);
  assert.is(state.screen, "Doctor");
  assert.equal(commands, ["doctor.start"]);
  assert.is(state.palette, null);
  assert.equal(paletteEntries("no such thing"), []);
  assert.match(
    textOf(typed(initialState(SMALL), key("/"), key("z"), key("z")).state),
    "there is no such command",
  );
});

const snapshot = (
  ...pairs: readonly (readonly [index: number, count: number])[]
): GeneratorSnapshot["latency"] => ({
  indices: Uint32Array.from(pairs, ([index]) => index),
  counts: Float64Array.from(pairs, ([, count]) => count),
  max: 1500,
});

test("each second has the samples that came in it, and the rates of what was counted", () => {
  const now = (elapsed_s: number, sent: number, latency: GeneratorSnapshot["latency"]) => ({
    elapsed_s,
    generator: { sent, received: sent / 2 },
    responder: null,
    latency: [latency],
    lateness: [snapshot()],
    threads: [],
    recent: [],
  });
  const one = measured(START, now(1, 1000, snapshot([1000, 100])));
  const two = measured(one, now(2, 5000, snapshot([1000, 150], [1400, 50])));
  assert.equal(two.sent_pps, [1000, 4000]);
  assert.equal(two.received_pps, [500, 2000]);
  assert.is(two.whole.count, 200);
  assert.is(two.second.count, 100);
  assert.is(recordedAt(two.second, 50), 1000);
  assert.is(recordedAt(two.second, 99), 1400);
  assert.is(recordedAt(two.whole, 75), 1000);
  assert.is(two.spectrum[1]![spectrumBin(1000)], 50);
  assert.is(two.spectrum[1]![spectrumBin(1400)], 50);
  assert.is(recordedAt(START.whole, 50), null);
});

test("charts show the values that they are given", () => {
  assert.is(sparkline([0, 1, 2, 4, 8], 6), " ▁▂▃▅█");
  assert.is(sparkline([0, 0], 3), " ▁▁");
  for (const value of [64, 1000, 123_456, 1e9]) {
    const bin = spectrumBin(value);
    assert.ok(spectrumValue(bin) <= value * 1.0001 && value < spectrumValue(bin + 1) * 1.0001, `${value}`);
  }
  const bins = new Array(120).fill(0);
  bins[20] = 999;
  bins[30] = 1;
  const rows = spectrum([bins], 20, 6).map((spans) => spans.map(({ text }) => text).join(""));
  assert.is(rows.length, 6);
  assert.match(rows.at(-1)!, /2\.05 µs +█$/, "most is at the bottom");
  assert.match(rows[0]!, /[·░▒]$/, "the rare one is at the top");
  const curve = percentileCurve((percentile) => (percentile < 99 ? 1000 : 8000), 50, 6);
  const text = curve.map((spans) => spans.map((span) => span.text).join("")).join("\n");
  assert.match(text, "8 µs");
  assert.match(text, "1 µs");
  assert.match(text, /min +p90 +p99 +p99\.9/);
});

test("an error is shown with its hint, on two lines where one is too short", () => {
  const error = new CaromError("usage", "do something", "it is ".padEnd(60, "x"), "do something else");
  const screen = (columns: number) =>
    textOf(after(initialState({ columns, rows: 24 }), { type: "failed", error }));
  assert.match(screen(80), /✗ do something: it is x+ *\n→ do something else · Esc closes/);
  assert.match(screen(132), /✗ do something: it is x+ → do something else *\n/);
  const closed = typed(after(initialState(SMALL), { type: "failed", error }), { input: "", name: "escape" });
  assert.not.match(textOf(closed.state), "do something");
});

test("lines are cut or filled to the width", () => {
  assert.is(widthOf(fit(line("abc"), 5)), 5);
  assert.equal(fit(line("abcdef", { text: "gh", bold: true }), 4), [{ text: "abc…" }]);
  assert.equal(fit(line("ab", { text: "cdef", bold: true }), 4), [
    { text: "ab" },
    { text: "c…", bold: true },
  ]);
});

test("every screen fills the terminal and no more, small or large; a smaller one is told", () => {
  for (const size of [SMALL, { columns: 132, rows: 40 }, { columns: 300, rows: 90 }]) {
    for (const screen of SCREENS) {
      const lines = viewLines(after(initialState(size), { type: "screen", screen }));
      assert.is(lines.length, size.rows - 1, `${screen} at ${size.columns} × ${size.rows}`);
      for (const spans of lines)
        assert.ok(widthOf(spans) <= size.columns, `${screen}: ${widthOf(spans)} columns`);
    }
  }
  assert.match(
    textOf(initialState({ columns: 60, rows: 24 })),
    "carom needs 80 × 24 characters, here are 60 × 24",
  );
});

const ORDER = { symbol: "AAPL", timestamp: 5n, clOrdId: "0000000000000005", side: 0 as const };

test("a wrong order is shown field by field beside what had to come", async () => {
  const { encodeOrder, encodeTick } = await import("../wire/codec.js");
  const tick = encodeTick({ symbol: "AAPL", price: 9000, quantity: 100, timestamp: 5n });
  const expected = encodeOrder({ ...ORDER, price: 9000, quantity: 100 });
  const received = encodeOrder({ ...ORDER, price: 9001, quantity: 100 });
  const run = initialState(SMALL).run;
  const state = {
    ...after(initialState(SMALL), { type: "screen", screen: "Orders" }),
    run: {
      ...run,
      live: {
        ...START,
        generator: { correct: 3, wrong: 1 },
        latest: [{ verdict: "wrong" as const, tick, expected, received }],
      },
    },
  };
  const text = textOf(state);
  assert.match(text, /✗ wrong +1 +25\.000 %/);
  assert.match(text, /› wrong +AAPL 9000¢ × 100 @ 5/);
  assert.match(text, /price +9000 +9000 +9001 +≠/);
  assert.match(text, /quantity +100 +100 +100 +$/m);
});

test("the latest of what went wrong is the first; who looks at an older one goes on looking at it", () => {
  const wrong = (verdict: "wrong" | "missing" | "late") => ({
    verdict,
    tick: null,
    expected: null,
    received: null,
  });
  const now = (...recent: readonly ReturnType<typeof wrong>[]): Action => ({
    type: "run.measured",
    now: {
      elapsed_s: 1,
      generator: {},
      responder: null,
      latency: [snapshot()],
      lateness: [snapshot()],
      threads: [],
      recent,
    },
  });
  const first = after(initialState(SMALL), now(wrong("wrong"), wrong("missing")));
  const verdicts = ({ run }: State) => run.live.latest.map(({ verdict }) => verdict);
  assert.equal(verdicts(first), ["missing", "wrong"]);
  const second = after(first, now(wrong("late")));
  assert.equal([verdicts(second), second.orders.chosen], [["late", "missing", "wrong"], 0]);
  const moved = after(second, { type: "choose", screen: "Orders", by: 1 }, now(wrong("late"), wrong("late")));
  assert.equal([moved.orders.chosen, moved.run.live.latest[3]!.verdict], [3, "missing"]);
});

test("a run is told once of what is drawn within something that is drawn, and of its end in any case", () => {
  const told: boolean[] = [];
  const refreshes = new Refreshes();
  assert.is(
    refreshes.around(() => 7),
    7,
    "without a run",
  );
  refreshes.follow((isDrawn) => void told.push(isDrawn));
  refreshes.around(() => refreshes.around(() => {}));
  assert.throws(() =>
    refreshes.around(() => {
      throw new Error("a mistake");
    }),
  );
  assert.equal(told, [true, false, true, false]);
});

test("the component draws the state, and hands commands to the session", async () => {
  const asked: string[] = [];
  const shown: string[] = [];
  const store = new Store(initialState(SMALL));
  const session: Executor = {
    execute: (name: CommandName, argument: string) => void asked.push(`${name} ${argument}`.trim()),
    onScreenShown: () => void shown.push(store.get().screen),
  };
  const { lastFrame, stdin, unmount } = render(createElement(App, { store, session }));
  await until("it is drawn", () => (lastFrame() ?? "").includes("○ not running: s starts a run"));
  await until("keys are taken", () => {
    if (asked.length === 0) stdin.write("s");
    return asked.length > 0;
  });
  stdin.write("6");
  await until("it is shown", () => (lastFrame() ?? "").includes("none is kept yet"));
  assert.equal(asked, ["run.toggle"]);
  assert.equal(shown, ["Compare"]);
  store.dispatch({ type: "said", text: "something" });
  await until("it is said", () => lastFrame()!.includes("something"));
  stdin.write("\x03");
  await until("it is asked to end", () => asked.at(-1) === "quit");
  unmount();
});

test("the painter writes what has changed, in its place, and not more often than it may", async () => {
  const written: string[] = [];
  const stream = { write: (text: string) => written.push(text) > 0, columns: 10, rows: 5 };
  const painter = new Painter(stream as unknown as ConstructorParameters<typeof Painter>[0], 60);
  painter.draw(["one", "two", "three"]);
  await until("it is written", () => written.length === 1);
  for (const digit of ["1", "2", "3"]) painter.draw(["one", digit, "three"]);
  assert.ok(written.length <= 2, "too early");
  await until("it is written", () => written.length > 1);
  assert.is(written.length, 2, "three frames are one");
  assert.match(written[1]!, "\x1b[2;1H3\x1b[0m\x1b[K");
  assert.not.match(written[1]!, "one");
  painter.draw(["one", "3"]);
  await until("it is written", () => written.length > 2);
  assert.match(written[2]!, "\x1b[3;1H\x1b[J");
  painter.draw(["one", "3"]);
  await sleep(90);
  assert.is(written.length, 3, "nothing has changed");
  painter.end();
});

test.run();
