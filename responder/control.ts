/**
 * Control of a running responder, over a Unix socket that only its owner can open: one JSON object a line in, one
 * back. What can change without a restart is changed between two packets.
 */

import { closeSync, constants, mkdirSync, openSync, readdirSync, renameSync, rmSync } from "node:fs";
import { createConnection, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { FILTER_MAX } from "../config/values.js";
import { asCaromError, CaromError } from "../native/error.js";
import { tryLock } from "../native/index.js";

const DIRECTORY = "/run/carom/responders";
const LOCK = join(DIRECTORY, ".lock");
const DRAFT = ".draft"; // a socket that has no name yet
const MAX_LINE = 2 * FILTER_MAX; // characters; a longer request ends the connection
export const ANSWER_MS = 2000;
const LOCK_WAIT_MS = 60_000; // a slow machine takes seconds to load a program into its kernel
const LOCK_POLL_MS = 10;

const request = z.object({
  command: z.enum(["status", "enable", "disable", "config", "stats", "reset", "stop", "trace"]),
  settings: z.record(z.string(), z.string()).default({}),
});

const answer = z.union([
  z.object({ result: z.unknown() }),
  z.object({
    error: z.object({
      code: z.enum(["usage", "environment", "internal"]),
      operation: z.string(),
      detail: z.string(),
      hint: z.string(),
    }),
  }),
]);

export type Command = z.output<typeof request>["command"];

/** What a responder does when it is asked to; what it returns, or resolves to, goes back as JSON. */
export type Handler = (command: Command, settings: Readonly<Record<string, string>>) => unknown;

export function socketPath(name: string): string {
  return join(DIRECTORY, `${name}.sock`);
}

/** The names of all responders that have a socket, whether they still run or not. */
export function socketNames(): string[] {
  try {
    return readdirSync(DIRECTORY)
      .filter((file) => file.endsWith(".sock"))
      .map((file) => file.slice(0, -".sock".length));
  } catch {
    return [];
  }
}

/**
 * Runs an action while no other process starts a responder: who looks for others in it, opens, and listens, meets
 * none that is about to do the same. The kernel gives the lock back however this process ends.
 * @throws CaromError (environment) when the directory can't be used, or another process keeps the lock
 */
export async function withStartLock<T>(name: string, action: () => Promise<T>): Promise<T> {
  const operation = `start the responder ${name}`;
  const lock = openLock(operation);
  try {
    const end = performance.now() + LOCK_WAIT_MS;
    while (!tryLock(lock)) {
      if (performance.now() > end) {
        const detail = `another one has been starting for more than ${LOCK_WAIT_MS / 1000} s`;
        throw new CaromError("environment", operation, detail, `find it with: fuser -v ${LOCK}`);
      }
      await sleep(LOCK_POLL_MS);
    }
    return await action();
  } finally {
    closeSync(lock);
  }
}

function openLock(operation: string): number {
  try {
    mkdirSync(DIRECTORY, { recursive: true, mode: 0o700 });
    return openSync(LOCK, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new CaromError("environment", operation, `${DIRECTORY}: ${code ?? message}`, "run as root");
  }
}

/**
 * Listens for commands. Call it with the lock held.
 * @returns what stops listening and removes the socket
 * @throws CaromError (environment) when a running responder has the name
 */
export async function serveControl(name: string, handler: Handler): Promise<() => void> {
  const path = socketPath(name);
  const operation = `listen for commands as ${name}`;
  await refuseTakenName(name, operation);
  await removeStale();
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    open.add(socket);
    socket.on("close", () => open.delete(socket));
    converse(socket, handler);
  });
  await listen(server, path, operation);
  return () => {
    // In this order: whoever finds nobody listening may put a socket of its own there, which must not be removed.
    rmSync(path, { force: true });
    server.close();
    for (const socket of open) socket.destroy();
  };
}

/** Of killed responders sockets are left that nobody answers. */
async function removeStale(): Promise<void> {
  const names = socketNames();
  const answered = await Promise.all(names.map(isAnswered));
  const drafts = readdirSync(DIRECTORY).filter((file) => file.endsWith(DRAFT));
  const stale = names.filter((_, index) => !answered[index]).map(socketPath);
  for (const path of [...stale, ...drafts.map((file) => join(DIRECTORY, file))])
    rmSync(path, { force: true });
}

function takenName(name: string, operation: string): CaromError {
  const hint = `carom stop --name ${name} ends it, or choose another --name`;
  return new CaromError("environment", operation, `a responder of the name ${name} is running`, hint);
}

/** @throws CaromError (environment) when a running responder has the name */
export async function refuseTakenName(name: string, operation: string): Promise<void> {
  if (await isAnswered(name)) throw takenName(name, operation);
}

/** Whether somebody listens on a responder's socket. */
export function isAnswered(name: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(socketPath(name));
    socket.on("connect", () => {
      socket.destroy();
      resolve(true);
    });
    // EAGAIN: it listens, and does not get round to those that wait already.
    socket.on("error", ({ code }: NodeJS.ErrnoException) => resolve(code === "EAGAIN"));
  });
}

/**
 * The socket gets its name when it listens already, in one step and in place of a stale one: nobody finds one that
 * does not answer yet. Node removes the name it was bound to when it closes, which is none by then.
 */
function listen(server: Server, path: string, operation: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const refuse = (error: NodeJS.ErrnoException) => {
      server.close();
      reject(new CaromError("environment", operation, `${path}: ${error.code ?? error.message}`));
    };
    const draft = join(DIRECTORY, `${process.pid}${DRAFT}`);
    server.on("error", refuse);
    const before = process.umask(0o177); // the socket is the owner's only from its first moment
    server.listen(draft, () => {
      try {
        renameSync(draft, path);
        resolve();
      } catch (error) {
        refuse(error as NodeJS.ErrnoException);
      }
    });
    process.umask(before);
    server.unref();
  });
}

function converse(socket: Socket, handler: Handler): void {
  let pending = "";
  let isOver = false;
  let answered = Promise.resolve(); // the commands so far: one is carried out after the other
  const reply = (line: string) => {
    answered = answered.then(async () => {
      // A client that does not read its answers is not read any more either.
      if (!socket.write(`${JSON.stringify(await respond(line, handler))}\n`)) socket.pause();
    });
  };
  socket.setEncoding("utf8");
  socket.on("error", () => socket.destroy()); // a client that went away
  socket.on("drain", () => socket.resume());
  socket.on("data", (text: string) => {
    if (isOver) return; // nothing of a connection that was refused is carried out any more
    const lines = (pending + text).split("\n");
    pending = lines.pop() ?? "";
    const tooLong = [...lines, pending].findIndex((line) => line.length > MAX_LINE);
    const good = tooLong < 0 ? lines : lines.slice(0, tooLong);
    good.forEach(reply);
    if (tooLong < 0) return;
    isOver = true;
    pending = "";
    const refusal = failure(new CaromError("usage", "read a command", "it is too long"));
    void answered.then(() => socket.end(`${JSON.stringify(refusal)}\n`));
  });
}

async function respond(line: string, handler: Handler): Promise<z.input<typeof answer>> {
  try {
    const { command, settings } = request.parse(JSON.parse(line));
    return { result: (await handler(command, settings)) ?? null };
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof z.ZodError) {
      const hint = `there are: ${request.shape.command.options.join(", ")}`;
      return failure(new CaromError("usage", "read a command", "it is none that a responder knows", hint));
    }
    return failure(asCaromError(error, "carry out a command"));
  }
}

function failure(error: CaromError) {
  return { error: error.toJSON() };
}

/**
 * Asks a running responder.
 * @param timeout_ms 0: however long it takes
 * @returns what it answers
 * @throws CaromError: its refusal, or (environment) when none of the name runs
 */
export function ask(
  name: string,
  command: Command,
  settings: Readonly<Record<string, string>> = {},
  timeout_ms = ANSWER_MS,
): Promise<unknown> {
  const operation = `${command} of the responder ${name}`;
  return new Promise((resolve, reject) => {
    const socket = createConnection(socketPath(name));
    const parts: string[] = []; // an answer may be long, and come in many pieces
    socket.setEncoding("utf8");
    socket.setTimeout(timeout_ms, () => {
      socket.destroy();
      reject(new CaromError("environment", operation, `no answer within ${timeout_ms / 1000} s`));
    });
    socket.on("error", (error: NodeJS.ErrnoException) => unreachable(operation, error).then(reject));
    socket.on("connect", () => socket.write(`${JSON.stringify({ command, settings })}\n`));
    socket.on("data", (part: string) => {
      const end = part.indexOf("\n");
      parts.push(end < 0 ? part : part.slice(0, end));
      if (end < 0) return;
      socket.destroy();
      const parsed = readAnswer(parts.join(""));
      if (!parsed.success) reject(new CaromError("internal", operation, "its answer makes no sense"));
      else if ("error" in parsed.data) reject(asCaromError(parsed.data.error, operation));
      else resolve(parsed.data.result);
    });
    socket.on("close", (hadError) => {
      if (!hadError) reject(new CaromError("environment", operation, "it ended before it had answered"));
    });
  });
}

function readAnswer(line: string) {
  try {
    return answer.safeParse(JSON.parse(line));
  } catch {
    return answer.safeParse(undefined); // not JSON
  }
}

async function unreachable(operation: string, error: NodeJS.ErrnoException): Promise<CaromError> {
  if (error.code === "EACCES") {
    return new CaromError(
      "environment",
      operation,
      "EACCES",
      "its socket is its owner's: be the same user, or root",
    );
  }
  const names = socketNames();
  const answered = await Promise.all(names.map(isAnswered)); // killed ones leave their sockets behind
  const running = names.filter((_, index) => answered[index]);
  const hint =
    running.length === 0 ? "none runs: carom respond starts one" : `there are: ${running.join(", ")}`;
  return new CaromError("environment", operation, "there is none of that name running", hint);
}
