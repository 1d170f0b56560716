/** carom join: the reports of both ends of a run on two hosts, put together. */

import { CaromError } from "../native/error.js";
import { joinReports } from "../run/join.js";
import { joinLines } from "../run/join_text.js";
import { defineCommand } from "./command.js";

export const command = defineCommand({
  name: "join",
  summary: "the reports of both ends of a run on two hosts: one-way latency and loss each way",
  description:
    "Joins the report of carom run or generate with that of carom respond, both made with --stamps: tick by tick, " +
    "what each way took, what was lost on it, and how far the clocks of the two hosts may be apart. Without a bound " +
    "of that there are no one-way latencies.",
  arguments: "<reports...>",
  options: {},
  examples: [
    ["carom join generator.json responder.json", "in any order; the files of stamps lie beside them"],
  ],
  async run(_, context) {
    const [first, second, ...more] = context.args;
    if (first === undefined || second === undefined || more.length > 0)
      throw new CaromError(
        "usage",
        "carom join",
        "it takes two reports",
        "carom join generator.json responder.json",
      );
    const joined = joinReports([first, second]);
    for (const line of joinLines(joined)) context.say(line);
    context.result(joined);
    return joined.faults.length === 0 ? 0 : 1;
  },
});
