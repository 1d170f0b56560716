/** Keys before Ink is loaded, which takes longer than all the rest: what is typed meanwhile is done at once. */

import type { ReadStream } from "node:tty";
import type { Key } from "./keys.js";
import { type Executor, press } from "./press.js";
import type { Store } from "./store.js";

/** What terminals send (ECMA-48 and xterm's own). */
const SEQUENCES: Readonly<Record<string, Key["name"]>> = {
  "\x1b[A": "up",
  "\x1b[B": "down",
  "\x1b[C": "right",
  "\x1b[D": "left",
  "\x1b[Z": "back-tab",
  "\x1b[5~": "page-up",
  "\x1b[6~": "page-down",
  "\x1b": "escape",
  "\r": "return",
  "\n": "return",
  "\t": "tab",
  "\x7f": "backspace",
  "\b": "backspace",
  "\x03": "interrupt",
};
// biome-ignore lint/suspicious/noControlCharactersInRegex: keys are control characters
const PARTS = /\x1b\[[0-9;]*[A-Za-z~]|./gsu;

export function keysIn(text: string): Key[] {
  return (text.match(PARTS) ?? []).flatMap((part): Key[] => {
    const name = SEQUENCES[part];
    if (name !== undefined) return [{ input: "", name }];
    return part.length === 1 && part >= " " ? [{ input: part, name: "" }] : [];
  });
}

/** @returns what ends it: from then on Ink reads */
export function readEarly(stdin: ReadStream, store: Store, session: Executor): () => void {
  // As Ink does it: what comes between the two readers waits in the stream.
  const onReadable = () => {
    for (let data = stdin.read(); data !== null; data = stdin.read())
      press(store, session, keysIn(data.toString()));
  };
  stdin.on("readable", onReadable);
  return () => void stdin.off("readable", onReadable);
}
