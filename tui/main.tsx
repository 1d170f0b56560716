/** Opens the UI on a terminal, and gives the terminal back as it was, however it ends. */

import { writeSync } from "node:fs";
import { render } from "ink";
import { asCaromError } from "../native/error.js";
import { App } from "./app.js";
import { Painter } from "./painter.js";
import { Session } from "./session.js";
import { initialState } from "./state.js";
import { Store } from "./store.js";

const FRAMES_PER_S = 10;
const ENTER = "\x1b[?1049h\x1b[?25l\x1b[2J\x1b[H"; // the alternate screen, without a cursor
const LEAVE = "\x1b[?1049l\x1b[?25h\x1b[0m";
const CLEAR = "\x1b[2J\x1b[H";
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Whether there is a terminal on both sides. */
export function hasTerminal(): boolean {
  return process.stdin.isTTY === true && process.stdout.isTTY === true;
}

/** @param refresh_hz how often a second the counters of a run are drawn anew @returns the exit status */
export async function openUi(refresh_hz: number): Promise<number> {
  const { stdout } = process;
  const size = () => ({ columns: stdout.columns || 80, rows: stdout.rows || 24 });
  const store = new Store(initialState(size()));
  let finish = () => {};
  const finished = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const session = new Session(store, refresh_hz, finish);
  const restore = takeTerminal();
  const painter = new Painter(stdout, 1000 / FRAMES_PER_S);
  const instance = render(<App store={store} session={session} />, {
    stdout: painter as unknown as NodeJS.WriteStream,
    debug: true,
    exitOnCtrlC: false,
    patchConsole: false,
  });
  const onResize = () => {
    stdout.write(CLEAR);
    painter.forget();
    painter.emit("resize");
    store.dispatch({ type: "size", size: size() });
  };
  stdout.on("resize", onResize);
  for (const signal of SIGNALS) process.on(signal, finish);
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

/** @returns what gives it back; that happens at the process's end in any case, also after a crash */
function takeTerminal(): () => void {
  let isTaken = true;
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
