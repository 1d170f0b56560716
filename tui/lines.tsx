/** Lines on the terminal: the only component that draws. */

import { Box, Text } from "ink";
import { memo } from "react";
import type { Line, Span } from "./line.js";

const NO_COLOR = process.env.NO_COLOR !== undefined && process.env.NO_COLOR !== "";

export function Lines({ lines }: { readonly lines: readonly Line[] }) {
  return (
    <Box flexDirection="column">
      {lines.map((spans, row) => (
        // A row is its place: rows are never moved.
        // biome-ignore lint/suspicious/noArrayIndexKey: see above
        <Row key={row} spans={spans} text={textOf(spans)} />
      ))}
    </Box>
  );
}

/** A row is drawn anew only when it has changed. */
const Row = memo(
  function Row({ spans }: { readonly spans: Line; readonly text: string }) {
    if (spans.length === 0) return <Text> </Text>;
    return (
      <Text wrap="truncate-end">
        {spans.map((span, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: a span is its place
          <Styled key={index} span={span} />
        ))}
      </Text>
    );
  },
  (before, after) => before.text === after.text,
);

function Styled({ span }: { readonly span: Span }) {
  const { text, color, bold = false, dim = false, inverse = false } = span;
  const shown = color === undefined || NO_COLOR ? {} : { color };
  return (
    <Text {...shown} bold={bold} dimColor={dim} inverse={inverse}>
      {text}
    </Text>
  );
}

function textOf(spans: Line): string {
  return spans
    .map(
      ({ text, color, bold, dim, inverse }) =>
        `${color ?? ""}${bold ? "b" : ""}${dim ? "d" : ""}${inverse ? "i" : ""}\u0000${text}`,
    )
    .join("\u0001");
}
