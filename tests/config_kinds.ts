/** Each kind of value that a user can set: what is read, and what is refused. */

import type { z } from "zod";
import {
  choice,
  core,
  decimal,
  dscp,
  duration,
  filePath,
  flag,
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

interface Kind {
  readonly type: z.ZodType;
  readonly good: readonly (readonly [text: string, value: unknown])[];
  readonly bad: readonly string[];
  readonly allowed: RegExp; // what the error has to say
}

export const KINDS: Readonly<Record<string, Kind>> = {
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
      ["a".repeat(127), "a".repeat(127)],
    ],
    bad: ["", ".", "..", "a/b", "a b", "a".repeat(128)],
    allowed: /an interface name \(1 to 127 characters/,
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
