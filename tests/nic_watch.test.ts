/** What is changed on a NIC is put back: when carom ends, when it is killed, and when what watches over it is killed, too. */

import { execFileSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { allowedCores } from "../lab/finding.js";
import type { Lab } from "../lab/lab.js";
import { isOn, NIC_DIRECTORY, restoreNics } from "../lab/nic_changes.js";
import { watchNic } from "../lab/nic_watch.js";
import type { Link } from "../native/index.js";
import { backendTest, carom, launch } from "./cli_support.js";
import {
  isEnded,
  labTest,
  MAIN,
  PREFIX,
  programTest,
  thrown,
  until,
  watchersOf,
  withLab,
} from "./lab_support.js";

const MODULE = new URL("../lab/nic_watch.js", import.meta.url).href;

const inside = ({ namespace }: Link) => ["nsenter", `--net=${namespace}`, "--"] as const;

function hasGro(link: Link): boolean {
  const [file, ...args] = [...inside(link), "ethtool", "-k", link.interfaceName];
  return isOn(execFileSync(file!, args, { encoding: "utf8" }), "gro")!;
}

/** Those of an interface; others may be at work on their own. */
function records(link: Link): string[] {
  return existsSync(NIC_DIRECTORY)
    ? readdirSync(NIC_DIRECTORY).filter((name) => {
        const text = readFileSync(join(NIC_DIRECTORY, name), "utf8");
        return text.includes(`"namespace":${JSON.stringify(link.namespace)}`);
      })
    : [];
}

/** A process that changes it, and what watches over it. */
async function holder(link: Link, on: boolean) {
  const script = `
    import { watchNic } from ${JSON.stringify(MODULE)};
    watchNic(${JSON.stringify(link)}, [{ kind: "feature", feature: "gro", on: ${on} }]);
    console.log("held");
    setInterval(() => {}, 1000);`;
  const process_ = launch([process.execPath, "--input-type=module", "-e", script]);
  await process_.said("held");
  const watchers = watchersOf(process_.child.pid!);
  assert.is(watchers.length, 1, "one process watches");
  return { ...process_, watcher: watchers[0]! };
}

const ethtoolTest = (name: string, action: () => Promise<void>) =>
  programTest("ethtool", name, action, labTest);

ethtoolTest("released, it is as it was; while it is held, nobody puts it back", () =>
  withLab({}, async ({ responder: link }) => {
    const before = hasGro(link);
    const watch = watchNic(link, [{ kind: "feature", feature: "gro", on: !before }]);
    assert.is(hasGro(link), !before);
    assert.is(records(link).length, 1, "written down");
    restoreNics();
    assert.is(hasGro(link), !before, "it is not abandoned");
    assert.equal(watch.release(), []);
    assert.is(hasGro(link), before);
    assert.equal(records(link), []);
    assert.equal(watch.release(), [], "twice is no harm");
  }),
);

ethtoolTest("what is as it should be is not changed, and not put back", () =>
  withLab({}, async ({ responder: link }) => {
    const before = hasGro(link);
    const watch = watchNic(link, [{ kind: "feature", feature: "gro", on: before }]);
    execFileSync(inside(link)[0], [
      ...inside(link).slice(1),
      "ethtool",
      "-K",
      link.interfaceName,
      "gro",
      before ? "off" : "on",
    ]);
    assert.equal(watch.release(), []);
    assert.is(hasGro(link), !before, "that was somebody else");
  }),
);

ethtoolTest("killed, it is put back by what watches; both killed, by the next one", () =>
  withLab({}, async ({ responder: link }) => {
    const before = hasGro(link);
    const first = await holder(link, !before);
    assert.is(hasGro(link), !before);
    first.child.kill("SIGKILL");
    await first.end;
    await until("it is put back", () => hasGro(link) === before && records(link).length === 0);
    await until("nothing watches any more", () => isEnded(first.watcher));

    const second = await holder(link, !before);
    process.kill(second.watcher, "SIGKILL");
    second.child.kill("SIGKILL");
    await second.end;
    await until("nothing watches any more", () => isEnded(second.watcher));
    await until("the next one puts it back", () => {
      restoreNics(); // another program on this machine may be the next one
      return hasGro(link) === before;
    });
    assert.equal(records(link), []);
  }),
);

ethtoolTest("a change that is refused leaves nothing behind", () =>
  withLab({}, async ({ responder: link }) => {
    const before = hasGro(link);
    const changes = [
      { kind: "feature", feature: "gro", on: !before },
      { kind: "rule", flow: "udp4", port: 8080, queue: 0 },
    ] as const;
    const refused = thrown(() => watchNic(link, changes));
    assert.match(refused.message, /change dut0: .*not supported/i, "a veth has no rules");
    assert.is(hasGro(link), before);
    assert.equal(records(link), []);
  }),
);

/** Stands in for ethtool, with a driver that has ntuple filters; everything else is for the real one. */
const FAKE = (folder: string) => `#!/bin/sh
rules=${folder}/rules; ntuple=${folder}/ntuple
case "$1" in
  -k) echo "ntuple-filters: $(cat $ntuple)" ;;
  -K) [ "$3" = ntuple ] && echo "$4" > $ntuple ;;
  -n) for file in $rules/*; do cat "$file"; done ;;
  -N)
    if [ "$3" = delete ]; then rm "$rules/$4"; exit; fi
    [ "$(cat $ntuple)" = on ] || exit 1
    id=$((1000 + $(ls $rules | wc -l)))
    { echo "Filter: $id"; echo "	Dest port: $6 mask: 0x0"; echo "	Action: Direct to queue $8"; } > "$rules/$id" ;;
  *) exec /usr/sbin/ethtool "$@" ;;
esac
`;

/** Records of its own: others would put back what they tell of by the real ethtool. */
const UNSHARED = `mkdir -p ${NIC_DIRECTORY} && mount -t tmpfs tmpfs ${NIC_DIRECTORY} && exec "$@"`;

const hasEthtool = existsSync("/usr/sbin/ethtool");

for (const [how, signal] of [
  ["ends", "SIGTERM"],
  ["is killed", "SIGKILL"],
] as const) {
  backendTest(`respond --steer: rules bring the port to its queue, and go when it ${how}`, ["af_xdp"], () =>
    withLab({ queues: 2 }, async (lab: Lab) => {
      if (!hasEthtool) return; // told by the tests above
      const folder = mkdtempSync(join(tmpdir(), "carom-nic-"));
      try {
        mkdirSync(join(folder, "rules"));
        writeFileSync(join(folder, "ntuple"), "off\n");
        writeFileSync(join(folder, "ethtool"), FAKE(folder));
        chmodSync(join(folder, "ethtool"), 0o755);
        const others = "Filter: 7\n\tDest port: 8080 mask: 0x0\n\tAction: Direct to queue 1\n";
        writeFileSync(join(folder, "rules", "7"), others);
        const { namespace, interfaceName } = lab.responder;
        const path = process.env.PATH;
        process.env.PATH = `${folder}:${path}`;
        const where = ["--namespace", namespace, "--interface", interfaceName, "--name", `${PREFIX}-steer`];
        const responder = launch([
          ...["unshare", "--mount", "sh", "-c", UNSHARED, "sh", process.execPath, MAIN, "respond"],
          ...[...where, "--queues", "1", "--cpu", "none", "--steer"],
        ]);
        process.env.PATH = path;
        await responder.said("answering");
        assert.is(readFileSync(join(folder, "ntuple"), "utf8"), "on\n");
        assert.equal(readdirSync(join(folder, "rules")).sort(), ["1001", "1002", "7"], "of both families");
        assert.match(readFileSync(join(folder, "rules", "1001"), "utf8"), /8080.*\n.*queue 1/);
        responder.child.kill(signal);
        await responder.end;
        await until("it is as it was", () => readFileSync(join(folder, "ntuple"), "utf8") === "off\n");
        assert.equal(readdirSync(join(folder, "rules")), ["7"], "somebody else's rule stays");
      } finally {
        rmSync(folder, { recursive: true });
        rmSync(`/run/carom/responders/${PREFIX}-steer.sock`, { force: true }); // a killed one can't
      }
    }),
  );
}

backendTest("what can't be steered is refused", ["af_xdp"], () =>
  withLab({ queues: 3 }, async (lab) => {
    const at = ["respond", "--lab", lab.name, "--name", `${PREFIX}-all`, "--duration", "10ms"];
    const [steered, sockets] = await Promise.all([
      carom(...at, "--steer"),
      carom(...at, "--steer", "--backend", "udp"),
    ]);
    assert.is(steered.status, 3);
    assert.match(
      steered.stderr,
      /steer port 8080 of dut0 to queue 0: its driver has no ntuple filters; .*--queues all/,
    );
    assert.is(sockets.status, 2);
    assert.match(sockets.stderr, /--steer: it is about a program in the driver/);
  }),
);

backendTest("respond --queues all serves each, where there are cores for it", ["af_xdp"], () =>
  withLab({ queues: 3 }, async (lab) => {
    const at = ["respond", "--lab", lab.name, "--duration", "10ms", "--queues", "all", "--json"];
    const free = await carom(...at, "--name", `${PREFIX}-all`, "--cpu", "none");
    assert.is(free.status, 0, free.stderr);
    const { config } = JSON.parse(free.stdout) as { config: { threads: { queue: number }[] } };
    assert.equal(
      config.threads.map(({ queue }) => queue),
      [0, 1, 2],
    );
    if (allowedCores().length >= 3) return;
    const pinned = await carom(...at, "--name", `${PREFIX}-all`);
    assert.is(pinned.status, 3);
    assert.match(pinned.stderr, /--queues all: dut0 has 3, a thread for each spins, .*combined 1 leaves one/);
  }),
);

test.run();
