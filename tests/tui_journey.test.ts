/**
 * The UI in a real terminal, as somebody uses it: at 80 × 24 and at 200 × 60, each screen; and three ways to leave it,
 * with nothing left behind. The screens in docs/tui.md come from here: CAROM_SCREENS=1 writes them.
 */

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { listLabs } from "../lab/lab.js";
import { socketPath } from "../responder/control.js";
import { carom, jsonOf, launchIn, startCarom } from "./cli_support.js";
import { labForTests, PREFIX, sleep, until } from "./lab_support.js";
import { Terminal, terminalTest } from "./terminal.js";

interface Kept {
  readonly changes: readonly { readonly what: string; readonly from: number; readonly to: number }[];
  readonly ticks: { readonly answered: number };
  readonly interference: { readonly refreshes: Record<"overlapping" | "others", { readonly count: number }> };
  readonly certificate: { readonly requested_pps: number; readonly sender: { readonly rate_pps: number } };
}

const DOCUMENT = fileURLToPath(new URL("../../docs/tui.md", import.meta.url));
const state = mkdtempSync(join(tmpdir(), "carom-tui-"));
process.env.XDG_STATE_HOME = state;
test.after(() => rmSync(state, { recursive: true, force: true }));

const lab = labForTests({ name: `${PREFIX}-tui` });
const screens = new Map<string, string>();
/** Keys, from the top of the settings: how long a run takes. */
const lasting = (duration: string) => [
  ...Array<string>(6).fill("Down"),
  "Enter",
  ...Array<string>(3).fill("BSpace"),
  duration,
  "Enter",
];

/** Whoever closes a window leaves no lab and no process. */
async function assertNothingLeft(pid: number): Promise<void> {
  await until(`process ${pid} has ended`, () => !existsSync(`/proc/${pid}`));
  assert.not.ok(
    listLabs().some((record) => record.pid === pid),
    "its lab is gone",
  );
}

/** From the near end of the lab to the responder at the far end. */
async function oneTick(): Promise<void> {
  const tick = "4141504c20202020" + "01000000" + "64000000" + "0100000000000000";
  const script = `
    const socket = require("node:dgram").createSocket("udp4");
    const done = () => socket.close();
    socket.send(Buffer.from("${tick}", "hex"), 8080, "${lab!.responder.address4}", done);`;
  await launchIn(lab!.generator.namespace, script).end;
}

/** @param way what is done to end it */
async function leaves(terminal: Terminal, way: () => void, isThere: boolean): Promise<void> {
  const pid = terminal.pid();
  assert.ok(pid > 0, "it runs");
  way();
  if (isThere) {
    const screen = await terminal.shows(/ended with 0/);
    assert.not.match(screen, "[1 Run]", "the terminal shows what it showed before");
  }
  await assertNothingLeft(pid);
}

terminalTest("80 × 24: a run, its rate changed, orders judged, two runs compared, q", async () => {
  const terminal = new Terminal(80, 24);
  try {
    await terminal.shows(/○ not running: s starts a run/);
    // Rate and duration are typed.
    terminal.send("Enter", "2k", "Enter");
    terminal.send(...lasting("30s"));
    await terminal.shows(/rate +2k[\s\S]*duration +30s/);
    terminal.send("s");
    await terminal.shows(/● running .* open loop, 2,000 ticks\/s/);
    // Another rate while it runs is in force at once.
    terminal.send("Up", "Up", "Up", "Up", "Up", "Up");
    await terminal.types(["Enter", /rate +2k▏/], ["BSpace", /rate +2▏/], ["BSpace", /rate +▏/]);
    await terminal.types(["5k", /rate +5k▏/]);
    terminal.send("Enter");
    await terminal.shows(/● running .* now 5[\s\S]*rate: 5,000 ticks\/s from here on/);
    const running = await terminal.shows(/● running[\s\S]*p50 +\d[\s\S]*threads +generator on core/);
    screens.set("Run, 80 × 24", running);
    await sleep(4000); // as long as it takes for the parts of a run that a comparison needs
    // Another responder is another run: it starts anew, and says so.
    terminal.send("Down", "Down", "Down", "Down", "Right");
    await terminal.shows(/starts anew/);
    await terminal.shows(/● running .*af_xdp · open loop, 5,000 ticks\/s *\n/);
    terminal.send("2");
    screens.set("Orders, 80 × 24", await terminal.shows(/✓ correct +[1-9]/));
    await sleep(4000);
    terminal.send("1", "s");
    await terminal.shows(/■ ended[\s\S]*(✓ all as expected|✗ not as expected)/);
    terminal.send("3");
    screens.set("Replay, 80 × 24", await terminal.shows(/› pcaps.answered[\s\S]*1 +0\.000000000 .*tick/));
    // Keys that arrive before the screen of the one before are keys of another screen.
    await terminal.types(["p", /path +▏/], ["pcaps/steady.pcap", /path +pcaps.steady.pcap▏/]);
    await terminal.types(["Enter", /› pcaps.steady/], ["o", /› timing +‹ captured/]);
    await terminal.types(["Right", /‹ speed ›/], ["Right", /‹ gap ›/], ["Right", /‹ rate ›/]);
    await terminal.types(["Down", /› at +10k/], ["Enter", /› at +▏/], ["50", /› at +50▏/]);
    terminal.send("Enter");
    await terminal.shows(/› pcaps.steady[\s\S]*› at +50 frames[\s\S]*200 frames in 0.00199 s/);
    terminal.send("s");
    await terminal.shows(/● running +pcaps.steady[\s\S]*█+░+ \d+ % · \d s left/);
    const certified = await terminal.shows(/■ ended .*50 frames.s[\s\S]*certificate +sender +receiver/);
    screens.set("The certificate of a replay, 80 × 24", certified);
    terminal.send("6");
    await terminal.shows(/› +3 /);
    terminal.send("Down", "Down", "m");
    await terminal.shows(/with which is run 1 to be compared/);
    terminal.send("Up", "m");
    screens.set("Compare, 80 × 24", await terminal.shows(/compared ─[\s\S]*p50 +\d/));
    const { changes, certificate, interference, ticks } = jsonOf(
      await carom("history", "show", "1", "--json"),
    ) as unknown as Kept;
    assert.equal(
      changes.map(({ what, from, to }) => [what, from, to]),
      [["rate", 2000, 5000]],
    );
    const { requested_pps, sender } = certificate;
    assert.ok(requested_pps > 2000 && requested_pps <= 5000, `${requested_pps} were asked for on average`);
    assert.ok(Math.abs(sender.rate_pps / requested_pps - 1) < 0.5, `${sender.rate_pps} of ${requested_pps}`);
    const { overlapping, others } = interference.refreshes;
    assert.ok(overlapping.count > 0 && others.count > 0, "round trips while it was drawn, and others");
    assert.is(overlapping.count + others.count, ticks.answered);
    const repeated = await carom("history", "repeat", "1");
    assert.match(repeated.stderr, "its rate or window was changed while it went on");
    terminal.send("?");
    screens.set("Keys", await terminal.shows(/any key closes/));
    terminal.send("x", "/", "doctor");
    await terminal.shows(/› Doctor: look at this machine/);
    terminal.send("Escape");
    await sleep(150);
    await leaves(terminal, () => terminal.send("q"), true);
  } finally {
    terminal.close();
  }
});

/** Chooses a responder, for others may have some that run here, too. */
async function choose(terminal: Terminal, name: string): Promise<void> {
  const placeOf = (text: RegExp) =>
    terminal
      .screen()
      .split("\n")
      .findIndex((line) => text.test(line));
  await terminal.shows(new RegExp(`^[› ] ${name} *$`, "m"));
  await until(`${name} is chosen`, async () => {
    const [at, own] = [placeOf(/^› /), placeOf(new RegExp(`^[› ] ${name} *$`))];
    if (at !== own) terminal.send(own > at ? "Down" : "Up");
    await sleep(200); // until it is drawn
    return at === own;
  });
}

terminalTest(
  "200 × 60: checks, a responder and its settings, resizing, Ctrl-C in the middle of a run",
  async () => {
    const responder = startCarom("respond", "--lab", lab!.name, "--name", lab!.name, "--backend", "udp");
    const hanging = createServer(() => {}); // it takes what it is asked, and says nothing
    const terminal = new Terminal(200, 60);
    try {
      await terminal.shows(/○ not running/);
      terminal.send("4", "s");
      await terminal.shows(/● running .* ✓ ([3-9]|\d\d) passed/);
      screens.set("Checks, 200 × 60", terminal.screen());
      terminal.send("s");
      await terminal.shows(/■ ended/);
      terminal.send("7", "s");
      screens.set("Doctor, 200 × 60", await terminal.shows(/■ done[\s\S]*CAP_NET_RAW/));
      await responder.said("Ctrl-C stops");
      hanging.listen(socketPath(`0${PREFIX}-hangs`)); // the first of the list
      terminal.send("5");
      await choose(terminal, lab!.name);
      await terminal.shows(/● answers .*udp/);
      terminal.send("d");
      await terminal.shows(/○ answers nothing for now/);
      terminal.send("e", "c", "threshold=5000", "Enter");
      await terminal.shows(/● answers[\s\S]*threshold +5000/);
      terminal.send("t");
      await terminal.shows(/packets, up to 20 a second[\s\S]*none yet/);
      await oneTick();
      const traced = /\d\d:\d\d:\d\d\.\d{3} {2}(answered|quiet) +.*bytes {2}1 → [01]/;
      screens.set("Responder, 200 × 60", await terminal.shows(traced));
      terminal.send("t");
      await terminal.shows(/^(?![\s\S]*up to 20 a second)[\s\S]*● answers/);
      terminal.send("c");
      await terminal.shows(/change key=value/);
      terminal.send("port=1", "Enter");
      await terminal.shows(/✗ .*unknown key "port"/);
      await sleep(1500);
      terminal.send("1", ...lasting("1h"), "s");
      const wide = await terminal.shows(
        /● running[\s\S]*p50 +\d[\s\S]*by percentile[\s\S]*generator ─[\s\S]*responder ─/,
      );
      screens.set("Run, 200 × 60", wide);
      terminal.resize(80, 24);
      await terminal.shows(/^carom \[1 Run\][^\n]*\n● running[\s\S]*verdicts/);
      terminal.resize(60, 20);
      await terminal.shows(/carom needs 80 × 24 characters, here are 60 × 20/);
      terminal.resize(120, 30);
      await terminal.shows(/● running[\s\S]*verdicts/);
      await leaves(terminal, () => terminal.send("C-c"), true);
    } finally {
      terminal.close();
      hanging.close();
      responder.child.kill("SIGTERM");
      await responder.end;
    }
  },
);

terminalTest("closing the terminal in the middle of a run leaves nothing behind", async () => {
  const terminal = new Terminal(100, 30);
  await terminal.shows(/○ not running/);
  terminal.send(...lasting("1h"), "s");
  await terminal.shows(/● running/);
  // One thing at a time: what is on is said, and which keys stop it.
  terminal.send("4", "s");
  await terminal.shows(/✗ run the checks: a run is on → press 1, then s, to stop it/);
  terminal.send("3", "s");
  await terminal.shows(/✗ start a replay: a run is on → press 1, then s, to stop it/);
  await leaves(terminal, () => terminal.close(), false);
});

terminalTest("a mistake of its own ends it with a line that can be read, and no lab", async () => {
  const bug =
    "data:text/javascript,process.on(String.raw`SIGUSR2`,()=>{throw(Error(String.raw`some-mistake`))})";
  const terminal = new Terminal(100, 30, "", `NODE_OPTIONS='--import=${bug}'`);
  try {
    await terminal.shows(/○ not running/);
    terminal.send("s");
    await terminal.shows(/● running/);
    const pid = terminal.pid();
    process.kill(pid, "SIGUSR2");
    const screen = await terminal.shows(/carom: the UI: some-mistake[\s\S]*ended with 3/);
    assert.not.match(screen, "[1 Run]");
    await assertNothingLeft(pid);
  } finally {
    terminal.close();
  }
});

terminalTest("--plain, and the same command without a terminal, print lines", async () => {
  const terminal = new Terminal(100, 60, "--plain");
  await terminal.shows(/Usage: carom[\s\S]*ended with 0/);
  terminal.close();
  const ended = await startCarom().end;
  assert.match(ended.stdout, "Usage: carom");
});

terminalTest("docs/tui.md shows the screens as they are", async () => {
  if (process.env.CAROM_SCREENS === "1") write();
  const document = readFileSync(DOCUMENT, "utf8");
  for (const [title, screen] of screens) {
    const lines = screen.trimEnd().split("\n");
    const [tabs, keys] = [lines[0]!.replace(/ *●.*$/, ""), lines.at(-1)!];
    assert.ok(document.includes(`## ${title}`), `it has ${title}; CAROM_SCREENS=1 writes it`);
    const part = document.slice(document.indexOf(`## ${title}`));
    for (const line of [tabs, keys]) assert.ok(part.includes(line.trimEnd()), `${title}: ${line}`);
  }
});

function write(): void {
  const document = readFileSync(DOCUMENT, "utf8");
  const before = document.slice(0, document.indexOf("<!-- screens -->"));
  const shown = [...screens].map(([title, screen]) => `## ${title}\n\n\`\`\`\n${screen.trimEnd()}\n\`\`\`\n`);
  writeFileSync(DOCUMENT, `${before}<!-- screens -->\n\n${shown.join("\n")}`);
}

test.run();
