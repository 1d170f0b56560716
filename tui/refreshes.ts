/** When the UI takes time of this thread: the run that goes on is told, so that its report tells that apart. */

export class Refreshes {
  private tell: ((isDrawn: boolean) => void) | null = null;
  private depth = 0;

  /** Null: there is no run. */
  follow(tell: ((isDrawn: boolean) => void) | null): void {
    this.tell = tell;
  }

  around<T>(action: () => T): T {
    const tell = this.depth++ === 0 ? this.tell : null; // one within another is part of it
    tell?.(true);
    try {
      return action();
    } finally {
      this.depth--;
      tell?.(false);
    }
  }
}
