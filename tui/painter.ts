/**
 * Puts frames on the terminal: only rows that have changed are written, each at its place, and no more often than so
 * many times a second. To Ink it is the terminal, so that nothing else writes there: Ink's own frames are empty.
 */

import { EventEmitter } from "node:events";
import type { WriteStream } from "node:tty";
import { Refreshes } from "./refreshes.js";

const BEGIN = "\x1b[?2026h"; // synchronized output: a terminal that knows it shows a frame at once
const END = "\x1b[?2026l";

export class Painter extends EventEmitter {
  readonly isTTY = true;
  private shown: readonly string[] = [];
  private next: readonly string[] | undefined;
  private timer: NodeJS.Timeout | undefined;
  private painted_ms = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly stream: Pick<WriteStream, "write" | "columns" | "rows">,
    private readonly interval_ms: number,
    private readonly refreshes = new Refreshes(),
  ) {
    super();
  }

  get columns(): number {
    return this.stream.columns || 80;
  }

  get rows(): number {
    return this.stream.rows || 24;
  }

  /** Ink's own frames, in its debug mode: there is nothing in them. */
  write(_: string): boolean {
    return true;
  }

  draw(rows: readonly string[]): void {
    this.next = rows;
    const left_ms = Math.max(0, this.painted_ms + this.interval_ms - performance.now());
    this.timer ??= setTimeout(() => this.refreshes.around(() => this.paint()), left_ms);
  }

  /** What is on the terminal is not known any more: the next frame is written as a whole. */
  forget(): void {
    this.shown = [];
  }

  end(): void {
    clearTimeout(this.timer);
    this.next = undefined;
  }

  private paint(): void {
    this.timer = undefined;
    if (this.next === undefined) return;
    const lines = this.next.slice(0, this.rows);
    this.next = undefined;
    this.painted_ms = performance.now();
    const changed = lines.flatMap((line, row) =>
      line === this.shown[row] ? [] : [`\x1b[${row + 1};1H${line}\x1b[0m\x1b[K`],
    );
    const below = lines.length < this.shown.length ? [`\x1b[${lines.length + 1};1H\x1b[J`] : [];
    this.shown = lines;
    if (changed.length + below.length > 0) this.stream.write(BEGIN + changed.join("") + below.join("") + END);
  }
}
