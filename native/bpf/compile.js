// Compiles an eBPF program with clang and writes it as a C array, so that the addon carries it:
// node compile.js redirect.bpf.c OUT.h [CPU]
// CPU: of the eBPF instruction sets; v3 has atomic exchanges (Linux 5.12).
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, dirname } from "node:path";

const [source, header, cpu = "v1"] = process.argv.slice(2);
const object = `${header}.o`;
const multiarch = execFileSync("gcc", ["-print-multiarch"], { encoding: "utf8" }).trim();
mkdirSync(dirname(header), { recursive: true });
// -g is needed: it makes the BTF by which maps are described.
const flags = [
  "-O2",
  "-g",
  "-Wall",
  "-Werror",
  "-target",
  "bpf",
  `-mcpu=${cpu}`,
  `-I/usr/include/${multiarch}`,
];
execFileSync("clang", [...flags, "-c", source, "-o", object], { stdio: "inherit" });
const bytes = [...readFileSync(object)];
const rows = [];
for (let i = 0; i < bytes.length; i += 24) rows.push(`${bytes.slice(i, i + 24).join(",")},`);
const name = `${basename(source, ".bpf.c")}_object`;
writeFileSync(
  header,
  `#pragma once\nalignas(8) inline constexpr unsigned char ${name}[] = {\n${rows.join("\n")}\n};\n`,
);
