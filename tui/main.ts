/** Opens the UI on a terminal, and gives the terminal back as it was, however it ends. */

import { writeSync } from "node:fs";
import { asCaromError } from "../native/error.js";
import { readEarly } from "./early_keys.js";
import { Painter } from "./painter.js";
import { viewLines } from "./shell.js";
import { initialState } from "./state.js";
import { Store } from "./store.js";
import { styledText } from "./style.js";

const FRAMES_PER_S = 10;
const ENTER = "\x1b[?1049h\x1b[?25l\x1b[2J\x1b[H"; // the alternate screen, without a cursor
const LEAVE = "\x1b[?1049l\x1b[?25h\x1b[0m";
const CLEAR = "\x1b[2J\x1b[H";
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** @param refresh_hz how often a second the counters of a run are drawn anew @returns the exit status */
export async function openUi(refresh_hz: number): Promise<number> {
  const { stdout } = process;
  const size = () => ({ columns: stdout.columns || 80, rows: stdout.rows || 24 });
  const store = new Store(initialState(size()));
  let finish = () => {};
  const finished = new Promise<void>((resolve) => {
    finish = resolve;
  });
  for (const signal of SIGNALS) process.on(signal, finish);
  const restore = takeTerminal();
  const painter = new Painter(stdout, 1000 / FRAMES_PER_S, store.refreshes);
  // Shown, and listening, before Ink is loaded.
  const draw = () => painter.draw(viewLines(store.get()).map((spans) => styledText(spans)));
  draw();
  await shown();
  const { Session } = await import("./session.js");
  const session = new Session(store, refresh_hz, finish);
  const endDrawing = store.subscribe(draw);
  const endReading = readEarly(process.stdin, store, session);
  const { mount } = await import("./mount.js");
  endDrawing();
  endReading();
  const instance = mount(store, session, painter);
  const onResize = () => {
    stdout.write(CLEAR);
    painter.forget();
    painter.emit("resize");
    store.dispatch({ type: "size", size: size() });
  };
  stdout.on("resize", onResize);
  // A terminal that was closed ends the input, too.
  process.stdin.on("end", finish).on("error", finish);
  let failure: unknown;
  void instance.waitUntilExit().then(finish, (error) => {
    failure = error;
    finish();
  });
  try {
    await finished;
    store.dispatch({ type: "said", text: "stopping what runs, and giving everything back" });
    await session.end();
  } finally {
    stdout.off("resize", onResize);
    instance.unmount();
    painter.end();
    restore();
    for (const signal of SIGNALS) process.off(signal, finish);
  }
  if (failure !== undefined) throw failure;
  return 0;
}

/** Lets the painter write its first frame. */
function shown(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 5));
}

/** @returns what gives it back; that happens at the process's end in any case, also after a crash */
function takeTerminal(): () => void {
  let isTaken = true;
  process.stdin.setRawMode(true);
  const restore = () => {
    if (!isTaken) return;
    isTaken = false;
    process.off("exit", restore);
    if (process.stdin.isTTY) {
      try {
        process.stdin.setRawMode(false);
      } catch {} // the terminal is gone
    }
    try {
      writeSync(process.stdout.fd, LEAVE);
    } catch {} // the terminal is gone
  };
  process.on("exit", restore);
  // Said where it can be read: on the screen that the terminal goes back to.
  process.once("uncaughtException", (error) => {
    restore();
    process.stderr.write(`carom: ${asCaromError(error, "the UI").message}\n`);
    process.exit(3); // what a lab or a program in the kernel leaves goes with the exit
  });
  writeSync(process.stdout.fd, ENTER);
  return restore;
}
