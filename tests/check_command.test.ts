/** carom check as a user runs it: usage, Ctrl-C, and the shipped scripts against carom's responder on each backend. */

import { spawn, spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { namespaceName } from "../lab/lab.js";
import { decodeFrame } from "../wire/decode.js";
import { check, directory, file, type Report, SCRIPT } from "./check_support.js";
import { backendsOf, backendTest } from "./cli_support.js";
import { arrivedIn, carom, isPrivileged, labTest, MAIN, UNPRIVILEGED } from "./lab_support.js";

labTest("bad usage ends with status 2 and says what is allowed", () => {
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
  const [program, ...before] = isPrivileged ? UNPRIVILEGED : ["env"];
  const { status, stderr } = spawnSync(program!, [...before, process.execPath, MAIN, "check"], {
    encoding: "utf8",
  });
  assert.is(status, 3);
  assert.match(stderr, /make a lab/);
});

labTest("Ctrl-C ends after the case at work, tells what was found and leaves no lab", async () => {
  const script = file(
    "slow.yaml",
    `cases:
  - { name: first, quiet: 5s, send: [{ tick: { price: 1 } }], expect: [{ order: {} }] }
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
  const space = namespaceName(`p${child.pid}-1`, "generator");
  await arrivedIn(`p${child.pid}-1`, 1); // the first case's tick; its end is 5 s of quiet away
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

/** Why a backend may skip cases; the others may not skip any. */
const EXCUSES: Readonly<Record<string, RegExp>> = {
  udp: /^a UDP socket does not see (the tags of its interface|MAC addresses)$/,
  xdp: /^the driver sends a frame back the way it came$|^the kernel keeps what is remembered and takes single ticks only$/,
};

for (const backend of backendsOf("responder")) {
  backendTest(`the shipped scripts are green against carom's responder on ${backend}`, [backend], () => {
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
