/** The responder's whole way in user space, on frames in memory: receive, filter, decode, strategy, order. */

import { CaromError } from "../native/error.js";
import { compile, execute, FILTER_LIBRARIES, FILTER_SOURCES, LOOP_SOURCES } from "./program.js";
import { atLeast, type SuiteResult, spread, spreadText } from "./spread.js";

interface Case {
  readonly name: string;
  readonly filter: string;
  readonly rounds: readonly number[]; // millions of frames a second
  readonly wanted: number; // of all frames, as the next two
  readonly ticks: number;
  readonly orders: number;
}

const WANTED_MILLIONS = 20; // a second, on one core
const WITH_ORDERS = "every tick an order"; // more than was asked for: told, but no goal

export async function pipeline(rounds: number, say: (line: string) => void): Promise<SuiteResult> {
  const program = compile("pipeline", [...LOOP_SOURCES, ...FILTER_SOURCES], FILTER_LIBRARIES);
  const { status, stdout, stderr } = await execute(["taskset", "-c", "1", program, String(rounds)]);
  if (status !== 0) throw new CaromError("internal", "run the bench of the pipeline", stderr.trim());
  const cases = JSON.parse(stdout) as Case[];
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
  for (const { name, filter, rounds: figures, wanted, ticks, orders } of cases) {
    say(`  ${name}: ${filter}`);
    say(`    wanted ${percent(wanted)}, ticks ${percent(ticks)}, orders ${percent(orders)} of the frames`);
    say(`    ${spreadText(spread(figures))} M frames/s`);
  }
  const goals = cases
    .filter(({ name }) => name !== WITH_ORDERS)
    .map(({ name, rounds: figures }) =>
      atLeast(`${name}: M frames/s`, spread(figures).median, WANTED_MILLIONS),
    );
  return { suite: "pipeline", figures: { cases }, goals };
}
