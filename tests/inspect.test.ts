/** carom inspect on the samples: exactly what is known to be in them, clear words about what is broken. */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { buildCommand } from "../cli/command.js";
import { command } from "../cli/inspect.js";
import { type InspectedFile, inspectedFile } from "../inspect/report.js";
import { inspectLines } from "../inspect/text.js";
import { CaromError } from "../native/error.js";
import { type InspectConfig, inspectCapture } from "../native/index.js";
import { feedAb, profileTicks, START_NS } from "../pcaps/frames.js";
import { fewFrames, samples } from "../pcaps/samples.js";
import { carom, jsonOf, launch } from "./cli_support.js";
import { MAIN } from "./lab_support.js";

const FOLDER = fileURLToPath(new URL("../../pcaps", import.meta.url));
const path = (name: string) => join(FOLDER, name);

async function found(name: string, wanted: Partial<InspectConfig> = {}): Promise<InspectedFile> {
  const config = { filter: "", fromNs: 0, toNs: 9e18, tickPort: 8080, orderPort: 9999, ...wanted };
  return inspectedFile(name, await inspectCapture({ path: path(name), ...config }));
}

test("steady.pcap: counts, times, rate, gaps, bursts and symbols", async () => {
  const file = await found("steady.pcap");
  const { frames, bytes, captured_bytes, first_ns, last_ns, duration_ns, gaps, rate_over_time, ticks } = file;
  assert.equal([file.format, file.compression, file.link_type], ["pcap µs", "none", "EN10MB (Ethernet)"]);
  assert.equal([frames, bytes, captured_bytes], [200, 13_200, 13_200]);
  assert.equal([first_ns, last_ns], [String(START_NS), String(START_NS + 1_990_000n)]);
  assert.equal([duration_ns, file.rate_pps, file.bits_per_s], [1_990_000, 100_000, 52_800_000]);
  assert.equal([gaps.count, gaps.min_ns, gaps.max_ns, gaps.mean_ns], [199, 10_000, 10_000, 10_000]);
  assert.is(rate_over_time.length, 64);
  const area = rate_over_time.reduce((sum, { rate_pps }) => sum + rate_pps, 0) * (duration_ns / 1e9 / 64);
  assert.ok(Math.abs(area - 200) < 1e-6, `${area} frames in the picture`);
  assert.equal(file.sizes.ranges, [{ from: 40, below: 80, frames: 200, bytes: 13_200 }]);
  assert.equal(
    file.bursts.map(({ width_ns, frames: n, span_ns }) => [width_ns, n, span_ns]),
    [
      [1_000_000, 100, 990_000],
      [100_000, 10, 90_000],
      [10_000, 1, 0],
    ],
  );
  assert.equal([ticks.count, ticks.datagrams, ticks.copies, ticks.partial], [200, 200, 0, 0]);
  const wanted = new Map<string, number>();
  for (const { symbol } of profileTicks("steady", 1n, 200)) wanted.set(symbol, (wanted.get(symbol) ?? 0) + 1);
  assert.equal(new Map(file.symbols.top.map(({ symbol, ticks: n }) => [symbol, n])).size, wanted.size);
  for (const { symbol, ticks: n, orders } of file.symbols.top) {
    assert.equal([n, orders], [wanted.get(symbol), 0], symbol);
  }
  assert.is(file.round_trips, null);
});

test("answered.pcap: orders are matched to their ticks, round trips as the frames have them", async () => {
  const file = await found("answered.pcap");
  const triggers = profileTicks("steady", 2n, 100).filter(({ price }) => price < 10_000).length;
  const answered = triggers - Math.floor(triggers / 20);
  assert.equal(file.ticks.count, 100);
  const { orders, round_trips, conversations, groups } = file;
  assert.equal([orders.count, orders.matched, orders.buys], [answered, answered, answered]);
  assert.equal(
    [orders.sells, orders.unmatched, orders.repeated, orders.bad_ids, orders.early],
    [0, 0, 0, 0, 0],
  );
  assert.is(round_trips!.count, answered);
  assert.ok(round_trips!.min_ns >= 3000 && round_trips!.max_ns < 9000);
  assert.equal(groups.top, [{ group: "239.1.1.1:8080", frames: 100, bytes: 6600 }]);
  const [feed, answers] = conversations.top;
  assert.equal([feed!.a, feed!.b, feed!.frames_from_a], ["198.18.0.1:8080", "239.1.1.1:8080", 100]);
  assert.equal(answers, {
    a: "198.18.0.1:9999",
    b: "198.18.0.2:8080",
    protocol: "udp",
    frames: answered,
    frames_from_a: 0,
    bytes: 83 * answered,
  });
  // The other way round nothing fits: 41 bytes are a tick and part of one, 24 are part of an order.
  const turned = await found("answered.pcap", { tickPort: 9999, orderPort: 8080 });
  assert.equal([turned.ticks.count, turned.ticks.partial, turned.orders.partial], [answered, answered, 100]);
});

test("feed-ab.pcapng: two groups, and copies of what came on both", async () => {
  const file = await found("feed-ab.pcapng");
  const { frames, lost } = feedAb(profileTicks("steady", 3n, 200), 3);
  const onBoth = 200 - new Set([...lost.a, ...lost.b]).size;
  assert.equal([file.interfaces, file.frames, file.ticks.copies], [2, frames.length, onBoth]);
  const groups = new Map(file.groups.top.map(({ group, frames: n }) => [group, n]));
  assert.is(groups.get("239.1.1.1:8080"), 200 - lost.a.length);
  assert.is(groups.get("239.1.1.2:8080"), 200 - lost.b.length);
});

test("malformed.pcapng: every fault is counted once, for what it is", async () => {
  const file = await found("malformed.pcapng");
  assert.equal(file.bad_checksums, { ip: 2, udp: 2, tcp: 1 });
  assert.equal(file.protocols, {
    ipv4: 31,
    ipv6: 3,
    other_ethertype: 1,
    bad_ip: 4,
    runt: 3,
    udp: 33,
    tcp: 1,
    fragment: 3,
    ip_options: 3,
  });
  assert.equal(file.ticks.refused, {
    truncated: 4,
    ip_options: 1,
    bad_ip_checksum: 2,
    ttl_zero: 1,
    zero_source: 1,
    multicast_source: 1,
    broadcast_source: 1,
    group_source_mac: 1,
    bad_udp_length: 2,
    bad_udp_checksum: 2,
  });
  assert.equal([file.ticks.count, file.ticks.datagrams, file.ticks.partial, file.empty], [6, 10, 4, 1]);
  assert.equal([file.orders.count, file.orders.bad_ids, file.orders.partial], [1, 1, 1]);
});

test("ipv6-vlan.pcap, jumbo.pcap and snapped.pcap", async () => {
  const tagged = await found("ipv6-vlan.pcap");
  assert.equal(tagged.protocols, { vlan: 20, ipv4: 15, ipv6: 15, udp: 30 });
  assert.equal([tagged.ticks.count, tagged.orders.count], [20, 5]);
  assert.equal(tagged.ticks.refused, { wrong_ethertype: 5 });
  assert.ok(tagged.groups.top.some(({ group, frames }) => group === "[ff0e::1:1]:8080" && frames === 10));
  const jumbo = await found("jumbo.pcap");
  assert.equal([jumbo.ticks.count, jumbo.ticks.datagrams, jumbo.sizes.longest], [61 + 61 + 373, 3, 9014]);
  const snapped = await found("snapped.pcap");
  assert.equal([snapped.truncated, snapped.bytes, snapped.captured_bytes], [8, 8 * 66, 8 * 60]);
  assert.equal([snapped.ticks.count, snapped.ticks.refused], [0, { truncated: 8 }]);
});

test("all formats say the same", async () => {
  const names = [...(await samples()).keys()].filter((name) => name.startsWith("format"));
  const times = fewFrames().map(({ time_ns }) => time_ns);
  for (const name of names) {
    const { first_ns, last_ns, frames, ticks, orders, gaps, round_trips } = await found(name);
    assert.equal([first_ns, last_ns, frames], [String(times[0]), String(times.at(-1)), 8], name);
    assert.equal([ticks.count, orders.matched, gaps.min_ns], [7, 1, 62_500_000], name);
    assert.is(round_trips!.max_ns, 62_500_000, name);
  }
  assert.is((await found("format.pcap.zst")).compression, "zstd");
  assert.is((await found("format.pcapng.gz")).interfaces, 4);
  assert.is((await found("format-sll2.pcap")).sizes.longest, 83 - 14 + 20, "as long as in the file");
});

test("a filter, and a span of time", async () => {
  const orders = await found("answered.pcap", { filter: "dst port 9999" });
  assert.equal([orders.ticks.count, orders.orders.unmatched, orders.filtered], [0, orders.frames, 100]);
  const symbol = await found("answered.pcap", {
    filter: "udp dst port 8080 and symbol META and not price >= 100.00",
  });
  const wanted = profileTicks("steady", 2n, 100).filter(
    (tick) => tick.symbol === "META" && tick.price < 10_000,
  );
  assert.equal([symbol.frames, symbol.ticks.count, symbol.orders.count], [wanted.length, wanted.length, 0]);
  const part = await found("steady.pcap", { fromNs: 500_000, toNs: 1_000_000 });
  assert.equal([part.frames, part.outside, part.first_ns], [50, 150, String(START_NS + 500_000n)]);
});

test("files that break off are read as far as they are whole", async () => {
  for (const [name, frames, says] of [
    ["broken-in-header.pcap", 3, /^frame 4, at byte 296: .*16 header bytes, only got 9/],
    ["broken-in-record.pcap", 3, /^frame 4, at byte 333: .*66 captured bytes, only got 30/],
    ["broken.pcapng", 7, /^frame 8, at byte 844: /],
    ["broken.pcap.gz", 4, /^frame 5, .*gzip data is cut short/],
    ["oversized-record.pcap", 3, /^frame 4, .*2147483647/],
  ] as const) {
    const file = await found(name);
    assert.is(file.frames, frames, name);
    assert.match(file.broken ?? "", says, name);
  }
});

test("each frame is of its own interface's link type", async () => {
  const { frames, broken, link_type, interfaces, protocols } = await found("two-links.pcapng");
  assert.equal([frames, broken, interfaces], [2, null, 2]);
  assert.is(link_type, "EN10MB (Ethernet), RAW (Raw IP)");
  assert.equal(protocols, { ipv4: 2, udp: 2 });
});

test("clocks that go back, a year of nothing, frames and captures that are empty", async () => {
  const back = await found("clock-back.pcap");
  assert.equal(back.clock, { backwards: 1, largest_ns: 175_000_000, first_frame: 5 });
  assert.equal([back.duration_ns, back.gaps.count], [450_000_000, 6]);
  const year = await found("year.pcap");
  assert.equal(year.gaps.max_ns, 365 * 24 * 3600e9 + 125e6);
  assert.is(year.bursts[0]!.frames, 1);
  const zero = await found("zero-length.pcap");
  assert.equal([zero.frames, zero.empty, zero.protocols.runt], [3, 1, 1]);
  const empty = await found("empty.pcap");
  assert.equal([empty.frames, empty.first_ns, empty.rate_pps, empty.broken], [0, null, 0, null]);
  assert.equal([empty.bursts, empty.rate_over_time], [[], []]);
});

test("what is no capture is refused, with a hint", async () => {
  for (const [name, says] of [
    ["empty-file.pcap", /it is empty: 0 bytes/],
    ["garbage.pcap", /not a capture/],
    ["broken-in-file-header.pcap", /not a capture: truncated/],
    ["unknown-link.pcap", /link type is number 147/],
    ["nowhere.pcap", /ENOENT/],
    ["README.md", /not a capture/],
  ] as const) {
    try {
      await found(name);
      assert.unreachable(name);
    } catch (error) {
      assert.instance(error, CaromError);
      const { code, operation, message, hint } = error as CaromError;
      assert.is(code, "usage");
      assert.ok(operation.includes(path(name)) && hint !== "", message);
      assert.match(message, says);
    }
  }
  const config = {
    filter: "no such word",
    fromNs: 0,
    toNs: 1,
    tickPort: 1,
    orderPort: 2,
    path: path("steady.pcap"),
  };
  await inspectCapture(config).then(
    () => assert.unreachable(),
    (error: CaromError) => assert.match(error.message, /filter "no such word"/),
  );
});

test("zeros that fill up a block behind gzip's data are no damage, others are", async () => {
  const folder = mkdtempSync(join(tmpdir(), "carom-inspect-"));
  const packed = readFileSync(path("format.pcapng.gz"));
  const ends: (string | null)[] = [];
  for (const more of [Buffer.alloc(200_000), Buffer.from("\0\0more")]) {
    writeFileSync(join(folder, "filled.gz"), Buffer.concat([packed, more]));
    const { frames, broken } = await found("", { path: join(folder, "filled.gz") });
    assert.is(frames, 8);
    ends.push(broken);
  }
  rmSync(folder, { recursive: true });
  assert.is(ends[0], null);
  assert.match(ends[1] ?? "", /the gzip data is damaged/);
});

test("a zstd window that is too large is not called damage", async () => {
  const folder = mkdtempSync(join(tmpdir(), "carom-inspect-"));
  const large = join(folder, "long.pcap.zst");
  // RFC 8878, 3.1.1: a frame with a window of 2^31 bytes, and one empty block.
  writeFileSync(large, Buffer.from("28b52ffd00a8010000", "hex"));
  const { status, stderr } = await carom("inspect", large);
  rmSync(folder, { recursive: true });
  assert.is(status, 2);
  assert.match(stderr, "its zstd window is over 128 MiB");
});

test("the text says what the figures say", async () => {
  const config = { filter: "", fromNs: 0, toNs: 9e18, tickPort: 8080, orderPort: 9999 };
  const raw = await inspectCapture({ ...config, path: path("answered.pcap") });
  const text = inspectLines(inspectedFile("answered.pcap", raw), raw.gaps).join("\n");
  for (const says of [
    "carom inspect answered.pcap · pcap ns · EN10MB (Ethernet) · 187 frames · 995 µs",
    "187, 13,821 bytes; 186,865 a second, 110 Mbit/s",
    "2026-01-05 14:30:00.000995371 UTC",
    "100 in 100 datagrams",
    "87 in 87 datagrams: 87 buy, 0 sell",
    "META 18 → 16",
    "10 µs   3 frames, 186 Mbit/s, from 0.000007405 s, within 7.54 µs",
    "198.18.0.1:9999 ← 198.18.0.2:8080 udp",
    "frames a second, over time",
    "time between neighbours, logarithmic scale",
  ]) {
    assert.ok(text.includes(says), `${says}: ${text}`);
  }
  const year = await inspectCapture({ ...config, path: path("year.pcap") });
  const slow = inspectLines(inspectedFile("year.pcap", year), year.gaps).join("\n");
  for (const says of [
    "8, 545 bytes; 0.000000222 a second, 0.000121 bit/s",
    "p90 over 60 s*",
    " 0.00000812 █",
  ]) {
    assert.ok(slow.includes(says), `${says}: ${slow}`);
  }
});

test("the command line: several files, JSON, standard input, status", async () => {
  const both = await carom("inspect", path("steady.pcap"), path("broken-in-record.pcap"), "--json");
  assert.is(both.status, 1, both.stderr);
  const { schema, version, files, faults } = jsonOf(both) as {
    schema: string;
    version: number;
    files: InspectedFile[];
    faults: string[];
  };
  assert.equal([schema, version, files.map(({ frames }) => frames)], ["carom.inspect", 1, [200, 3]]);
  assert.match(faults.join(), /^[^,]*broken-in-record\.pcap: frame 4, at byte 333/);
  const names = ["garbage.pcap", "steady.pcap", "nowhere.pcap"];
  const some = await carom("inspect", ...names.map(path), "--json");
  assert.is(some.status, 2);
  const {
    files: read,
    unread,
    faults: why,
  } = jsonOf(some) as {
    files: InspectedFile[];
    unread: { path: string; error: CaromError }[];
    faults: string[];
  };
  assert.equal(
    read.map(({ frames }) => frames),
    [200],
  );
  assert.equal(
    unread.map(({ path: name, error }) => [name, error.code]),
    [
      [path("garbage.pcap"), "usage"],
      [path("nowhere.pcap"), "usage"],
    ],
  );
  assert.match(why.join("\n"), /garbage.*not a capture.*\n.*nowhere.*ENOENT/);
  assert.match(some.stderr, /garbage.*not a capture.*\n.*nowhere.*ENOENT/);
  const piped = launch([process.execPath, "-e", PIPE, MAIN, path("format.pcap.zst")]);
  const { status, stdout, stderr } = await piped.end;
  assert.is(status, 0, stderr);
  assert.match(stdout, /carom inspect - · pcap ns · zstd · EN10MB \(Ethernet\) · 8 frames/);
});

const PIPE = `
  const [main, file] = process.argv.slice(1);
  const child = require("node:child_process").spawn(process.execPath, [main, "inspect", "-"], {
    stdio: ["pipe", "inherit", "inherit"],
  });
  child.stdin.end(require("node:fs").readFileSync(file));
  child.on("close", (status) => process.exit(status));`;

test("--decode: a line for each frame", async () => {
  const { status, stdout } = await carom("inspect", path("ipv6-vlan.pcap"), "--decode", "--count", "3");
  assert.is(status, 0);
  const [tick] = profileTicks("steady", 4n, 1);
  const lines = stdout.trimEnd().split("\n");
  assert.is(lines.length, 3);
  assert.ok(
    lines[0]!.includes(`${tick!.symbol} ${tick!.price}¢ × ${tick!.quantity} @ ${START_NS}`),
    lines[0],
  );
  assert.match(
    lines[1]!,
    /0\.000010000 {2}\[2001:2::2\]:8080 +→ \[2001:2::1\]:9999 +103 {2}buy .*clOrdId [0-9a-f]{16}$/,
  );
  assert.match(lines[2]!, /VLAN 100; tick/);
  const broken = await carom("inspect", path("broken.pcapng"), "--decode", "--json");
  assert.is(broken.status, 1);
  assert.match(broken.stderr, /frame 8, at byte 844/);
  const objects = broken.stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  assert.is(objects.length, 7);
  assert.equal([objects[1].orders[0].side, objects[1].ticks, objects[0].ticks.length], [0, [], 1]);
  assert.equal(objects[0].time_ns, String(START_NS));
});

test("what does not go together is refused", async () => {
  const steady = path("steady.pcap");
  for (const [args, says] of [
    [["--compare", steady], /1 captures were given/],
    [["--compare", "--decode", steady, steady], /two things/],
    [["--compare", "--from", "1s", steady, steady], /--from: it has no meaning/],
    [[steady, "--tolerance", "1us@p99"], /--tolerance: it has no meaning/],
    [[steady, "--count", "3"], /--count: .*add --decode/],
    [[steady, "--from", "2s", "--to", "1s"], /--to: it is not after/],
    [["--compare", "-", "-"], /standard input can be read once/],
    [["--compare", "--ignore", "mac,nose", steady, steady], /"mac,nose" is not different ones of mac, vlan/],
  ] as const) {
    const error = await buildCommand(command, () => {})
      .parseAsync([...args], { from: "user" })
      .then(
        () => assert.unreachable(args.join(" ")),
        (thrown: unknown) => thrown as CaromError,
      );
    assert.is(error!.code, "usage");
    assert.match(error!.message, says);
  }
});

test.run();
