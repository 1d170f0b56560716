/** How long one waits: for the help, and for a lab. */

import { performance } from "node:perf_hooks";
import { createLab } from "../lab/lab.js";
import { carom, execute } from "./program.js";
import { atMost, type SuiteResult, spread, spreadText } from "./spread.js";

export async function startup(rounds: number, say: (line: string) => void): Promise<SuiteResult> {
  const help_ms: number[] = [];
  const lab_ms: number[] = [];
  const up_ms: number[] = [];
  const timed = async (action: () => unknown) => {
    const begin = performance.now();
    await action();
    return performance.now() - begin;
  };
  for (let round = 0; round < rounds; round++) {
    help_ms.push(await timed(() => execute(carom("--help"))));
    let lab: ReturnType<typeof createLab> | undefined;
    lab_ms.push(
      await timed(() => {
        lab = createLab();
      }),
    );
    lab?.down();
    up_ms.push(await timed(() => execute(carom("lab", "up", "--name", "bench"))));
    await execute(carom("lab", "down", "bench"));
  }
  const [help, lab, up] = [spread(help_ms), spread(lab_ms), spread(up_ms)];
  say(
    `  carom --help ${spreadText(help, 0)} ms; a lab ${spreadText(lab, 0)} ms; carom lab up as a whole ${spreadText(up, 0)} ms`,
  );
  const goals = [atMost("carom --help, ms", help.median, 150), atMost("carom lab up, ms", up.median, 300)];
  return { suite: "startup", figures: { help, lab, up }, goals };
}
