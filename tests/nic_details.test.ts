/** What is made of ethtool's words, of NICs that are not here. */

import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  clockFindings,
  filterFindings,
  firmwareFindings,
  hashedFields,
  spreadOf,
  steerCommand,
  steeringFindings,
  steeringOf,
} from "../lab/nic_details.js";

const TABLE = `RX flow hash indirection table for eth1 with 4 RX ring(s):
    0:      0     1     2     3     0     1     2     3
    8:      0     1     2     3     0     1     2     3
RSS hash key:
6d:5a:56:da:25:5b:0e:c2
RSS hash function:
    toeplitz: on
    xor: off
    crc32: off
`;
const ALL_TO_TWO = TABLE.replaceAll(/[013](?=[ \n])/g, "2")
  .replaceAll("2 RX", "4 RX")
  .replace(/^ {4}2:/gm, "    0:");
const HASH = `UDP over IPV4 flows use these fields for computing Hash flow key:
IP SA
IP DA
L4 bytes 0 & 1 [TCP/UDP src port]
L4 bytes 2 & 3 [TCP/UDP dst port]
`;
const STAMPS = (
  modes: readonly string[],
  clock = "PTP Hardware Clock: 3",
) => `Time stamping parameters for eth1:
Capabilities:
\thardware-transmit
\tsoftware-receive
${clock}
Hardware Transmit Timestamp Modes:
\toff
\ton
Hardware Receive Filter Modes:
${modes.map((mode) => `\t${mode}`).join("\n")}
`;

test("the table of RSS, and what a datagram is spread by", () => {
  assert.equal(spreadOf(TABLE), { queues: [0, 1, 2, 3], by: "toeplitz" });
  assert.equal(spreadOf(ALL_TO_TWO)?.queues, [2]);
  assert.is(spreadOf("Cannot get RX flow hash indirection table: Operation not supported\n"), null);
  assert.is(spreadOf(""), null);
  assert.is(hashedFields(HASH), "addresses and ports");
  assert.is(hashedFields(HASH.replaceAll(/^L4.*$/gm, "")), "addresses");
  assert.is(hashedFields("Cannot get RX network flow hashing options: Operation not supported"), "");
});

test("what makes a feed come by one queue, as the driver can", () => {
  const of = (ntuple: string, table = TABLE) => steeringOf(table, HASH, `ntuple-filters: ${ntuple}\n`);
  const rule = "ethtool -N eth1 flow-type udp4 dst-port PORT action 2";
  for (const [steering, queue, wanted] of [
    [of("on"), 2, rule],
    [of("off"), 2, `ethtool -K eth1 ntuple on && ${rule}`],
    [of("off [fixed]"), 0, "ethtool -X eth1 equal 1, or ethtool -L eth1 combined 1"],
    [of("off [fixed]"), 2, "ethtool -L eth1 combined 1"],
    [of("off [fixed]", ""), 0, "ethtool -L eth1 combined 1"],
    [steeringOf("", "", ""), 0, "ethtool -L eth1 combined 1"],
  ] as const)
    assert.is(steerCommand("eth1", queue, steering), wanted);
  const told = (steering: Parameters<typeof steeringFindings>[0]) =>
    steeringFindings(steering).map(({ value }) => value);
  assert.equal(told(of("on")), [
    "over 4 queues by toeplitz, UDP by its addresses and ports",
    "ntuple filters",
  ]);
  assert.equal(told(of("off", ALL_TO_TWO)), ["all to queue 2", "ntuple filters, switched off"]);
  assert.equal(told(of("off [fixed]", "")), ["the driver has no ntuple filters"]);
});

test("which frames it stamps, by which clock", () => {
  assert.is(filterFindings("eth1", STAMPS(["none", "all"]))[0]!.status, "ok");
  const [some] = filterFindings("eth1", STAMPS(["none", "ptpv1-l4-event", "ptpv2-event"]));
  assert.is(some!.status, "note");
  assert.match(some!.value, /^ptpv1-l4-event, ptpv2-event: it can't stamp every received frame/);
  assert.equal(filterFindings("eth1", STAMPS(["none"])), []);
  assert.equal(filterFindings("eth1", ""), []);
  assert.match(clockFindings("eth1", STAMPS(["all"]))[0]!.value, /^\/dev\/ptp3.*ptp4l -i eth1/);
  const newer = STAMPS(["all"], "Hardware timestamp provider index: 5");
  assert.match(clockFindings("eth1", newer)[0]!.value, /^\/dev\/ptp5/, "as ethtool has it from 6.14 on");
  assert.equal(clockFindings("eth1", STAMPS(["all"], "PTP Hardware Clock: none")), []);
});

test("firmware, and where the NIC is", () => {
  const text = "driver: igb\nversion: 6.1.0\nfirmware-version: 3.25, 0x800005cc\nbus-info: 0000:01:00.0\n";
  assert.is(firmwareFindings(text)[0]!.value, "3.25, 0x800005cc, on 0000:01:00.0");
  assert.equal(firmwareFindings("driver: veth\nfirmware-version: \nbus-info: \n"), []);
});

test.run();
