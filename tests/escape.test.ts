/** Names of files are shown, never obeyed: what a terminal would carry out is escaped, and JSON keeps the name. */

import { spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { amendedLines, caseLines, listLines, scriptLines } from "../check/report.js";
import type { CaseResult } from "../check/result.js";
import type { Case } from "../check/script.js";
import { CaromError } from "../native/error.js";
import { escaped, escapedLines, quotedWord } from "../native/escape.js";
import { captureAt, findCaptures, lookAt } from "../tui/captures.js";
import { styledText } from "../tui/style.js";
import { MAIN } from "./lab_support.js";

const SAMPLE = fileURLToPath(new URL("../../pcaps/answered.pcap", import.meta.url));
const NAME = "a\x1b]0;mine\x07\x1b[31m\x9b2J\nb\u202e.pcap";
const SHOWN = "a\\x1b]0;mine\\x07\\x1b[31m\\x9b2J\\nb\\u202e.pcap";

// biome-ignore lint/suspicious/noControlCharactersInRegex: none may be there
const CONTROLS = /[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]/;

test("what is escaped, and what is carom's own", () => {
  assert.is(escaped(NAME), SHOWN);
  assert.is(escaped("Ärger 日本 🙂 ordinary.pcap"), "Ärger 日本 🙂 ordinary.pcap");
  assert.is(escapedLines("\x1b[1ma\x1b[22m\n\x1b[2J", true), "\x1b[1ma\x1b[22m\n\\x1b[2J");
  assert.is(escapedLines("\x1b[1ma\n\r", false), "\\x1b[1ma\n\\r");
  const error = new CaromError("usage", `read ${NAME}`, "there is none");
  assert.not.match(error.message, CONTROLS);
  assert.is(error.toJSON().operation, `read ${NAME}`);
  assert.is(styledText([{ text: "a\x1b[2J\u202eb" }], false), "a·[2J·b");
  assert.equal(["a.pcap", "a b", NAME].map(quotedWord), ["a.pcap", "'a b'", `$'${SHOWN}'`]);
});

test("a capture of such a name: read, and shown without one control character", () => {
  const folder = mkdtempSync(join(tmpdir(), "carom-escape-"));
  try {
    const path = join(folder, NAME);
    copyFileSync(SAMPLE, path);
    const run = (...args: string[]) =>
      spawnSync(process.execPath, [MAIN, ...args], {
        encoding: "utf8",
        env: { ...process.env, FORCE_COLOR: "" },
      });
    for (const args of [
      ["inspect", path],
      ["filter", "len >= 0", path],
      ["inspect", "--compare", path, path],
      ["inspect", `${path}.gone`],
      ["check", `${path}.gone`],
      ["inspect", `--${NAME}`],
    ]) {
      const { stdout, stderr } = run(...args);
      assert.not.match(stdout + stderr, CONTROLS, args[0]);
      // A message may have several lines.
      const wanted = stdout === "" ? SHOWN.slice(0, SHOWN.indexOf("\\n")) : SHOWN;
      assert.ok((stdout + stderr).includes(wanted), `${args}: ${stdout}${stderr}`);
    }
    const { files } = JSON.parse(run("inspect", path, "--json").stdout) as { files: { path: string }[] };
    assert.is(files[0]!.path, path);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("names of runs, scripts and cases are escaped, colours and new lines, too", () => {
  const wild = "x\x1b[31m\ny";
  const shown = "x\\x1b[31m\\ny";
  const script = { file: wild, name: wild, description: wild, mtu: undefined, cases: [] };
  const result = { case: { name: wild }, outcome: "passed", duration_ns: 1 } as unknown as CaseResult;
  for (const lines of [
    scriptLines(script),
    caseLines(result, false),
    amendedLines({ ...result, faults: [] }),
    listLines(script, [{ name: wild } as unknown as Case]).slice(-1),
  ]) {
    const text = lines.join("|");
    assert.ok(text.includes(shown) && !text.includes(wild), text);
  }
});

test("a list of captures has those whose names are not UTF-8, and says so", () => {
  const folder = mkdtempSync(join(tmpdir(), "carom-escape-"));
  try {
    const bytes = Buffer.concat([Buffer.from(`${folder}/a`), Buffer.from([0xff]), Buffer.from(".pcap")]);
    copyFileSync(SAMPLE, bytes);
    const [found] = findCaptures(folder);
    assert.is(found!.path, "a\ufffd.pcap");
    assert.match(lookAt(join(folder, found!.path)).problem, /not UTF-8; rename it/);
    assert.throws(() => captureAt(found!.path), /its name has bytes that are not UTF-8/);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("an argument with bytes that are not UTF-8 is told, with what to do", () => {
  const script = `exec "$0" "$1" inspect "$(printf 'a\\377b')"`;
  const { status, stderr } = spawnSync("sh", ["-c", script, process.execPath, MAIN], { encoding: "utf8" });
  assert.is(status, 2);
  assert.match(stderr, /a\ufffdb: it has bytes that are not UTF-8; .*carom inspect - < FILE/);
});

test.run();
