/** What a user can set: each kind of value, the configuration file, and how the two and the flags go together. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { command as check } from "../cli/check.js";
import { commands as control } from "../cli/control.js";
import { command as doctor } from "../cli/doctor.js";
import { command as generate } from "../cli/generate.js";
import { commands as lab } from "../cli/lab.js";
import { command as profile } from "../cli/profile.js";
import { command as respond } from "../cli/respond.js";
import { command as run } from "../cli/run.js";
import { parseConfig, readConfigFile, resolveValues, type Texts } from "../config/file.js";
import { flagName, keyName, nameOfKey, type OptionTable, optionGroup } from "../config/option.js";
import { flag, formatNs, integer } from "../config/values.js";
import { generatorOptions, sendOptions } from "../generator/config.js";
import { CaromError } from "../native/error.js";
import { runOptions } from "../run/plan.js";
import { KINDS } from "./config_kinds.js";
import { seeded } from "./random.js";

const COMMANDS = [run, respond, generate, profile, check, doctor, ...lab, ...control.values()];

for (const [kind, { type, good, bad, allowed }] of Object.entries(KINDS)) {
  test(`${kind}: what is right is read, what is not is refused by saying what is allowed`, () => {
    for (const [text, value] of good) {
      const result = type.safeParse(text);
      assert.ok(result.success, `${JSON.stringify(text)} is read`);
      assert.equal(result.data, value, text);
    }
    for (const text of bad) {
      const result = type.safeParse(text);
      assert.not.ok(result.success, `${JSON.stringify(text)} is refused`);
      const message = result.error!.issues.map((issue) => issue.message).join();
      assert.match(message, allowed);
      assert.ok(message.includes(JSON.stringify(text)), `${message} shows ${JSON.stringify(text)}`);
    }
  });
}

test("times are shown with three digits and the unit that fits", () => {
  for (const [value_ns, text] of [
    [0, "0 ns"],
    [999, "999 ns"],
    [0.37, "0.37 ns"],
    [1000, "1 µs"],
    [2310, "2.31 µs"],
    [23_100, "23.1 µs"],
    [231_000, "231 µs"],
    [2_310_000, "2.31 ms"],
    [60e9, "60 s"],
  ] as const) {
    assert.is(formatNs(value_ns), text);
  }
});

test("every option has one name in three spellings", () => {
  for (const command of COMMANDS) {
    for (const option of Object.keys(command.options)) {
      assert.is(nameOfKey(keyName(option)), option, `${command.name}: ${option}`);
      assert.match(flagName(option), /^[a-z0-9]+(-[a-z0-9]+)*$/);
      assert.match(keyName(option), /^[a-z0-9]+(_[a-z0-9]+)*$/);
      assert.is(keyName(option).replaceAll("_", "-"), flagName(option));
    }
  }
  assert.is(flagName("triggerRatio"), "trigger-ratio");
  assert.is(keyName("triggerRatio"), "trigger_ratio");
});

test("every default is a value that its option allows, and every option says what it is", () => {
  for (const command of COMMANDS) {
    for (const [option, { type, fallback, description, group }] of Object.entries(command.options)) {
      if (fallback !== undefined)
        assert.ok(type.safeParse(fallback).success, `${command.name} --${flagName(option)}`);
      assert.ok(description.length > 5 && group.length > 2, `${command.name} --${flagName(option)}`);
    }
  }
});

test("the five fixed keys are read, with comments, spaces and either kind of line end", () => {
  const content = [
    "# where to",
    "target_ip=198.18.0.2",
    "",
    "  target_port = 8081   # not the usual one",
    "protocol=udp\r",
    "multicast=true",
    "\tmulticast_group=239.1.1.7#5", // no space before it: part of the value, and wrong there
  ];
  const good = content.with(-1, "multicast_group=239.1.1.7 # the test group").join("\n");
  const values = resolveValues(runOptions, parseConfig(good, "carom.conf", runOptions));
  assert.is(values.targetIp, "198.18.0.2");
  assert.is(values.targetPort, 8081);
  assert.is(values.protocol, "udp");
  assert.is(values.multicast, true);
  assert.is(values.multicastGroup, "239.1.1.7");
  assert.is(values.window, undefined, "what was not given has no value");
  assert.is(values.warmup, 200e6, "or its default");
  const bad = refusal(() =>
    resolveValues(runOptions, parseConfig(content.join("\n"), "carom.conf", runOptions)),
  );
  assert.match(bad.message, /^carom\.conf:7: multicast_group: "239\.1\.1\.7#5" is not a multicast address/);
});

test("every key of formats.md is known to run and generate", () => {
  for (const table of [generatorOptions, sendOptions] as OptionTable[]) {
    for (const key of ["target_ip", "target_port", "protocol", "multicast", "multicast_group"]) {
      assert.ok(Object.hasOwn(table, nameOfKey(key)), key);
    }
  }
});

test("a mistake is told with file, line and what is allowed", () => {
  const cases: readonly (readonly [content: string, says: RegExp])[] = [
    [
      "\n\nno_such_key=1",
      /^c\.conf:3: unknown key "no_such_key"; allowed are: .*multicast_group.*trigger_ratio/,
    ],
    ["rate=1k\n# x\nrate=2k", /^c\.conf:3: rate was given already at c\.conf:1: rate; keep one of the two/],
    ["rate", /^c\.conf:1: "rate" is not key=value/],
    ["=5", /^c\.conf:1: "=5" is not key=value/],
    ["rate=fast", /^c\.conf:1: rate: "fast" is not a rate a second such as 200k/],
    ["seed=1\ntarget_port=70000", /^c\.conf:2: target_port: "70000" is not a whole number from 1 to 65535/],
    ["targetPort=1", /unknown key "targetPort"/],
    ["target-port=1", /unknown key "target-port"/],
    ["TARGET_PORT=1", /unknown key "TARGET_PORT"/],
    ["__proto__=1", /unknown key "__proto__"/],
    ["constructor=1", /unknown key "constructor"/],
    ["rate=", /"" is not a rate a second/],
    ["protocol=tcp", /"tcp" is not one of udp/],
  ];
  for (const [content, says] of cases) {
    const error = refusal(() => resolveValues(runOptions, parseConfig(content, "c.conf", runOptions)));
    assert.is(error.code, "usage");
    assert.is(error.exitStatus, 2);
    assert.match(error.message, says);
  }
});

test("a file that can't be read, or is none, is told by its name", () => {
  const folder = mkdtempSync(join(tmpdir(), "carom-config-"));
  try {
    const path = join(folder, "c.conf");
    assert.match(
      refusal(() => readConfigFile(path, runOptions)).message,
      `configuration file ${path}: ENOENT`,
    );
    assert.match(refusal(() => readConfigFile(folder, runOptions)).message, "EISDIR");
    writeFileSync(path, "#".repeat((1 << 20) + 1));
    assert.match(refusal(() => readConfigFile(path, runOptions)).message, "larger than 1048576 bytes");
    writeFileSync(path, "seed=7\n");
    assert.is(resolveValues(runOptions, readConfigFile(path, runOptions)).seed, 7n);
    writeFileSync(path, Buffer.from([0xff, 0xfe, 0x00, 0x3d, 0x0a]));
    assert.match(refusal(() => readConfigFile(path, runOptions)).message, /c\.conf:1: unknown key/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("what comes last into the texts wins, and the place it came from is told", () => {
  const texts: Texts = parseConfig("rate=1k\nseed=5", "c.conf", runOptions);
  texts.set("rate", { text: "2k", place: "--rate" }); // as a flag does
  const values = resolveValues(runOptions, texts);
  assert.is(values.rate, 2000);
  assert.is(values.seed, 5n);
  texts.set("rate", { text: "much", place: "--rate" });
  assert.match(refusal(() => resolveValues(runOptions, texts)).message, /^--rate: "much" is not a rate/);
});

test("a table can be made with helpers that keep the types", () => {
  const group = optionGroup("Group");
  const table = { some: group(integer(0, 9), "some number", "n", "3"), other: group(flag(), "another") };
  const { some, other } = resolveValues(table, new Map());
  assert.is(some, 3);
  assert.is(other, undefined);
});

test("no 10000 random configuration files get anything but values or a CaromError", () => {
  const next = seeded(3);
  const keys = Object.keys(run.options).map(keyName);
  const values = Object.values(KINDS).flatMap(({ good, bad }) => [...good.map(([text]) => text), ...bad]);
  const pick = <T>(list: readonly T[]) => list[next(list.length)]!;
  const noise = () =>
    String.fromCodePoint(...Array.from({ length: next(12) }, () => next(next(8) === 0 ? 0xd7ff : 128)));
  const line = () =>
    pick([
      () => `${pick(keys)}=${pick(values)}`,
      () => `${pick(keys)} = ${noise()}`,
      () => `${noise()}=${pick(values)}`,
      () => `# ${noise()}`,
      noise,
      () => "",
    ])();
  let read = 0;
  let refused = 0;
  for (let round = 0; round < 10_000; round++) {
    const content = Array.from({ length: next(6) }, line).join(pick(["\n", "\r\n", "\n\n"]));
    try {
      resolveValues(run.options, parseConfig(content, "fuzz.conf", run.options));
      read++;
    } catch (error) {
      const { code, message, stack } = error as CaromError;
      if (code !== "usage") assert.unreachable(`${JSON.stringify(content)} gave ${stack}`);
      assert.match(message, /^fuzz\.conf:\d+: /, JSON.stringify(content));
      refused++;
    }
  }
  assert.ok(read > 500 && refused > 2000, `${read} were read and ${refused} refused`);
});

function refusal(action: () => unknown): CaromError {
  try {
    action();
  } catch (error) {
    assert.instance(error, CaromError, String(error));
    return error as CaromError;
  }
  assert.unreachable("nothing was refused");
  throw new Error();
}

test.run();
