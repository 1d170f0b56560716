/** The UI as a component: what the store holds on the screen, and keys to the session. */

import { type Key as InkKey, useInput } from "ink";
import { useSyncExternalStore } from "react";
import type { Key } from "./keys.js";
import { type Canvas, Lines } from "./lines.js";
import { type Executor, press } from "./press.js";
import { viewLines } from "./shell.js";
import type { Store } from "./store.js";

interface Props {
  readonly store: Store;
  readonly session: Executor;
  readonly canvas?: Canvas; // without one Ink draws
}

export function App({ store, session, canvas }: Props) {
  const state = useSyncExternalStore(store.subscribe, store.snapshot);
  useInput((input, key) => press(store, session, keysOf(input, key)));
  return <Lines lines={viewLines(state)} canvas={canvas ?? null} />;
}

/** What was pasted, or typed faster than it was read, comes as one text, with its ends of lines. */
function keysOf(input: string, key: InkKey): Key[] {
  const first = keyOf(input, key);
  if (first.name !== "" || input.length < 2) return [first];
  return [...input].map((character): Key => {
    if (character === "\r" || character === "\n") return { input: "", name: "return" };
    if (character === "\x7f" || character === "\b") return { input: "", name: "backspace" };
    return { input: character, name: character === "\t" ? "tab" : "" };
  });
}

function keyOf(input: string, key: InkKey): Key {
  if (key.ctrl) return { input: "", name: input === "c" ? "interrupt" : "" };
  const named: readonly (readonly [boolean, Key["name"]])[] = [
    [key.upArrow, "up"],
    [key.downArrow, "down"],
    [key.leftArrow, "left"],
    [key.rightArrow, "right"],
    [key.return, "return"],
    [key.escape, "escape"],
    [key.tab && key.shift, "back-tab"],
    [key.tab, "tab"],
    [key.backspace || key.delete, "backspace"],
    [key.pageUp, "page-up"],
    [key.pageDown, "page-down"],
  ];
  const name = named.find(([isPressed]) => isPressed)?.[1] ?? "";
  return { input: name === "" ? input : "", name };
}
