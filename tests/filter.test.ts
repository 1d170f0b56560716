/** carom filter: what it counts, writes, explains and measures, on a capture made here; and what it refuses. */

import { execFileSync, spawnSync } from "node:child_process";
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { filterCapture, filterEngines } from "../native/index.js";
import { encodeTick } from "../wire/codec.js";
import { carom, jsonOf, startCarom } from "./cli_support.js";
import { MAIN, programTest, until } from "./lab_support.js";

const FRAMES = 1000;
const SYMBOLS = ["AAPL", "MSFT", "BRK.B"];

const test = suite("filter");
let folder = "";
let capture = "";

/** One tick in a UDP datagram over IPv4, to port 8080 or 8081. */
function frame(index: number): Buffer {
  const tick = encodeTick({
    symbol: symbolOf(index),
    price: priceOf(index),
    quantity: 100,
    timestamp: BigInt(index),
  });
  const bytes = Buffer.alloc(42);
  bytes.writeUInt16BE(0x0800, 12);
  bytes[14] = 0x45;
  bytes.writeUInt16BE(20 + 8 + tick.length, 16);
  bytes[23] = 17;
  bytes.set([198, 18, 0, 1, 239, 1, 1, 1], 26);
  bytes.writeUInt16BE(9999, 34);
  bytes.writeUInt16BE(portOf(index), 36);
  bytes.writeUInt16BE(8 + tick.length, 38);
  return Buffer.concat([bytes, tick]);
}

const symbolOf = (index: number) => SYMBOLS[index % 3]!;
const priceOf = (index: number) => index * 20;
const portOf = (index: number) => 8080 + (index % 2);

/** How many of the frames a condition holds for. */
function count(holds: (index: number) => boolean): number {
  return Array.from({ length: FRAMES }, (_, index) => index).filter(holds).length;
}

test.before(() => {
  folder = mkdtempSync(join(tmpdir(), "carom-filter-"));
  capture = join(folder, "ticks.pcap");
  const header = Buffer.alloc(24);
  header.writeUInt32LE(0xa1b23c4d, 0); // pcap with ns
  header.writeUInt16LE(2, 4);
  header.writeUInt16LE(4, 6);
  header.writeUInt32LE(65535, 16);
  header.writeUInt32LE(1, 20); // Ethernet
  const records = Array.from({ length: FRAMES }, (_, index) => {
    const bytes = frame(index);
    const record = Buffer.alloc(16);
    record.writeUInt32LE(1_700_000_000, 0);
    record.writeUInt32LE(index, 4);
    record.writeUInt32LE(bytes.length, 8);
    record.writeUInt32LE(bytes.length, 12);
    return Buffer.concat([record, bytes]);
  });
  writeFileSync(capture, Buffer.concat([header, ...records]));
});

test.after(() => rmSync(folder, { recursive: true, force: true }));

programTest("tcpdump", "counts and writes what matches, as tcpdump does", async () => {
  const written = join(folder, "some.pcapng");
  const { status, stdout } = await carom(
    "filter",
    "udp dst port 8080",
    capture,
    "--write",
    written,
    "--json",
  );
  assert.is(status, 0);
  const found = JSON.parse(stdout);
  const wanted = count((index) => portOf(index) === 8080);
  assert.is(found.frames, FRAMES);
  assert.is(found.accepted, wanted);
  assert.equal([found.accepted_bytes, found.written], [wanted * 66, wanted]);
  assert.is(statSync(written).mode & 0o777, 0o600);
  const list = (file: string, expression: string) =>
    execFileSync("tcpdump", ["-tt", "--nano", "-nr", file, expression], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
  assert.is(list(written, ""), list(capture, "udp dst port 8080"));
});

test("terms about market data, on every engine", async () => {
  const expression = "udp dst port 8080 and symbol in (AAPL, BRK.B) and not price < 100.00";
  const wanted = count(
    (index) => portOf(index) === 8080 && symbolOf(index) !== "MSFT" && priceOf(index) >= 10_000,
  );
  const { status, stdout } = await carom("filter", expression, capture, "--bench", "--rounds", "1", "--json");
  assert.is(status, 0);
  const found = JSON.parse(stdout);
  assert.is(found.accepted, wanted);
  assert.is(found.measured_frames, FRAMES);
  assert.equal(
    found.bench.map((figure: { name: string }) => figure.name),
    filterEngines().map(({ name }) => name),
  );
  for (const { name, reason, accepted, ns_a_packet } of found.bench) {
    if (reason !== null) continue;
    assert.is(accepted, wanted, name);
    assert.ok(ns_a_packet.length === 1 && ns_a_packet[0] > 0, name);
  }
});

test("explains what becomes of an expression", async () => {
  const { status, stdout } = await carom(
    "filter",
    "udp dst port 8080",
    "--explain",
    "--engine",
    "jit",
    "--json",
  );
  assert.is(status, 0);
  const { explained } = JSON.parse(stdout);
  assert.match(explained.program, /jeq +#0x1f90/);
  assert.match(explained.simplified, /frame\[12:2\]/);
  assert.match(explained.code, /movzx|mov /);
  assert.ok(explained.code_bytes > 0 && explained.engine === "jit");
});

test("vlan, mpls and geneve change where all to their right looks, terms included", async () => {
  const mixed = join(import.meta.dirname, "../../tests/cases/F00-mix.pcap");
  const matching = async (expression: string) => {
    const config = { path: mixed, expression, engine: "auto", write: "", rounds: 0 };
    return (await filterCapture(config, new AbortController().signal)).accepted;
  };
  // Those that libpcap takes whole have tcpdump's count.
  const plain = [
    "vlan 5 and udp dst port 9000",
    "vlan and vlan and udp",
    "(vlan 5 or vlan 6) and udp",
    "udp or (vlan and udp)",
    "not vlan and udp",
    "mpls 100 and udp dst port 9000",
    "geneve and udp dst port 9000",
    "vlan 10 and not vlan 7 and udp",
    "host 198.18.0.1 or 198.18.0.3 and udp",
    "src or dst port 9000",
  ];
  for (const expression of plain) {
    const lines = execFileSync("tcpdump", ["-nr", mixed, "--count", expression], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    assert.is(await matching(expression), Number(/^\d+/.exec(String(lines))![0]), expression);
  }
  const terms: Record<string, number> = {
    "vlan 5 and symbol AAPL and udp dst port 8080": 1,
    "vlan 5 and udp dst port 8080 and symbol AAPL": 1,
    "vlan 5 and (symbol AAPL and udp dst port 8080)": 1,
    "vlan 5 and not symbol AAPL and udp": 1,
    "symbol AAPL and vlan 5 and udp dst port 8080": 1,
    'symbol "AAPL"': 3,
    "symbol AAPL": 3,
    "vlan and symbol AAPL": 1,
    "vlan and vlan and symbol AAPL": 0,
    "mpls and symbol != A": 1,
    "geneve and symbol != A": 1,
    "symbol AAPL or port 9000 or 9001": 8,
  };
  for (const [expression, frames] of Object.entries(terms))
    assert.is(await matching(expression), frames, expression);
});

test("says when an expression can never match", async () => {
  const { status, stdout } = await carom("filter", "udp and tcp", capture);
  assert.is(status, 0);
  assert.match(stdout, /no frame can ever match/);
});

test("refuses what is wrong, and points at it", async () => {
  const syntax = await carom("filter", "udp and and tcp", capture);
  assert.is(syntax.status, 2);
  assert.match(syntax.stderr, /syntax error.*\n {2}udp and and tcp\n {10}\^/);
  const direction = await carom("filter", "inbound", capture);
  assert.is(direction.status, 2);
  assert.match(direction.stderr, /it asks which way a frame went; .*carom capture --direction/);
  const none = await carom("filter", "udp");
  assert.is(none.status, 2);
  assert.match(none.stderr, /no capture is given/);
});

test("a capture that breaks off is told, and what was there is counted", async () => {
  const broken = join(folder, "broken.pcap");
  writeFileSync(broken, readFileSync(capture).subarray(0, 24 + 10 * 82 + 40));
  const { status, stdout } = await carom("filter", "udp", broken, "--json");
  assert.is(status, 1);
  const found = JSON.parse(stdout);
  assert.is(found.accepted, 10);
  assert.match(found.broken, /frame 11/);
});

test("never writes over the capture that it reads, whatever it is called", async () => {
  const link = join(folder, "link.pcap");
  symlinkSync(capture, link);
  const before = readFileSync(capture);
  for (const write of [capture, link]) {
    const { status, stderr } = await carom("filter", "udp", capture, "--write", write);
    assert.is(status, 2);
    assert.match(stderr, "it is the capture that is read");
  }
  assert.ok(readFileSync(capture).equals(before));
  const both = await carom("filter", "udp", capture, "--write", "-", "--json");
  assert.is(both.status, 2);
  assert.match(both.stderr, "both go to standard output");
});

test("a reader that has seen enough ends it, and only what it may have seen is called written", async () => {
  const all = join(folder, "all.pcap");
  const once = readFileSync(capture);
  writeFileSync(all, Buffer.concat([once, ...Array(100).fill(once.subarray(24))]));
  const head = spawnSync("bash", [
    "-c",
    `"$0" "$1" filter udp "$2" --write - | head -c 100`,
    ...[process.execPath, MAIN, all],
  ]);
  assert.is(head.stdout.length, 100);
  const [, read, written] =
    /read +([\d,]+) frames.*\n.*\n +written +([\d,]+) frames/.exec(String(head.stderr)) ?? [];
  const number = (text = "") => Number(text.replaceAll(",", ""));
  assert.ok(number(written) < number(read) && number(read) < 101 * FRAMES, String(head.stderr));
  assert.match(String(head.stderr), /when the reader of what is written had seen enough/);
});

programTest("tcpdump", "what can't be written is an error with a hint, and whole blocks stay", async () => {
  const path = join(folder, "limited.pcapng");
  const limit = spawnSync("bash", [
    "-c",
    `ulimit -f 8; "$0" "$1" filter "" "$2" --write "$3"`,
    ...[process.execPath, MAIN, capture, path],
  ]);
  assert.is(limit.status, 3);
  assert.match(String(limit.stderr), /EFBIG .*; free space, or choose another path/);
  execFileSync("tcpdump", ["-nr", path], { stdio: "ignore" });
});

/** How far a process has read a file; 0 when it has not opened it. */
function positionIn(pid: number, path: string): number {
  const folder = `/proc/${pid}/fd`;
  const found = readdirSync(folder).find((entry) => {
    try {
      return readlinkSync(join(folder, entry)) === path;
    } catch {
      return false; // closed meanwhile
    }
  });
  if (found === undefined) return 0;
  return Number(/^pos:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/fdinfo/${found}`, "utf8"))?.[1] ?? 0);
}

test("a signal ends it: in the middle of a large file, and where a pipe never begins", async () => {
  // Nothing but holes: records without a byte, far more than can be read meanwhile.
  const large = join(folder, "large.pcap");
  writeFileSync(large, readFileSync(capture).subarray(0, 24));
  truncateSync(large, 2 ** 42);
  const reading = startCarom("filter", "udp", large, "--json");
  const pipe = join(folder, "pipe");
  execFileSync("mkfifo", [pipe]);
  const waiting = startCarom("filter", "udp", pipe);
  await until("it reads", () => positionIn(reading.child.pid!, large) > 1e6);
  for (const { child } of [reading, waiting]) child.kill("SIGINT");
  const ended = await reading.end;
  assert.is(ended.status, 1, ended.stderr);
  const { cancelled, frames, broken } = jsonOf(ended);
  assert.ok(cancelled === true && broken === null && Number(frames) > 0, ended.stdout);
  assert.is((await waiting.end).signal, "SIGINT");
});

test.run();
