/** What the matrix in virtual machines (tests/vm) does without a guest: sources of packages, archives, cells, results, table. */

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { resolveLink } from "../lab/lab.js";
import { probeBackends } from "../native/index.js";
import {
  allCells,
  backendsOf,
  type Cell,
  cellId,
  DEEDS,
  DRIVERS,
  fits,
  type Kept,
  nextGuest,
  remaining,
} from "./vm/cells.js";
import { networkArguments, pairMacs, watch } from "./vm/guest.js";
import { cpio, loadOrder, needsOf } from "./vm/initramfs.js";
import { ACTS } from "./vm/inside/deeds.js";
import { programUses } from "./vm/inside/programs.js";
import { KeptResults, parseLines, stateOf } from "./vm/results.js";
import { deriveSources, parseDepends, parseSources } from "./vm/sources.js";
import { tableText, withTable } from "./vm/table.js";

const BACKENDS = [
  { name: "af_xdp", roles: ["generator", "responder"] },
  { name: "xdp", roles: ["responder"] },
  { name: "xdp_live", roles: ["generator"] },
  { name: "udp", roles: ["generator", "responder"] },
  { name: "af_packet", roles: ["generator", "responder"] },
];
const folder = mkdtempSync(join(tmpdir(), "carom-test-vm-"));
test.after(() => rmSync(folder, { recursive: true }));

test("suites are derived from the machine's own sources, of either format, and from nobody else's", () => {
  const stanzas = `# a comment
Types: deb deb-src
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/one.gpg

Types: deb
URIs: http://security.example/debian-security
Suites: bookworm-security
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mQINBF
`;
  const off = "Enabled: no\nTypes: deb\nURIs: http://off.example\nSuites: bookworm\nComponents: main\n";
  const lines = `deb-src http://mirror.example/debian bookworm main
deb [arch=amd64 signed-by=/usr/share/keyrings/one.gpg] http://mirror.example/debian bookworm main # the archive
# deb http://old.example/debian bookworm main
deb http://security.example/debian-security bookworm-security main
`;
  const vendor =
    "deb https://packages.example/apt cloud-bookworm main\ndeb https://packages.example bookworm extra\n";
  for (const [name, text] of [
    ["debian.sources", stanzas],
    ["sources.list", lines],
  ] as const) {
    const entries = [
      ...parseSources("off.sources", off),
      ...parseSources("vendor.list", vendor),
      ...parseSources(name, text),
    ];
    const derived = deriveSources(entries, "bookworm", [
      "bookworm-backports",
      "trixie-backports",
      "bookworm-security",
    ]);
    assert.equal(derived.missing, []);
    const back = parseSources("derived.sources", derived.text);
    assert.equal(
      back.map(({ uris, suites, components }) => [uris, suites, components].join(" ")),
      [
        "http://mirror.example/debian bookworm-backports main",
        "http://mirror.example/debian trixie-backports main",
        "http://security.example/debian-security bookworm-security main",
      ],
    );
    assert.is(back[0]!.signedBy, "/usr/share/keyrings/one.gpg");
    if (name === "debian.sources") assert.match(back[2]!.signedBy, /BEGIN PGP[\s\S]*mQINBF/);
  }
  const none = deriveSources(parseSources("vendor.list", vendor), "bookworm", ["bookworm-backports"]);
  assert.equal(none, { text: "", missing: ["bookworm-backports"] });
});

test("what a package depends on", () => {
  assert.equal(parseDepends("linux-a-6.1 (= 6.1.2-3), gcc-12:any | gcc, linux-b (>= 4.12~), c++"), [
    { name: "linux-a-6.1", version: "6.1.2-3" },
    { name: "gcc-12", version: undefined },
    { name: "linux-b", version: undefined },
    { name: "c++", version: undefined },
  ]);
});

test("modules are loaded behind those that they need; what is built in is left out", () => {
  const module = (text: string) => Buffer.from(`\0license=GPL\0${text}\0name=x\0`, "latin1");
  const modules: Readonly<Record<string, Buffer>> = {
    virtio_net: module("depends=net-failover,virtio\0softdep=pre: crc32c"),
    net_failover: module("depends=failover"),
    failover: module("depends="),
    crc32c: module("depends="),
    loop_a: module("depends=loop_b"),
    loop_b: module("depends=loop_a"),
  };
  assert.equal(needsOf(modules.virtio_net!), ["net_failover", "virtio", "crc32c"]);
  const order = [...loadOrder(["virtio-net", "failover", "loop_a"], (name) => modules[name]).keys()];
  assert.equal(order, ["failover", "net_failover", "crc32c", "virtio_net", "loop_b", "loop_a"]);
});

test("an initramfs is a cpio archive", () => {
  const content = Buffer.from("echo hello\n");
  const bytes = cpio([
    { path: "bin", mode: 0o040755, content: new Uint8Array() },
    { path: "bin/sh", mode: 0o120777, content: Buffer.from("busybox") },
    { path: "init", mode: 0o100755, content },
  ]);
  const file = join(folder, "archive");
  writeFileSync(file, bytes);
  // A second opinion: its fields read by another program.
  const reader = `
import sys
data, at, names = open(sys.argv[1], 'rb').read(), 0, []
while True:
    assert data[at:at+6] == b'070701', at
    field = lambda n: int(data[at+6+8*n:at+14+8*n], 16)
    mode, size, length = field(1), field(6), field(11)
    name = data[at+110:at+110+length-1].decode(); start = (at+110+length+3) & ~3
    if name == 'TRAILER!!!': break
    names.append(f'{mode:o} {name} {data[start:start+size].decode().strip()}'); at = (start+size+3) & ~3
print('\\n'.join(names))`;
  const read = execFileSync("python3", ["-c", reader, file], { encoding: "utf8" });
  assert.equal(
    read
      .trimEnd()
      .split("\n")
      .map((line) => line.trim()),
    ["40755 bin", "120777 bin/sh busybox", "100755 init echo hello"],
  );
});

test("cells come from the tables: each backend in each of its roles, and nothing twice", () => {
  const cells = allCells(["6.1", "6.12"], BACKENDS);
  const ids = cells.map(cellId);
  assert.is(new Set(ids).size, ids.length);
  for (const [id, isThere] of [
    ["6.1/-/-/load", true],
    ["6.12/igb/-/doctor", true],
    ["6.12/igb/af_xdp/run", true],
    ["6.12/igb/xdp/run", true],
    ["6.12/igb/xdp/replay", false],
    ["6.12/igb/xdp_live/check", false],
    ["6.12/igb/af_xdp/zero-copy", true],
    ["6.12/igb/xdp_live/zero-copy", false],
    ["6.1/carom_nic/udp/exact", true],
    ["6.1/carom_nic/af_xdp/exact", false],
    ["6.1/igb/udp/exact", false],
  ] as const)
    assert.is(ids.includes(id), isThere, id);
  for (const deed of DEEDS)
    assert.ok(deed.of === "kernel" || backendsOf(deed, "carom_nic", BACKENDS).length > 0, deed.name);
  const known = new Set(DRIVERS.map(({ name }) => name));
  assert.ok(cells.every(({ driver }) => driver === "-" || known.has(driver)));
});

test("each deed has what does it, and each eBPF program what loads it", () => {
  assert.equal(Object.keys(ACTS).sort(), DEEDS.map(({ name }) => name).sort());
  assert.equal(programUses().unknown, []);
  assert.equal(programUses().unused, []);
  const own = probeBackends(resolveLink("lo"), 0, false).map(({ name, roles }) => ({ name, roles }));
  for (const deed of DEEDS)
    for (const name of deed.backends ?? [])
      assert.ok(
        own.some((backend) => backend.name === name),
        name,
      );
});

test("patterns of --only", () => {
  const cell: Cell = { kernel: "6.1", driver: "veth", backend: "udp", deed: "run" };
  for (const pattern of [
    "6.1",
    "veth",
    "run",
    "6.1/veth",
    "*/veth/*/run",
    "*/*/udp",
    "6.1/veth/udp/run",
    "6.1//udp",
  ])
    assert.ok(fits(cell, pattern), pattern);
  for (const pattern of ["6.12", "6", "veth/udp", "*/igb", "6.1/veth/udp/replay", "6.1/veth/udp/run/more"])
    assert.not.ok(fits(cell, pattern), pattern);
});

const kept = (id: string, over: Partial<Kept> = {}): Kept => ({
  ...{ id, outcome: "yes", said: "", time_s: 1, state: "s1", release: "6.1.0-1" },
  ...over,
});

test("it goes on where it was: what was found in this state, on this kernel, is not tried again", () => {
  const cells = allCells(["6.1", "6.12"], BACKENDS).slice(0, 4);
  const file = join(folder, "kept.json");
  const results = new KeptResults(file);
  results.add(kept(cellId(cells[0]!)));
  results.add(kept(cellId(cells[1]!), { state: "s0" }));
  results.add(kept(cellId(cells[2]!), { release: "6.1.0-0" }));
  results.add(kept(cellId(cells[0]!), { outcome: "failed", said: "again" }));
  const again = new KeptResults(file).all;
  assert.is(again.get(cellId(cells[0]!))?.said, "again");
  const releases = new Map([["6.1", "6.1.0-1"]]);
  assert.equal(remaining(cells, again, "s1", releases), cells.slice(1));
  assert.equal(remaining(cells, again, undefined, releases), cells.slice(2));
  writeFileSync(file, "{ not whole");
  assert.is(new KeptResults(file).all.size, 0);
  const mixed = allCells(["6.1", "6.12"], BACKENDS);
  assert.ok(nextGuest(mixed).every(({ kernel }) => kernel === "6.1"));
  assert.is(nextGuest(mixed).length * 2, mixed.length);
});

test("what a guest wrote before it had to be ended", () => {
  const text =
    '{"begun":"a"}\n{"id":"a","outcome":"yes","said":"","time_s":1}\n{"begun":"b"}\n{"id":"b","outco';
  assert.equal(parseLines(text), { results: [{ id: "a", outcome: "yes", said: "", time_s: 1 }], begun: "b" });
  assert.equal(parseLines(""), { results: [], begun: undefined });
});

test("the table: one mark where kernels agree, each reason once, text of errors is no markup", () => {
  const kernels = [
    { name: "6.1", release: "6.1.0-1" },
    { name: "6.12", release: "6.12.1" },
  ];
  const results = [
    kept("6.1/-/-/load"),
    kept("6.12/-/-/load"),
    kept("6.1/igb/af_xdp/run"),
    kept("6.12/igb/af_xdp/run", { outcome: "failed", said: "a | b\n<c>" }),
    kept("6.1/igb/af_xdp/zero-copy", { outcome: "refused", said: "igb-a: EOPNOTSUPP" }),
    kept("6.12/igb/af_xdp/zero-copy", { outcome: "refused", said: "gen0: EOPNOTSUPP" }),
  ];
  const text = tableText(kernels, BACKENDS, new Map(results.map((result) => [result.id, result])));
  const lines = text.split("\n");
  assert.is(lines[0], "Kernels, in the order of the marks: 6.1.0-1, 6.12.1.");
  assert.ok(lines.includes("- every eBPF program loads: ✓"));
  const head = lines
    .find((line) => line.startsWith("| driver"))!
    .split("|")
    .map((cell) => cell.trim());
  const igb = lines.findIndex((line) => line.startsWith("| igb |"));
  const cells = lines[igb + 1]!.split(" | ").map((cell) => cell.replaceAll("|", "").trim());
  const at = (name: string) => cells[head.indexOf(name) - 1];
  assert.is(at("backend"), "af_xdp");
  assert.is(at("run"), "✓ / ✗ 1");
  assert.is(at("zero-copy"), "– 2");
  assert.is(at("replay"), "·");
  assert.is(at("doctor"), "");
  assert.ok(text.includes("1. **fails**: a \\| b \\<c\\>\n2. DEVICE: EOPNOTSUPP"));
  const document =
    "# T\n\n<!-- written by npm run vm: begin -->\nold\n<!-- written by npm run vm: end -->\nrest\n";
  const once = withTable(document, "new");
  assert.match(once, /^# T\n\n<!-- .* -->\n\nnew\n\n<!-- .* -->\nrest\n$/);
  assert.is(withTable(once, "new"), once);
  assert.throws(() => withTable("# T\n", "new"), /lacks/);
});

test("each pair of devices has a wire of its own, and addresses that tell its ends", () => {
  const hardware = ["e1000e", "igb"].map((device) => ({ device, module: device }));
  const args = networkArguments(hardware);
  assert.is(args.filter((arg) => arg.startsWith("hubport,") && arg.endsWith("hubid=1")).length, 2);
  const macs = [0, 1].flatMap(pairMacs);
  assert.is(new Set(macs).size, 4);
  for (const [index, mac] of macs.entries())
    assert.ok(
      args.some((arg) => arg.startsWith(hardware[index >> 1]!.device) && arg.includes(mac)),
      mac,
    );
});

test("a guest that spins, or waits for ever, is found out; one that gets on is not", async () => {
  const never = 1e9; // ms
  let [written, used_ms] = [0, 0];
  const still = { results: () => 7, console: () => "guest: ready at 4 s", cpuTime_ms: () => 0 };
  const [busy, idle, fine] = await Promise.all([
    watch({ limits: { busy_ms: 1000, silent_ms: never } }, () => false, {
      ...still,
      cpuTime_ms: () => (used_ms += 2000),
    }),
    watch({ limits: { busy_ms: never, silent_ms: 1 } }, () => false, { ...still, console: () => "" }),
    watch({ limits: { busy_ms: 1000, silent_ms: never } }, () => written > 2, {
      ...still,
      results: () => ++written,
      cpuTime_ms: () => written * 2000, // much, but never without a result
    }),
  ]);
  assert.match(busy, /^it has said nothing for \d+ s of its processors' time$/);
  assert.match(idle, /^not ready, it has said nothing for \d+ s$/);
  assert.is(fine, "");
});

test("the state of the tree changes with what a guest runs", () => {
  const module = join(folder, "module");
  execFileSync("mkdir", ["-p", module]);
  const root = new URL("../..", import.meta.url).pathname;
  writeFileSync(join(module, "a.c"), "int a;");
  const first = stateOf(root, module);
  assert.is(stateOf(root, module), first);
  writeFileSync(join(module, "notes.txt"), "no part of it");
  assert.is(stateOf(root, module), first);
  writeFileSync(join(module, "a.c"), "int b;");
  assert.is.not(stateOf(root, module), first);
});

test.run();
