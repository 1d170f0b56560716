/** Writes native/wire.gen.h from the schema: plain C, shared by C++ and eBPF. */

import { writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { type Field, layoutHash, type Message, messages } from "./schema.js";

const C_TYPES = { u8: "__u8", u32: "__u32", u64: "__u64" } as const;

/** The text of native/wire.gen.h. */
export function header(): string {
  return [
    "/* Generated from wire/schema.ts by `npm run wire`. Do not edit. Little-endian, packed. */",
    "#ifndef CAROM_WIRE_GEN_H",
    "#define CAROM_WIRE_GEN_H",
    "",
    "#include <linux/types.h>",
    "#ifndef __cplusplus",
    "#include <stddef.h>",
    "#define CAROM_WIRE_ASSERT _Static_assert",
    "#else",
    "#include <cstddef>",
    "#define CAROM_WIRE_ASSERT static_assert",
    "#endif",
    "",
    `#define CAROM_WIRE_LAYOUT_HASH "${layoutHash()}"`,
    "",
    ...messages.flatMap(struct),
    "#endif",
    "",
  ].join("\n");
}

function struct(message: Message): string[] {
  const name = message.name;
  return [
    `/* ${message.description} */`,
    `struct ${name} {`,
    ...message.fields.map((field) => `  ${declaration(field)} /* ${field.description} */`),
    "} __attribute__((packed));",
    `#define ${name.toUpperCase()}_SIZE ${message.size}`,
    `CAROM_WIRE_ASSERT(sizeof(struct ${name}) == ${message.size}, "${name} size");`,
    ...message.fields.map(
      (f) =>
        `CAROM_WIRE_ASSERT(offsetof(struct ${name}, ${snake(f.name)}) == ${f.offset}, "${name}.${f.name}");`,
    ),
    "",
  ];
}

function declaration(field: Field): string {
  const name = snake(field.name);
  return field.type === "ascii" ? `char ${name}[${field.size}];` : `${C_TYPES[field.type]} ${name};`;
}

function snake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const path = process.argv[2];
  if (path === undefined) throw new Error("usage: node dist/wire/generate.js FILE");
  writeFileSync(path, header());
}
