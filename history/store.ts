/**
 * The history: finished runs in an SQLite file of their own, with what they were given, what they found, and where.
 * Several processes may write at once: SQLite locks the file, and each waits for the others.
 */

import {
  chmodSync,
  closeSync,
  constants,
  existsSync,
  fchmodSync,
  fstatSync,
  mkdirSync,
  openSync,
  statSync,
} from "node:fs";
import { homedir, userInfo } from "node:os";
import { isAbsolute, join } from "node:path";
import { deflateSync, inflateSync } from "node:zlib";
import Database from "better-sqlite3";
import { z } from "zod";
import { CaromError } from "../native/error.js";
import type { Summary } from "./summary.js";

/** A run as it is kept. */
export interface Entry {
  readonly id: number;
  readonly command: "run" | "generate" | "replay";
  readonly args: readonly string[]; // the captures of a replay
  readonly started: string; // ISO 8601
  /** Options by name, as texts, those from a configuration file, too. */
  readonly options: Readonly<Record<string, string>>;
  readonly directory: string; // in which it was started: relative names of files are from there
  readonly plan: string; // the digest of what was sent (digest.ts)
  readonly summary: Summary;
  readonly report: Readonly<Record<string, unknown>>; // as --json prints it
  readonly text: string; // as it was printed for people
}

export type NewEntry = Omit<Entry, "id">;
export type Listed = Pick<Entry, "id" | "command" | "started" | "summary">;

const FILE = "history.sqlite";
const APPLICATION = 0x63_61_72_6f; // "caro": whose file it is, for SQLite and file(1)
const VERSION = 1;
const BUSY_MS = 5000; // how long another process may hold the file
const REPORT_MAX = 1 << 26; // bytes

/** AUTOINCREMENT: the number of a run that was removed is never given to another. */
const SCHEMA = `
  CREATE TABLE runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    command TEXT NOT NULL,
    args TEXT NOT NULL,
    started TEXT NOT NULL,
    options TEXT NOT NULL,
    directory TEXT NOT NULL,
    plan TEXT NOT NULL,
    summary TEXT NOT NULL,
    report BLOB NOT NULL,
    text BLOB NOT NULL
  ) STRICT;
  PRAGMA application_id = ${APPLICATION};
  PRAGMA user_version = ${VERSION};`;

const listed = z.object({
  id: z.int(),
  command: z.enum(["run", "generate", "replay"]),
  started: z.string(),
  summary: z.string(),
});
const row = listed.extend({
  args: z.string(),
  options: z.string(),
  directory: z.string(),
  plan: z.string(),
  report: z.instanceof(Buffer),
  text: z.instanceof(Buffer),
});

/** $HOME, or what the system has for the user where that is empty or no folder's whole path. */
function home(): string {
  return isAbsolute(homedir()) ? homedir() : userInfo().homedir;
}

/** Where the history is: $XDG_STATE_HOME/carom, or ~/.local/state/carom. */
export function historyPath(): string {
  const given = process.env.XDG_STATE_HOME;
  // XDG Base Directory Specification: a relative path is to be ignored.
  const base = given !== undefined && isAbsolute(given) ? given : join(home(), ".local/state");
  return join(base, "carom", FILE);
}

/**
 * Opens the history, and makes it when it is not there.
 * @throws CaromError when it can't be used: its hint says what to do
 */
export function openHistory(path = historyPath()): History {
  return attempt(path, () => {
    prepare(path);
    const database = new Database(path, { timeout: BUSY_MS });
    try {
      database.pragma("foreign_keys = ON");
      database.transaction(() => identify(database, path)).immediate();
      return new History(database, path);
    } catch (error) {
      database.close();
      throw error;
    }
  });
}

/** The folder and the file are their owner's alone, from their first moment. */
function prepare(path: string): void {
  const folder = join(path, "..");
  if (path.includes("\ufffd") && !existsSync(folder)) {
    const hint = "set XDG_STATE_HOME to another folder";
    const detail = "its folder has bytes that are not UTF-8 in its name";
    throw new CaromError("environment", `open the history ${path}`, detail, hint);
  }
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const { uid, mode } = statSync(folder);
  if (uid !== process.geteuid?.()) {
    const hint = "run as that user, or set XDG_STATE_HOME to a folder of your own";
    throw new CaromError("environment", `open the history ${path}`, `user ${uid} has the folder`, hint);
  }
  if ((mode & 0o077) !== 0) chmodSync(folder, 0o700);
  const file = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
  try {
    if ((fstatSync(file).mode & 0o077) !== 0) fchmodSync(file, 0o600);
  } finally {
    closeSync(file);
  }
}

function identify(database: Database.Database, path: string): void {
  const read = (name: string) => Number(database.pragma(name, { simple: true }));
  const [application, version] = [read("application_id"), read("user_version")];
  const isEmpty = database.prepare("SELECT count(*) FROM sqlite_schema").pluck().get() === 0;
  if (isEmpty && application === 0) {
    database.exec(SCHEMA);
    return;
  }
  const refuse = (detail: string, hint: string): never => {
    throw new CaromError("environment", `open the history ${path}`, detail, hint);
  };
  if (application !== APPLICATION) refuse("it is another program's database", "move it away");
  if (version > VERSION) {
    const detail = `a newer carom made it (format ${version}, this one knows ${VERSION})`;
    refuse(detail, "use that carom, or set XDG_STATE_HOME to another folder");
  }
}

export class History {
  constructor(
    private readonly database: Database.Database,
    private readonly path: string,
  ) {}

  /** Keeps a run, and of all of them the last `keep`. @returns its number */
  add(entry: NewEntry, keep: number): number {
    const insert = this.database.prepare(`
      INSERT INTO runs (command, args, started, options, directory, plan, summary, report, text)
      VALUES (@command, @args, @started, @options, @directory, @plan, @summary, @report, @text)`);
    const prune = this.database.prepare(`
      DELETE FROM runs WHERE id NOT IN (SELECT id FROM runs ORDER BY id DESC LIMIT ?)`);
    const packed = {
      ...entry,
      args: JSON.stringify(entry.args),
      options: JSON.stringify(entry.options),
      summary: JSON.stringify(entry.summary),
      report: deflateSync(JSON.stringify(entry.report)),
      text: deflateSync(entry.text),
    };
    return attempt(this.path, () =>
      this.database
        .transaction(() => {
          const { lastInsertRowid } = insert.run(packed);
          prune.run(keep);
          return Number(lastInsertRowid);
        })
        .immediate(),
    );
  }

  /** The newest runs, newest first. */
  list(limit: number): Listed[] {
    return attempt(this.path, () =>
      this.database
        .prepare("SELECT id, command, started, summary FROM runs ORDER BY id DESC LIMIT ?")
        .all(limit)
        .map((found) => {
          const entry = listed.parse(found);
          return { ...entry, summary: JSON.parse(entry.summary) as Summary };
        }),
    );
  }

  /** How many there are. */
  count(): number {
    return attempt(this.path, () => Number(this.database.prepare("SELECT count(*) FROM runs").pluck().get()));
  }

  /** @throws CaromError (usage) when there is none of that name: a number, last, last~1 */
  get(name: string): Entry {
    const id = this.idOf(name);
    const found = attempt(this.path, () => this.database.prepare("SELECT * FROM runs WHERE id = ?").get(id));
    if (found === undefined) throw this.unknown(name);
    return attempt(this.path, () => {
      const { args, options, summary, report, text, ...rest } = row.parse(found);
      return {
        ...rest,
        args: z.array(z.string()).parse(JSON.parse(args)),
        options: z.record(z.string(), z.string()).parse(JSON.parse(options)),
        summary: JSON.parse(summary) as Summary,
        report: z.record(z.string(), z.unknown()).parse(JSON.parse(unpack(report))),
        text: unpack(text),
      };
    });
  }

  /** Removes runs, all of them or none. @returns how many @throws CaromError (usage) when there is none of a name */
  remove(names: readonly string[]): number {
    const remove = this.database.prepare("DELETE FROM runs WHERE id = ?");
    return attempt(this.path, () =>
      this.database
        .transaction(() => {
          const ids = new Map(names.map((name) => [this.idOf(name), name]));
          for (const [id, name] of ids) if (remove.run(id).changes === 0) throw this.unknown(name);
          return ids.size;
        })
        .immediate(),
    );
  }

  /** @returns how many there were */
  removeAll(): number {
    return attempt(this.path, () => {
      const { changes } = this.database.prepare("DELETE FROM runs").run();
      this.database.exec("VACUUM");
      return changes;
    });
  }

  close(): void {
    this.database.close();
  }

  private idOf(name: string): number {
    if (/^\d{1,15}$/.test(name)) return Number(name);
    const match = /^last(?:~(\d{1,6}))?$/.exec(name);
    if (match === null) throw this.unknown(name);
    const found = attempt(this.path, () =>
      this.database
        .prepare("SELECT id FROM runs ORDER BY id DESC LIMIT 1 OFFSET ?")
        .pluck()
        .get(Number(match[1] ?? 0)),
    );
    if (found === undefined) throw this.unknown(name);
    return Number(found);
  }

  private unknown(name: string): CaromError {
    const hint = this.count() === 0 ? "carom run makes the first one" : "carom history lists them";
    return new CaromError("usage", `look for run ${name}`, "the history has none of that number", hint);
  }
}

/** Whether a text names a run of the history; otherwise it is the name of a file. */
export function isRunName(text: string): boolean {
  return /^(\d{1,15}|last(~\d{1,6})?)$/.test(text);
}

function unpack(data: Buffer): string {
  return inflateSync(data, { maxOutputLength: REPORT_MAX }).toString("utf8");
}

const MOVE_AWAY = "move it away: the next run makes a new one";

/** What SQLite says, for people. @throws CaromError */
function attempt<T>(path: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (error instanceof CaromError) throw error;
    const { code = "", message } =
      error instanceof z.ZodError
        ? {
            message: `a run has no ${z.prettifyError(error).match(/at (\S+)/)?.[1] ?? "fields"} that can be read`,
          }
        : (error as { code?: string; message: string });
    const operation = `use the history ${path}`;
    const [detail, hint] =
      code.startsWith("SQLITE_BUSY") || code.startsWith("SQLITE_LOCKED")
        ? ["another process holds it", "try again when that has ended"]
        : code.startsWith("SQLITE_FULL") || code === "ENOSPC"
          ? ["the disk is full", "free space, or carom history rm --all"]
          : code === "ELOOP"
            ? ["it is a symbolic link", "carom writes only to a file of its own; remove it"]
            : /^SQLITE_(NOTADB|CORRUPT)/.test(code) || code === "" || code.startsWith("Z_")
              ? [`it is damaged (${code || message})`, MOVE_AWAY]
              : [`${message}${message.includes(code) ? "" : ` (${code})`}`, "--no-history does without"];
    throw new CaromError("environment", operation, detail, hint);
  }
}
