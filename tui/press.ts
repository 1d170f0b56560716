/** What keys do: the state changes, and the session gets its commands. */

import { type Key, onKey } from "./keys.js";
import type { Session } from "./session.js";
import type { State } from "./state.js";
import type { Store } from "./store.js";

export type Executor = Pick<Session, "execute" | "onScreenShown">;

/** What is looked at: what it shows is brought up to date when that changes. */
const shown = ({ screen, responder }: State) => `${screen} ${responder.chosen}`;

export function press(store: Store, session: Executor, keys: readonly Key[]): void {
  const before = shown(store.get());
  for (const key of keys) {
    const { actions, commands } = onKey(store.get(), key);
    for (const action of actions) store.dispatch(action);
    for (const [name, argument] of commands) session.execute(name, argument);
  }
  store.flush();
  if (shown(store.get()) !== before) session.onScreenShown();
}
