/** carom lab, and a lab without root. */

import { spawnSync } from "node:child_process";
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Lab } from "../lab/lab.js";
import {
  assertGone,
  carom,
  hasNamespace,
  labTest,
  launch,
  MAIN,
  MODULE,
  NOBODY,
  ordinaryUserTest,
  PREFIX,
  recordPath,
  withLab,
} from "./lab_support.js";

labTest("lab up, list, exec and down", async () => {
  const name = `${PREFIX}-cli`;
  const up = carom("lab", "up", "--name", name, "--mtu", "3000", "--json");
  try {
    assert.is(up.status, 0, up.stderr);
    const made = JSON.parse(up.stdout) as Lab;
    assert.is(made.name, name);
    assert.is(made.generator.mtu, 3000);
    assert.match(up.stderr, `carom lab down ${name}`);
    const listed = JSON.parse(carom("lab", "list", "--json").stdout) as {
      labs: { name: string; stay: boolean }[];
    };
    assert.is(listed.labs.find((lab) => lab.name === name)?.stay, true);
    assert.match(carom("lab", "list").stdout, new RegExp(`^${name} +lab up .* ok$`, "m"));

    const again = carom("lab", "up", "--name", name);
    assert.is(again.status, 2);
    assert.match(again.stderr, "it exists already");

    const node = (script: string) => [process.execPath, "-e", script, "--", "--json", "-V", "a b"];
    const exec = carom(
      "lab",
      "exec",
      "dut",
      "--name",
      name,
      "--",
      ...node("console.log(process.argv.slice(1).join())"),
    );
    assert.is(exec.status, 0);
    assert.is(exec.stdout, "--json,-V,a b\n", "everything behind -- reaches the command as it is");
    assert.is(carom("lab", "exec", "--name", name, "gen", "--", "sh", "-c", "exit 42").status, 42);
    assert.is(carom("lab", "exec", "--name", name, "gen", "--", "sh", "-c", "kill -9 $$").status, 137);
    const inside = carom("lab", "exec", "--name", name, "generator", "--json", "--", "ip", "-br", "link");
    assert.match(inside.stderr, "gen0", "with --json, standard output is for the object alone");
    assert.is((JSON.parse(inside.stdout) as { status: number }).status, 0);
    const role = carom("lab", "exec", "--name", name, "server", "--", "true");
    assert.is(role.status, 2);
    assert.match(role.stderr, "roles are generator (gen) and responder (dut)");

    const unknown = carom("lab", "down", `${PREFIX}-none`);
    assert.is(unknown.status, 2);
    assert.match(unknown.stderr, new RegExp(`there is no such lab; labs that exist: .*${name}`));
    assert.is(carom("lab", "down", name, "--all").status, 2);
    assert.is(carom("lab", "down", name, "more").status, 2);
  } finally {
    const down = carom("lab", "down", name, "--json");
    assert.is(down.status, 0, down.stderr);
    assert.equal(JSON.parse(down.stdout), { removed: [name] });
  }
  assertGone(name, "after lab down");
  assert.is(carom("lab", "exec", "--name", name, "gen", "--", "true").status, 2);
});

labTest("lab exec passes signals on to the command", async () => {
  const name = `${PREFIX}-sig`;
  await withLab({ name }, async () => {
    const script = "trap 'echo stopped; exit 7' TERM; echo ready; while :; do sleep 0.05; done";
    const args = [MAIN, "lab", "exec", "--name", name, "gen", "--", "sh", "-c", script];
    const program = launch([process.execPath, ...args]);
    assert.is(await program.firstLine, "ready");
    program.child.kill("SIGTERM");
    assert.is((await program.end).status, 7);
  });
});

labTest("lab down --all removes carom's labs, and nothing else", () => {
  // With a /run of its own, so that no lab of another process is touched.
  const script = `set -e
    mount -t tmpfs tmpfs /run
    "$@" lab up > /dev/null
    "$@" lab up --name second > /dev/null
    ip netns add carom-third-gen
    ip netns add carom-third-dut
    "$@" lab down --all --json
    ls /run/netns /run/carom/labs
    "$@" lab down --all`;
  const all = spawnSync("unshare", ["--mount", "sh", "-c", script, "sh", process.execPath, MAIN], {
    encoding: "utf8",
  });
  assert.is(all.status, 0, all.stderr);
  const [json, ...rest] = all.stdout.trim().split("\n");
  assert.equal(JSON.parse(json ?? ""), { removed: ["lab", "second"] });
  assert.equal(rest, [
    "/run/carom/labs:",
    "",
    "/run/netns:",
    "carom-third-dut",
    "carom-third-gen",
    "there are no labs",
  ]);
});

ordinaryUserTest("in a user namespace an ordinary user has a lab", async () => {
  const guard = new URL("../lab/user_namespace.js", import.meta.url).href;
  const path = `/tmp/carom-${PREFIX}.mjs`;
  writeFileSync(
    path,
    `import { createLab, listLabs } from ${JSON.stringify(MODULE)};
    import { isInUserNamespace, reexecInUserNamespace } from ${JSON.stringify(guard)};
    if (!isInUserNamespace()) process.exit(await reexecInUserNamespace(process.argv.slice(2)));
    const lab = createLab({ name: "lab" });
    process.once("SIGTERM", () => { lab.down(); process.exit(40 + listLabs().length); });
    console.log(JSON.stringify({ lab, args: process.argv.slice(2), labs: listLabs().length }));
    setInterval(() => {}, 1000);`,
  );
  const program = launch([...NOBODY, process.execPath, path, "a b", "--c"]);
  try {
    const line = await program.firstLine;
    assert.ok(line !== "", "it started");
    const { lab, args, labs } = JSON.parse(line) as { lab: Lab; args: string[]; labs: number };
    assert.is(lab.generator.address4, "198.18.0.1");
    assert.equal(args, ["a b", "--c"]);
    assert.is(labs, 1, "it sees its own labs alone");
    assert.not.ok(
      hasNamespace("carom-lab-gen") && !existsSync(recordPath("lab")),
      "outside there is none of it",
    );
    program.child.kill("SIGTERM");
    assert.is((await program.end).status, 40, "signals go in and the exit status comes out");
  } finally {
    program.child.kill("SIGKILL");
    rmSync(path, { force: true });
  }
});

test.run();
