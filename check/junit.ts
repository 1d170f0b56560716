/** What a run found, as the JUnit XML that continuous-integration servers read: a suite for each script. */

import { detailLines } from "./report.js";
import { type CaseResult, type RunResult, summarize } from "./result.js";

/** The text of the file. */
export function junitXml(run: RunResult): string {
  const scripts = [...new Set(run.cases.map(({ script }) => script))];
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites${attributes({ name: "carom check", ...counts(run.cases) })}>`,
    ...scripts.flatMap((script) => {
      const cases = run.cases.filter((result) => result.script === script);
      const timestamp = run.started.toISOString().replace(/\.\d+Z$/, "");
      return [
        `  <testsuite${attributes({ name: script.name, ...counts(cases), timestamp })}>`,
        "    <properties>",
        `      <property${attributes({ name: "device", value: run.device })}/>`,
        `      <property${attributes({ name: "file", value: script.file })}/>`,
        "    </properties>",
        ...cases.flatMap(testCase),
        "  </testsuite>",
      ];
    }),
    "</testsuites>",
    "",
  ].join("\n");
}

function counts(cases: readonly CaseResult[]) {
  const { total, failed, error, skipped } = summarize(cases);
  const time_ns = cases.reduce((sum, { duration_ns }) => sum + duration_ns, 0);
  return { tests: total, failures: failed, errors: error, skipped, time: seconds(time_ns) };
}

function testCase(result: CaseResult): string[] {
  const { script, outcome, reason, faults } = result;
  const line = /:(\d+):\d+$/.exec(result.case.place)?.[1] ?? "1";
  const own = {
    name: result.case.name,
    classname: `carom.check.${script.name}`,
    file: script.file,
    line,
    time: seconds(result.duration_ns),
  };
  if (outcome === "passed") return [`    <testcase${attributes(own)}/>`];
  const inner = {
    failed: `<failure${attributes({ message: faults[0]?.reason ?? "", type: faults[0]?.kind ?? "" })}>${escapeText(details(result))}</failure>`,
    error: `<error${attributes({ message: reason, type: "environment" })}/>`,
    skipped: `<skipped${attributes({ message: reason })}/>`,
  }[outcome];
  return [`    <testcase${attributes(own)}>`, `      ${inner}`, "    </testcase>"];
}

function details(result: CaseResult): string {
  return detailLines(result, true).join("\n");
}

function seconds(value_ns: number): string {
  return (value_ns / 1e9).toFixed(6);
}

function attributes(values: Readonly<Record<string, string | number>>): string {
  return Object.entries(values)
    .map(([name, value]) => ` ${name}="${escapeAttribute(String(value))}"`)
    .join("");
}

/** A line break in an attribute would be read as a space (XML 1.0 §3.3.3). */
function escapeAttribute(text: string): string {
  return escapeText(text).replace(/[\t\n\r]/g, (char) => `&#${char.charCodeAt(0)};`);
}

function escapeText(text: string): string {
  const names: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
  return onlyXmlCharacters(text).replace(/[&<>"]/g, (char) => names[char]!);
}

/** Characters that XML 1.0 §2.2 knows no way to write become U+FFFD; so do halves of surrogate pairs. */
function onlyXmlCharacters(text: string): string {
  return [...text]
    .map((char) => {
      const code = char.codePointAt(0)!;
      const isControl = code < 0x20 && char !== "\t" && char !== "\n" && char !== "\r";
      const isSurrogate = code >= 0xd800 && code <= 0xdfff;
      return isControl || isSurrogate || code === 0xfffe || code === 0xffff ? "\ufffd" : char;
    })
    .join("");
}
