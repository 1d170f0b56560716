/** The doctor: what it says agrees with what other programs say, and it says it without a native core, too. */

import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Diagnosis, Finding } from "../lab/doctor.js";
import { formatCores, parseCores, readText } from "../lab/finding.js";
import { listLabs } from "../lab/lab.js";
import { xdpFindings } from "../lab/nic.js";
import { attachXdpPass, backendNames, type Link, probeBackends, xdpFeatures } from "../native/index.js";
import { labTest, launch, MAIN, NOBODY, ordinaryUserTest, sleep, withLab } from "./lab_support.js";

type Said = Diagnosis & { readonly usable: readonly string[] };

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const TITLES = [
  "machine",
  "capabilities",
  "clock",
  "settings",
  "tools",
  "interface",
  "backends",
  "interference",
];
const isBuilt = existsSync(join(ROOT, "native/build/Release/carom.node"));

/** A test that needs the native core; skipped where it is not built. */
function coreTest(name: string, action: () => void | Promise<void>): void {
  if (isBuilt) labTest(name, action);
  else test.skip(`${name} (the native core is not built)`);
}

function doctor(args: readonly string[], before: readonly string[] = [], main = MAIN) {
  const [file = "", ...rest] = [...before, process.execPath, main, "doctor", "--quick", ...args];
  const { status, stdout, stderr, pid } = spawnSync(file, rest, { encoding: "utf8" });
  return { status, stdout, stderr, pid };
}

const ONE_CORE = ["taskset", "--cpu-list", "0"]; // where the cores are not the point: it takes half the time

function parse(text: string): Said {
  return JSON.parse(text) as Said;
}

function find(said: Said, title: string, name: string): Finding {
  const section = said.sections.find((candidate) => candidate.title === title);
  const finding = section?.findings.find((candidate) => candidate.name === name);
  assert.ok(finding !== undefined, `${title} has ${name}`);
  return finding as Finding;
}

const output = (file: string, ...args: string[]) => execFileSync(file, args, { encoding: "utf8" }).trim();

test("lists of cores are read and written as the kernel does", () => {
  for (const [text, cores] of [
    ["", []],
    ["0", [0]],
    ["0-1", [0, 1]],
    ["0-2,5,7-8", [0, 1, 2, 5, 7, 8]],
  ] as const) {
    assert.equal(parseCores(text), [...cores]);
    assert.is(formatCores(cores), text);
  }
  assert.equal(parseCores("(null)"), []);
});

coreTest("in a lab of its own it tries every backend, and agrees with others about this machine", () => {
  const { status, stdout, stderr, pid } = doctor(["--json"]);
  assert.is(status, 0, stderr);
  assert.is(stdout.trim().split("\n").length, 1, "one JSON object");
  const said = parse(stdout);
  assert.is(said.schema, "carom.doctor");
  assert.is(said.version, 1);
  assert.equal(
    said.sections.map((section) => section.title),
    TITLES,
  );
  for (const { title, findings } of said.sections) {
    assert.ok(findings.length > 0, title);
    for (const { name, value, status, change } of findings) {
      assert.ok(name !== "" && value !== "", `${title}: ${name}`);
      assert.ok(["ok", "note", "problem"].includes(status));
      if (status === "ok") assert.is(change, "", `${name} is fine as it is`);
    }
  }
  assert.match(find(said, "machine", "kernel").value, output("uname", "-r"));
  assert.match(find(said, "machine", "processor").value, `${output("nproc", "--all")} core`);
  assert.match(
    find(said, "settings", "net.core.rmem_max").value,
    output("sysctl", "-n", "net.core.rmem_max"),
  );
  assert.is(
    find(said, "tools", "ethtool").value,
    output("ethtool", "--version").replace("ethtool version ", ""),
  );
  assert.is(find(said, "capabilities", "CAP_NET_ADMIN").status, "ok");
  assert.is(find(said, "interface", "driver").value, "veth");
  assert.match(find(said, "interface", "addresses").value, "198.18.0.1, 2001:2::1");
  assert.match(find(said, "interface", "offloads").value, "tx checksums off");
  assert.match(find(said, "interface", "timestamps").value, "hardware: none", "veth has no clock");
  assert.equal(
    said.backends.map((probe) => probe.name),
    backendNames(),
  );
  assert.equal(
    said.usable,
    said.backends.filter((probe) => probe.reason === "").map((probe) => probe.name),
  );
  assert.ok((said.clock?.frequencyHz ?? 0) > 1e8);
  assert.match(
    find(said, "clock", "CLOCK_REALTIME").value,
    /^(disciplined, off by .* at most|nothing disciplines it)/,
  );
  assert.is(said.link, null);
  assert.not.ok(
    listLabs().some((lab) => lab.pid === pid),
    "its lab is gone",
  );
});

coreTest("every core is watched, and its stops are counted once", () => {
  const said = parse(doctor(["--json", "--interface", "lo"]).stdout);
  assert.is(said.cores.length, Number(output("nproc")));
  for (const core of said.cores) {
    assert.ok(core.observed_ns > 0.8e9, `${core.observed_ns} ns were watched`);
    assert.is(
      core.histogram.reduce((sum, count) => sum + count, 0),
      core.count,
    );
    assert.ok(core.total_ns >= core.max_ns && core.total_ns >= core.count * 3000);
    assert.match(find(said, "interference", `core ${core.cpu}`).value, "times a second");
  }
  const one = parse(doctor(["--json", "--interface", "lo"], ONE_CORE).stdout);
  assert.equal(
    one.cores.map((core) => core.cpu),
    [0],
  );
});

coreTest("it attaches nothing to an interface that is named, unless it is told to try", () =>
  withLab({}, (lab) => {
    // Held by a program of somebody else's: whoever attaches one finds out.
    const detach = attachXdpPass(lab.generator, lab.responder);
    try {
      const attaching = ["af_xdp", "xdp", "xdp_live"];
      for (const tries of [false, true]) {
        const probes = probeBackends(lab.generator, 0, tries);
        assert.equal(
          probes.map(({ tried }) => tried),
          probes.map(() => tries),
        );
        for (const { name, reason } of probes) {
          if (!attaching.includes(name)) assert.is(reason, "", name);
          else if (tries) assert.match(reason, /EBUSY/, name);
          else assert.is(reason, "", name);
        }
      }
    } finally {
      detach();
    }
    const features = xdpFeatures(lab.generator);
    if (features !== null) assert.is(features & 1, 1, "veth has native XDP");
  }),
);

coreTest("it says that nothing was attached, and what --try does", () =>
  withLab({}, (lab) => {
    const inLab = ["--json", "--interface", "gen0", "--namespace", lab.generator.namespace];
    const said = parse(doctor(inLab, ONE_CORE).stdout);
    assert.equal(said.link, lab.generator);
    assert.match(find(said, "backends", "af_xdp").value, /^loads, and is not tried without --try/);
    assert.match(find(said, "backends", "udp").value, /^usable/);
    assert.match(find(said, "interface", "XDP").value, /^native|^unknown/);
    const tried = parse(doctor([...inLab, "--try"], ONE_CORE).stdout);
    assert.ok(tried.backends.every((probe) => probe.tried));
    assert.match(find(tried, "backends", "af_xdp").value, /^usable/);
    const alone = doctor(["--try"]);
    assert.is(alone.status, 2);
    assert.match(alone.stderr, /--try: it is about --interface/);
    const nowhere = doctor(["--namespace", lab.generator.namespace]);
    assert.is(nowhere.status, 2);
    assert.match(nowhere.stderr, /--namespace: it is that of --interface/);
    const loopback = parse(doctor(["--json", "--interface", "lo"], ONE_CORE).stdout);
    assert.match(find(loopback, "backends", "xdp").value, /an MTU of \d+ does not fit into one page/);
  }),
);

test("XDP features by the kernel's bits", () => {
  const link = { interfaceName: "eth9" } as Link;
  const values = (features: number | null, driver = "ice") =>
    xdpFindings(link, features, driver).map(({ name, status, value }) => `${name} ${status}: ${value}`);
  const insist = "carom run --copy-mode zero-copy insists on it";
  assert.equal(values(0b1011), [
    "XDP ok: native: takes programs, redirects, zero-copy AF_XDP",
    `zero-copy ok: offered: ${insist}`,
  ]);
  assert.is(values(0b11)[1], "zero-copy note: the driver ice has none: af_xdp copies each frame");
  assert.equal(values(0, "e1000e"), [
    "XDP note: generic alone: the driver e1000e has none of its own, or not now",
  ]);
  assert.match(
    values(null, "igb")[0]!,
    /unknown.*6\.3 on; igb has native XDP since Linux 5\.10, no zero-copy/,
  );
  assert.match(values(null, "e1000e")[0]!, /e1000e is not known to have any: generic XDP/);
  assert.match(xdpFindings(link, null, "igb")[0]!.change, /--interface eth9 --try/);
});

coreTest("it advises only what this machine has", () => {
  const said = parse(doctor(["--json", "--interface", "lo"]).stdout);
  const advice = said.sections
    .flatMap((section) => section.findings.map((finding) => finding.change))
    .join("\n");
  const governor = readText("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") ?? "performance";
  assert.is(advice.includes("cpupower"), governor !== "performance");
  assert.is(advice.includes("nohz_full"), readText("/sys/devices/system/cpu/nohz_full") === "");
  assert.is(
    advice.includes("isolcpus"),
    readText("/sys/devices/system/cpu/isolated") === "" && said.cores.length > 1,
  );
  assert.not.ok(advice.includes("lro off"), "lo has none");
});

coreTest("an interface that is named is the one that is looked at", () => {
  const said = parse(doctor(["--json", "--interface", "lo", "--queue", "7"], ONE_CORE).stdout);
  assert.is(said.link?.interfaceName, "lo");
  assert.match(find(said, "interface", "interface").value, /^lo, /);
  const queues = find(said, "interface", "queues");
  assert.is(queues.status, "problem");
  assert.match(queues.value, "there is no queue 7");
  const missing = doctor(["--interface", "eth77"]);
  assert.is(missing.status, 2);
  assert.match(missing.stderr, /there is no such interface; interfaces that exist: .*\blo\b/);
});

ordinaryUserTest("without privileges it says what is missing, and what works all the same", () => {
  const lab = doctor(["--json"], [...ONE_CORE, ...NOBODY]);
  assert.is(lab.status, 3);
  const said = parse(lab.stdout);
  assert.equal(said.usable, []);
  for (const name of ["CAP_NET_RAW", "CAP_NET_ADMIN", "CAP_SYS_ADMIN", "CAP_BPF", "CAP_IPC_LOCK"]) {
    assert.is(find(said, "capabilities", name).status, "note");
    assert.is(find(said, "capabilities", name).change, "run as root");
  }
  const refused = find(said, "interface", "lab");
  assert.is(refused.status, "problem");
  assert.match(refused.value, "this process lacks CAP_NET_ADMIN and CAP_SYS_ADMIN");
  assert.match(refused.change, "--user-namespace");
  const loopback = doctor(["--json", "--interface", "lo"], [...ONE_CORE, ...NOBODY]);
  assert.is(loopback.status, 0);
  assert.ok(parse(loopback.stdout).usable.includes("udp"), "sockets need no privilege");
  assert.match(find(parse(loopback.stdout), "backends", "af_packet").value, "EPERM");
});

coreTest("for people it fits 110 columns, and marks every finding", () => {
  const { status, stdout, stderr } = doctor(["--interface", "lo"], ONE_CORE);
  assert.is(status, 0, stderr);
  const lines = stdout.split("\n");
  for (const line of lines) assert.ok([...line].length <= 110, line);
  for (const title of TITLES)
    assert.ok(
      lines.some((line) => line.startsWith(title)),
      title,
    );
  assert.match(stdout, /^ [✓!✗] clock source {2,}\S/m);
  assert.match(stdout, /^ [✓!✗] +0 +\d+ +\d+\.\d\d % +\S+ \S+( +\d+){4}$/m);
  assert.match(stdout, /^Usable backends: .*udp.*\.\n\d+ problems?, \d+ notes?\.$/m);
});

coreTest("interrupted, it ends at once and leaves no lab", async () => {
  const program = launch([process.execPath, MAIN, "doctor"], "ignore");
  await program.firstLine;
  await sleep(1500);
  program.child.kill("SIGINT");
  assert.is((await program.end).status, 130);
  const pid = program.child.pid;
  assert.not.ok(listLabs().some((lab) => lab.pid === pid));
});

test("without the native core it still tells the rest", () => {
  const elsewhere = mkdtempSync(join(tmpdir(), "carom-doctor-"));
  try {
    for (const folder of ["cli", "config", "generator", "lab", "native", "responder", "run", "wire"]) {
      cpSync(join(ROOT, "dist", folder), join(elsewhere, "dist", folder), { recursive: true });
    }
    cpSync(join(ROOT, "package.json"), join(elsewhere, "package.json"));
    mkdirSync(join(elsewhere, "native"));
    symlinkSync(join(ROOT, "node_modules"), join(elsewhere, "node_modules"));
    const { status, stdout } = doctor(
      ["--json", "--interface", "lo"],
      [],
      join(elsewhere, "dist/cli/main.js"),
    );
    assert.is(status, 3);
    const said = parse(stdout);
    assert.equal(said.usable, []);
    assert.is(said.clock, null);
    assert.is(find(said, "clock", "clock").status, "problem");
    assert.match(find(said, "clock", "clock").change, "npm run build");
    assert.match(find(said, "machine", "kernel").value, output("uname", "-r"));
    assert.match(find(said, "interface", "addresses").value, "127.0.0.1");
  } finally {
    rmSync(elsewhere, { recursive: true, force: true });
  }
});

test.run();
