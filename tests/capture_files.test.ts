/** Captures as others write them: each case of tests/cases is read by inspect, filter and replay as it says it is. */

import { execFileSync, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { besideReport, framesFile } from "../config/values.js";
import { frameJson } from "../inspect/frame_line.js";
import { inspectedFile } from "../inspect/report.js";
import { inspectLines } from "../inspect/text.js";
import { filterCapture, inspectCapture, listFrames } from "../native/index.js";
import { labTest, MAIN } from "./lab_support.js";
import { message, replay, SOURCE } from "./replay_support.js";

const pathOf = (name: string) => fileURLToPath(new URL(`../../tests/cases/${name}`, import.meta.url));
const configOf = (path: string) => ({
  path,
  filter: "",
  fromNs: 0,
  toNs: 9e18,
  tickPort: 8080,
  orderPort: 9999,
});

const folder = mkdtempSync(join(tmpdir(), "carom-files-"));
test.after(() => rmSync(folder, { recursive: true }));

/** Name, frames that are read, their lengths on the wire, what is said of them, whether that is a fault. */
const CASES = [
  ["P02-ticks_snap60.pcap", [66, 66, 66, 66], [], 0],
  ["P02-twin_right_snaplen.pcap", [142, 142, 142, 142], [], 0],
  ["P07-mixed_unused.pcapng", [72, 72], [], 0],
  ["P07-mixed_used.pcapng", [72, 74, 72], [], 0],
  ["P12-le_then_be.pcapng", [72, 72, 72], [], 0],
  ["P17-fcs.pcap", [72, 72, 72], [["fcs_removed", 3, 1]], 0],
  ["P17-fcs_full.pcap", [72, 1514, 72], [["fcs_removed", 3, 1]], 0],
  ["P17-fcs_idb.pcapng", [72, 1514], [["fcs_removed", 2, 1]], 0],
  ["P18-raw14.pcap", [58, 68], [], 0],
  ["P18-sll.pcap", [74, 74, 78, 54, 84], [["no_ethertype", 1, 4]], 0],
  ["P21-pz.pcap.zst", Array(10).fill(72), [], 0],
  ["P28-before1970.pcapng", [72], [["bad_time", 1, 1]], 1],
  ["P28-nonsense_time.pcapng", [72, 72], [["bad_time", 1, 2]], 1],
] as const;

test("each case is read to its end, and what is not as it should be is told", async () => {
  for (const [name, lengths, remarks] of CASES) {
    const found = await inspectCapture(configOf(pathOf(name)));
    const file = inspectedFile(name, found);
    assert.is(file.broken, null, name);
    assert.equal(
      file.remarks.map(({ kind, frames, first_frame }) => [kind, frames, first_frame]),
      remarks,
      name,
    );
    const { frames } = listFrames(configOf(pathOf(name)))(100);
    assert.equal(
      frames.map(({ length }) => length),
      lengths,
      name,
    );
    const none = frames.filter(({ isEthernet }) => !isEthernet).map(({ number }) => number);
    assert.equal(none, name === "P18-sll.pcap" ? [4] : [], name);
    const text = inspectLines(file, found.gaps).join("\n");
    for (const { text: says } of file.remarks) assert.ok(text.includes(says), text);
  }
});

test("each case is filtered by the link type of each frame, and written as Ethernet", async () => {
  for (const [name, lengths, remarks, status] of CASES) {
    const write = join(folder, "written.pcapng");
    const wanted = { expression: "udp or ether[12:2] = 0x8100", engine: "auto", path: pathOf(name), write };
    const found = await filterCapture({ ...wanted, rounds: 0 }, new AbortController().signal);
    const none = remarks.filter(([kind]) => kind === "no_ethertype").length;
    assert.equal([found.accepted, found.notEthernet], [lengths.length - none, none], name);
    assert.is(found.remarks.some(({ is_fault }) => is_fault) ? 1 : 0, status, name);
    const ports = { tickPort: 8080, orderPort: 9999 };
    const texts = (path: string) =>
      listFrames(configOf(path))(100)
        .frames.filter(({ isEthernet }) => isEthernet)
        .map((frame) => {
          const { source, destination, protocol, problems } = JSON.parse(frameJson(frame, ports));
          return [source, destination, protocol, problems];
        });
    assert.equal(texts(write), texts(pathOf(name)), name);
  }
});

const hasTshark = spawnSync("tshark", ["--version"]).status === 0;
(hasTshark ? test : test.skip)(
  "tshark sees the same times and lengths (skipped without tshark)",
  async () => {
    for (const [name] of CASES) {
      if (name === "P21-pz.pcap.zst") continue; // its version may know no zstd
      const fields = ["frame.number", "frame.time_epoch", "frame.len"].flatMap((field) => ["-e", field]);
      const rows = execFileSync("tshark", ["-r", pathOf(name), "-T", "fields", ...fields], {
        encoding: "utf8",
        stdio: ["ignore", "pipe", "ignore"],
      });
      const fcs = name.startsWith("P17") ? 4 : 0;
      const seen = rows.trim().split("\n");
      const ours = listFrames(configOf(pathOf(name)))(100).frames.map(({ number, time_ns, length }) => {
        const seconds = `${time_ns / 1_000_000_000n}.${String(time_ns % 1_000_000_000n).padStart(9, "0")}`;
        return `${number}\t${seconds}\t${length + fcs}`;
      });
      const isTold = (row: string) => !/\t(-|\d{11,}\.)/.test(row); // times that make no sense
      assert.equal(ours, seen.filter(isTold), name);
    }
  },
);

for (const [name, lengths, status] of [
  ["P02-ticks_snap60.pcap", [66, 66, 66, 66], 0],
  ["P07-mixed_used.pcapng", [72, 72, 72], 0],
  ["P17-fcs_full.pcap", [72, 1514, 72], 0],
  ["P18-sll.pcap", [72, 72, 76, 82], 0],
  ["P28-nonsense_time.pcapng", [72, 72], 1],
] as const) {
  labTest(`replay sends ${name} as it was on the wire`, async () => {
    const { ended, report, frames } = await replay(pathOf(name), "--source-mac", SOURCE);
    assert.is(ended.status, status, message(ended));
    assert.equal(
      frames.map(({ length }) => length),
      lengths,
    );
    const written = listFrames(configOf(pathOf(name)))(100).frames.filter(({ isEthernet }) => isEthernet);
    assert.equal(
      frames.map((frame) => frame.subarray(12).toString("hex")),
      written.map(({ frame }) => frame.subarray(12).toString("hex")),
    );
    const [file] = report.replay!.files;
    assert.is(file!.padded, 0);
    assert.equal(
      report.faults.filter((text) => text.includes("number 2, left out: the time")).length,
      status,
    );
  });
}

test("frames go to standard output by any of its names, and words to standard error", async () => {
  const capture = pathOf("P17-fcs.pcap");
  const script = 'exec "$0" "$1" filter "" "$2" --write "$3" >"$4"';
  const run = (write: string, to: string) => {
    const child = spawn("bash", ["-c", script, process.execPath, MAIN, capture, write, to], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    let words = "";
    child.stderr.on("data", (text: Buffer) => (words += text.toString()));
    return new Promise<string>((resolve) => child.on("close", () => resolve(words)));
  };
  const names = ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", join(folder, "4"), join(folder, "fifo")];
  const fifo = join(folder, "fifo");
  execFileSync("mkfifo", [fifo]);
  const reader = spawn("cat", [fifo], { stdio: ["ignore", openSync(join(folder, "5"), "w"), "ignore"] });
  const emptied = new Promise((resolve) => reader.on("close", resolve));
  const words = await Promise.all(
    names.map((name, index) => run(name, name === fifo ? fifo : join(folder, String(index)))),
  );
  await emptied;
  for (const [index, name] of names.entries()) {
    assert.match(words[index]!, /written +3 frames to standard output/, name);
    assert.equal(readFileSync(join(folder, String(index))), readFileSync(join(folder, "0")), name);
  }
});

test("what comes beside the report can't go to standard output", () => {
  for (const path of ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"]) {
    assert.is(framesFile().parse(path), "-");
    assert.throws(() => besideReport().parse(path), /standard output/);
  }
  assert.is(besideReport().parse("/dev/null"), "/dev/null");
  assert.is(framesFile().parse("stdout"), "stdout");
});

test.run();
