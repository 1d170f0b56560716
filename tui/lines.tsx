/**
 * Lines on the terminal. Ink looks at every character of a whole frame whenever anything changes, some 10 ms of it on
 * an 80 × 24 screen, and that time may be a hot thread's. So where there is a painter, lines go to it; without one, as
 * in the tests of components, they are Ink's texts.
 */

import { Box, Text } from "ink";
import { memo, useLayoutEffect } from "react";
import type { Line } from "./line.js";
import { styledText } from "./style.js";

/** Puts rows of styled text on the terminal. */
export interface Canvas {
  draw(rows: readonly string[]): void;
}

export function Lines({
  lines,
  canvas,
}: {
  readonly lines: readonly Line[];
  readonly canvas: Canvas | null;
}) {
  const rows = lines.map((spans) => styledText(spans));
  useLayoutEffect(() => canvas?.draw(rows));
  if (canvas !== null) return null;
  return (
    <Box flexDirection="column">
      {rows.map((text, row) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: a row is its place, rows are never moved
        <Row key={row} text={text} />
      ))}
    </Box>
  );
}

const Row = memo(function Row({ text }: { readonly text: string }) {
  return <Text wrap="truncate-end">{text === "" ? " " : text}</Text>;
});
