/** What chrony and ptp4l say of the clocks, asked by their own programs: here by ones that say what those would. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Report } from "../run/report.js";
import { type DaemonFindings, followDaemons } from "../run/time_daemons.js";
import { backendTest, caromHere, jsonOf } from "./cli_support.js";
import { withLab } from "./lab_support.js";

/** chronyc -c -n tracking, of chrony 4.3: 1.5 µs + 8 µs + 0.5 × 40 µs. */
const CHRONY =
  "C0000201,192.0.2.1,2,1790000000.123456789,-0.000001500,0.000000900,0.000002100,-12.345,0.001,0.010,0.000040000,0.000008000,64.2,Normal";
/** pmc of linuxptp 3.1.1. */
const ptp = (state: string, steps: number) => `sending: GET TIME_STATUS_NP
\t2a9529.fffe.6b3bc9-0 seq 0 RESPONSE MANAGEMENT TIME_STATUS_NP\u0020
\t\tmaster_offset              -7
\t\tingress_time               1700000000000
\t\tgmPresent                  true
\t\tgmIdentity                 7a4a8e.fffe.2e63b7
\t2a9529.fffe.6b3bc9-0 seq 1 RESPONSE MANAGEMENT CURRENT_DATA_SET\u0020
\t\tstepsRemoved     ${steps}
\t\toffsetFromMaster -7.0
\t\tmeanPathDelay    500.0
\t2a9529.fffe.6b3bc9-1 seq 3 RESPONSE MANAGEMENT PORT_PROPERTIES_NP\u0020
\t\tportIdentity            2a9529.fffe.6b3bc9-1
\t\tportState               ${state}
\t\ttimestamping            HARDWARE
\t\tinterface               eth7
`;

interface Case {
  readonly name: string;
  readonly chronyc?: string; // a shell's commands
  readonly pmc?: string;
  readonly timeout_ms?: number;
  readonly check: (found: DaemonFindings) => void;
}

const LONG_MS = 60_000; // on whatever machine
const print = (text: string) => `cat <<'END'\n${text}\nEND`;

const BOTH: Case = {
  name: "both",
  chronyc: `[ "$*" = "-c -n tracking" ] || exit 9\n${print(CHRONY)}`,
  pmc: print(ptp("SLAVE", 1)),
  check: ({ readings, chrony, ptp: said }) => {
    assert.equal(chrony, { reference: "192.0.2.1", stratum: 2, error_ns: 29_500 });
    assert.equal(said, {
      ...{ grandmaster: "7a4a8e.fffe.2e63b7", is_grandmaster: false, stamps: "hardware", interface: "eth7" },
      ...{ steps_removed: 1, offset_ns: 7, path_delay_ns: 500, error_ns: 508 },
    });
    assert.ok(readings >= 2, "before and after");
  },
};

const CASES: readonly Case[] = [
  BOTH,
  {
    name: "a grandmaster's own clock",
    pmc: print(ptp("MASTER", 0).replaceAll("-7", "0").replace("500.0", "0.0")),
    check: (found) => assert.equal([found.ptp?.is_grandmaster, found.ptp?.error_ns], [true, 0]),
  },
  {
    name: "chrony that has no source, and a ptp4l that does not follow its master yet",
    chronyc: print(CHRONY.replace("Normal", "Not synchronised")),
    pmc: print(ptp("UNCALIBRATED", 1)),
    check: (found) => assert.equal([found.chrony, found.ptp], [null, null]),
  },
  {
    name: "clocks between here and the grandmaster, of which nothing is said",
    pmc: print(ptp("SLAVE", 3)),
    check: (found) => assert.equal([found.ptp?.steps_removed, found.ptp?.error_ns], [3, null]),
  },
  {
    name: "programs that fail, and print something else",
    chronyc: "echo 506 Cannot talk to daemon; exit 1",
    pmc: "head -c 1000000 /dev/zero",
    check: (found) => assert.equal([found.chrony, found.ptp], [null, null]),
  },
  {
    name: "one that is there before the run alone",
    chronyc: `[ -e "$0.asked" ] && exit 1\ntouch "$0.asked"\n${print(CHRONY)}`,
    check: (found) => assert.is(found.chrony, null),
  },
  {
    name: "one that never ends",
    chronyc: "exec sleep 1000",
    timeout_ms: 300,
    check: (found) => assert.is(found.chrony, null),
  },
];

/** With the programs of a case first in the path while something is done. */
function withPrograms<T>(
  folder: string,
  { name, chronyc = "exit 1", pmc = "exit 1" }: Case,
  action: () => T,
): T {
  const own = mkdtempSync(join(folder, name.replaceAll(" ", "-").slice(0, 9)));
  for (const [program, text] of Object.entries({ chronyc, pmc }))
    writeFileSync(join(own, program), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  const { PATH = "" } = process.env;
  process.env.PATH = `${own}:${PATH}`;
  try {
    return action();
  } finally {
    process.env.PATH = PATH;
  }
}

async function inFolder(action: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "carom-daemons-"));
  try {
    await action(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test("chrony and ptp4l are asked, whatever they do", () =>
  inFolder(async (folder) => {
    const asked = CASES.map((of) => ({
      of,
      watch: withPrograms(folder, of, () => followDaemons(folder, of.timeout_ms ?? LONG_MS)),
    }));
    await Promise.all(asked.map(({ watch }) => watch.first));
    const found = await Promise.all(asked.map(({ watch }) => watch.end()));
    for (const [index, { of }] of asked.entries()) of.check(found[index]!);
  }));

test("without a socket of ptp4l's nobody looks for it", () =>
  inFolder(async (folder) => {
    const watch = withPrograms(folder, BOTH, () => followDaemons(join(folder, "none")));
    const { ptp: said } = await watch.first;
    watch.close();
    assert.is(said, null);
  }));

backendTest("the report names who keeps the clock, and goes by what that says", ["af_packet"], () =>
  withLab({}, ({ generator }) =>
    inFolder(async (folder) => {
      const { PATH } = process.env;
      const own = withPrograms(folder, BOTH, () => process.env.PATH);
      Object.assign(process.env, { PATH: own });
      const ended = await caromHere(
        ...([
          "generate",
          "--namespace",
          generator.namespace,
          "--interface",
          generator.interfaceName,
        ] as const),
        ...[
          "--backend",
          "af_packet",
          "--cpu",
          "none",
          "--no-history",
          "--rate",
          "1k",
          "--count",
          "5",
          "--json",
        ],
        ...["--stamps", join(folder, "stamps"), "--ptp-socket", folder],
      ).finally(() => Object.assign(process.env, { PATH }));
      const { stamps, notes } = jsonOf(ended) as unknown as Report;
      const { clock, daemons } = stamps!;
      assert.is(daemons?.chrony?.error_ns, 29_500);
      assert.is(clock.error_ns, 29_500);
      assert.is(clock.bound_ns, 29_500 + clock.reading_error_ns);
      assert.match(clock.bound_reason, /chrony keeps CLOCK_REALTIME by 192\.0\.2\.1 \(stratum 2\)/);
      assert.match(notes.join(), /ptp4l keeps the clock of eth7 by the grandmaster 7a4a8e\.fffe\.2e63b7/);
    }),
  ),
);

test.run();
