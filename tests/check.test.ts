/** carom check: scripts and their mistakes, devices right and subtly wrong, reports, and the shipped scripts on each backend. */

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { buildOutgoing, TickClock, Unavailable, type Wiring } from "../check/outgoing.js";
import { parseScript } from "../check/reader.js";
import { runAsJson } from "../check/report.js";
import { deviceRig } from "../check/rig.js";
import { runScripts } from "../check/runner.js";
import { selectCases, shippedScripts } from "../check/select.js";
import { Sender } from "../check/sender.js";
import { missingCapabilities } from "../lab/capability.js";
import { createLab, type Lab, namespaceName } from "../lab/lab.js";
import { CaromError } from "../native/error.js";
import { openFrameSocket, probeBackends } from "../native/index.js";
import { responderOptions } from "../responder/config.js";
import { decodeFrame } from "../wire/decode.js";

const MAIN = fileURLToPath(new URL("../cli/main.js", import.meta.url));
const directory = mkdtempSync(join(tmpdir(), "carom-check-"));
const lacking = missingCapabilities(["CAP_NET_ADMIN", "CAP_SYS_ADMIN", "CAP_NET_RAW"]);
const sleep = (time_ms: number) => new Promise((resolve) => setTimeout(resolve, time_ms));

function labTest(name: string, action: () => void | Promise<void>): void {
  if (lacking.length === 0) test(name, action);
  else test.skip(`${name} (this process lacks ${lacking.join(" and ")})`);
}

function file(name: string, text: string): string {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
}

function carom(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args], {
    encoding: "utf8",
    maxBuffer: 1 << 26,
    timeout: 60_000,
  });
  return { status, stdout, stderr };
}

interface CaseReport {
  name: string;
  outcome: string;
  reason: string;
  sent: { way: string; probe: boolean; frame: string }[];
  received: { price: number; clOrdId: string }[];
  faults: {
    kind: string;
    reason: string;
    fields: { field: string; tick: string; expected: string; received: string; ok: boolean }[];
  }[];
  notes: string[];
}

interface Report {
  schema: string;
  version: number;
  interrupted: boolean;
  summary: Record<string, number>;
  scripts: { name: string; file: string; cases: CaseReport[] }[];
  errors: { message?: string; detail: string }[];
}

function check(...args: string[]) {
  const { status, stdout, stderr } = carom("check", ...args, "--json");
  const report = stdout === "" ? undefined : (JSON.parse(stdout) as Report);
  return { status, stderr, report: report!, cases: report?.scripts?.flatMap(({ cases }) => cases) ?? [] };
}

// Scripts.

const parse = (text: string) => parseScript(text, "a.yaml", responderOptions);

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

/** A script whose one case holds these lines, from line 3 and column 5 on. */
const inCase = (lines: string) => `cases:\n  - name: one\n${lines.replace(/^/gm, "    ")}\n`;
const sending = (item: string) => inCase(`send:\n  - ${item}\nexpect: nothing`);
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

function numbers(seed: number) {
  let state = seed >>> 0;
  return (below: number) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

const WIRING: Wiring = {
  generator: {
    namespace: "",
    interfaceName: "x",
    mac: "02:ca:40:00:00:01",
    address4: "198.18.0.1",
    address6: "",
    mtu: 1500,
  },
  device: { mac: "02:ca:40:00:00:02", address4: "198.18.0.2", address6: "" },
  group: "239.1.1.1",
  toGroup: false,
  targetPort: 8080,
  responsePort: 9999,
  vlan: -1,
  kernelResolves: true,
};

test("no 10000 scripts, random or spoilt, do anything but parse or be refused", () => {
  const next = numbers(3);
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
  for (let count = 0; count < 10_000; count++) {
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
  assert.ok(accepted > 100 && accepted < 9_500, `${accepted} accepted`);
});

test("each datagram takes the way that leaves it as it is", () => {
  const ways: Record<string, string> = {
    "tick: { price: 1 }": "raw-socket",
    "{ tick: { price: 1 }, to: group }": "raw-socket",
    "{ tick: { price: 1 }, udp: { checksum: bad } }": "raw-socket",
    "{ tick: { price: 1 }, udp: { length: 7 } }": "raw-socket",
    "{ tick: { price: 1 }, ip: { options: 01010100 } }": "raw-socket",
    "{ tick: { price: 1 }, ip: { more_fragments: true } }": "raw-socket",
    "{ tick: { price: 1 }, ip: { source: 198.18.0.9, ttl: 0 } }": "raw-socket",
    "{ tick: { price: 1 }, ip: { ttl: 0 }, to: group }": "frame-socket",
    "{ tick: { price: 1 }, ip: { checksum: bad } }": "frame-socket",
    "{ tick: { price: 1 }, ip: { source: 0.0.0.0 } }": "frame-socket",
    "{ tick: { price: 1 }, ip: { total_length: 51 } }": "frame-socket",
    "{ tick: { price: 1 }, ip: { identification: 0 } }": "frame-socket",
    "{ tick: { price: 1 }, ip: { ihl: 4 } }": "frame-socket",
    "{ tick: { price: 1 }, to: 198.18.0.3 }": "frame-socket",
    "{ tick: { price: 1 }, ethernet: { type: 0x0806 } }": "frame-socket",
    "{ tick: { price: 1 }, ethernet: { destination: broadcast } }": "frame-socket",
    "{ tick: { price: 1 }, vlan: { id: 1 } }": "frame-socket",
    "{ tick: { price: 1 }, pad: 1 }": "frame-socket",
    "{ tick: { price: 1 }, truncate: 65 }": "frame-socket",
    "{ tick: { price: 1, repeat: 62 } }": "frame-socket",
  };
  for (const [item, way] of Object.entries(ways)) {
    const send = parse(sending(item)).cases[0]!.sends[0]!;
    assert.is(buildOutgoing(send, WIRING, new TickClock()).way, way, item);
  }
});

// On the wire.

const lab: Lab | undefined = lacking.length === 0 ? createLab({ mtu: 3000 }) : undefined;

test.after(() => {
  lab?.down();
  rmSync(directory, { recursive: true });
});

labTest("everything that the shipped scripts send arrives byte for byte as it was built", async () => {
  const { generator, responder } = lab!;
  const wiring = { ...WIRING, generator, device: responder };
  const clock = new TickClock();
  const items = shippedScripts()
    .flatMap((path) => parseScript(readFileSync(path, "utf8"), path, responderOptions).cases)
    .flatMap(({ sends }) => sends);
  const [near, far] = [generator, responder].map((link) => openFrameSocket({ link, holdPort: 0 }));
  const sender = new Sender(generator, near!);
  const ways = new Set<string>();
  try {
    for (const item of items) {
      const outgoing = buildOutgoing({ ...item, vlans: item.vlans ?? [] }, wiring, clock);
      // Linux takes a frame that ends inside its tag for garbage before anybody can see it.
      if (outgoing.decoded.problems.some(({ field }) => field === "vlan")) continue;
      await sender.send(outgoing);
      ways.add(outgoing.way);
      let came: string[] = [];
      for (const end = performance.now() + 500; came.length === 0 && performance.now() < end; ) {
        came = far!.receive().map(({ frame }) => frame.toString("hex"));
        if (came.length === 0) await sleep(0);
      }
      assert.equal(came, [outgoing.frame.toString("hex")], `${item.place} by ${outgoing.way}`);
    }
  } finally {
    sender.close();
    near!.close();
    far!.close();
  }
  assert.equal([...ways].sort(), ["frame-socket", "raw-socket"]);
});

/** A device as somebody else would write it: plain sockets, and a fault to choose. */
const DEVICE = `
import { createSocket } from "node:dgram";
const fault = process.argv[2];
function answer(tick) {
  const price = tick.readUInt32LE(8);
  if (price >= 10000 && fault !== "everything") return [];
  const order = Buffer.alloc(41);
  tick.copy(order, 0, 0, 8);
  order.writeUInt32LE((price + (fault === "price" ? 2 : 1)) >>> 0, 8);
  order.writeUInt32LE(fault === "quantity" ? 99 : 100, 12);
  order[16] = fault === "side" ? 1 : 0;
  order.writeBigUInt64LE(fault === "timestamp" ? 0n : BigInt(Date.now()) * 1000000n, 17);
  let id = tick.readBigUInt64LE(16).toString(16).padStart(16, "0");
  if (fault === "identifier") id = id.slice(1) + "0";
  order.write(id, 25);
  if (fault === "symbol") order[7] = 0;
  return fault === "twice" ? [order, order] : [order];
}
const other = createSocket("udp4").bind(7777, "198.18.0.2");
const sockets = ["udp4", "udp6"].map((type) => {
  const socket = createSocket({ type, ipv6Only: type === "udp6" });
  socket.on("message", (payload, from) => {
    let orders = [];
    for (let at = 0; at + 24 <= payload.length; at += 24) orders.push(...answer(payload.subarray(at, at + 24)));
    if (fault === "reversed") orders.reverse();
    if (fault === "packed" && orders.length > 1) orders = [Buffer.concat(orders)];
    if (fault === "half") orders = orders.map((order) => order.subarray(0, 40));
    if (fault === "silent") orders = [];
    const out = fault === "port" ? other : socket;
    const send = () => orders.forEach((order) => out.send(order, fault === "elsewhere" ? 9998 : 9999, from.address));
    if (fault === "slow") setTimeout(send, 250);
    else if (fault === "again") setTimeout(send, 80), send();
    else send();
  });
  return new Promise((resolve) => socket.bind(8080, () => resolve(socket)));
});
const [socket4] = await Promise.all(sockets);
socket4.addMembership("239.1.1.1", "198.18.0.2");
console.log("ready");
`;

async function withDevice(fault: string, action: () => void | Promise<void>): Promise<void> {
  const program = file("device.mjs", DEVICE);
  const namespace = namespaceName(lab!.name, "responder");
  const child: ChildProcess = spawn("ip", ["netns", "exec", namespace, process.execPath, program, fault], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  try {
    await Promise.race([new Promise((resolve) => child.stdout!.once("data", resolve)), ended]);
    assert.is(child.exitCode, null, "the device runs");
    await action();
  } finally {
    child.kill("SIGKILL");
    await ended;
  }
}

/** Where the device is, as a user would say it. */
const there = (address = "198.18.0.2") => [
  "--interface",
  lab!.generator.interfaceName,
  "--namespace",
  lab!.generator.namespace,
  "--target-ip",
  address,
];

labTest("a right device of plain sockets passes what plain sockets can do", async () => {
  await withDevice("none", () => {
    const fitting = [
      "threshold",
      "symbols",
      "packing",
      "checksums",
      "truncated",
      "ethernet",
      "addresses",
      "jumbo",
      "strategy",
    ];
    const scripts = shippedScripts().filter((path) => fitting.some((name) => path.endsWith(`/${name}.yaml`)));
    const { status, report, cases } = check(...scripts, ...there(), "--assume", "threshold=10000");
    const failed = cases.filter(({ outcome }) => outcome === "failed" || outcome === "error");
    // Linux gives any socket what goes to a group that the host is in, and every host is in this one.
    assert.equal(
      failed.map(({ name, reason }) => `${name}: ${reason}`),
      ["the group of all hosts: tick 1 was answered and must not be"],
    );
    assert.is(status, 1);
    const skipped = cases.filter(({ outcome }) => outcome === "skipped");
    assert.ok(
      skipped.some(({ reason }) =>
        /needs threshold=20000, which the device is not taken to have/.test(reason),
      ),
    );
    assert.ok(skipped.some(({ reason }) => /the device has no IPv6 address here/.test(reason)));
    assert.is(report.summary.passed! + report.summary.skipped! + 1, report.summary.total);
    assert.ok(report.summary.passed! > 80, `${report.summary.passed} passed`);
  });
});

labTest(
  "the same device is found in a lab by its name, over IPv6 by its address, and by its group",
  async () => {
    const script = file(
      "plain.yaml",
      "cases: [{ name: one, send: [{ tick: { price: 1 } }], expect: [{ order: {} }] }]",
    );
    const destinations = (cases: CaseReport[]) =>
      cases
        .map(({ sent }) => decodeFrame(Buffer.from(sent[0]!.frame, "hex")))
        .map(({ ip, ethernet }) => {
          return `${ip!.destination} ${ethernet!.destination}`;
        });
    await withDevice("none", () => {
      const rows: readonly (readonly [string[], string])[] = [
        [["--lab", lab!.name], "198.18.0.2 02:ca:40:00:00:02"],
        [["--lab", lab!.name, "--multicast"], "239.1.1.1 01:00:5e:01:01:01"],
        [there("2001:2::2"), "2001:2::2 02:ca:40:00:00:02"],
        [[...there(), "--target-mac", "02:ca:40:00:00:02"], "198.18.0.2 02:ca:40:00:00:02"],
      ];
      for (const [args, destination] of rows) {
        const { status, cases, stderr } = check(script, ...args);
        assert.is(status, 0, `${args.join(" ")}: ${stderr}`);
        assert.equal(destinations(cases), [destination]);
      }
      const six = check(...there(), "--target-ip6", "2001:2::2", "--only", "answered over IPv6");
      assert.is(six.status, 0, six.stderr);
      assert.is(six.report.summary.passed, 1);
      const elsewhere = check(script, ...there(), "--target-port", "8081");
      assert.is(elsewhere.status, 1);
      assert.match(elsewhere.cases[0]!.notes.join(), /unreachable/);
    });
  },
);

test("the script in the documentation is one", () => {
  const text = readFileSync(fileURLToPath(new URL("../../docs/check.md", import.meta.url)), "utf8");
  const example = /```yaml\n([\s\S]*?)```/.exec(text)![1]!;
  assert.equal(
    parse(example).cases.map(({ expected }) => expected.length),
    [1, 0],
  );
});

const SCRIPT = `
within: 200ms
cases:
  - name: bought
    send: [{ tick: { symbol: AAPL, price: 9999, timestamp: 0x0123456789abcdef } }]
    expect: [{ order: { price: 10000 } }]
  - name: not bought
    send: [{ tick: { symbol: AAPL, price: 10000 } }]
    expect: nothing
  - name: two
    send: [{ ticks: [{ symbol: ONE, price: 1 }, { symbol: TWO, price: 2 }] }]
    expect: [{ order: { symbol: ONE } }, { order: { symbol: TWO } }]
    datagrams: 2
  - name: the last
    quiet: 120ms
    send: [{ tick: { symbol: AAPL, price: 5 } }]
    expect: [{ order: { price: 6 } }]
`;

/** For each fault the cases that must fail, and what must be said of one of them. */
const FAULTS: readonly (readonly [fault: string, failed: string[], kind: string, says: RegExp])[] = [
  ["none", [], "", /^/],
  ["price", ["bought", "not bought", "two", "the last"], "wrong", /^price: expected 10000, received 10001$/],
  ["quantity", ["bought", "not bought", "two", "the last"], "wrong", /^quantity: expected 100, received 99$/],
  ["side", ["bought", "not bought", "two", "the last"], "wrong", /^side: expected buy, received sell$/],
  [
    "symbol",
    ["bought", "not bought", "two", "the last"],
    "wrong",
    /^symbol: expected AAPL, received "AAPL {3}\\u0000"$/,
  ],
  [
    "timestamp",
    ["bought", "not bought", "two", "the last"],
    "wrong",
    /^timestamp: expected a time in ns, not 0, received 0$/,
  ],
  [
    "identifier",
    ["bought", "not bought", "two", "the last"],
    "wrong",
    /^clOrdId: expected 0123456789abcdef, received 123456789abcdef0$/,
  ],
  [
    "port",
    ["bought", "not bought", "two", "the last"],
    "wrong",
    /^source port: expected 8080, received 7777$/,
  ],
  [
    "half",
    ["bought", "not bought", "two", "the last"],
    "malformed",
    /^payload: 40 bytes, whole orders of 41 bytes are expected$/,
  ],
  ["everything", ["not bought"], "unexpected", /^tick 1 was answered and must not be$/],
  ["twice", ["bought", "not bought", "two", "the last"], "duplicate", /^tick 1 was answered more than once$/],
  [
    "again",
    ["bought", "not bought", "two", "the last"],
    "duplicate",
    /^a further answer came \d+(\.\d)? ms after the tick, when the case ".*" was running$/,
  ],
  ["silent", ["bought", "not bought", "two", "the last"], "missing", /^no order for tick 1 within 200 ms$/],
  ["slow", ["bought", "not bought", "two", "the last"], "missing", /^no order for tick 1 within 200 ms$/],
  [
    "elsewhere",
    ["bought", "not bought", "two", "the last"],
    "missing",
    /^no order for tick 1 within 200 ms$/,
  ],
  ["reversed", ["two"], "reordered", /^tick 1 was answered after tick 2$/],
  ["packed", ["two"], "packing", /^the orders came in 1 datagrams, expected 2$/],
];

/** As carom check does it, without a process of its own: there are many of these. */
async function checkHere(text: string): Promise<CaseReport[]> {
  const { generator: link, responder } = lab!;
  const addresses = [responder.address4, responder.address6];
  const options = { link, addresses, mac: responder.mac, kernelResolves: true, takesXdpBack: false };
  const rig = await deviceRig({ ...options, overrides: new Map() });
  const listener = { script: () => {}, case: () => {}, amended: () => {} };
  try {
    const run = await runScripts(selectCases([parse(text)], ""), rig, listener, () => false);
    return JSON.parse(JSON.stringify(runAsJson(run))).scripts[0].cases;
  } finally {
    rig.close();
  }
}

for (const [fault, failed, kind, says] of FAULTS) {
  labTest(`a device with this fault is found out: ${fault}`, async () => {
    await withDevice(fault, async () => {
      const cases = await checkHere(SCRIPT);
      assert.equal(
        cases.filter(({ outcome }) => outcome === "failed").map(({ name }) => name),
        failed,
        JSON.stringify(cases, null, 1),
      );
      if (failed.length === 0) return;
      const faults = cases.find(({ name }) => name === failed[0])!.faults;
      assert.ok(
        faults.some((found) => found.kind === kind && says.test(found.reason)),
        JSON.stringify(faults, null, 1),
      );
      const found = faults.find((item) => item.kind === kind)!;
      if (kind === "wrong") {
        const wrong = found.fields.filter(({ ok }) => !ok).map(({ field }) => field);
        assert.equal(wrong, [found.reason.slice(0, found.reason.indexOf(":"))], "only that field is wrong");
        assert.is(found.fields.find(({ field }) => field === "price")!.tick, "9999");
      }
      const dead = cases.find(({ name }) => name === "not bought")!.faults;
      if (fault === "silent")
        assert.match(dead.map(({ reason }) => reason).join(), /the silence proves nothing/);
      if (fault === "slow")
        assert.match(
          faults.map(({ reason }) => reason).join(),
          /an answer came \d+(\.\d)? ms after the tick/,
        );
      const notes = cases[0]!.notes.join();
      if (fault === "elsewhere")
        assert.match(notes, /41 bytes came from 198.18.0.2 to port 9998 of 198.18.0.1, not to port 9999/);
    });
  });
}

labTest("a failing case shows tick, expected and received side by side", async () => {
  await withDevice("price", () => {
    const { status, stdout } = carom("check", file("faults.yaml", SCRIPT), ...there(), "--only", "bought");
    assert.is(status, 1);
    assert.match(stdout, /✗ bought +\d/);
    assert.match(stdout, / {6}price: expected 10000, received 10001\n/);
    assert.match(stdout, /\n +tick +expected +received\n/);
    assert.match(stdout, /\n +symbol +AAPL +AAPL +AAPL\n/);
    assert.match(stdout, /\n +✗ price +9999 +10000 +10001\n/);
    assert.match(stdout, /\n +clOrdId +0123456789abcdef +0123456789abcdef +0123456789abcdef\n/);
    assert.match(
      stdout,
      /\n +sent 66 bytes by raw-socket, 1 tick: 198.18.0.1 port 30001 → 198.18.0.2 port 8080\n/,
    );
    assert.match(stdout, /\n2 cases: 0 passed, 2 failed in .*, against the device at 198.18.0.2 on gen0\n/);
  });
});

labTest("nobody there: a device that does not even have the address is the environment's fault", () => {
  const { status, stderr } = check(file("faults.yaml", SCRIPT), ...there("198.18.0.200"));
  assert.is(status, 3);
  assert.match(stderr, /find 198.18.0.200 on gen0: nobody answers; check the cable/);
});

labTest("nobody listening: ICMP tells why", () => {
  const { status, cases } = check(file("faults.yaml", SCRIPT), ...there(), "--only", "the last");
  assert.is(status, 1);
  assert.equal(cases[0]!.notes, ["198.18.0.2 says by ICMP that the destination is unreachable (code 3)"]);
});

// The report files.

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
  await withDevice("everything", () => {
    const { status, report, cases } = check(script, ...there(), "--junit", junit);
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
  await withDevice("none", () => {
    const { status, stdout, stderr } = carom(
      "check",
      file("faults.yaml", SCRIPT),
      ...there(),
      "--junit",
      "/dev/full",
    );
    assert.is(status, 3);
    assert.match(stdout, /✓ bought/);
    assert.match(stdout, /4 cases: 4 passed/);
    assert.match(stderr, /write \/dev\/full: ENOSPC/);
    const json = check(file("faults.yaml", SCRIPT), ...there(), "--junit", "/dev/full");
    assert.is(json.status, 3);
    assert.is(json.report.summary.passed, 4);
    assert.match(json.report.errors[0]!.detail, /ENOSPC/);
  });
});

// The command.

test("bad usage ends with status 2 and says what is allowed", () => {
  const script = file("faults.yaml", SCRIPT);
  const rows: readonly (readonly [string[], RegExp])[] = [
    [[join(directory, "none.yaml")], /none\.yaml: ENOENT/],
    [[directory], /EISDIR/],
    [[file("bad.yaml", "cases: 5")], /bad\.yaml:1:8: a list of 1 to 1000 cases/],
    [[script, "--backend", "dpdk"], /--backend: "dpdk" is not one of/],
    [[script, "--only", "nothing like that"], /no case has this in its name/],
    [[script, "--target-ip", "198.18.0.2"], /--target-ip: is about another device/],
    [[script, "--interface", "x", "--lab", "y"], /--interface with --lab/],
    [
      [script, "--interface", "x", "--backend", "udp"],
      /--backend with --interface: carom's own responder is not started/,
    ],
    [[script, "--interface", "lo"], /the device's address is missing; pass --target-ip/],
    [[script, "--junit", "/nowhere/x.xml"], /--junit \/nowhere\/x.xml: ENOENT/],
    [
      [script, "--interface", "lo", "--target-ip", "127.0.0.1", "--assume", "thresh=1"],
      /"thresh=1" is not a setting; allowed are: .*threshold=/,
    ],
    [[script, "--lab", "not-there"], /there is no such lab/],
  ];
  for (const [args, says] of rows) {
    const { status, stderr } = carom("check", ...args);
    assert.match(stderr, says);
    assert.is(status, 2, stderr);
  }
});

test("--list lists without running", () => {
  const { status, report } = check("--list");
  assert.is(status, 0);
  const files = readdirSync(fileURLToPath(new URL("../../check/scripts", import.meta.url)));
  assert.equal(
    report.scripts.map((script) => script.file.split("/").at(-1)),
    files.filter((name) => name.endsWith(".yaml")).sort(),
  );
  assert.ok(report.scripts.flatMap(({ cases }) => cases).length > 150);
  const one = carom("check", "--only", "one cent below", "--list");
  assert.match(one.stdout, /one cent below the threshold is bought/);
  assert.not.match(one.stdout, /at the threshold is not/);
});

test("without the privileges that a lab takes it is the environment's fault", () => {
  if (process.getuid?.() !== 0) return;
  const nobody = ["--bounding-set", "-all", "--inh-caps", "-all", "--"];
  const { status, stderr } = spawnSync("setpriv", [...nobody, process.execPath, MAIN, "check"], {
    encoding: "utf8",
  });
  assert.is(status, 3);
  assert.match(stderr, /make a lab/);
});

labTest("Ctrl-C ends after the case at work, tells what was found and leaves no lab", async () => {
  const script = file(
    "slow.yaml",
    `cases:
  - { name: first, quiet: 1500ms, send: [{ tick: { price: 1 } }], expect: [{ order: {} }] }
  - { name: second, send: [{ tick: { price: 1 } }], expect: [{ order: {} }] }
`,
  );
  const child = spawn(process.execPath, [MAIN, "check", script, "--backend", "udp", "--json"], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [out, log] = ["", ""];
  child.stdout.on("data", (data) => (out += data));
  child.stderr.on("data", (data) => (log += data));
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  for (let tries = 0; !log.includes("slow") && tries < 200; tries++) await sleep(10);
  await sleep(600);
  const space = namespaceName(`p${child.pid}-1`, "generator");
  assert.ok(readdirSync("/run/netns").includes(space), "the lab is there");
  child.kill("SIGINT");
  assert.is(await ended, 130, log);
  const report = JSON.parse(out) as Report;
  assert.is(report.interrupted, true);
  assert.equal(
    report.scripts[0]!.cases.map(({ name, outcome }) => [name, outcome]),
    [
      ["first", "passed"],
      ["second", "skipped"],
    ],
  );
  assert.match(log, /stopping after this case/);
  assert.not.ok(readdirSync("/run/netns").includes(space), "the lab is gone");
});

// Everything.

/** Why a backend may skip cases; the others may not skip any. */
const EXCUSES: Readonly<Record<string, RegExp>> = {
  udp: /^a UDP socket does not see (the tags of its interface|MAC addresses)$/,
  xdp: /^the driver sends a frame back the way it came$/,
};

const probes = lab === undefined ? [] : probeBackends(lab.responder, 0);
for (const { name: backend, reason } of probes.filter(({ roles }) => roles.includes("responder"))) {
  const name = `the shipped scripts are green against carom's responder on ${backend}`;
  if (reason !== "") test.skip(`${name} (${reason})`);
  else
    labTest(name, () => {
      const { status, report, cases, stderr } = check("--backend", backend);
      const failed = cases.filter(({ outcome }) => outcome === "failed" || outcome === "error");
      assert.equal(
        failed.map(
          (item) => `${item.name}: ${item.reason} ${item.faults.map((fault) => fault.reason).join("; ")}`,
        ),
        [],
        stderr,
      );
      assert.is(status, 0);
      const skipped = cases.filter(({ outcome }) => outcome === "skipped");
      const excuse = EXCUSES[backend];
      for (const { name: title, reason: why } of skipped) assert.ok(excuse?.test(why), `${title}: ${why}`);
      assert.is(report.summary.total, report.summary.passed! + skipped.length);
      // Silence is only worth something when a probe was answered after it.
      const silent = cases.filter(
        ({ outcome, sent }) => outcome === "passed" && sent.some(({ probe }) => probe),
      );
      assert.ok(silent.length > 60, `${silent.length} cases of silence`);
      for (const { name: title, received } of silent) assert.is(received.length, 1, title);
      for (const { frame } of cases.flatMap(({ sent }) => sent))
        assert.ok(decodeFrame(Buffer.from(frame, "hex")).size >= 14);
    });
}

test.run();
