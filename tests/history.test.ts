/** The history: what a run leaves in it, who may read it, two writers at once, and files that can't be used. */

import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import Database from "better-sqlite3";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { historyPath, type NewEntry, openHistory } from "../history/store.js";
import { CaromError } from "../native/error.js";
import { caromHere, jsonOf, launch, reportOf } from "./cli_support.js";
import { labTest } from "./lab_support.js";

const folder = mkdtempSync(join(tmpdir(), "carom-history-"));
process.env.XDG_STATE_HOME = folder;
const path = join(folder, "carom/history.sqlite");
test.after(() => rmSync(folder, { recursive: true }));
test.before.each(() => rmSync(join(folder, "carom"), { recursive: true, force: true }));

const ENTRY: NewEntry = {
  command: "run",
  args: [],
  started: "2026-01-01T00:00:00.000Z",
  options: { rate: "1k" },
  directory: "/",
  plan: "digest",
  summary: {
    loop: "open loop, 1,000 ticks/s",
    backends: "udp → udp",
    place: "lab x",
    elapsed_s: 1,
    sent: 10,
    p50_ns: 2000,
    p99_ns: null,
    faults: 0,
  },
  report: { schema: "carom.report" },
  text: "what was printed",
};

function withHistory<T>(action: (history: ReturnType<typeof openHistory>) => T): T {
  const history = openHistory();
  try {
    return action(history);
  } finally {
    history.close();
  }
}

function refused(code: string, message: RegExp, action: () => unknown): void {
  assert.throws(
    action,
    (error: unknown) => error instanceof CaromError && error.code === code && message.test(error.message),
    `${message}`,
  );
}

test("what is kept comes back; the last ones stay; numbers are never given twice", () => {
  withHistory((history) => {
    assert.equal(history.list(10), []);
    for (let number = 1; number <= 5; number++)
      assert.is(history.add({ ...ENTRY, text: `${number}` }, 3), number);
    assert.equal(
      history.list(10).map(({ id }) => id),
      [5, 4, 3],
    );
    assert.equal(history.get("4"), { ...ENTRY, id: 4, text: "4" });
    assert.is(history.get("last").id, 5);
    assert.is(history.get("last~2").id, 3);
    refused("usage", /look for run last~3/, () => history.get("last~3"));
    refused("usage", /look for run 2: the history has none/, () => history.get("2"));
    // All of them or none.
    refused("usage", /look for run 99/, () => history.remove(["5", "99"]));
    assert.is(history.count(), 3);
    assert.is(history.remove(["5", "last"]), 1);
    assert.is(history.removeAll(), 2);
    assert.is(history.add(ENTRY, 3), 6);
  });
});

test("it is its owner's alone, also where others could read the folder before", () => {
  mkdirSync(join(folder, "carom"), { mode: 0o755 });
  writeFileSync(path, "", { mode: 0o644 });
  withHistory((history) => history.add(ENTRY, 3));
  assert.is(statSync(join(folder, "carom")).mode & 0o777, 0o700);
  assert.is(statSync(path).mode & 0o777, 0o600);
});

test("several processes write at once: nothing is lost, and no number given twice", async () => {
  const store = new URL("../history/store.js", import.meta.url).href;
  const script = `
    import { openHistory } from ${JSON.stringify(store)};
    const ids = [];
    for (let turn = 0; turn < 20; turn++) {
      const history = openHistory();
      ids.push(history.add(${JSON.stringify(ENTRY)}, 100));
      history.close();
    }
    console.log(JSON.stringify(ids));`;
  const writers = [1, 2, 3].map(() => launch([process.execPath, "--input-type=module", "-e", script]).end);
  const ended = await Promise.all(writers);
  const ids = ended.flatMap(({ stdout, stderr }) => {
    assert.is(stderr, "");
    return JSON.parse(stdout) as number[];
  });
  assert.is(new Set(ids).size, 60);
  withHistory((history) => assert.is(history.count(), 60));
});

test("a file that can't be used is told of, and left as it is", () => {
  const damaged = "this is no database, and longer than the header of one".repeat(40);
  mkdirSync(join(folder, "carom"));
  writeFileSync(path, damaged);
  refused("environment", /it is damaged \(SQLITE_NOTADB\); move it away/, () => openHistory());
  assert.is(readFileSync(path, "utf8"), damaged);
  rmSync(path);
  const other = new Database(path);
  other.exec("CREATE TABLE bookmarks (url TEXT)");
  other.close();
  refused("environment", /it is another program's database/, () => openHistory());
  rmSync(path);
  withHistory((history) => history.add(ENTRY, 3));
  const newer = new Database(path);
  newer.pragma("user_version = 2");
  newer.close();
  refused("environment", /a newer carom made it \(format 2, this one knows 1\)/, () => openHistory());
  rmSync(path);
  const victim = join(folder, "victim");
  writeFileSync(victim, "");
  symlinkSync(victim, path);
  refused("environment", /it is a symbolic link/, () => openHistory());
  rmSync(path);
  // A report that was cut short in the file.
  withHistory((history) => history.add(ENTRY, 3));
  const spoilt = new Database(path);
  spoilt.prepare("UPDATE runs SET report = substr(report, 1, 5)").run();
  spoilt.close();
  withHistory((history) => refused("environment", /it is damaged/, () => history.get("last")));
  // A run that has no such fields is told of in one line.
  const odd = new Database(path);
  odd.exec("ALTER TABLE runs RENAME COLUMN args TO others");
  odd.close();
  const told = /it is damaged \(a run has no args that can be read\); move it away/;
  withHistory((history) => refused("environment", told, () => history.get("last")));
});

labTest("a folder of another user's is not written to", () => {
  mkdirSync(join(folder, "carom"));
  spawnSync("chown", ["65534", join(folder, "carom")]);
  refused("environment", /user 65534 has the folder/, () => openHistory());
  assert.not.ok(existsSync(path));
});

labTest("a run is kept with all it was, shown, compared, repeated, and removed", async () => {
  const settings = join(folder, "settings.conf");
  writeFileSync(settings, "seed=7\nfeed_symbols=AAPL,MSFT\n");
  const args = [
    "--count",
    "20k",
    "--warmup",
    "0",
    "--timeout",
    "20s",
    "--trigger-ratio",
    "0.5",
    "--config",
    settings,
  ];
  const ended = await caromHere("run", ...args, "--json");
  const report = reportOf(ended);
  assert.is(ended.status, 0, ended.stderr);
  const { history: id, histograms } = jsonOf(ended) as {
    history: number;
    histograms: { parts: { histograms: string[] } };
  };
  assert.is(id, 1);
  assert.ok(histograms.parts.histograms.length >= 30, "cut into parts");
  const list = jsonOf(await caromHere("history", "--json")) as {
    total: number;
    runs: { id: number; summary: object }[];
  };
  assert.is(list.total, 1);
  assert.is((list.runs[0]!.summary as { sent: number }).sent, 20_000);
  const shown = jsonOf(await caromHere("history", "show", "1", "--json"));
  const { options, directory, ...same } = shown;
  assert.equal(same, jsonOf(ended));
  assert.is(directory, process.cwd());
  // The file need not be there any more.
  rmSync(settings);
  const wanted = {
    count: "20k",
    warmup: "0",
    timeout: "20s",
    triggerRatio: "0.5",
    seed: "7",
    feedSymbols: "AAPL,MSFT",
  };
  assert.equal(options, wanted);
  const text = (await caromHere("history", "show", "last")).stdout;
  assert.match(
    text,
    "carom run --seed 7 --feed-symbols AAPL,MSFT --count 20k --warmup 0 --trigger-ratio 0.5",
  );
  assert.match(text, /^ {2}verdicts +correct /m);
  const again = reportOf(await caromHere("history", "repeat", "1", "--json"));
  assert.equal(again.ticks, report.ticks, "the same ticks");
  const compared = await caromHere("compare", "1", "last", "--threshold", "900%", "--json");
  assert.is(compared.status, 0, compared.stderr);
  assert.equal(
    (jsonOf(compared).runs as { name: string }[]).map(({ name }) => name),
    ["run 1", "run 2"],
  );
  const removed = await caromHere("history", "rm", "1", "2");
  assert.match(removed.stdout, "2 runs were removed");
  assert.match((await caromHere("history")).stdout, "no run is kept");
});

labTest("a run that would not be the same any more is not repeated", async () => {
  const profile = join(folder, "mine.yaml");
  writeFileSync(profile, "arrival: { poisson: { rate: 2000 } }\n");
  const first = await caromHere("run", "--profile", profile, "--count", "50", "--warmup", "0", "--json");
  assert.is(jsonOf(first).history, 1, first.stderr);
  writeFileSync(profile, "arrival: { poisson: { rate: 2001 } }\n");
  const ended = await caromHere("history", "repeat", "1");
  assert.is(ended.status, 2);
  assert.match(ended.stderr, "repeat run 1: the same options plan something else now");
  assert.match((await caromHere("history", "rm")).stderr, "no run was named");
});

labTest("a replay is repeated while its captures are what they were", async () => {
  const copy = join(folder, "a copy.pcap");
  copyFileSync("pcaps/steady.pcap", copy);
  const first = await caromHere("replay", copy, "--fast", "--json");
  assert.is(jsonOf(first).history, 1, first.stderr);
  const again = await caromHere("history", "repeat", "1", "--json");
  const { replay } = jsonOf(again);
  assert.equal(replay, jsonOf(first).replay);
  assert.match(again.stderr, `carom replay '${copy}' --fast`);
  utimesSync(copy, 1, 1);
  const ended = await caromHere("history", "repeat", "last");
  assert.is(ended.status, 2);
  assert.match(ended.stderr, "repeat run 2: the same options plan something else now");
});

labTest("a history that can't be used costs a run nothing; --no-history leaves none", async () => {
  const silent = await caromHere("run", "--count", "50", "--warmup", "0", "--no-history", "--json");
  assert.is(jsonOf(silent).history, null);
  assert.not.ok(existsSync(path));
  mkdirSync(join(folder, "carom"));
  writeFileSync(path, "no database".repeat(100));
  const ended = await caromHere("run", "--count", "50", "--warmup", "0");
  assert.is(ended.status, 0);
  assert.match(ended.stdout, "all as expected");
  assert.match(ended.stderr, /^carom: use the history .*: it is damaged \(SQLITE_NOTADB\); move it away/m);
});

test("an empty HOME puts nothing into the folder that one is in", () => {
  const { HOME, XDG_STATE_HOME } = process.env;
  try {
    delete process.env.XDG_STATE_HOME;
    for (const home of ["", "relative"]) {
      process.env.HOME = home;
      assert.is(historyPath(), join(userInfo().homedir, ".local/state/carom/history.sqlite"));
    }
  } finally {
    Object.assign(process.env, { HOME, XDG_STATE_HOME });
  }
});

test.run();
