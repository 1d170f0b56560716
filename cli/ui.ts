/** carom ui, and carom without a command on a terminal: the terminal UI. */

import { optionGroup } from "../config/option.js";
import { flag, integer } from "../config/values.js";
import { defineCommand } from "./command.js";

const ui = optionGroup("The UI");

export const command = defineCommand({
  name: "ui",
  summary: "the terminal UI: runs, orders, checks, responders, comparisons",
  description:
    "Opens the terminal UI. Without a terminal, or with --plain, it makes one run as carom run does and prints its " +
    "report. In the UI ? shows every key, and q quits.",
  options: {
    plain: ui(flag(), "no UI: one run, and its report as lines", "", "false"),
    refresh: ui(integer(1, 10), "how often a second what a run counts is drawn anew", "times", "2"),
  },
  async run({ plain, refresh }, context) {
    const hasTerminal = process.stdin.isTTY === true && process.stdout.isTTY === true;
    if (!plain && !context.json && hasTerminal) {
      process.env.NODE_ENV ??= "production"; // React's other build checks itself, and is slower
      return (await import("../tui/main.js")).openUi(refresh);
    }
    const [{ command: run }, { resolveValues }] = await Promise.all([
      import("./run.js"),
      import("../config/file.js"),
    ]);
    return run.run(resolveValues(run.options, new Map()), { ...context, given: {} });
  },
});
