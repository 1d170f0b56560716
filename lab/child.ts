/** A program that runs in the foreground in carom's place: same streams, same signals, same exit status. */

import { type StdioOptions, spawn } from "node:child_process";
import { constants } from "node:os";
import { CaromError } from "../native/error.js";

const SIGNALS = ["SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM"] as const;

export interface ForegroundOptions {
  readonly stdio?: StdioOptions; // inherited when left out
  readonly env?: NodeJS.ProcessEnv; // this process's own when left out
}

/**
 * Runs a program and passes on to it what signals this process gets.
 * @returns its exit status, 128 + n when signal n ended it
 * @throws CaromError (environment) when it can't be started
 */
export async function runInForeground(
  operation: string,
  command: readonly string[],
  options: ForegroundOptions = {},
): Promise<number> {
  const [file = "", ...args] = command;
  const child = spawn(file, args, { stdio: "inherit", ...options });
  const forward = (signal: NodeJS.Signals): void => {
    // A terminal sends these to both processes by itself, and a second one might be taken for impatience.
    if (isAtTerminal() && (signal === "SIGINT" || signal === "SIGQUIT")) return;
    child.kill(signal);
  };
  for (const signal of SIGNALS) process.on(signal, forward);
  try {
    return await new Promise<number>((resolve, reject) => {
      child.on("error", (error) => reject(new CaromError("environment", operation, error.message)));
      child.on("close", (status, signal) =>
        resolve(status ?? 128 + (signal === null ? 0 : constants.signals[signal])),
      );
    });
  } finally {
    for (const signal of SIGNALS) process.off(signal, forward);
  }
}

function isAtTerminal(): boolean {
  return process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY;
}
