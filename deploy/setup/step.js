/** One step of the set-up: a program that runs, a line that says so, and its last words when it fails. */

import { spawn } from "node:child_process";
import { constants } from "node:os";
import { stripVTControlCharacters } from "node:util";

const KEPT_LINES = 2000; // of what a program prints
const SHOWN_FIRST = 15; // of them, when it fails: a compiler's first error matters most
const SHOWN_LAST = 45;
const LIVE_MS = 200;

/** What stops the set-up: what went wrong, and what to do about it. */
export class SetupError extends Error {
  /**
   * @param {string} message what went wrong
   * @param {readonly string[]} next what to do about it, a line each
   */
  constructor(message, next = []) {
    super(message);
    this.next = next;
  }
}

/** A program that ended with another status than 0; `output` is what it printed. */
export class FailedProgram extends SetupError {
  constructor(message, output) {
    super(message);
    this.output = output;
  }
}

/** Everything that the set-up says goes to standard error: standard output belongs to what is started next. */
export function say(line) {
  process.stderr.write(`${line}\n`);
}

/**
 * Runs a program to its end, with one line about it: what is done, and how long it took. On a terminal the
 * line also shows the time and the program's last words while it runs.
 * @param {string} title what is done: "npm packages"
 * @param {readonly string[]} command
 * @param {{cwd?: string, env?: NodeJS.ProcessEnv, inherited?: number}} options `inherited`: a descriptor that
 * the program holds, too, as long as it runs
 * @returns {Promise<string>} what it printed
 * @throws {FailedProgram}
 */
export async function runStep(title, [file, ...args], { cwd, env, inherited } = {}) {
  const line = new Line(title);
  const lines = [];
  const began = performance.now();
  const stdio = ["ignore", "pipe", "pipe", ...(inherited === undefined ? [] : [inherited])];
  const child = spawn(file, args, { cwd, env: { ...process.env, ...env }, stdio });
  // The program gets a Ctrl-C of the terminal, too, and ends by itself: some need to clean up.
  let isInterrupted = false;
  const interrupt = () => {
    isInterrupted = true;
  };
  process.on("SIGINT", interrupt);
  const keep = (text) => {
    const words = text.trim();
    if (words === "") return;
    lines.push(text.trimEnd());
    if (lines.length > KEPT_LINES) lines.shift();
    line.show(words);
  };
  for (const stream of [child.stdout, child.stderr]) eachLine(stream, keep);
  const status = await new Promise((resolve) => {
    child.on("error", (error) => {
      keep(error.message);
      resolve(127);
    });
    child.on("close", (code, signal) => resolve(code ?? 128 + constants.signals[signal]));
  });
  process.off("SIGINT", interrupt);
  const took = `${((performance.now() - began) / 1000).toFixed(1)} s`;
  line.end(status === 0 ? took : `failed after ${took}`);
  if (isInterrupted) process.exit(128 + constants.signals.SIGINT);
  if (status !== 0)
    throw new FailedProgram(`${title}: ${file} ended with status ${status}`, lines.join("\n"));
  return lines.join("\n");
}

/** What a program printed: the beginning and the end, when it is long. */
export function showOutput(output) {
  const lines = output.split("\n");
  const left = lines.length - SHOWN_FIRST - SHOWN_LAST;
  const shown =
    left > 1
      ? [...lines.slice(0, SHOWN_FIRST), `… ${left} lines more …`, ...lines.slice(-SHOWN_LAST)]
      : lines;
  for (const line of shown) say(`  | ${line}`);
}

/**
 * The line about a step: written when it has ended. On a terminal one line below says meanwhile what is at work, for
 * how long, and the last words of it.
 */
class Line {
  static running = new Set();
  static isLive = process.stderr.isTTY === true && process.env.CI === undefined;
  static words = "";

  constructor(title) {
    this.title = title;
    this.began = performance.now();
    Line.running.add(this);
    if (Line.isLive) Line.timer ??= setInterval(Line.draw, LIVE_MS);
  }

  show(words) {
    Line.words = words;
  }

  end(result) {
    Line.running.delete(this);
    process.stderr.write(`${Line.isLive ? "\r\x1b[K" : ""}carom set-up: ${this.title} … ${result}\n`);
    if (Line.running.size > 0) return;
    clearInterval(Line.timer);
    Line.timer = undefined;
  }

  static draw() {
    const at = ({ title, began }) => `${title} … ${((performance.now() - began) / 1000).toFixed(0)} s`;
    const text = `carom set-up: ${[...Line.running].map(at).join(", ")}  `;
    const room = (process.stderr.columns ?? 80) - 1;
    const words = printable(Line.words).slice(0, Math.max(0, room - text.length));
    process.stderr.write(`\r\x1b[K${text.slice(0, room)}\x1b[2m${words}\x1b[0m`);
  }
}

/** What a program prints is shown, never obeyed. */
function printable(text) {
  return stripVTControlCharacters(text).replace(/[^\x20-\x7e\u00a0-\uffff]/g, " ");
}

function eachLine(stream, use) {
  let rest = "";
  stream.setEncoding("utf8");
  stream.on("data", (text) => {
    const parts = (rest + text).split(/\r?\n|\r/);
    rest = parts.pop() ?? "";
    parts.forEach(use);
  });
  stream.on("end", () => use(rest));
}
