/** Connects the UI with the terminal: Ink reads the keys, the painter draws. */

import { type Instance, render } from "ink";
import { App } from "./app.js";
import type { Painter } from "./painter.js";
import type { Session } from "./session.js";
import type { Store } from "./store.js";

export function mount(store: Store, session: Session, painter: Painter): Instance {
  return render(<App store={store} session={session} canvas={painter} />, {
    stdout: painter as unknown as NodeJS.WriteStream,
    debug: true, // whole frames, and no cursor of Ink's own
    exitOnCtrlC: false,
    patchConsole: false,
  });
}
