/** The reports of carom check: JUnit's, and what is left when one can't be written. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { check, directory, file, SCRIPT, there, withDevice } from "./check_support.js";
import { carom, labForTests, labTest } from "./lab_support.js";

const lab = labForTests({ mtu: 3000 });

interface Element {
  name: string;
  attributes: Record<string, string>;
  children: Element[];
  text: string;
}

/** Reads what the JUnit writer may write, and nothing else: a stray character is an error. */
function parseXml(text: string): Element {
  const plain = (value: string) =>
    value.replace(/&(?:(amp|lt|gt|quot)|#(\d+));/g, (_, name, code) =>
      name === undefined
        ? String.fromCharCode(Number(code))
        : ({ amp: "&", lt: "<", gt: ">", quot: '"' } as const)[name as "amp"]!,
    );
  const document: Element = { name: "", attributes: {}, children: [], text: "" };
  const stack = [document];
  const token =
    /<\?xml version="1\.0" encoding="UTF-8"\?>\n|<\/([\w]+)>|<([\w]+)((?: \w+="[^"<]*")*)(\/?)>|([^<]+)/y;
  for (let at = 0; at < text.length; at = token.lastIndex) {
    token.lastIndex = at;
    const match = token.exec(text);
    assert.ok(match, `well-formed at ${at}: ${text.slice(at, at + 60)}`);
    const [, closed, opened, attributes, selfClosed, content] = match!;
    const open = stack.at(-1)!;
    if (content !== undefined) {
      assert.not.match(content, /&(?!(amp|lt|gt|quot);|#\d+;)/);
      assert.not.ok(
        [...content].some((char) => char < " " && !"\t\n\r".includes(char)),
        "no control characters",
      );
      open.text += plain(content);
    }
    if (closed !== undefined) assert.is(stack.pop()!.name, closed);
    if (opened === undefined) continue;
    const element: Element = { name: opened, attributes: {}, children: [], text: "" };
    for (const [, name, value] of attributes!.matchAll(/ (\w+)="([^"]*)"/g))
      element.attributes[name!] = plain(value!);
    open.children.push(element);
    if (selfClosed === "") stack.push(element);
  }
  assert.is(stack.length, 1, "every element is closed");
  assert.is(document.children.length, 1);
  return document.children[0]!;
}

labTest("the JUnit file says what the JSON report says, whatever the names hold", async () => {
  const script = file(
    "junit.yaml",
    `name: "a <b> & \\"c\\""
within: 200ms
cases:
  - { name: "passes & <passes>", send: [{ tick: { price: 10 } }], expect: [{ order: {} }] }
  - { name: 'fails "here" € \u{1f4c8}', send: [{ tick: { symbol: "\\0<&>\\x01", price: 10000 } }], expect: [{ order: { price: 1 } }] }
  - { name: skipped, needs: { mtu: 9000 }, send: [{ tick: { price: 10 } }], expect: nothing }
`,
  );
  const junit = join(directory, "out.xml");
  await withDevice(lab!, "everything", () => {
    const { status, report, cases } = check(script, ...there(lab!), "--junit", junit);
    assert.is(status, 1);
    assert.equal(
      [report.schema, report.version, report.interrupted, report.errors],
      ["carom.check", 1, false, []],
    );
    assert.equal(report.summary, { passed: 1, failed: 1, skipped: 1, error: 0, total: 3 });
    const suites = parseXml(readFileSync(junit, "utf8"));
    assert.is(suites.name, "testsuites");
    const [suite] = suites.children;
    assert.is(suite!.attributes.name, report.scripts[0]!.name);
    for (const { attributes } of [suites, suite!]) {
      assert.equal(
        [attributes.tests, attributes.failures, attributes.errors, attributes.skipped],
        ["3", "1", "0", "1"],
      );
    }
    const found = suite!.children.filter(({ name }) => name === "testcase");
    assert.equal(
      found.map(({ attributes }) => attributes.name),
      cases.map(({ name }) => name),
    );
    assert.equal(
      found.map(({ attributes }) => attributes.line),
      ["4", "5", "6"],
    );
    const inner = found.map(({ children }) => children[0]);
    assert.equal(
      inner.map((element) => element?.name),
      [undefined, "failure", "skipped"],
    );
    assert.is(inner[1]!.attributes.message, cases[1]!.faults[0]!.reason);
    assert.match(inner[1]!.text, /price: expected 1, received 10001/);
    assert.match(inner[1]!.text, /symbol +"\\u0000<&>\\u0001 {3}"/);
    assert.is(inner[2]!.attributes.message, "needs an MTU of 9000 bytes, here it is 3000");
  });
});

labTest("a report that can't be written loses nothing, and ends with status 3", async () => {
  await withDevice(lab!, "none", () => {
    const { status, stdout, stderr } = carom(
      "check",
      file("faults.yaml", SCRIPT),
      ...there(lab!),
      "--junit",
      "/dev/full",
    );
    assert.is(status, 3);
    assert.match(stdout, /✓ bought/);
    assert.match(stdout, /4 cases: 4 passed/);
    assert.match(stderr, /write \/dev\/full: the disk is full \(ENOSPC\)/);
    const json = check(file("faults.yaml", SCRIPT), ...there(lab!), "--junit", "/dev/full");
    assert.is(json.status, 3);
    assert.is(json.report.summary.passed, 4);
    assert.match(json.report.errors[0]!.detail, /ENOSPC/);
  });
});

test.run();
