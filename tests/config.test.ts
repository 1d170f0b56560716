/** What a user can set: each kind of value, the configuration file, and how the two and the flags go together. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { z } from "zod";
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
import {
  choice,
  core,
  decimal,
  dscp,
  duration,
  filePath,
  flag,
  formatNs,
  integer,
  interfaceName,
  ipAddress,
  macAddress,
  multicastGroup,
  multicastGroups,
  name,
  powerOfTwo,
  rate,
  scale,
  seed,
  signedInteger,
  symbolList,
  symbols,
} from "../config/values.js";
import { generatorOptions, sendOptions } from "../generator/config.js";
import { CaromError } from "../native/error.js";
import { runOptions } from "../run/plan.js";
import { seeded } from "./random.js";

const COMMANDS = [run, respond, generate, profile, check, doctor, ...lab, ...control.values()];

interface Kind {
  readonly type: z.ZodType;
  readonly good: readonly (readonly [text: string, value: unknown])[];
  readonly bad: readonly string[];
  readonly allowed: RegExp; // what the error has to say
}

const KINDS: Readonly<Record<string, Kind>> = {
  duration: {
    type: duration(0, 60e9),
    good: [
      ["0", 0],
      ["1ns", 1],
      ["200us", 200_000],
      ["200µs", 200_000],
      ["1.5ms", 1_500_000],
      ["60s", 60e9],
      ["1m", 60e9],
      ["1min", 60e9],
      [" 5s ", 5e9],
      ["0.1us", 100],
    ],
    bad: ["", "5", "-1s", "61s", "1h", "s", "1 s", "1e3s", "0x10s", "1S", "1,5s", ".5s", "NaN", "Infinitys"],
    allowed: /a time such as 200us, 1\.5ms or 10s, from 0 ns to 60 s/,
  },
  integer: {
    type: integer(1, 65_535),
    good: [
      ["1", 1],
      ["65535", 65_535],
      ["1k", 1000],
      ["1.5k", 1500],
      ["007", 7],
    ],
    bad: ["", "0", "65536", "-1", "1.5", "1e3", "0x10", "1K", "1M", "one", "1 000", "1_000", "٣"],
    allowed: /a whole number from 1 to 65535/,
  },
  signedInteger: {
    type: signedInteger(-5, 5),
    good: [
      ["-5", -5],
      ["+5", 5],
      ["0", 0],
    ],
    bad: ["", "6", "-6", "1.0", "--1", "1k", "9999999999999999"],
    allowed: /a whole number from -5 to 5/,
  },
  core: {
    type: core(),
    good: [
      ["auto", "auto"],
      ["none", "none"],
      ["0", 0],
      ["1023", 1023],
    ],
    bad: ["", "-1", "1.5", "AUTO", "99999", "0-1"],
    allowed: /a core's number, auto or none/,
  },
  powerOfTwo: {
    type: powerOfTwo(64, 65_536),
    good: [
      ["64", 64],
      ["65536", 65_536],
    ],
    bad: ["", "63", "100", "32", "131072", "0", "-64", "4k"],
    allowed: /a power of two from 64 to 65536/,
  },
  decimal: {
    type: decimal(0, 1),
    good: [
      ["0", 0],
      ["0.9", 0.9],
      ["1", 1],
    ],
    bad: ["", "1.1", "-0.1", "90%", "NaN", "1e-1", ".9"],
    allowed: /a number from 0 to 1/,
  },
  rate: {
    type: rate(1e9),
    good: [
      ["200k", 200_000],
      ["1.5M", 1_500_000],
      ["1G", 1e9],
      ["1.1k", 1100],
      ["0.001", 0.001],
      ["5/s", 5],
    ],
    bad: ["", "0", "-1", "2G", "0.0001", "fast", "200 k", "1e6"],
    allowed: /a rate a second such as 200k or 1\.5M, above 0 and up to 1000000000/,
  },
  scale: {
    type: scale(0.001, 1000),
    good: [
      ["2x", 2],
      ["0.5x", 0.5],
      ["1000x", 1000],
      ["1.125x", 1.125],
    ],
    bad: ["", "2", "x", "0x", "1001x", "2X", "-2x", "1.0001x", "2 x", "1e1x"],
    allowed: /a factor such as 2x or 0\.5x, from 0\.001x to 1000x, with up to three decimals/,
  },
  choice: {
    type: choice("auto", "copy", "zero-copy"),
    good: [
      ["auto", "auto"],
      ["zero-copy", "zero-copy"],
    ],
    bad: ["", "Auto", "zero", "auto copy", "constructor", "__proto__"],
    allowed: /one of auto, copy, zero-copy/,
  },
  flag: {
    type: flag(),
    good: [
      ["true", true],
      ["false", false],
    ],
    bad: ["", "yes", "1", "TRUE", "on"],
    allowed: /true or false/,
  },
  ipAddress: {
    type: ipAddress(),
    good: [
      ["198.18.0.2", "198.18.0.2"],
      ["2001:2::1", "2001:2::1"],
    ],
    bad: ["", "198.18.0", "198.18.0.256", "198.18.0.2/24", "2001:2::1::", "localhost", "198.18.0.02"],
    allowed: /an IPv4 or IPv6 address/,
  },
  multicastGroup: {
    type: multicastGroup(),
    good: [
      ["224.0.0.0", "224.0.0.0"],
      ["239.255.255.255", "239.255.255.255"],
      ["ff0e::1:1", "ff0e::1:1"],
      ["FF02::1", "FF02::1"],
    ],
    bad: ["", "223.255.255.255", "240.0.0.0", "198.18.0.1", "fe80::1", "2001:2::1", "ff"],
    allowed: /a multicast address \(224\.0\.0\.0 to 239\.255\.255\.255, or ff00::\/8\)/,
  },
  multicastGroups: {
    type: multicastGroups(2),
    good: [
      ["239.1.1.1", ["239.1.1.1"]],
      ["239.1.1.1, ff02::101", ["239.1.1.1", "ff02::101"]],
    ],
    bad: ["", "239.1.1.1,", "239.1.1.1,239.1.1.1", "239.1.1.1,239.1.1.2,239.1.1.3", "239.1.1.1,198.18.0.1"],
    allowed: /1 to 2 different multicast addresses/,
  },
  dscp: {
    type: dscp(),
    good: [
      ["DF", 0],
      ["CS1", 8],
      ["cs7", 56],
      ["AF11", 10],
      ["af22", 20],
      ["AF43", 38],
      ["VA", 44],
      ["EF", 46],
      ["0", 0],
      ["63", 63],
    ],
    bad: ["", "64", "-1", "AF14", "CS8", "EF0", "1.5"],
    allowed: /a code point: DF, EF, VA, AF11 to AF43, CS0 to CS7, or a number from 0 to 63/,
  },
  macAddress: {
    type: macAddress(),
    good: [["02:CA:40:00:00:01", "02:ca:40:00:00:01"]],
    bad: [
      "",
      "02:ca:40:00:00",
      "02-ca-40-00-00-01",
      "02:ca:40:00:00:0g",
      "02ca40000001",
      "02:ca:40:00:00:01:02",
    ],
    allowed: /a MAC address such as 02:00:00:00:00:01/,
  },
  interfaceName: {
    type: interfaceName(),
    good: [
      ["eth0", "eth0"],
      ["a23456789012345", "a23456789012345"],
      ["enp1s0.100", "enp1s0.100"],
    ],
    bad: ["", ".", "..", "a/b", "a b", "a234567890123456"],
    allowed: /an interface name \(1 to 15 characters/,
  },
  filePath: {
    type: filePath(),
    good: [["run.hlog", "run.hlog"]],
    bad: ["", "  ", "a\0b"],
    allowed: /a file name/,
  },
  symbols: {
    type: symbols(3, 500),
    good: [
      ["AAPL", ["AAPL"]],
      ["1", 1],
      ["500", 500],
      ["7203,", ["7203"]],
      ["7203,9984", ["7203", "9984"]],
    ],
    bad: ["", "0", "501", "A,B,C,D", "A,A", "A,,B", "TOOLONGER", ","],
    allowed: /, or a number of symbols from 1 to 500/,
  },
  symbolList: {
    type: symbolList(3),
    good: [
      ["AAPL", ["AAPL"]],
      ["AAPL, MSFT ,BRK.B", ["AAPL", "MSFT", "BRK.B"]],
    ],
    bad: ["", "A,B,C,D", "A,A", "A,,B", "TOOLONGER", "Ä", "A B"],
    allowed: /1 to 3 different symbols of 1 to 8 printable ASCII characters, separated by commas/,
  },
  name: {
    type: name(),
    good: [
      ["lab", "lab"],
      ["0-a", "0-a"],
      ["a".repeat(24), "a".repeat(24)],
    ],
    bad: ["", "-a", "A", "a_b", "a/b", "..", "a".repeat(25), "a\nb"],
    allowed: /a name of 1 to 24 lower-case letters, digits and dashes/,
  },
  seed: {
    type: seed(),
    good: [
      ["0", 0n],
      ["18446744073709551615", 2n ** 64n - 1n],
    ],
    bad: ["", "18446744073709551616", "-1", "1.0", "1k", "0x1"],
    allowed: /a whole number from 0 to 18446744073709551615/,
  },
};

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
