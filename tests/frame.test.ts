/** Frames against bytes made by hand, against other programs' reading of them, and against chance. */

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { multicastMac, normalAddress, parseIp } from "../wire/address.js";
import { encodeTick } from "../wire/codec.js";
import { decodeFrame } from "../wire/decode.js";
import { buildFrame, checksumOf, type FrameFields, type IpFields } from "../wire/frame.js";
import { programTest } from "./lab_support.js";

const ETHERNET = { source: "02:ca:40:00:00:01", destination: "02:ca:40:00:00:02" };
const IP4 = { source: "198.18.0.1", destination: "198.18.0.2", identification: 1 };
const IP6 = { source: "2001:2::1", destination: "2001:2::2" };
const UDP = { sourcePort: 30001, destinationPort: 8080 };
const TICK = encodeTick({ symbol: "AAPL", price: 9999, quantity: 10, timestamp: 0x0123456789abcdefn });

const plain = (over: Partial<FrameFields> = {}): FrameFields => {
  return { ethernet: ETHERNET, ip: IP4, udp: UDP, payload: TICK, ...over };
};
const withIp = (over: Partial<IpFields>, base: IpFields = IP4) =>
  buildFrame(plain({ ip: { ...base, ...over } }));
const withUdp = (over: object, ip: IpFields = IP4) => buildFrame(plain({ ip, udp: { ...UDP, ...over } }));
const problemsOf = (frame: Uint8Array) => decodeFrame(frame).problems.map(({ field }) => field);
const bytes = (text: string) => Buffer.from(text.replace(/\s/g, ""), "hex");

// The checksums of both frames were added up by hand: IP 2116d, folded 116f, complemented ee90; UDP over pseudo-header,
// header and tick 531c9, folded 31ce, complemented ce31; over IPv6 with the payload "abc" 19953, 9954, 66ab.
const FRAME4 = bytes(`
  02ca40000002 02ca40000001 0800
  45 00 0034 0001 0000 40 11 ee90 c6120001 c6120002
  7531 1f90 0020 ce31
  4141504c20202020 0f270000 0a000000 efcdab8967452301`);
const FRAME6 = bytes(`
  02ca40000002 02ca40000001 86dd
  6 00 00000 000b 11 40 20010002000000000000000000000001 20010002000000000000000000000002
  7531 1f90 000b 66ab
  616263`);

test("a tick over IPv4 becomes the bytes worked out by hand", () => {
  assert.equal(buildFrame(plain()).toString("hex"), FRAME4.toString("hex"));
});

test("three bytes over IPv6 become the bytes worked out by hand", () => {
  const frame = buildFrame(plain({ ip: IP6, payload: Buffer.from("abc") }));
  assert.equal(frame.toString("hex"), FRAME6.toString("hex"));
});

test("the IPv4 frame is read field by field", () => {
  const { ethernet, vlans, ip, udp, payload, padding, problems, size } = decodeFrame(FRAME4);
  assert.equal(ethernet, { ...ETHERNET, type: 0x0800 });
  assert.equal(ip, {
    version: 4,
    headerSize: 20,
    totalLength: 52,
    trafficClass: 0,
    flowLabel: 0,
    identification: 1,
    dontFragment: false,
    moreFragments: false,
    fragmentOffset: 0,
    ttl: 64,
    protocol: 17,
    checksum: 0xee90,
    source: "198.18.0.1",
    destination: "198.18.0.2",
    options: Buffer.alloc(0),
  });
  assert.equal(udp, { sourcePort: 30001, destinationPort: 8080, length: 32, checksum: 0xce31 });
  assert.equal(payload.toString("hex"), TICK.toString("hex"));
  assert.equal({ vlans, padding, problems, size }, { vlans: [], padding: 0, problems: [], size: 66 });
});

test("the Internet checksum of RFC 1071 §3 and of a well-known IPv4 header", () => {
  assert.is(checksumOf(bytes("0001 f203 f4f5 f6f7")), 0x220d);
  const header = "4500 0073 0000 4000 4011 0000 c0a8 0001 c0a8 00c7";
  assert.is(checksumOf(bytes(header)), 0xb861);
  const ip = { source: "192.168.0.1", destination: "192.168.0.199", dontFragment: true };
  const frame = buildFrame({ ethernet: ETHERNET, ip, payload: Buffer.alloc(0x73 - 20) });
  assert.is(
    frame.toString("hex", 14, 34),
    header.replace("0000 c0a8 0001", "b861 c0a8 0001").replaceAll(" ", ""),
  );
});

test("every overridden field lands in its place", () => {
  const rows: [Buffer, number, string][] = [
    [buildFrame(plain({ ethernet: { ...ETHERNET, type: 0x0806 } })), 12, "0806"],
    [withIp({ version: 5 }), 14, "55"],
    [withIp({ headerLength: 15 }), 14, "4f"],
    [withIp({ trafficClass: 0xb8 }), 15, "b8"],
    [withIp({ totalLength: 0xfffe }), 16, "fffe"],
    [withIp({ identification: 0xabcd }), 18, "abcd"],
    [withIp({ dontFragment: true }), 20, "4000"],
    [withIp({ moreFragments: true }), 20, "2000"],
    [withIp({ fragmentOffset: 0x1fff }), 20, "1fff"],
    [withIp({ ttl: 0 }), 22, "00"],
    [withIp({ protocol: 6 }), 23, "06"],
    [withIp({ checksum: 0x1234 }), 24, "1234"],
    [withIp({ checksum: "zero" }), 24, "0000"],
    [withIp({ source: "0.0.0.0" }), 26, "00000000"],
    [withIp({ destination: "239.1.1.1" }), 30, "ef010101"],
    [withIp({ options: bytes("940400000101") }), 14, "47"],
    [withIp({ options: bytes("940400000101") }), 34, "9404000001010000"],
    [withIp({ version: 4 }, IP6), 14, "40"],
    [withIp({ trafficClass: 0xb8, flowLabel: 0xbeef5 }, IP6), 14, "6b8beef5"],
    [withIp({ payloadLength: 7 }, IP6), 18, "0007"],
    [withIp({ protocol: 59 }, IP6), 20, "3b"],
    [withIp({ ttl: 0 }, IP6), 21, "00"],
    [withIp({ identification: 0xdeadbeef, fragmentOffset: 3, moreFragments: true }, IP6), 20, "2c"],
    [
      withIp({ identification: 0xdeadbeef, fragmentOffset: 3, moreFragments: true }, IP6),
      54,
      "11000019deadbeef",
    ],
    [withUdp({ sourcePort: 0, destinationPort: 65535 }), 34, "0000ffff"],
    [withUdp({ length: 7 }), 38, "0007"],
    [withUdp({ checksum: "zero" }), 40, "0000"],
    [withUdp({ checksum: 0xbeef }), 40, "beef"],
    [buildFrame(plain({ vlans: [{ id: 42, priority: 5, dropEligible: true }] })), 12, "8100b02a0800"],
    [buildFrame(plain({ vlans: [{ id: 1, type: 0x88a8 }, { id: 4095 }] })), 12, "88a8000181000fff0800"],
  ];
  for (const [frame, at, expected] of rows) {
    assert.is(frame.toString("hex", at, at + expected.length / 2), expected, `${expected} at ${at}`);
  }
  assert.is(buildFrame(plain({ truncate: 20 })).length, 20);
  assert.is(buildFrame(plain({ pad: 10 })).length, 76);
  assert.is(decodeFrame(buildFrame(plain({ pad: 10 }))).padding, 10);
});

test("what is overridden with a wrong value is named as wrong, and nothing else is", () => {
  const rows: [Buffer, string[]][] = [
    [withIp({ checksum: "bad" }), ["ip.checksum"]],
    [withIp({ checksum: "zero" }), ["ip.checksum"]],
    [withIp({ version: 5 }), ["ip.version"]],
    [withIp({ headerLength: 4 }), ["ip.header_length"]],
    [withIp({ headerLength: 15 }), ["ip.header_length"]],
    [withIp({ totalLength: 53 }), ["ip.total_length"]],
    [withIp({ totalLength: 19 }), ["ip.total_length", "udp"]],
    [withIp({ totalLength: 51 }), ["udp.length"]],
    [withIp({ payloadLength: 33 }, IP6), ["ip.payload_length"]],
    [withIp({ version: 4 }, IP6), ["ip.version"]],
    [withUdp({ checksum: "bad" }), ["udp.checksum"]],
    [withUdp({ checksum: "bad" }, IP6), ["udp.checksum"]],
    [withUdp({ checksum: "zero" }), []],
    [withUdp({ checksum: "zero" }, IP6), ["udp.checksum"]],
    [withUdp({ length: 7 }), ["udp.length"]],
    [withUdp({ length: 33 }), ["udp.length"]],
    [withUdp({ length: 20 }), []],
    [withIp({ moreFragments: true }), []],
    [withIp({ fragmentOffset: 4 }), []],
    [withIp({ options: bytes("01010100") }), []],
    [buildFrame(plain({ truncate: 13 })), ["ethernet"]],
    [buildFrame(plain({ truncate: 33 })), ["ip"]],
    [buildFrame(plain({ truncate: 40 })), ["ip.total_length", "udp"]],
    [buildFrame(plain({ truncate: 50 })), ["ip.total_length", "udp.length"]],
    [buildFrame(plain({ ip: IP6, truncate: 53 })), ["ip"]],
    [buildFrame(plain({ vlans: [{ id: 1 }], truncate: 16 })), ["vlan"]],
  ];
  for (const [index, [frame, expected]] of rows.entries())
    assert.equal(problemsOf(frame), expected, `row ${index}`);
});

test("a checksum left to an offload is told from one that is wrong", () => {
  // The folded sum of the pseudo-header alone, as Linux leaves it: 18c45 (c612+0001+c612+0002+0011+0020), 8c58+… = 8c59.
  const frame = withUdp({ checksum: 0x8c59 });
  assert.match(decodeFrame(frame).problems[0]?.detail ?? "", /offload/);
  assert.not.match(decodeFrame(withUdp({ checksum: "bad" })).problems[0]?.detail ?? "", /offload/);
});

test("a UDP checksum that comes out as 0 is sent as ffff, and a bad one is never 0 nor right", () => {
  for (const wanted of [0, 0x0100, 0x0200, 0xfeff, 0xffff]) {
    // Two bytes that bring the checksum to the one that is wanted (RFC 1624).
    const payload = Buffer.concat([TICK, Buffer.alloc(2)]);
    const before = buildFrame(plain({ payload })).readUInt16BE(40);
    payload.writeUInt16BE((before + (~wanted & 0xffff)) % 0xffff, TICK.length);
    const good = buildFrame(plain({ payload }));
    assert.is(good.readUInt16BE(40), wanted === 0 ? 0xffff : wanted);
    assert.equal(problemsOf(good), []);
    const bad = buildFrame(plain({ payload, udp: { ...UDP, checksum: "bad" } }));
    assert.is.not(bad.readUInt16BE(40), 0);
    assert.equal(problemsOf(bad), ["udp.checksum"]);
  }
});

test("addresses are read and written as RFC 4291 and RFC 5952 say", () => {
  const same = [
    ["2001:DB8:0:0:8:800:200C:417A", "2001:db8::8:800:200c:417a"],
    ["FF01:0:0:0:0:0:0:101", "ff01::101"],
    ["0:0:0:0:0:0:0:1", "::1"],
    ["0:0:0:0:0:0:0:0", "::"],
    ["0:0:0:0:0:0:13.1.68.3", "::d01:4403"],
    ["::FFFF:129.144.52.38", "::ffff:8190:3426"],
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
    ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["1::", "1::"],
    ["198.18.0.1", "198.18.0.1"],
  ];
  for (const [given, normal] of same) assert.is(normalAddress(given!), normal);
  const bad = [
    "",
    ":",
    ":::",
    "1:2:3",
    "1:2:3:4:5:6:7:8:9",
    "::1::",
    "12345::",
    "::g",
    "1.2.3",
    "1.2.3.256",
    "01.2.3.4",
    "::1.2.3",
  ];
  for (const address of [...bad, "1:2:3:4:5:6:7::8", "fe80::1%eth0"]) {
    assert.throws(
      () => parseIp(address),
      (error: unknown) => error instanceof RangeError,
      JSON.stringify(address),
    );
  }
  assert.is(multicastMac("239.129.1.1"), "01:00:5e:01:01:01");
  assert.is(multicastMac("224.0.0.251"), "01:00:5e:00:00:fb");
  assert.is(multicastMac("ff15::4242:1"), "33:33:42:42:00:01");
  assert.is(multicastMac("198.18.0.1"), undefined);
  assert.is(multicastMac("2001:2::1"), undefined);
});

test("what can't be built is refused by name", () => {
  const refusals: [() => void, RegExp][] = [
    [() => withIp({ source: "2001:2::1" }), /not of one IP version/],
    [() => withIp({ options: Buffer.alloc(41) }), /at most 40/],
    [() => withIp({ source: "198.18.0" }), /not an IPv4 address/],
    [() => buildFrame(plain({ ethernet: { ...ETHERNET, source: "02:ca" } })), /not a MAC address/],
  ];
  for (const [build, says] of refusals) assert.throws(build, says);
});

// A small generator of numbers, so that a failure can be had again.
function numbers(seed: number) {
  let state = seed >>> 0;
  return (below: number) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

function randomFields(next: (below: number) => number): FrameFields {
  const ip6 = next(2) === 1;
  const some = <T>(value: T) => (next(2) === 1 ? value : undefined);
  const octets = () => Array.from({ length: 4 }, () => next(256)).join(".");
  const groups = () =>
    Array.from({ length: 8 }, () => (next(2) === 1 ? next(65536) : 0).toString(16)).join(":");
  const both = { trafficClass: some(next(256)), ttl: some(next(256)), moreFragments: some(false) };
  const ip: IpFields = ip6
    ? { source: groups(), destination: groups(), flowLabel: some(next(1 << 20)), ...both }
    : {
        source: octets(),
        destination: octets(),
        identification: some(next(65536)),
        dontFragment: some(true),
        options: some(Buffer.from(Array.from({ length: next(11) * 4 }, () => next(256)))),
        ...both,
      };
  return {
    ethernet: ETHERNET,
    vlans: some([{ id: next(4096), priority: next(8), dropEligible: next(2) === 1 }]),
    ip,
    udp: { sourcePort: next(65536), destinationPort: next(65536) },
    payload: Buffer.from(Array.from({ length: next(100) }, () => next(256))),
    pad: some(next(20)),
  };
}

test("20000 random frames are right, and come back as they were", () => {
  const next = numbers(1);
  for (let count = 0; count < 20_000; count++) {
    const fields = randomFields(next);
    const frame = buildFrame(fields);
    const { vlans, ip, udp, payload, padding, problems } = decodeFrame(frame);
    assert.equal(problems, [], frame.toString("hex"));
    assert.equal(payload.toString("hex"), Buffer.from(fields.payload).toString("hex"));
    const again = buildFrame({
      ethernet: ETHERNET,
      vlans,
      ip: {
        source: ip!.source,
        destination: ip!.destination,
        trafficClass: ip!.trafficClass,
        flowLabel: ip!.flowLabel,
        ttl: ip!.ttl,
        ...(ip!.version === 6 && ip!.options.length === 0
          ? {}
          : {
              identification: ip!.identification,
              moreFragments: ip!.moreFragments,
              dontFragment: ip!.dontFragment,
            }),
        ...(ip!.version === 4 ? { options: ip!.options } : {}),
      },
      udp: { sourcePort: udp!.sourcePort, destinationPort: udp!.destinationPort },
      payload,
      pad: padding,
    });
    assert.ok(again.equals(frame), `${frame.toString("hex")}\n${again.toString("hex")}`);
  }
});

test("no 1000000 inputs, random or spoilt, make the decoder throw or read beyond them", () => {
  const next = numbers(2);
  const seeds = Array.from({ length: 400 }, () => buildFrame(randomFields(next)));
  const scratch = Buffer.alloc(2048);
  let seen = 0;
  for (let count = 0; count < 1_000_000; count++) {
    let size: number;
    if (count % 4 === 0) {
      size = next(120);
      for (let at = 0; at < size; at++) scratch[at] = next(256);
      // Half of them with a type that leads further.
      if (count % 8 === 0 && size > 14) scratch.writeUInt16BE([0x0800, 0x86dd, 0x8100, 0x88a8][next(4)]!, 12);
    } else {
      const seed = seeds[next(seeds.length)]!;
      size = next(8) === 0 ? next(seed.length + 1) : seed.length;
      seed.copy(scratch, 0, 0, size);
      for (let flips = next(5); flips > 0 && size > 0; flips--)
        scratch[12 + next(Math.max(1, size - 12))] = next(256);
    }
    const decoded = decodeFrame(scratch.subarray(0, size));
    if (decoded.payload.length > size || decoded.padding > size || decoded.size !== size) {
      assert.unreachable(scratch.toString("hex", 0, size));
    }
    seen += decoded.problems.length;
  }
  assert.ok(seen > 100_000, "most of them had something wrong");
});

/** Frames that two programs must find the same things in. */
const SHARED: readonly [Buffer, string][] = [
  [buildFrame(plain()), "ok"],
  [buildFrame(plain({ ip: IP6 })), "ok"],
  [buildFrame(plain({ payload: Buffer.from("odd") })), "ok"],
  [withUdp({ checksum: "bad" }), "bad udp"],
  [withUdp({ checksum: "bad" }, IP6), "bad udp"],
  [withIp({ checksum: "bad" }), "bad ip"],
  [withIp({ options: bytes("94040000") }), "ok"],
  [buildFrame(plain({ vlans: [{ id: 42, priority: 3 }] })), "ok"],
  [buildFrame(plain({ pad: 16 })), "ok"],
];

/** A capture of the frames (pcap 2.4, LINKTYPE_ETHERNET) in a file that goes afterwards. */
function withCapture(action: (file: string) => void): void {
  const directory = mkdtempSync(join(tmpdir(), "carom-frame-"));
  const head = bytes("d4c3b2a1 02000400 00000000 00000000 00000400 01000000");
  const records = SHARED.map(([frame]) => {
    const header = Buffer.alloc(16);
    header.writeUInt32LE(frame.length, 8);
    header.writeUInt32LE(frame.length, 12);
    return Buffer.concat([header, frame]);
  });
  try {
    writeFileSync(join(directory, "frames.pcap"), Buffer.concat([head, ...records]));
    action(join(directory, "frames.pcap"));
  } finally {
    rmSync(directory, { recursive: true });
  }
}

programTest("tcpdump", "tcpdump finds the same checksums right and wrong", () =>
  withCapture((file) => {
    const text = execFileSync("tcpdump", ["-nvvv", "-t", "-r", file], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
    const packets = text.trim().split(/\n(?=\S)/);
    const found = packets.map((packet) =>
      /bad udp cksum/.test(packet) ? "bad udp" : /bad cksum/.test(packet) ? "bad ip" : "ok",
    );
    assert.equal(
      found,
      SHARED.map(([, verdict]) => verdict),
    );
  }),
);

programTest("tshark", "tshark finds the same fields and checksums", () =>
  withCapture((file) => {
    const fields = [
      "ip.src",
      "ipv6.src",
      "udp.srcport",
      "udp.dstport",
      "udp.length",
      "vlan.id",
      "ip.checksum.status",
      "udp.checksum.status",
    ];
    const options = ["-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE"];
    const args = ["-r", file, ...options, "-T", "fields", ...fields.flatMap((field) => ["-e", field])];
    const text = execFileSync("tshark", args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
    for (const [index, line] of text.trimEnd().split("\n").entries()) {
      const [source4, source6, sourcePort, destinationPort, length, vlan, ipStatus, udpStatus] =
        line.split("\t");
      const [frame, verdict] = SHARED[index]!;
      const { ip, udp, vlans } = decodeFrame(frame);
      assert.is(source4 || normalAddress(source6!), ip!.source);
      assert.equal(
        [sourcePort, destinationPort, length],
        [udp!.sourcePort, udp!.destinationPort, udp!.length].map(String),
      );
      assert.is(vlan, vlans.map(({ id }) => String(id)).join(","));
      // 0 is bad, 1 good.
      assert.is(
        ipStatus === "0" ? "bad ip" : udpStatus === "0" ? "bad udp" : "ok",
        verdict,
        `frame ${index}`,
      );
    }
  }),
);

test.run();
