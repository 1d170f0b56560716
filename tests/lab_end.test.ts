/** That nothing of a lab stays, however its owner ends. */

import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, rmSync, statSync, writeFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { createLab, listLabs, openLab, removeLab, resolveLink, sweepLabs } from "../lab/lab.js";
import { readRecord, withLock } from "../lab/state.js";
import {
  assertGone,
  assertThere,
  isEnded,
  labTest,
  launch,
  PREFIX,
  recordPath,
  sleep,
  start,
  thrown,
  until,
  watchersOf,
  withLab,
} from "./lab_support.js";

labTest("down removes everything, also what a process is still in, and may be called again", async () => {
  const lab = createLab({ name: `${PREFIX}-down` });
  assertThere(lab.name);
  const { child } = launch(["nsenter", `--net=${lab.responder.namespace}`, "sleep", "60"]);
  try {
    const inside = statSync(lab.responder.namespace).ino;
    await until("it is in the namespace", () => statSync(`/proc/${child.pid}/ns/net`).ino === inside);
    lab.down();
    assertGone(lab.name, "after down");
    const held = spawnSync("nsenter", [`--net=/proc/${child.pid}/ns/net`, "ip", "link", "show", "dut0"], {
      encoding: "utf8",
    });
    assert.match(held.stderr, /does not exist/, "the pair is gone from the namespace that lives on");
    lab.down();
    createLab({ name: lab.name }).down(); // the name is free again
    assertGone(lab.name, "after the second");
  } finally {
    child.kill("SIGKILL");
  }
});

labTest("down leaves a newer lab of the same name alone", () => {
  const name = `${PREFIX}-same`;
  const older = createLab({ name });
  removeLab(name);
  const newer = createLab({ name });
  older.down();
  assertThere(name);
  newer.down();
  assertGone(name, "after its own down");
});

labTest("a lab that stays is opened by name, and goes only when asked to", () => {
  const lab = createLab({ name: `${PREFIX}-stay`, stay: true, mtu: 2000 });
  try {
    const opened = openLab(lab.name);
    assert.equal(opened.generator, lab.generator);
    assert.equal(opened.responder, lab.responder);
    opened.down();
    sweepLabs();
    assertThere(lab.name);
    const listed = listLabs().find((state) => state.name === lab.name);
    assert.is(listed?.pid, process.pid);
    assert.is(listed?.alive, true);
    assert.is(listed?.stay, true);
    assert.is(listed?.problem, "");
    assert.ok(Math.abs(Date.now() - Date.parse(listed?.created ?? "")) < 60_000);
    assert.equal(listed?.generator, lab.generator);
    assert.equal(listed?.responder, lab.responder);
    execFileSync("ip", ["netns", "del", `carom-${lab.name}-dut`]);
    const error = thrown(() => openLab(lab.name));
    assert.is(error.code, "environment");
    assert.match(error.detail, `carom-${lab.name}-dut is gone`);
  } finally {
    removeLab(lab.name);
  }
  assertGone(lab.name, "after removeLab");
  const error = thrown(() => openLab(lab.name));
  assert.is(error.code, "usage");
  assert.is(error.detail, "there is no such lab");
});

const STEP_MS = 10;
const OWNER = "console.log(createLab().name); setInterval(() => {}, 1000);";

labTest("when its owner is killed, what watches over it removes it", async () => {
  const { program, line } = await start(OWNER);
  const [watcher] = watchersOf(program.child.pid!);
  assert.not.ok(sweepLabs().includes(line), "while its owner lives it is not swept");
  // What a terminal sends, and what asks a program to end, is not for it.
  for (const signal of ["SIGINT", "SIGHUP", "SIGTERM", "SIGQUIT"] as const) process.kill(watcher!, signal);
  assertThere(line);
  program.child.kill("SIGKILL");
  await program.end; // its output, too: nobody else has that open
  await until("it is removed", () => readRecord(line) === undefined);
  assertGone(line, "after its owner was killed");
  await until("nothing watches any more", () => isEnded(watcher!));
});

labTest("who has no lab that goes with it is not watched over", () => {
  const labs = [createLab(), createLab()];
  const watchers = watchersOf(process.pid);
  assert.is(watchers.length, 1, "one watches over both");
  labs[0]!.down();
  assert.equal(watchersOf(process.pid), watchers);
  labs[1]!.down();
  assert.equal(watchersOf(process.pid), []);
  const stays = createLab({ name: `${PREFIX}-unwatched`, stay: true });
  assert.equal(watchersOf(process.pid), []);
  removeLab(stays.name);
});

labTest("the next lab removes what a killed owner left, when what watched was killed, too", async () => {
  const { program, line } = await start(OWNER);
  const owner = program.child.pid!;
  // With the lock, as any other carom on this machine would be the next one.
  withLock(() => {
    for (const pid of [...watchersOf(owner), owner]) process.kill(pid, "SIGKILL");
    while (!isEnded(owner)) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, STEP_MS);
    assertThere(line);
    assert.match(listLabs().find((lab) => lab.name === line)?.problem ?? "", "its owner is dead");
  });
  await program.end;
  await withLab({}, () => assertGone(line, "after the next createLab"));
});

labTest("a kill at any moment of the making leaves nothing that is not found", async () => {
  for (let delay_ms = 0; delay_ms <= 20; delay_ms += 2) {
    const name = `${PREFIX}-cut${delay_ms}`;
    const { program } = await start(`console.log("ready"); createLab({ name: "${name}", stay: true });`);
    await sleep(delay_ms);
    program.child.kill("SIGKILL");
    await program.end;
    sweepLabs();
    // One that was complete by then stays, as it was meant to. Of any other, nothing does.
    const left = listLabs().find((lab) => lab.name === name);
    assert.is(left?.problem ?? "", "", `after a kill at ${delay_ms} ms`);
    if (left !== undefined) removeLab(name);
    assertGone(name, `after a kill at ${delay_ms} ms`);
  }
});

labTest("a recycled process number is not mistaken for the owner", () => {
  const lab = createLab({ name: `${PREFIX}-recycled` });
  const record = JSON.parse(execFileSync("cat", [recordPath(lab.name)], { encoding: "utf8" })) as object;
  writeFileSync(recordPath(lab.name), JSON.stringify({ ...record, startTicks: "1" }));
  assert.ok(sweepLabs().includes(lab.name));
  assertGone(lab.name, "after the sweep");
  lab.down();
});

labTest("a corrupt file is listed, not swept, and removed with its lab when asked to", async () => {
  const corruptions: readonly (readonly [string, (path: string, text: string) => void, RegExp])[] = [
    ["empty", (path) => writeFileSync(path, ""), /corrupt: Invalid input/],
    ["half", (path, text) => writeFileSync(path, text.slice(0, 30)), /corrupt: Invalid input/],
    ["field", (path, text) => writeFileSync(path, text.replace('"pid":', '"pid":-')), /corrupt: pid: /],
    [
      "other",
      (path, text) => writeFileSync(path, text.replace(PREFIX, "other")),
      /it is about a lab named other/,
    ],
    ["large", (path) => writeFileSync(path, " ".repeat(70_000)), /not a file of at most 65536 bytes/],
    ["pipe", (path) => replaceBy(path, "mkfifo", path), /not a file of at most/],
    ["link", (path) => replaceBy(path, "ln", "-s", "/etc/passwd", path), /corrupt: /],
    ["folder", (path) => replaceBy(path, "mkdir", path), /not a file of at most/],
  ];
  for (const [what, corrupt, expected] of corruptions) {
    const name = `${PREFIX}-${what}`;
    createLab({ name });
    corrupt(recordPath(name), execFileSync("cat", [recordPath(name)], { encoding: "utf8" }));
    const state = listLabs().find((lab) => lab.name === name);
    assert.match(state?.problem ?? "", expected, what);
    assert.is(state?.pid, 0);
    assert.not.ok(sweepLabs().includes(name));
    assert.match(thrown(() => openLab(name)).detail, expected);
    removeLab(name);
    assertGone(name, "after removeLab");
    assert.ok(existsSync("/etc/passwd"));
  }
});

function replaceBy(path: string, command: string, ...args: string[]): void {
  rmSync(path);
  execFileSync(command, args);
}

labTest("labs made at the same moment by several processes all work; of one name there is one", async () => {
  const script = (name: string) => `
    try { const lab = createLab(${name}); console.log(lab.name); process.on("SIGTERM", () => process.exit(0)); }
    catch (error) { console.log("refused: " + error.detail); process.exit(0); }
    setInterval(() => {}, 1000);`;
  const wanted = `{ name: "${PREFIX}-race" }`;
  const started = await Promise.all(
    ["", "", "", "", wanted, wanted, wanted].map((name) => start(script(name))),
  );
  try {
    const lines = started.map(({ line }) => line);
    const unnamed = lines.slice(0, 4);
    assert.is(new Set(unnamed).size, 4);
    for (const name of unnamed) {
      const generator = { namespace: `/run/netns/carom-${name}-gen` };
      assert.is(resolveLink("gen0", generator.namespace).address4, "198.18.0.1");
    }
    assert.equal(lines.slice(4).sort(), [
      "refused: it exists already",
      "refused: it exists already",
      `${PREFIX}-race`,
    ]);
    for (const { program } of started) program.child.kill("SIGTERM");
    await Promise.all(started.map(({ program }) => program.end));
    for (const name of [...unnamed, `${PREFIX}-race`]) assertGone(name, "after its owner ended");
  } finally {
    for (const { program } of started) program.child.kill("SIGKILL");
  }
});

labTest("a lab goes with its owner, whichever way that ends", async () => {
  const print = "const lab = createLab(); console.log(lab.name);";
  const wait = "setInterval(() => {}, 1000);";
  const ways: readonly (readonly [string, string, NodeJS.Signals | null, number])[] = [
    ["normal end", print, null, 0],
    ["exit", `${print} setTimeout(() => process.exit(4), 50);`, null, 4],
    ["throw", `${print} setTimeout(() => { throw new Error("x"); }, 50);`, null, 1],
    ["rejection", `${print} Promise.reject(new Error("x"));`, null, 1],
    ["SIGTERM", `${print} ${wait}`, "SIGTERM", 143],
    ["SIGHUP", `${print} ${wait}`, "SIGHUP", 129],
    ["SIGINT handled", `process.once("SIGINT", () => process.exit(130)); ${print} ${wait}`, "SIGINT", 130],
    [
      "SIGTERM handled before",
      `process.once("SIGTERM", () => setTimeout(() => process.exit(6), 99)); ${print} ${wait}`,
      "SIGTERM",
      6,
    ],
    [
      "SIGTERM handled after",
      `${print} process.once("SIGTERM", () => setTimeout(() => process.exit(6), 99)); ${wait}`,
      "SIGTERM",
      6,
    ],
  ];
  for (const [what, script, signal, expected] of ways) {
    const { program, line } = await start(script, [], "ignore");
    assert.match(line, /^p\d+-1$/, what);
    if (signal !== null) {
      assertThere(line);
      program.child.kill(signal);
    }
    assert.is((await program.end).status, expected, what);
    assertGone(line, `after: ${what}`);
  }
});

test.run();
