/** What the commands of the UI do: each starts or stops something, and dispatches what comes of it. */

import { stripVTControlCharacters } from "node:util";
import { asCaromError, CaromError } from "../native/error.js";
import { ANEW } from "../run/changes.js";
import type { CommandName } from "./keys.js";
import { drawn, Measuring } from "./measuring.js";
import { replayJob } from "./replay_job.js";
import { changeTo, checkRun, runJob } from "./run_job.js";
import { type CheckedCase, SCREENS } from "./state.js";
import type { Store } from "./store.js";

const RESPONDER_MS = 1000;
const LISTED = 200; // runs
const LOOK_MS = 60; // who scrolls through a list looks at none of it
const TRACED = 100; // packets
const TRACE_RATE = "20"; // packets a second: more can't be read

export class Session {
  private readonly run: Measuring;
  private readonly replay: Measuring;
  private looking: NodeJS.Timeout | undefined;
  private readonly timer: NodeJS.Timeout;
  private checking: Promise<void> | undefined;
  private readonly unsubscribe: () => void;
  private isStopWanted = false;
  private traced = { of: "", last: 0 }; // the responder whose packets are shown, and the newest that is known

  /** @param quit is called when the UI is to end */
  constructor(
    private readonly store: Store,
    refresh_hz: number,
    private readonly quit: () => void,
  ) {
    this.run = new Measuring(store, () => runJob(store, refresh_hz));
    this.replay = new Measuring(store, () => replayJob(store, refresh_hz));
    this.unsubscribe = store.subscribe(() => this.lookAtCapture());
    this.timer = setInterval(() => this.onScreen("Responder", () => this.lookAtResponders()), RESPONDER_MS);
  }

  /** Something was gone to: what it shows is brought up to date. */
  onScreenShown(): void {
    this.onScreen("Compare", () => this.listRuns());
    this.onScreen("Replay", () => this.listCaptures());
    this.onScreen("Responder", () => this.lookAtResponders());
  }

  execute(name: CommandName, argument: string): void {
    const action = this.actionOf(name, argument);
    // At once, for what is chosen may be another one when the next key of the same input has been looked at.
    void (async () => action())().catch((error) =>
      this.store.dispatch({ type: "failed", error: asCaromError(error, name) }),
    );
  }

  /** Stops everything and gives everything back. */
  async end(): Promise<void> {
    this.unsubscribe();
    clearInterval(this.timer);
    clearTimeout(this.looking);
    this.isStopWanted = true;
    await Promise.all([this.run.end(), this.replay.end(), this.checking]);
  }

  private actionOf(name: CommandName, argument: string): () => unknown {
    switch (name) {
      case "quit":
        return this.quit;
      case "run.toggle":
        return () => (this.run.isRunning ? this.run.stop(false) : this.start(this.run));
      case "run.anew":
        return () => (this.run.isRunning ? this.run.stop(true) : this.start(this.run));
      case "run.changed":
        return () => this.changeRun(argument);
      case "replay.toggle":
        return () => (this.replay.isRunning ? this.replay.stop(false) : this.start(this.replay));
      case "replay.path":
        return () => this.addCapture(argument);
      case "checks.toggle":
        return () => this.toggleChecks();
      case "compare.mark":
        return () => this.mark();
      case "doctor.start":
        return () => this.diagnose();
      case "responder.trace":
        return () => this.toggleTrace();
      case "responder.change":
        return () => this.changeResponder(argument);
      default:
        return () =>
          this.askResponder(name.slice("responder.".length) as "enable" | "disable" | "reset" | "stop");
    }
  }

  /** A setting of the run that goes on: in force at once where that can be, otherwise with the next run. */
  private changeRun(name: string): void {
    if (!this.run.isRunning) return;
    checkRun(this.store); // a run does not end for a text that the next one can't have
    const running = this.run.changeable;
    if (running === null || (name !== "rate" && name !== "window")) {
      this.run.stop(true);
      return;
    }
    try {
      changeTo(this.store, running, name);
    } catch (error) {
      const { hint, detail } = asCaromError(error, name);
      if (hint !== ANEW) throw error; // what was typed is nothing that a run can have
      this.store.dispatch({ type: "said", text: `it starts anew: ${detail}` });
      this.run.stop(true);
    }
  }

  private start(measuring: Measuring): void {
    this.refuseWhileBusy(measuring === this.run ? "start a run" : "start a replay");
    measuring.start();
  }

  /** One thing at a time is measured. @throws CaromError (usage) that says what is on, and which keys stop it */
  private refuseWhileBusy(operation: string): void {
    const on = (
      [
        ["a run is on", "Run", this.run.isRunning],
        ["a replay is on", "Replay", this.replay.isRunning],
        ["the checks are on", "Checks", this.checking !== undefined],
      ] as const
    ).find(([, , isOn]) => isOn);
    if (on === undefined) return;
    const [what, screen] = on;
    throw new CaromError(
      "usage",
      operation,
      what,
      `press ${SCREENS.indexOf(screen) + 1}, then s, to stop it`,
    );
  }

  private onScreen(screen: string, action: () => unknown): void {
    if (this.store.get().screen !== screen) return;
    void Promise.resolve()
      .then(action)
      .catch((error) => this.store.dispatch({ type: "failed", error: asCaromError(error, screen) }));
  }

  private toggleChecks(): void {
    if (this.checking !== undefined) {
      this.isStopWanted = true;
      this.store.dispatch({ type: "checks", change: { phase: "stopping" } });
      return;
    }
    this.refuseWhileBusy("run the checks");
    this.isStopWanted = false;
    this.checking = this.check().finally(() => {
      this.checking = undefined;
      this.store.dispatch({ type: "checks", change: { phase: "ended" } });
    });
    this.checking.catch((error) =>
      this.store.dispatch({ type: "failed", error: asCaromError(error, "check") }),
    );
  }

  private async check(): Promise<void> {
    const { store } = this;
    const [
      { loadScript },
      { labRig },
      { runScripts },
      { selectCases, shippedScripts },
      { responderOptions },
      report,
    ] = await Promise.all([
      import("../check/reader.js"),
      import("../check/rig.js"),
      import("../check/runner.js"),
      import("../check/select.js"),
      import("../responder/config.js"),
      import("../check/report.js"),
    ]);
    const { backend = "af_xdp" } = store.get().run.fields;
    const own = backend === "xdp_live" ? "xdp" : backend;
    const selections = selectCases(
      shippedScripts().map((file) => loadScript(file, responderOptions)),
      "",
    );
    const rig = labRig(own, new Map([["backend", { text: own, place: "the screen Run" }]]));
    try {
      const cases = selections.flatMap(({ script, cases: items }) =>
        items.map(
          ({ item }): CheckedCase => ({
            script: script.name,
            name: item.name,
            outcome: "waiting",
            details: [],
          }),
        ),
      );
      store.dispatch({ type: "checks", change: { phase: "running", device: rig.device, cases, chosen: 0 } });
      await drawn();
      const told = (result: Parameters<typeof report.caseLines>[0]) => {
        const lines = result.reason !== "" ? [result.reason] : report.detailLines(result, false);
        const details = result.outcome === "passed" ? [] : lines.map(stripVTControlCharacters);
        const { script, case: item, outcome } = result;
        store.dispatch({
          type: "checks.case",
          found: { script: script.name, name: item.name, outcome, details },
        });
      };
      const listener = { script: () => {}, case: told, amended: told };
      await runScripts(selections, rig, listener, () => this.isStopWanted);
    } finally {
      rig.close();
    }
  }

  private async diagnose(): Promise<void> {
    const { store } = this;
    if (store.get().doctor.phase === "running") return;
    this.refuseWhileBusy("look at this machine");
    const [{ diagnose }, { tryDropping }] = await Promise.all([
      import("../lab/doctor.js"),
      import("../run/measuring_process.js"),
    ]);
    store.dispatch({ type: "doctor", change: { phase: "running", sections: [], cores: [], from: 0 } });
    await drawn();
    try {
      await diagnose(
        { quick: true, tryDropping },
        {
          section: (section) => store.dispatch({ type: "doctor.section", section }),
          core: (core) => store.dispatch({ type: "doctor.core", core }),
        },
      );
    } finally {
      store.dispatch({ type: "doctor", change: { phase: "ended" } });
    }
  }

  private async lookAtResponders(): Promise<void> {
    const { ask, isAnswered, socketNames } = await import("../responder/control.js");
    const all = socketNames();
    const answered = await Promise.all(all.map(isAnswered)); // killed ones leave their sockets behind
    const names = all.filter((_, index) => answered[index]);
    // The same one, although others came or went, or another one, if that was chosen meanwhile.
    const chosenNow = () => {
      const { names: known, chosen } = this.store.get().responder;
      const place = names.indexOf(known[chosen] ?? "");
      return place < 0 ? Math.max(0, Math.min(names.length - 1, chosen)) : place;
    };
    const { names: known, chosen: before } = this.store.get().responder;
    const name = names[chosenNow()];
    // Shown before it is asked: one that hangs must not hide the others, which may be chosen meanwhile.
    const old = name === known[before] ? {} : { status: null };
    this.store.dispatch({ type: "responder", change: { names, chosen: chosenNow(), ...old } });
    const found = name === undefined ? null : ((await ask(name, "status")) as Record<string, unknown>);
    const chosen = chosenNow();
    const status = names[chosen] === name ? found : null;
    this.store.dispatch({ type: "responder", change: { names, chosen, status } });
    if (status !== null && this.store.get().responder.isTraced) await this.takeTrace(name!, {});
  }

  private async toggleTrace(): Promise<void> {
    const name = this.chosenResponder();
    const isTraced = !this.store.get().responder.isTraced;
    this.traced = { of: "", last: 0 };
    this.store.dispatch({ type: "responder", change: { isTraced, trace: [] } });
    await this.takeTrace(name, isTraced ? {} : { leave: "true" });
  }

  /** A responder goes on tracing for who asks now and then, and ends by itself. */
  private async takeTrace(name: string, more: Readonly<Record<string, string>>): Promise<void> {
    const { ask } = await import("../responder/control.js");
    const { traceAnswer } = await import("../responder/trace.js");
    const of = `${name} ${this.store.get().responder.status?.pid}`; // one started anew counts from the beginning
    const after = this.traced.of === of ? { after: String(this.traced.last) } : {};
    const settings = { client: `ui-${process.pid}`, rate: TRACE_RATE, ...after, ...more };
    const { records, last } = traceAnswer.parse(await ask(name, "trace", settings));
    this.traced = { of, last };
    const { isTraced, trace, names, chosen } = this.store.get().responder;
    if (isTraced && names[chosen] === name)
      this.store.dispatch({ type: "responder", change: { trace: [...trace, ...records].slice(-TRACED) } });
  }

  private chosenResponder(): string {
    const { names, chosen } = this.store.get().responder;
    const name = names[chosen];
    if (name === undefined)
      throw new CaromError("usage", "ask the responder", "none is running", "carom respond starts one");
    return name;
  }

  private async askResponder(command: "enable" | "disable" | "reset" | "stop"): Promise<void> {
    const { ask } = await import("../responder/control.js");
    const name = this.chosenResponder();
    await ask(name, command);
    this.store.dispatch({ type: "said", text: `${name}: ${command} done` });
    await this.lookAtResponders();
  }

  private async changeResponder(text: string): Promise<void> {
    const { ask } = await import("../responder/control.js");
    const settings = Object.fromEntries(
      text
        .trim()
        .split(/\s+/)
        .map((pair) => {
          const equals = pair.indexOf("=");
          if (equals < 1)
            throw new CaromError("usage", "change the responder", `${JSON.stringify(pair)} is not key=value`);
          return [pair.slice(0, equals), pair.slice(equals + 1)];
        }),
    );
    const name = this.chosenResponder();
    await ask(name, "config", settings);
    this.store.dispatch({ type: "said", text: `${name}: in force from the next packet on` });
    await this.lookAtResponders();
  }

  private get isMeasuring(): boolean {
    return this.run.isRunning || this.replay.isRunning;
  }

  private async listCaptures(): Promise<void> {
    const { findCaptures } = await import("./captures.js");
    const { captures: before, chosen } = this.store.get().replay;
    const found = findCaptures(process.cwd());
    const typed = before.filter(({ path }) => !found.some((other) => other.path === path));
    const captures = [...typed, ...found];
    const path = before[chosen]?.path;
    const again = Math.max(
      0,
      captures.findIndex((capture) => capture.path === path),
    );
    this.store.dispatch({ type: "replay", change: { captures, chosen: again } });
  }

  /** The one that was typed is the first of the list, and chosen. */
  private async addCapture(path: string): Promise<void> {
    const { captureAt } = await import("./captures.js");
    const added = captureAt(path);
    const others = this.store.get().replay.captures.filter((capture) => capture.path !== path);
    const change = { captures: [added, ...others], chosen: 0, pane: "captures", result: false } as const;
    this.store.dispatch({ type: "replay", change });
  }

  /** Reads the beginning of the chosen capture, when the choice stands and nothing is measured. */
  private lookAtCapture(): void {
    const wanted = () => {
      const { screen, replay } = this.store.get();
      const path = replay.captures[replay.chosen]?.path;
      const isNew = path !== undefined && replay.preview?.path !== path;
      return screen === "Replay" && isNew && !this.isMeasuring ? path : null;
    };
    clearTimeout(this.looking);
    if (wanted() === null) return;
    this.looking = setTimeout(() => {
      void import("./captures.js").then(({ lookAt }) => {
        const path = wanted();
        if (path !== null) this.store.dispatch({ type: "replay", change: { preview: lookAt(path) } });
      });
    }, LOOK_MS);
  }

  private async listRuns(): Promise<void> {
    const { openHistory } = await import("../history/store.js");
    const history = openHistory();
    try {
      this.store.dispatch({ type: "compare", change: { runs: history.list(LISTED) } });
    } finally {
      history.close();
    }
  }

  /** The first marked run is the one that the others are compared with; a mark is taken away by a second one. */
  private async mark(): Promise<void> {
    const { runs, chosen, marked } = this.store.get().compare;
    const id = runs[chosen]?.id;
    if (id === undefined) return;
    const next = marked.includes(id) ? marked.filter((other) => other !== id) : [...marked, id];
    const isWanted = () => this.store.get().compare.marked === next; // and not other marks by now
    this.store.dispatch({ type: "compare", change: { marked: next, result: null } });
    if (next.length < 2) return;
    const [{ compareAll }, { readContender }] = await Promise.all([
      import("../history/compare.js"),
      import("../history/contender.js"),
    ]);
    if (!isWanted()) return;
    try {
      const contenders = next.map((number) => readContender(String(number)));
      const comparisons = compareAll(contenders, [50, 99], { threshold: 0.05, level: 0.01 });
      this.store.dispatch({ type: "compare", change: { result: { comparisons, runs: contenders } } });
    } catch (error) {
      this.store.dispatch({ type: "compare", change: { marked } });
      throw error;
    }
  }
}
