/** What keys do: the state changes, and the session gets its commands. */

import { type Key, onKey } from "./keys.js";
import type { Session } from "./session.js";
import type { Store } from "./store.js";

export type Executor = Pick<Session, "execute" | "onScreenShown">;

export function press(store: Store, session: Executor, keys: readonly Key[]): void {
  const before = store.get().screen;
  for (const key of keys) {
    const { actions, commands } = onKey(store.get(), key);
    for (const action of actions) store.dispatch(action);
    for (const [name, argument] of commands) session.execute(name, argument);
  }
  store.flush();
  if (store.get().screen !== before) session.onScreenShown();
}
