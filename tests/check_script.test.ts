/** The scripts of carom check: what they say, and every mistake in one, named by line and column. */

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { buildOutgoing, TickClock, Unavailable } from "../check/outgoing.js";
import { shippedScripts } from "../check/select.js";
import { CaromError } from "../native/error.js";
import { inCase, parse, sending, WIRING } from "./check_support.js";
import { casesOf, seeded } from "./random.js";

const SCRIPTS = casesOf(3000, 300_000);

test("a script is read with its defaults, repetitions and settings", () => {
  const { name, mtu, cases } = parse(`
responder: { threshold: 20000, symbols: [AAPL, MSFT] }
lab: { mtu: 3000 }
within: 100ms
cases:
  - name: first
    responder: { threshold: 30000 }
    send:
      - tick: { symbol: "A\\xff", price: 0x10, price_step: 2, repeat: 3 }
        repeat: 2
        pause: 5ms
      - payload: "41424344 45464748 01000000 02000000 0300000000000000 ff"
    expect:
      - order: { answers: 2, price: 1, repeat: 2, price_step: 5 }
        vlan: none
    quiet: 1ms
  - { name: second, send: [{ partial: 3 }], expect: nothing, probe: false }`);
  assert.is(name, "a");
  assert.is(mtu, 3000);
  const [first, second] = cases;
  assert.equal(
    [...first!.settings].map(([key, { text }]) => `${key}=${text}`),
    ["threshold=30000", "symbols=AAPL,MSFT"],
  );
  assert.equal(
    first!.sends[0]!.ticks.map(({ price }) => price),
    [16, 18, 20],
  );
  assert.is(first!.sends[0]!.ticks[0]!.symbol.toString("hex"), "41ff202020202020");
  assert.equal([first!.sends[0]!.repeat, first!.sends[0]!.pause_ns], [2, 5e6]);
  assert.equal(first!.sends[1]!.ticks, [
    { symbol: Buffer.from("ABCDEFGH"), price: 1, quantity: 2, timestamp: 3n },
  ]);
  assert.is(first!.sends[1]!.trailer.toString("hex"), "ff");
  assert.equal(
    first!.expected.map(({ tick, price, vlan }) => [tick, price, vlan]),
    [
      [1, 1, -1],
      [2, 6, -1],
    ],
  );
  assert.equal([first!.within_ns, first!.quiet_ns, first!.probe], [100e6, 1e6, true]);
  assert.equal([second!.within_ns, second!.probe, second!.expected], [100e6, false, []]);
  assert.is(second!.place, "a.yaml:17:5");
});

const expecting = (item: string) => inCase(`send: [{ tick: { price: 1 } }]\nexpect:\n  - ${item}`);

const MISTAKES: readonly (readonly [script: string, place: string, says: RegExp])[] = [
  ["", "1:1", /a script is a map with the keys: name, .*cases/],
  ["cases: [", "1:9", /Flow sequence/],
  ["cases: []", "1:8", /a list of 1 to 1000 cases/],
  ["name: x", "1:1", /cases is missing/],
  ["casess: []\ncases: []", "1:1", /"casess": no such key in a script; allowed are: name, .*cases/],
  ["name: a\nname: b", "2:1", /unique/],
  ["name: *x", "1:7", /no anchor &x/],
  ["? [a]\n: b", "1:3", /key must be a plain text/],
  ["name: !!js/function x", "1:7", /Unresolved tag/],
  ["a: 1\n---\nb: 2", "2:1", /multiple documents/],
  [`a: ${"[".repeat(5000)}`, "1:36", /nested too deeply/],
  [`${"- ".repeat(5000)}`, "1:201", /nested too deeply/],
  ["lab: { mtu: 12 }\ncases: []", "1:13", /"12" is not a whole number from 1280 to 9000/],
  ["within: 5\ncases: []", "1:9", /a time such as 200us/],
  [
    "responder: { treshold: 1 }\ncases: [{ name: a, send: [{ partial: 1 }], expect: nothing }]",
    "1:14",
    /"treshold" is no setting; allowed are: .*threshold/,
  ],
  [
    "responder: { threshold: low }\ncases: [{ name: a, send: [{ partial: 1 }], expect: nothing }]",
    "1:25",
    /threshold: "low" is not a whole number/,
  ],
  [
    "responder: { backend: udp }\ncases: [{ name: a, send: [{ partial: 1 }], expect: nothing }]",
    "1:14",
    /is not a script's to set/,
  ],
  [inCase("send: [{ tick: { price: 1 } }]"), "2:5", /expect is missing/],
  [inCase("send: [{ tick: { price: 1 } }]\nexpect: nothng"), "4:13", /nothing, or a list of orders/],
  [inCase("send: [{ tick: { price: 1 } }]\nexpect: []"), "4:13", /a list of 1 to 1000 orders/],
  [
    'cases:\n  - name: "a\\nb\\x01"\n    send: [{ partial: 1 }]\n    expect: nothing',
    "2:11",
    /is not a name of 1 to 200 characters/,
  ],
  [
    "cases:\n  - &a { name: a, send: [{ partial: 1 }], expect: nothing }\n  - *a",
    "2:16",
    /a case "a" was given already at a.yaml:2:8/,
  ],
  [sending("tick: { symbol: AAPL }"), "4:15", /price is missing/],
  [
    sending("tick: { price: 1, pric: 2 }"),
    "4:27",
    /"pric": no such key in a tick; allowed are: symbol, price, quantity/,
  ],
  [sending("tick: { price: -1 }"), "4:24", /"-1" is not a whole number from 0 to 4294967295/],
  [sending("tick: { price: 4294967296 }"), "4:24", /from 0 to 4294967295/],
  [sending("tick: { price: 1.5 }"), "4:24", /whole number/],
  [sending("tick: { price: [1] }"), "4:24", /a text is wanted here, this is a list/],
  [sending("tick: 5"), "4:15", /a tick is a map with the keys/],
  [sending("tick: { price: 1, symbol: ABCDEFGHI }"), "4:35", /up to 8 characters/],
  [sending("tick: { price: 1, symbol: €UR }"), "4:35", /8 bits each/],
  [sending("tick: { price: 1, timestamp: 18446744073709551616 }"), "4:38", /whole number of ns/],
  [sending("tick: { price: 5, price_step: -3, repeat: 3 }"), "4:39", /the price becomes -1 at repetition 3/],
  [sending("tick: { price: 5, repeat: 2709 }"), "4:35", /at most 2708 fit/],
  [sending("{ tick: { price: 1 }, ticks: [{ price: 1 }] }"), "4:38", /tick and ticks exclude each other/],
  [sending("{ to: group }"), "4:9", /nothing to send; give one of tick, ticks, partial, payload, frame/],
  [sending("{ payload: abc }"), "4:20", /0 to 65000 bytes in hex digits/],
  [sending("{ payload: 00, partial: 1 }"), "4:33", /partial and payload exclude/],
  [
    sending("{ frame: 000102030405060708090a0b0c0d, udp: { length: 1 } }"),
    "4:53",
    /a frame is sent as it is/,
  ],
  [sending("{ frame: 0001 }"), "4:18", /14 to 65000 bytes/],
  [sending("{ tick: { price: 1 }, truncate: 13 }"), "4:41", /from 14 to/],
  [sending("{ tick: { price: 1 }, vlan: untagged }"), "4:37", /none, a VLAN tag such as/],
  [sending("{ tick: { price: 1 }, vlan: { id: 4096 } }"), "4:43", /from 0 to 4095/],
  [
    sending("{ tick: { price: 1 }, vlan: [{ id: 1, prio: 2 }] }"),
    "4:47",
    /"prio": no such key in a VLAN tag/,
  ],
  [sending("{ tick: { price: 1 }, udp: { checksum: wrong } }"), "4:48", /right, bad, zero/],
  [sending("{ tick: { price: 1 }, ip: { version: 6, ihl: 5 } }"), "4:54", /an IPv6 header has no ihl/],
  [sending("{ tick: { price: 1 }, ip: { flow_label: 5 } }"), "4:49", /an IPv4 header has no flow_label/],
  [
    sending("{ tick: { price: 1 }, ip: { version: 6, source: 1.2.3.4 } }"),
    "4:46",
    /6, but 1.2.3.4 is an IPv4 address/,
  ],
  [
    sending('{ tick: { price: 1 }, to: "::1", ip: { source: 1.2.3.4 } }'),
    "4:46",
    /::1 and 1.2.3.4 are not of one IP version/,
  ],
  [sending("{ tick: { price: 1 }, ip: { source: nobody } }"), "4:45", /one of generator, device, group/],
  [sending("{ tick: { price: 1 }, ip: { source: fe80::1%eth0 } }"), "4:45", /an IPv4 or IPv6 address/],
  [sending("{ tick: { price: 1 }, ethernet: { source: 02-00 } }"), "4:51", /a MAC address, or one of/],
  [expecting("order: { price: x }"), "5:25", /whole number/],
  [expecting("order: { side: hold }"), "5:24", /buy, sell or a number/],
  [expecting("order: { answers: 2 }"), "5:27", /tick 2, but 1 are sent/],
  [expecting("order: { clOrdId: 12 }"), "5:27", /16 characters/],
  [expecting("{ oder: {} }"), "5:11", /"oder": no such key in what is expected; allowed are: order/],
  [
    inCase("send: [{ ticks: [{ price: 1 }, { price: 2 }] }]\nexpect: [{ order: {} }]"),
    "4:23",
    /1 orders for 2 ticks.*add answers: N/,
  ],
  [inCase("send: [{ partial: 1 }]\nexpect: [{ order: {} }]"), "4:13", /no whole tick/],
];

test("every mistake in a script is named by line and column, with what is allowed", () => {
  for (const [script, place, says] of MISTAKES) {
    try {
      parse(script);
      assert.unreachable(`accepted: ${script.slice(0, 200)}`);
    } catch (error) {
      assert.instance(error, CaromError, `${(error as Error).stack}\n${script.slice(0, 200)}`);
      const { code, operation, message } = error as CaromError;
      assert.is(code, "usage");
      assert.is(operation.split(": ")[0], `a.yaml:${place}`, `${message}\n${script.slice(0, 200)}`);
      assert.match(message, says);
    }
  }
});

test("no script, random or spoilt, does anything but parse or be refused", () => {
  const next = seeded(3);
  const whole = shippedScripts().map((path) => readFileSync(path, "utf8"));
  // One case each, so that most of the time goes into what was spoilt.
  const sources = whole.flatMap((text) => {
    const [head, ...cases] = text.split(/^(?= {2}- name)/m);
    return cases.map((item) => `${head}${item}`);
  });
  const pieces = [
    "[",
    "]",
    "{",
    "}",
    ":",
    "- ",
    "&a ",
    "*a",
    "\n",
    "  ",
    '"',
    "'",
    "|",
    "#",
    "!",
    "? ",
    "%",
    "\t",
    "0",
    "-1",
    "\0",
    "é",
  ];
  const clock = new TickClock();
  let accepted = 0;
  for (let count = 0; count < SCRIPTS; count++) {
    let text = sources[next(sources.length)]!;
    for (let edits = next(4); edits >= 0; edits--) {
      const at = next(text.length + 1);
      const words = sources[next(sources.length)]!;
      const from = next(words.length);
      const piece = [
        pieces[next(pieces.length)]!,
        words.slice(from, from + next(30)),
        "",
        String.fromCharCode(next(300)),
      ][next(4)]!;
      text = text.slice(0, at) + piece + text.slice(at + next(6));
    }
    if (count % 20 === 0) text = Array.from({ length: next(60) }, () => pieces[next(pieces.length)]).join("");
    try {
      const { cases } = parse(text);
      accepted++;
      for (const item of cases.flatMap(({ sends }) => sends)) {
        try {
          buildOutgoing(item, WIRING, clock);
        } catch (error) {
          if (!(error instanceof Unavailable)) throw error;
        }
      }
    } catch (error) {
      if (!(error instanceof CaromError) || error.code !== "usage" || !/^a\.yaml/.test(error.operation)) {
        assert.unreachable(`${(error as Error).stack}\n${text}`);
      }
    }
  }
  assert.ok(accepted > 0.01 * SCRIPTS && accepted < 0.95 * SCRIPTS, `${accepted} accepted`);
});

test("the script in the documentation is one", () => {
  const text = readFileSync(fileURLToPath(new URL("../../docs/check.md", import.meta.url)), "utf8");
  const example = /```yaml\n([\s\S]*?)```/.exec(text)![1]!;
  assert.equal(
    parse(example).cases.map(({ expected }) => expected.length),
    [1, 0],
  );
});

test.run();
