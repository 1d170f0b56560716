/** The command line: its help, what it refuses and how it says so, and where it prints what. */

import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { command as check } from "../cli/check.js";
import type { CommandSpec } from "../cli/command.js";
import { commands as control } from "../cli/control.js";
import { command as doctor } from "../cli/doctor.js";
import { command as generate } from "../cli/generate.js";
import { commands as lab } from "../cli/lab.js";
import { command as respond } from "../cli/respond.js";
import { command as run } from "../cli/run.js";
import { flagName } from "../config/option.js";
import { listLabs } from "../lab/lab.js";
import type { StreamConfig } from "../native/index.js";
import { backendTest, carom, jsonOf, launch, launchIn, reportOf } from "./cli_support.js";
import { isPrivileged, labTest, MAIN, PREFIX, UNPRIVILEGED, withLab } from "./lab_support.js";

/** What these tests look at of a report's plan. */
interface Plan {
  readonly generator: { readonly count: number; readonly streams: readonly StreamConfig[] };
}

const COMMANDS: readonly CommandSpec[] = [run, respond, generate, check, doctor, ...lab, ...control.values()];
const NAMES = ["run", "respond", "generate", "check", "lab", "doctor", ...control.keys()];

/** Without the line breaks that the width of the terminal makes. */
const flat = (text: string) => text.replace(/\s+/g, " ");

test("the help lists every command, and what the exit statuses mean", async () => {
  const { status, stdout, stderr } = await carom("--help");
  assert.is(status, 0);
  assert.is(stderr, "");
  for (const name of NAMES) assert.match(stdout, new RegExp(`^  ${name} `, "m"));
  assert.match(flat(stdout), "Exit status: 0 all as expected, 1 ");
  assert.match(flat(stdout), "2 bad usage or configuration, 3 this machine can't do it");
  assert.equal(await carom(), { status, signal: null, stdout, stderr }, "without arguments, too");
});

for (const spec of COMMANDS) {
  test(`the help of carom ${spec.name} has every option, and the exit statuses`, async () => {
    const { status, stdout, stderr } = await carom(...spec.name.split(" "), "--help");
    assert.is(status, 0);
    assert.is(stderr, "");
    const text = flat(stdout);
    assert.ok(text.includes(flat(spec.description)), "its description");
    for (const [name, { value, description, fallback, group }] of Object.entries(spec.options)) {
      const usage = `--${flagName(name)} ${value === "" ? "" : `<${value}> `}${flat(description)}`;
      assert.ok(text.includes(fallback === undefined ? usage : `${usage} (default: ${fallback})`), usage);
      assert.ok(text.includes(`${group}: `), group);
    }
    for (const [example, says] of spec.examples ?? []) {
      assert.ok(text.includes(flat(example)) && text.includes(flat(says)), example);
    }
    for (const option of ["--config <file>", "--json", "-h, --help"])
      assert.ok(text.includes(option), option);
    assert.match(text, "Exit status: 0 all as expected, 1 ");
  });
}

test("the help of carom lab lists what it can do", async () => {
  const { status, stdout } = await carom("lab", "--help");
  assert.is(status, 0);
  for (const name of ["up", "down", "exec", "list"]) assert.match(stdout, new RegExp(`^  ${name} `, "m"));
});

test("--version is that of package.json", async () => {
  const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
  assert.equal(await carom("--version"), { status: 0, signal: null, stdout: `${version}\n`, stderr: "" });
});

/** Bad command lines, and what is said about them; none of them starts anything. */
const REFUSED: readonly (readonly [line: string, says: RegExp])[] = [
  ["frobnicate", /unknown command 'frobnicate'/],
  ["run --nope", /unknown option '--nope'/],
  ["run extra", /too many arguments/],
  ["run --duration", /'--duration <time>' argument missing/],
  ["run --duration 5", /^carom: --duration: "5" is not a time such as 200us, 1\.5ms or 10s/m],
  ["run --backend dpdk", /^carom: --backend: "dpdk" is not one of .*af_xdp.*af_packet.*udp/m],
  ["run --trigger-ratio 1.5", /--trigger-ratio: "1\.5" is not a number from 0 to 1/],
  ["run --multicast-group 10.0.0.1", /--multicast-group: "10\.0\.0\.1" is not a multicast address/],
  ["run --rate 1k --window 4", /^carom: --rate with --window: .*give one of them/m],
  ["run --rate 50M", /^carom: --rate 50000000: the link carries 13,888,888 such .*--link-speed/],
  ["run --rate max --window 4", /--rate with --window/],
  ["run --rate max --scale 2x", /--scale: there is nothing to scale/],
  ["run --rate max --late skip", /--late: a closed loop, or --rate max, has no schedule/],
  ["run --rate max --tolerance 1us@p99", /--tolerance: a closed loop, or --rate max, has no schedule/],
  ["run --interface lo --lab x", /^carom: --interface with --lab: .*give one of them/m],
  ["run --namespace x", /--namespace: .*--interface/],
  ["run --threshold 0", /--threshold 0: no price is below it.*--trigger-ratio 0/],
  ["run --match price --window 2000", /--match price: .*--price-span/],
  ["run --symbols ZZZ", /--symbols: none of them is in the feed.*--feed-symbols/],
  ["run --strategy guess", /--strategy: "guess" is not one of threshold, echo, crossover, book/],
  [
    "run --strategy crossover --fast 20",
    /--fast and --slow: .*20 ticks is not slower .*make --slow the larger/,
  ],
  ["run --strategy crossover --slow 0", /--slow: "0" is not a whole number from 1 to 10000/],
  ["run --strategy book --spread 0", /--spread: "0" is not a whole number from 1 to/],
  ["run --symbols 5", /--symbols: threshold remembers nothing of a symbol.*listed as 5,/],
  ["run --strategy echo --symbols 5", /--symbols: echo remembers nothing of a symbol/],
  ["run --strategy book --symbols 0", /--symbols: "0" is not .* a number of symbols from 1 to 1048576/],
  ["run --strategy book --symbols 5,", /--symbols: none of them is in the feed.*--feed-symbols/],
  ["run --strategy crossover --symbols ZZZ", /--symbols: none of them is in the feed/],
  ["run --strategy echo --match price", /--match price: .*the strategy is echo; use --match clordid or fifo/],
  ["run --strategy book --match price", /--match price: only threshold/],
  ["respond --interface lo --strategy crossover --fast 9 --slow 9", /--fast and --slow: .*not slower/],
  ["run --strategy crossover --fast 9900 --slow 10000", /--fast and --slow: .*never cross/],
  ["respond --interface lo --answer-limit=-1", /--answer-limit: "-1" is not a whole number from 0/],
  ["run --target-ip 2001:2::2", /--target-ip: it is of another family than the multicast group/],
  ["run --backend udp --queue 1", /--queue: .*udp/],
  ["run --interface eth77", /interface eth77: there is no such interface; interfaces that exist: .*\blo\b/],
  [
    "run --interface lo --namespace nowhere",
    /interface lo in \S*nowhere: there is no such network namespace/,
  ],
  ["run --interface lo --no-multicast", /no --target-ip was given; pass --target-ip/],
  ["run --lab nowhere", /lab nowhere: there is no such lab/],
  ["respond", /it needs either --interface or --lab/],
  ["respond --interface lo --lab x", /either --interface or --lab/],
  [
    "respond --interface lo --response-ip 198.18.0.1",
    /--response-ip and --response-mac: .*give both or none/,
  ],
  ["generate --rate 1k", /neither --interface nor --lab was given/],
  ["generate --lab x", /none of --rate, --profile and --streams was given/],
  ["lab frobnicate", /unknown command 'frobnicate'/],
  ["lab up --name UPPER", /--name: "UPPER" is not a name of 1 to 24 lower-case letters/],
  ["lab up --mtu 67", /--mtu: "67" is not a whole number from 68 to 65535/],
  ["lab exec nobody -- true", /there is no such lab|"nobody" is no role/],
  ["lab down one --all", /--all takes no name/],
  ["doctor --interface eth77", /eth77: there is no such interface/],
  ["check --only nothing-has-this-name", /no case has this in its name/],
];

for (const [line, says] of REFUSED) {
  // Whether there may be a lab is looked at first.
  const make = line.startsWith("run ") ? labTest : test;
  make(`carom ${line} is refused as bad usage`, async () => {
    const { status, stdout, stderr } = await carom(...line.split(" "));
    assert.match(stderr, says);
    assert.is(status, 2, stderr);
    assert.is(stdout, "", "standard output is for results");
    assert.ok(stderr.trimEnd().split("\n").length <= 2, `no more than it takes: ${stderr}`);
  });
}

test("with --json a refusal is one object, too, whoever refuses", async () => {
  for (const line of [
    "run --json --rate 1k --window 4",
    "run --json --interface eth77",
    "run --json --nope",
  ]) {
    const ended = await carom(...line.split(" "));
    assert.is(ended.status, 2);
    const { error } = jsonOf(ended) as { error: Record<string, string> };
    assert.is(error.code, "usage", line);
    assert.ok(error.operation !== "" && error.detail !== "", line);
    assert.ok(ended.stderr.includes(error.detail!), "and for people it is on standard error");
  }
});

function withFile(content: string, action: (path: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "carom-cli-"));
  const path = join(folder, "my.conf");
  writeFileSync(path, content);
  return action(path).finally(() => rmSync(folder, { recursive: true }));
}

test("a mistake in a configuration file is told with file and line", () =>
  withFile("# mine\nrate=1k\nwidnow=3\n", async (path) => {
    const { status, stdout, stderr } = await carom("run", "--config", path);
    assert.is(status, 2);
    assert.is(stdout, "");
    assert.ok(stderr.startsWith(`carom: ${path}:3: unknown key "widnow"; allowed are: `), stderr);
    assert.match(stderr, /\bwindow\b/);
  }));

test("a configuration file that is not there is told", async () => {
  const { status, stderr } = await carom("run", "--config", "/nowhere/my.conf");
  assert.is(status, 2);
  assert.match(stderr, /configuration file \/nowhere\/my\.conf: ENOENT; check the path given with --config/);
});

labTest("flags win over the configuration file, which wins over the defaults", () =>
  withFile("count=300\nseed=7\nwarmup=0\ntarget_port=8181\nbackend=udp\n", async (path) => {
    const report = reportOf(await carom("run", "--config", path, "--seed", "8", "--json"));
    const { generator } = report.plan as Plan;
    const { ticks, lines } = generator.streams[0]!;
    assert.is(generator.count, 300);
    assert.is(ticks.seed, "8");
    assert.is(lines[0]!.destinationPort, 8181);
    assert.is(ticks.priceSpan, 1000);
    assert.is(report.ticks.sent, 300);
    assert.is(report.warmup.sent, 0);
  }),
);

labTest("the five fixed keys of a configuration file make a run", () =>
  withFile(
    "target_ip=198.18.0.2\ntarget_port=8080\nprotocol=udp\nmulticast=true\nmulticast_group=239.1.1.9\n",
    async (path) => {
      const ended = await carom("run", "--config", path, "--count", "200", "--warmup", "0", "--json");
      const report = reportOf(ended);
      assert.is(report.verdicts.correct, report.ticks.answered);
      assert.is((report.plan as Plan).generator.streams[0]!.lines[0]!.destinationAddress, "239.1.1.9");
      assert.is(ended.status, 0);
    },
  ),
);

test("without privileges it says which are missing, and what works without", async () => {
  const ended = await launch([...(isPrivileged ? UNPRIVILEGED : []), process.execPath, MAIN, "run", "--json"])
    .end;
  assert.is(ended.status, 3, ended.stderr);
  assert.match(
    ended.stderr,
    /make a lab: this process lacks CAP_NET_ADMIN and CAP_SYS_ADMIN; run as root, or/,
  );
  assert.match(ended.stderr, "--user-namespace --backend af_packet");
  assert.is((jsonOf(ended) as { error: { code: string } }).error.code, "environment");
});

labTest("an interface that is down, or has no carrier, is refused with what to do", () =>
  withLab({}, async ({ generator, responder }) => {
    const link = ["--interface", "gen0", "--namespace", generator.namespace] as const;
    spawnSync("nsenter", [`--net=${responder.namespace}`, "ip", "link", "set", "dut0", "down"]);
    const dead = await carom("run", ...link);
    assert.is(dead.status, 3);
    assert.match(dead.stderr, /gen0 in \S+: it has no carrier; check the cable, or bring the other end up/);
    spawnSync("nsenter", [`--net=${generator.namespace}`, "ip", "link", "set", "gen0", "down"]);
    const down = await carom("run", ...link);
    assert.is(down.status, 3);
    assert.match(down.stderr, /gen0 in \S+: it is down; bring it up: nsenter .*ip link set gen0 up/);
  }),
);

backendTest("a queue that the interface does not have is refused", ["af_xdp"], async () => {
  const { status, stdout, stderr } = await carom("run", "--queue", "5", "--duration", "100ms");
  assert.is(status, 3, stderr);
  assert.is(stdout, "");
  assert.match(stderr, /^carom: af_xdp on (gen|dut)0: .*queue 5: .*; .*ethtool -l/m);
});

labTest("hardware timestamps are refused where there is no hardware clock", async () => {
  const { status, stderr } = await carom("run", "--timestamps", "hardware", "--duration", "100ms");
  assert.is(status, 3);
  assert.match(
    stderr,
    /hardware timestamps on gen0: gen0 has no hardware clock; use --timestamps kernel or tsc, or auto/,
  );
});

backendTest("a port in use is refused with the port", ["udp"], () =>
  withLab({}, async ({ name, generator, responder }) => {
    const hold = (port: number) =>
      `require("node:dgram").createSocket("udp4").bind(${port}, () => console.log("bound"));`;
    const orders = launchIn(generator.namespace, hold(9999));
    const ticks = launchIn(responder.namespace, hold(8080));
    try {
      await Promise.all([orders.said("bound"), ticks.said("bound")]);
      const run = await carom(
        "run",
        "--lab",
        name,
        "--no-responder",
        "--backend",
        "udp",
        "--duration",
        "100ms",
      );
      assert.is(run.status, 3, run.stderr);
      assert.match(run.stderr, /9999/);
      assert.match(run.stderr, /in use|EADDRINUSE/);
      const respond = await carom(
        "respond",
        "--lab",
        name,
        "--name",
        PREFIX,
        "--backend",
        "udp",
        "--duration",
        "100ms",
      );
      assert.is(respond.status, 3, respond.stderr);
      assert.match(respond.stderr, /8080/);
      assert.match(respond.stderr, /in use|EADDRINUSE/);
    } finally {
      orders.child.kill("SIGKILL");
      ticks.child.kill("SIGKILL");
    }
  }),
);

labTest("a refused run leaves no lab", async () => {
  const pids = new Set(listLabs().map(({ pid }) => pid));
  for (const more of ["--timestamps hardware", "--queue 9", "--match price --rate 1M"]) {
    const { status } = await carom("run", "--duration", "100ms", ...more.split(" "));
    assert.ok(status === 2 || status === 3, more);
  }
  const left = listLabs().filter(({ pid, alive }) => !pids.has(pid) && !alive);
  assert.equal(left, []);
});

test.run();
