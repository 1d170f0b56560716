/** The state outside of React: whoever dispatches need not be a component. */

import { Refreshes } from "./refreshes.js";
import { type Action, reduce, type State } from "./state.js";

const INTERVAL_MS = 100; // between two times that listeners are told, keys apart: a frame costs the hot threads time

export class Store {
  private readonly listeners = new Set<() => void>();
  private shown: State; // what the listeners know of
  private timer: NodeJS.Timeout | undefined;
  private told_ms = Number.NEGATIVE_INFINITY;

  constructor(
    private state: State,
    readonly refreshes = new Refreshes(),
  ) {
    this.shown = state;
  }

  /** As it is now. */
  readonly get = (): State => this.state;

  /** As it was when the listeners were told. */
  readonly snapshot = (): State => this.shown;

  readonly dispatch = (action: Action): void => {
    this.state = reduce(this.state, action);
    if (this.listeners.size === 0) this.shown = this.state;
    else this.timer ??= setTimeout(this.flush, Math.max(0, this.told_ms + INTERVAL_MS - performance.now()));
  };

  /** Tells the listeners at once. */
  readonly flush = (): void => {
    clearTimeout(this.timer);
    this.timer = undefined;
    if (this.shown === this.state) return;
    this.told_ms = performance.now();
    this.shown = this.state;
    this.refreshes.around(() => {
      for (const listener of this.listeners) listener();
    });
  };

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };
}
