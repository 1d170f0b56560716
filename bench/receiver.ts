/** What arrives at a lab's far end, counted there by an XDP program: no sender grades itself. */

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Lab } from "../lab/lab.js";
import { CaromError } from "../native/error.js";
import { compile, compileBpf } from "./program.js";

export interface Arrivals {
  readonly time_ns: number;
  readonly ticks: number;
  readonly newer: number; // of them, with a timestamp above all before
  readonly others: number;
}

export interface Receiver {
  /** What has arrived so far. */
  read(): Promise<Arrivals>;
}

export type WithReceiver = <T>(lab: Lab, action: (receiver: Receiver) => Promise<T>) => Promise<T>;

/** Builds the program: in a lab, while the action lasts. */
export function buildReceiver(): WithReceiver {
  const program = compile("receiver", ["core/thread.cpp"], ["-lbpf"]);
  const object = compileBpf("receiver");
  return async ({ responder: { namespace, interfaceName } }, action) => {
    const child = spawn(program, [namespace, interfaceName, object], { stdio: ["pipe", "pipe", "inherit"] });
    const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
    const next = async () => {
      const { value, done } = await lines.next();
      if (done === true) throw new CaromError("environment", "count what arrives", "the receiver has ended");
      return value as string;
    };
    try {
      await next(); // attached
      return await action({
        read: async () => {
          child.stdin.write("\n");
          return JSON.parse(await next()) as Arrivals;
        },
      });
    } finally {
      const closed = new Promise((resolve) => child.on("close", resolve));
      child.stdin.end();
      await closed;
    }
  };
}
