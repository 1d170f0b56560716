/** The initramfs of a guest: busybox, the modules that it needs with those that they need, and what it runs. */

import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { CaromError } from "../../native/error.js";

/** A file, a directory (no content) or a symbolic link of an archive. */
export interface Entry {
  readonly path: string;
  readonly mode: number;
  readonly content: Uint8Array;
}

const DIRECTORY = 0o040755;
const PROGRAM = 0o100755;
const FILE = 0o100644;
const LINK = 0o120777;
const NOTHING = new Uint8Array();

/** A cpio archive in the format "newc", as the kernel takes it (Documentation/driver-api/early-userspace). */
export function cpio(entries: readonly Entry[]): Buffer {
  const parts: Uint8Array[] = [];
  const pad = (length: number) => new Uint8Array((4 - (length % 4)) % 4);
  const trailer = { path: "TRAILER!!!", mode: 0, content: NOTHING };
  for (const [index, { path, mode, content }] of [...entries, trailer].entries()) {
    const name = Buffer.from(`${path}\0`);
    const fields = [index + 1, mode, 0, 0, 1, 0, content.length, 0, 0, 0, 0, name.length, 0];
    const hex = fields.map((field) => field.toString(16).padStart(8, "0")).join("");
    const head = Buffer.from(`070701${hex}`);
    parts.push(head, name, pad(head.length + name.length), content, pad(content.length));
  }
  return Buffer.concat(parts);
}

/** What a module's own section .modinfo says that it needs. */
export function needsOf(module: Uint8Array): string[] {
  const text = Buffer.from(module).toString("latin1");
  const depends = /(?:^|\0)depends=([^\0]*)/.exec(text)?.[1] ?? "";
  const before = [...text.matchAll(/\0softdep=pre: ([^\0]*)/g)].flatMap(([, names = ""]) => names.split(" "));
  return [...depends.split(","), ...before].map(plainName).filter(Boolean);
}

/** Modules with those that they need, in the order in which they are to be loaded. */
export function loadOrder(
  wanted: readonly string[],
  read: (name: string) => Uint8Array | undefined,
): Map<string, Uint8Array> {
  const order = new Map<string, Uint8Array>();
  const visiting = new Set<string>();
  const add = (name: string) => {
    if (order.has(name) || visiting.has(name)) return;
    visiting.add(name);
    const module = read(name);
    if (module === undefined) return; // built in
    needsOf(module).forEach(add);
    order.set(name, module);
  };
  wanted.map(plainName).forEach(add);
  return order;
}

/** The kernel takes "-" and "_" in the name of a module for the same. */
function plainName(name: string): string {
  return name.replaceAll("-", "_");
}

/**
 * Modules of a kernel, as they are in its package.
 * @returns reads one: undefined where it is built in
 * @throws CaromError (environment) where there is none
 */
export function moduleReader(folder: string): (name: string) => Uint8Array | undefined {
  const files = new Map<string, string>();
  for (const entry of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
    const name = /([^/]+)\.ko(?:\.xz|\.zst|\.gz)?$/.exec(entry)?.[1];
    if (name !== undefined) files.set(plainName(name), join(folder, entry));
  }
  const builtIn = new Set(
    readFileSync(join(folder, "modules.builtin"), "utf8")
      .split("\n")
      .map((line) => plainName(/([^/]+)\.ko$/.exec(line)?.[1] ?? "")),
  );
  return (name) => {
    if (builtIn.has(name)) return undefined;
    const file = files.get(name);
    if (file !== undefined) return readModule(file);
    throw new CaromError("environment", `find the module ${name}`, `there is none in ${folder}`);
  };
}

function readModule(file: string): Uint8Array {
  const unpack = Object.entries({ ".xz": "xz", ".zst": "zstd", ".gz": "gzip" }).find(([end]) =>
    file.endsWith(end),
  );
  if (unpack === undefined) return readFileSync(file);
  return execFileSync(unpack[1], ["-dc", file], { maxBuffer: 1 << 28 });
}

export interface InitramfsContents {
  readonly busybox: string;
  readonly init: string;
  readonly modules: string; // the folder of the kernel's
  readonly load: readonly string[];
  readonly command: string; // a shell script, which is run in the host's tree
}

/** Writes it. @throws CaromError (environment) when a module is missing */
export function writeInitramfs(
  file: string,
  { busybox, init, modules, load, command }: InitramfsContents,
): void {
  const order = loadOrder(load, moduleReader(modules));
  const directories = ["bin", "lib", "proc", "sys", "dev", "root", "lower", "upper"];
  const text = (content: string) => Buffer.from(content);
  const entries: Entry[] = [
    ...directories.map((path) => ({ path, mode: DIRECTORY, content: NOTHING })),
    { path: "init", mode: PROGRAM, content: readFileSync(init) },
    { path: "command", mode: PROGRAM, content: text(command) },
    { path: "bin/busybox", mode: PROGRAM, content: readFileSync(busybox) },
    { path: "bin/sh", mode: LINK, content: text("busybox") },
    { path: "lib/order", mode: FILE, content: text([...order.keys()].map((name) => `${name}\n`).join("")) },
    ...[...order].map(([name, content]) => ({ path: `lib/${name}.ko`, mode: FILE, content })),
  ];
  writeFileSync(file, gzipSync(cpio(entries), { level: 1 }));
}
