/**
 * A process of carom's own that reads what comes from a network: it opens what it needs, gives up what it then no
 * longer needs (lab/privileges.ts), and ends with this one. Its side is lab/confined_main.ts.
 */

import { type ChildProcess, fork } from "node:child_process";
import { isatty } from "node:tty";
import { asCaromError, CaromError } from "../native/error.js";
import { atEndOfProcess } from "./end.js";

const SAID_MAX = 4096; // characters that are kept of what it says of its own accord: how it crashed, say

/** Those that run, which are not to outlive this process, nor its lab. */
const alive = new Set<ChildProcess>();

function killAll(): void {
  for (const child of alive) child.kill("SIGKILL");
}

/** What went wrong there, as it is sent here. */
export type ErrorData = ReturnType<CaromError["toJSON"]>;

/** Any process may answer with it. */
export type Failed = { readonly type: "failed"; readonly error: ErrorData };

/** @param how it ended @param said its last words */
type Death = (how: string, said: string) => CaromError;

export class ConfinedProcess<To extends object, From extends { readonly type: string }> {
  private readonly child: ChildProcess;
  private readonly end: Promise<string>; // what it ended with
  private said = "";
  private onMessage: (message: From) => void = () => {};

  /**
   * Starts it; what is asked of it waits until it is ready.
   * @param main the compiled file
   * @param does what it is there for: "measures"
   * @param inherits whether it has this process's standard input and output
   */
  constructor(
    main: string,
    private readonly operation: string,
    private readonly does: string,
    inherits: boolean,
  ) {
    // A capture may be read from standard input. What is a terminal is not its: Node sets one back when it ends.
    const inherited = (descriptor: number) => (!inherits || isatty(descriptor) ? "ignore" : "inherit");
    this.child = fork(main, {
      serialization: "advanced",
      stdio: [inherited(0), inherited(1), "pipe", "ipc"],
    });
    alive.add(this.child);
    atEndOfProcess(killAll);
    this.child.stderr!.on("data", (data: Buffer) => {
      this.said = (this.said + data.toString()).slice(-SAID_MAX);
    });
    this.child.on("message", (message) => this.onMessage(message as From));
    const ended = new Promise<string>((resolve) => {
      this.child.on("error", ({ message }) => resolve(`could not be started: ${message}`));
      this.child.on("exit", (status, signal) => {
        alive.delete(this.child);
        resolve(signal === null ? `ended with status ${status}` : `was ended by ${signal}`);
      });
    });
    const silent = new Promise((resolve) => this.child.stderr!.on("close", resolve));
    this.end = Promise.all([ended, silent]).then(([how]) => how);
  }

  /**
   * Asks for something. What it says before it answers is for `hear`.
   * @param answer the type of the message that answers
   * @param onDeath what it means that it has ended before
   * @throws CaromError
   */
  ask<Type extends From["type"]>(
    request: To,
    answer: Type,
    hear: (message: From) => void = () => {},
    onDeath: Death = (how, said) => this.death(how, said),
  ): Promise<Extract<From, { type: Type }>> {
    return new Promise((resolve, reject) => {
      this.onMessage = (message) => {
        if (message.type === "failed")
          reject(asCaromError((message as unknown as Failed).error, this.operation));
        else if (message.type === answer) resolve(message as Extract<From, { type: Type }>);
        else hear(message);
      };
      this.end.then((how) => reject(onDeath(how, this.said.trim())));
      this.tell(request);
    });
  }

  /** What is said of its end. */
  death(how: string, said: string): CaromError {
    const words = said === "" ? "" : `; it said: ${said}`;
    const hint = how.includes("SIGKILL") ? "if nobody killed it, memory ran out: dmesg says so" : "";
    return new CaromError(
      "environment",
      this.operation,
      `the process that ${this.does} ${how}${words}`,
      hint,
    );
  }

  tell(message: To): void {
    // It may have died in this moment, which its end tells.
    if (this.child.connected) this.child.send(message, () => {});
  }

  kill(): void {
    this.child.kill("SIGKILL");
  }

  /** Ends it. May be called at any time and more than once. */
  async close(): Promise<void> {
    if (this.child.connected) this.child.disconnect();
    await this.end;
  }
}
