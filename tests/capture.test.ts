/** carom capture: each frame is in the file or counted, whatever the file is, and however it ends. */

import { execFileSync, spawn } from "node:child_process";
import {
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { captureOutput } from "../config/capture.js";
import { type CaptureConfig, type CaptureResult, openCapture, openFrameSocket } from "../native/index.js";
import { encodeTick } from "../wire/codec.js";
import { buildFrame, type FrameFields } from "../wire/frame.js";
import { carom, jsonOf, type Running, startCarom } from "./cli_support.js";
import { halt, labForTests, labTest, MAIN, PREFIX, until } from "./lab_support.js";
import { numberOf, readPcapng, textOf } from "./pcapng_support.js";

const NAME = `${PREFIX}-capture`;
const [COMMENT, RECEIVED, ACCEPTED, DROPPED, DELIVERED, FILTER] = [1, 4, 6, 7, 8, 11] as const; // options of the format

const lab = labForTests({ name: NAME });
const folder = mkdtempSync(join(tmpdir(), "carom-capture-"));
test.after(() => rmSync(folder, { recursive: true }));

function tick(number: number, fields: Partial<FrameFields> = {}): Buffer {
  const { generator, responder } = lab!;
  return buildFrame({
    ethernet: { source: generator.mac, destination: responder.mac },
    ip: { version: 4, source: generator.address4, destination: responder.address4, ttl: 16 },
    udp: { sourcePort: 5000, destinationPort: 8080 },
    payload: encodeTick({ symbol: "AAPL", price: number, quantity: 1, timestamp: BigInt(number) }),
    ...fields,
  });
}

const ticks = (count: number, fields?: Partial<FrameFields>) =>
  Array.from({ length: count }, (_, number) => tick(number, fields));

function send(frames: readonly Buffer[], from = lab!.generator): void {
  const socket = openFrameSocket({ link: from, holdPort: 0 });
  try {
    for (const frame of frames) socket.send(frame);
  } finally {
    socket.close();
  }
}

interface Wanted extends Partial<Omit<CaptureConfig, "output">> {
  readonly path: string;
  readonly output?: Partial<CaptureConfig["output"]>;
}

/** Captures at the responder's end, in this process, what the action sends; nothing but ticks by default. */
async function capturing(
  { path, output, ...config }: Wanted,
  action: (stop: () => void) => void | Promise<void>,
): Promise<CaptureResult> {
  const capture = openCapture({
    link: lab!.responder,
    cpu: -1,
    filter: "udp dst port 8080",
    snapLength: 65_535,
    direction: "both",
    promiscuous: true,
    ringBytes: 2 ** 23,
    timestamps: "kernel",
    count: 0,
    durationNs: 0,
    output: {
      ...captureOutput({ path, bufferBytes: 2 ** 20, comment: "a test's", interfaceComment: "the kernel's" }),
      ...output,
    },
    ...config,
  });
  try {
    const ended = new Promise<void>((resolve, reject) =>
      capture.start((error) => (error === null ? resolve() : reject(error))),
    );
    await action(() => capture.stop());
    capture.stop();
    await ended;
    return capture.result();
  } finally {
    capture.close();
  }
}

/** The command, once it captures ticks at the responder's end. */
async function startCapture(...args: string[]): Promise<Running> {
  const running = startCarom(
    ...["capture", "--lab", `${NAME}:responder`, "--filter", "udp dst port 8080"],
    ...args,
  );
  await running.said("capturing");
  return running;
}

labTest("frames are kept byte for byte, in order, with their times and direction", async () => {
  const path = join(folder, "whole.pcapng");
  const frames = [...ticks(50), tick(50, { vlans: [{ id: 100, priority: 5 }] })];
  const begin = BigInt(Date.now()) * 1_000_000n;
  const result = await capturing({ path, filter: "" }, () => send(frames));
  const file = readPcapng(readFileSync(path));
  const sent = file.packets.filter(
    ({ frame, direction }) => direction === "in" && frame.includes(Buffer.from("AAPL")),
  );
  assert.is(sent.length, frames.length);
  for (const [index, { frame, length, direction }] of sent.entries()) {
    assert.equal(
      frame.toString("hex"),
      frames[index]!.toString("hex"),
      "also where the kernel took a tag out",
    );
    assert.is(length, frames[index]!.length);
    assert.is(direction, "in");
  }
  let before = begin - 1_000_000n;
  for (const { time_ns } of sent) {
    assert.ok(time_ns >= before && time_ns < begin + 60_000_000_000n, "times of now, in order");
    before = time_ns;
  }
  assert.is(statSync(path).mode & 0o777, 0o600);
  assert.is(textOf(file.interface, 2), "dut0");
  assert.match(textOf(file.section, 3), /^Linux /);
  assert.match(textOf(file.section, 4), /^carom \d/);
  assert.is(textOf(file.interface, COMMENT), "the kernel's");
  assert.is(numberOf(file.statistics, DELIVERED), BigInt(file.packets.length));
  assert.is(numberOf(file.statistics, DROPPED), 0n);
  assert.is(result.captured.frames, file.packets.length);
  assert.is(result.captured.bytes, statSync(path).size);
  assert.is(result.captured.failure, null);
  assert.is(result.last_ns, file.packets.at(-1)!.time_ns);
});

labTest("a filter, a direction, a length and a number choose what is kept", async () => {
  const path = join(folder, "chosen.pcapng");
  const tagged = tick(7, { vlans: [{ id: 100 }] });
  const other = tick(8, { udp: { sourcePort: 5000, destinationPort: 8081 } });
  const run = async (config: Partial<CaptureConfig>, frames: readonly Buffer[]) => {
    await capturing({ path, ...config }, () => send(frames));
    return readPcapng(readFileSync(path));
  };
  const byPort = await run({ snapLength: 50 }, [other, tick(1), other, tick(2)]);
  assert.equal(
    byPort.packets.map(({ frame }) => frame.toString("hex")),
    [1, 2].map((n) => tick(n).subarray(0, 50).toString("hex")),
  );
  assert.is(byPort.packets[0]!.length, tick(1).length);
  assert.is(byPort.snapLength, 50);
  assert.is(textOf(byPort.interface, FILTER), "\0udp dst port 8080");
  assert.is(numberOf(byPort.statistics, RECEIVED), 2n, "the kernel says nothing of the others");
  assert.is(numberOf(byPort.statistics, ACCEPTED), 2n);
  const byTag = await run({ filter: "vlan 100 and udp dst port 8080" }, [tick(1), tagged, other]);
  assert.equal(
    byTag.packets.map(({ frame }) => frame.toString("hex")),
    [tagged.toString("hex")],
  );
  assert.ok(numberOf(byTag.statistics, RECEIVED)! >= 3n, "carom's own filter counts them");
  assert.is(numberOf(byTag.statistics, ACCEPTED), 1n);
  const msft = { payload: encodeTick({ symbol: "MSFT", price: 1, quantity: 1, timestamp: 1n }) };
  const bySymbol = await run({ filter: "symbol in (MSFT, IBM)" }, [tick(1), tick(2, msft), tick(3)]);
  assert.equal(
    bySymbol.packets.map(({ frame }) => frame.toString("hex")),
    [tick(2, msft).toString("hex")],
  );
  assert.is((await run({ direction: "out" }, [tick(1), tick(2)])).packets.length, 0, "all of them come in");
  const counted = await run({ count: 3 }, ticks(10));
  assert.equal(
    counted.packets.map(({ frame }) => frame.toString("hex")),
    ticks(3).map((f) => f.toString("hex")),
  );
});

labTest("a series of files: each is whole, the newest are kept, none is lost between two", async () => {
  const path = join(folder, "series.pcapng");
  const frames = ticks(100);
  const result = await capturing({ path, output: { fileBytes: 4000, keep: 3 } }, () => send(frames));
  const names = readdirSync(folder).filter((name) => name.startsWith("series"));
  assert.is(names.length, 3);
  for (const name of names) assert.match(name, /^series_\d{5}_\d{14}\.pcapng$/);
  assert.is(join(folder, names.at(-1)!), result.captured.lastFile);
  assert.is(Number(names.at(-1)!.slice(7, 12)), result.captured.files);
  const files = names.map((name) => readPcapng(readFileSync(join(folder, name))));
  const kept = files.flatMap(({ packets }) => packets.map(({ frame }) => frame.toString("hex")));
  assert.equal(
    kept,
    frames.slice(-kept.length).map((frame) => frame.toString("hex")),
  );
  for (const { statistics } of files) assert.ok(statistics !== undefined);
  assert.is(result.captured.frames, frames.length, "those of removed files were written, too");
});

labTest("a series goes on only with packets, and a file that could not be made does not count", async () => {
  const headers = join(folder, "headers.pcapng");
  const long = Array.from({ length: 60 }, (_, port) => `or udp dst port ${10_000 + port}`).join(" ");
  const filter = `udp dst port 8080 ${long}`;
  const larger = await capturing({ path: headers, filter, output: { fileBytes: 1000 } }, async () => {
    await sleep(50);
    send(ticks(2));
  });
  assert.is(larger.captured.frames, 2);
  const files = readdirSync(folder).filter((name) => name.startsWith("headers_"));
  assert.is(files.length, larger.captured.files);
  assert.ok(files.length <= 3, "a file for each packet, and the one that waits for the next");
  const gone = mkdtempSync(join(folder, "gone-"));
  const { captured } = await capturing({ path: join(gone, "x.pcapng"), output: { fileBytes: 2000 } }, () => {
    rmSync(gone, { recursive: true });
    send(ticks(100));
  });
  assert.ok(captured.failure !== null);
  assert.is(captured.files, 1);
  assert.match(captured.lastFile, /x_00001_/);
});

labTest("a reader that does not read: what finds no room is counted, and where it is missing", async () => {
  const path = join(folder, "pipe");
  execFileSync("mkfifo", [path]);
  const pipe = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const frames = Array.from({ length: 4000 }, (_, number) =>
    tick(number, { payload: Buffer.alloc(1400, number % 251) }),
  );
  const pieces: Buffer[] = [];
  const piece = Buffer.alloc(2 ** 20);
  let reading: NodeJS.Timeout | undefined;
  const read = () => {
    try {
      const size = readSync(pipe, piece);
      pieces.push(Buffer.from(piece.subarray(0, size)));
      return size > 0;
    } catch {
      return true; // nothing there now
    }
  };
  const result = await capturing({ path, ringBytes: 2 ** 24 }, async (stop) => {
    send(frames);
    await sleep(100);
    stop();
    reading = setInterval(read, 1);
  });
  clearInterval(reading);
  while (read());
  closeSync(pipe);
  const { packets, statistics } = readPcapng(Buffer.concat(pieces));
  const { dropped, frames: written } = result.captured;
  assert.ok(dropped > 0, "not all found room");
  assert.is(written + dropped, frames.length);
  assert.is(packets.length, written);
  assert.is(numberOf(statistics, DELIVERED), BigInt(written));
  assert.match(textOf(statistics, COMMENT), `${dropped} packets dropped by the writer`);
  // Each packet says how many are missing before it: so it is known which.
  let number = -1;
  for (const { frame, dropped: before } of packets) {
    number += 1 + Number(before);
    assert.is(frame.at(-1), number % 251);
  }
});

labTest("the kernel's ring is full: what it dropped is counted, and where it is missing", async () => {
  const path = join(folder, "ring.pcapng");
  const running = await startCapture("--write", path, "--ring", "4MiB", "--json");
  await halt(running.child.pid!);
  const frames = Array.from({ length: 5000 }, (_, number) =>
    tick(number, { payload: Buffer.alloc(1400, number % 251) }),
  );
  send(frames);
  running.child.kill("SIGCONT");
  await sleep(300);
  send(frames.slice(0, 10));
  running.child.kill("SIGINT");
  const ended = await running.end;
  assert.is(ended.status, 1, "something was dropped");
  const { drops, written } = jsonOf(ended) as Record<string, Record<string, number>>;
  const { packets, statistics } = readPcapng(readFileSync(path));
  assert.ok(drops!.ring! > 0 && drops!.writer === 0, ended.stdout);
  assert.is(packets.length, written!.frames);
  assert.is(packets.length + drops!.ring!, frames.length + 10);
  assert.is(numberOf(statistics, DROPPED), BigInt(drops!.ring!));
  let number = -1;
  for (const { frame, dropped: before } of packets) {
    number += 1 + Number(before);
    assert.is(frame.at(-1), (number % 5000) % 251, `packet ${number}`);
  }
});

labTest("to standard output, through a pipe, and what the report says", async () => {
  const args = ["capture", "--lab", `${NAME}:responder`, "--filter", "udp dst port 8080", "--count", "20"];
  const child = spawn(process.execPath, [MAIN, ...args, "--write", "-"], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const pieces: Buffer[] = [];
  let words = "";
  child.stdout.on("data", (piece: Buffer) => pieces.push(piece));
  child.stderr.on("data", (text: Buffer) => (words += text));
  const closed = new Promise<number | null>((resolve) => child.on("close", resolve));
  await until("it captures", () => words.includes("capturing"));
  send(ticks(30));
  assert.is(await closed, 0, words);
  const { packets } = readPcapng(Buffer.concat(pieces));
  assert.equal(
    packets.map(({ frame }) => frame.toString("hex")),
    ticks(20).map((f) => f.toString("hex")),
  );
  assert.match(words, "20 frames");
  assert.match(words, "nothing dropped");
});

labTest("killed, it leaves a file that can be read up to its last second", async () => {
  const path = join(folder, "killed.pcapng");
  const running = await startCapture("--write", path);
  send(ticks(40));
  await until("they are in the file", () => readPcapng(readFileSync(path)).packets.length === 40);
  running.child.kill("SIGKILL");
  await running.end;
  const { packets, statistics } = readPcapng(readFileSync(path));
  assert.equal(
    packets.map(({ frame }) => frame.toString("hex")),
    ticks(40).map((f) => f.toString("hex")),
  );
  assert.is(statistics, undefined);
});

labTest("a full disk ends it, says so, and the signal's end is in order", async () => {
  const full = await carom("capture", "--lab", NAME, "--write", "/dev/full", "--json");
  assert.is(full.status, 3, full.stderr);
  assert.match(full.stderr, /ENOSPC.*free space/);
  const report = jsonOf(full) as { schema: string; faults: string[] };
  assert.is(report.schema, "carom.capture");
  assert.match(report.faults.join(), "ENOSPC");
  const path = join(folder, "interrupted.pcapng");
  const running = await startCapture("--write", path, "--json");
  send(ticks(10));
  running.child.kill("SIGINT");
  const ended = await running.end;
  assert.is(ended.status, 0, ended.stderr);
  const { frames, interrupted, drops, written, timestamps } = jsonOf(ended) as Record<string, unknown>;
  assert.equal(
    { frames, interrupted, drops },
    { frames: 10, interrupted: true, drops: { ring: 0, writer: 0, interface: 0 } },
  );
  assert.equal(timestamps, { provenance: "kernel", hardware: 0 });
  assert.is((written as { frames: number }).frames, 10);
  assert.is(readPcapng(readFileSync(path)).packets.length, 10, "those that came just before the signal, too");
});

labTest("what can't be is refused, and no file is touched", async () => {
  const path = join(folder, "untouched.pcapng");
  const refused: readonly [RegExp, ...string[]][] = [
    [/--write FILE/, "--lab", NAME],
    [/--interface or --lab/, "--write", path],
    [/--file-size or --file-time/, "--lab", NAME, "--write", path, "--files", "2"],
    [/standard output/, "--lab", NAME, "--write", "-", "--json"],
    [/series of files/, "--lab", NAME, "--write", "-", "--file-time", "1s"],
    [/filter "udp dst prt 1"/, "--lab", NAME, "--write", path, "--filter", "udp dst prt 1"],
    [/is not a size/, "--lab", NAME, "--write", path, "--buffer", "1 mile"],
    [/it is a folder/, "--lab", NAME, "--write", folder],
    [/not a lab's name/, "--lab", `${NAME}:middle`, "--write", path],
  ];
  const ended = await Promise.all(refused.map(([, ...args]) => carom("capture", ...args)));
  for (const [index, [pattern]] of refused.entries()) {
    assert.is(ended[index]!.status, 2, ended[index]!.stderr);
    assert.match(ended[index]!.stderr, pattern);
  }
  const hardware = await carom("capture", "--lab", NAME, "--write", path, "--timestamps", "hardware");
  assert.is(hardware.status, 3, "a veth has no clock");
  assert.not.ok(readdirSync(folder).includes("untouched.pcapng"));
});

test.run();
