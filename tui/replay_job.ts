/** A replay under the UI: the chosen capture, with the options that are set there. */

import { stripVTControlCharacters } from "node:util";
import { resolveValues } from "../config/file.js";
import { formatNs } from "../config/values.js";
import { CaromError } from "../native/error.js";
import { certificateLines } from "../run/certificate_text.js";
import { row } from "../run/lines.js";
import { planRun } from "../run/plan.js";
import { replayRun, replayRunOptions } from "../run/replay.js";
import { replayLines } from "../run/replay_report.js";
import type { Report } from "../run/report.js";
import { describePlan } from "../run/text.js";
import { captureAt } from "./captures.js";
import { givenReplayFields } from "./fields.js";
import { counted, ended as finished, measured, START } from "./live.js";
import type { Job } from "./measuring.js";
import { lastWord, textsOf, watchLive } from "./run_job.js";
import type { ReplayState } from "./state.js";
import type { Store } from "./store.js";

/** @throws CaromError (usage) when there is nothing to choose */
export function replayJob(store: Store, refresh_hz: number): Job {
  const { captures, chosen, fields } = store.get().replay;
  const path = captures[chosen]?.path;
  if (path === undefined) throw new CaromError("usage", "replay", "no capture is chosen", "p takes a path");
  captureAt(path);
  const given = givenReplayFields(fields);
  const change = (changed: Partial<ReplayState>) => store.dispatch({ type: "replay", change: changed });
  const live = () => store.get().replay.live;
  change({
    phase: "starting",
    result: true,
    live: START,
    report: null,
    lines: [],
    id: null,
    description: null,
  });
  const values = () => resolveValues(replayRunOptions, textsOf(given));
  return {
    command: "replay",
    args: [path],
    given,
    plan: async () => {
      const { given: run, replay } = replayRun([path], values());
      return planRun(run, replay.expect, { replay });
    },
    refresh_hz,
    onRunning: (plan, controls) => {
      const passes = plan.generator.replay?.passes ?? 1;
      change({ phase: "running", description: describePlan(plan), replayed: path, passes });
      return watchLive(plan, controls, {
        counted: (now) => change({ live: counted(live(), now) }),
        measured: (now) => change({ live: measured(live(), now) }),
      });
    },
    onStopping: () => change({ phase: "stopping" }),
    onEnded: (ended) => {
      if (ended === null) return change({ phase: "idle", result: false });
      const { report } = ended.outcome;
      change({
        phase: "ended",
        live: finished(live(), lastWord(ended)),
        report,
        lines: linesOf(report),
        id: ended.id,
      });
    },
  };
}

/** How its ticks were answered, where they were to be. */
function answerLines({ latency, verdicts }: Report): string[] {
  if (latency === null) return [];
  const found = Object.entries(verdicts).filter(([name, count]) => name === "correct" || count > 0);
  const judged = found.map(([name, count]) => `${name} ${count.toLocaleString("en-US")}`);
  const times = latency.planned.percentiles
    .filter(({ percentile }) => percentile !== 90 && percentile !== 95)
    .map(
      ({ percentile, value_ns }) => `p${percentile} ${value_ns === null ? "missing" : formatNs(value_ns)}`,
    );
  return [row("verdicts", judged.join("  ")), row("round trip", times.join(" · "))];
}

/** What the report says of the replay, its certificate first. */
function linesOf(report: Report): string[] {
  const unit = report.latency === null ? "frames" : "ticks";
  const lines = [...answerLines(report), ...certificateLines(report, unit), ...replayLines(report.replay)];
  return lines.map(stripVTControlCharacters).filter((text) => text.trim() !== "");
}
