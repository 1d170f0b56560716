/** carom check against devices of somebody else: right ones pass, and each fault is found out. */

import { test } from "uvu";
import * as assert from "uvu/assert";
import { runAsJson } from "../check/report.js";
import { deviceRig } from "../check/rig.js";
import { runScripts } from "../check/runner.js";
import { selectCases, shippedScripts } from "../check/select.js";
import { decodeFrame } from "../wire/decode.js";
import { type CaseReport, check, file, parse, SCRIPT, there, withDevice } from "./check_support.js";
import { carom, labForTests, labTest } from "./lab_support.js";

const lab = labForTests({ mtu: 3000 });

labTest("a right device of plain sockets passes what plain sockets can do", async () => {
  await withDevice(lab!, "none", () => {
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
    const { status, report, cases } = check(...scripts, ...there(lab!), "--assume", "threshold=10000");
    const failed = cases.filter(({ outcome }) => outcome === "failed" || outcome === "error");
    // Linux gives any socket what goes to a group that the host is in, and every host is in this one; and it takes
    // frames from any MAC address.
    assert.equal(failed.map(({ name, reason }) => `${name}: ${reason}`).sort(), [
      "from the MAC address of a group, or of everybody: tick 1 was answered and must not be",
      "from the MAC address of a group, to the group: tick 1 was answered and must not be",
      "the group of all hosts: tick 1 was answered and must not be",
      "to the device's own address, but to the MAC address of the group: tick 1 was answered and must not be",
    ]);
    assert.is(status, 1);
    const skipped = cases.filter(({ outcome }) => outcome === "skipped");
    assert.ok(
      skipped.some(({ reason }) =>
        /needs threshold=20000, which the device is not taken to have/.test(reason),
      ),
    );
    assert.ok(skipped.some(({ reason }) => /the device has no IPv6 address here/.test(reason)));
    assert.is(report.summary.passed! + report.summary.skipped! + failed.length, report.summary.total);
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
    await withDevice(lab!, "none", () => {
      const rows: readonly (readonly [string[], string])[] = [
        [["--lab", lab!.name], "198.18.0.2 02:ca:40:00:00:02"],
        [["--lab", lab!.name, "--multicast"], "239.1.1.1 01:00:5e:01:01:01"],
        [there(lab!, "2001:2::2"), "2001:2::2 02:ca:40:00:00:02"],
        [[...there(lab!), "--target-mac", "02:ca:40:00:00:02"], "198.18.0.2 02:ca:40:00:00:02"],
      ];
      for (const [args, destination] of rows) {
        const { status, cases, stderr } = check(script, ...args);
        assert.is(status, 0, `${args.join(" ")}: ${stderr}`);
        assert.equal(destinations(cases), [destination]);
      }
      const six = check(...there(lab!), "--target-ip6", "2001:2::2", "--only", "answered over IPv6");
      assert.is(six.status, 0, six.stderr);
      assert.is(six.report.summary.passed, 1);
      const elsewhere = check(script, ...there(lab!), "--target-port", "8081");
      assert.is(elsewhere.status, 1);
      assert.match(elsewhere.cases[0]!.notes.join(), /unreachable/);
    });
  },
);

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
    await withDevice(lab!, fault, async () => {
      // Where an order is to be missing, it is waited for; where it comes, it may come late on this machine.
      const cases = await checkHere(kind === "missing" ? SCRIPT : SCRIPT.replace("200ms", "2s"));
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
  await withDevice(lab!, "price", () => {
    const { status, stdout } = carom(
      "check",
      file("faults.yaml", SCRIPT),
      ...there(lab!),
      "--only",
      "bought",
    );
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
  const { status, stderr } = check(file("faults.yaml", SCRIPT), ...there(lab!, "198.18.0.200"));
  assert.is(status, 3);
  assert.match(stderr, /find 198.18.0.200 on gen0: nobody answers; check the cable/);
});

labTest("nobody listening: ICMP tells why", () => {
  const { status, cases } = check(file("faults.yaml", SCRIPT), ...there(lab!), "--only", "the last");
  assert.is(status, 1);
  assert.equal(cases[0]!.notes, ["198.18.0.2 says by ICMP that the destination is unreachable (code 3)"]);
});

test.run();
