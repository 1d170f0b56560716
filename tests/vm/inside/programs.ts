/** Loads every eBPF program that the addon carries: each of native/bpf/*.bpf.c by what uses it. */

import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { resolveValues } from "../../../config/file.js";
import { STRATEGY_NAMES } from "../../../config/strategy_rules.js";
import { openGenerator } from "../../../generator/threads.js";
import { createLab, type Lab } from "../../../lab/lab.js";
import { attachArrivals, attachXdpPass, closeArrivals } from "../../../native/index.js";
import { responderConfig, responderOptions } from "../../../responder/config.js";
import { openResponder } from "../../../responder/threads.js";
import { measure } from "../../../run/measure.js";
import { planRun, runOptions } from "../../../run/plan.js";
import { makeReport } from "../../../run/report.js";
import { demand, texts } from "./carom.js";

const FOLDER = fileURLToPath(new URL("../../../../native/bpf", import.meta.url));
const FILTER = "symbol in (AAPL, MSFT) and price < 100.00";

type Values = Readonly<Record<string, string>>;

function respond(lab: Lab, values: Values, stamps: readonly ("none" | "ticks" | "any")[] = ["none"]): void {
  const plan = responderConfig(lab.responder, resolveValues(responderOptions, texts(values)));
  for (const kind of stamps) {
    const io = { ...plan.io, stampsArrivals: kind !== "none", stampsAny: kind === "any" };
    openResponder({ ...plan, io }).close();
  }
}

async function generate(lab: Lab, values: Values): Promise<void> {
  const plan = await planRun(resolveValues(runOptions, texts(values)), true, { lab });
  const responder = plan.responder && openResponder(plan.responder);
  try {
    openGenerator(plan.sending).close();
  } finally {
    responder?.close();
    plan.release();
  }
}

async function interruptions(lab: Lab): Promise<void> {
  const values = { backend: "af_packet", rate: "100", count: "20", warmup: "0", timeout: "20s" };
  const plan = await planRun(resolveValues(runOptions, texts(values)), true, { lab });
  try {
    const { interference } = makeReport("run", plan, await measure(plan));
    for (const { evidence } of interference.cores)
      demand(evidence.why_no_interrupts === "", `interrupts are not seen: ${evidence.why_no_interrupts}`);
  } finally {
    plan.release();
  }
}

/** By the name of the program's file: what loads it, in each of its variants. */
const USES: Readonly<Record<string, (lab: Lab) => Promise<void>>> = {
  async respond(lab) {
    for (const strategy of STRATEGY_NAMES) {
      respond(lab, { backend: "xdp", strategy });
      respond(lab, { backend: "xdp", strategy, symbols: "AAPL,MSFT", vlan: "7", filter: FILTER });
    }
    respond(lab, { backend: "xdp" }, ["ticks", "any"]);
  },
  async generate(lab) {
    const both = { backend: "xdp_live", responderBackend: "af_xdp" };
    for (const more of [{}, { rate: "max" }, { rate: "10k", vlan: "7", multicastGroup: "ff15::1" }])
      await generate(lab, { ...both, ...more });
    await generate(lab, { ...both, strategy: "book", rate: "10k" });
  },
  async arrive(lab) {
    for (const port of [0, 8080]) closeArrivals(attachArrivals(lab.responder, port));
    attachXdpPass(lab.generator)();
  },
  async redirect(lab) {
    respond(lab, { backend: "af_xdp" }, ["none", "ticks", "any"]);
    respond(lab, { backend: "af_xdp", filter: FILTER });
  },
  interruptions,
};

/** The programs for which there is no use here, and the uses for which there is no program. */
export function programUses(): { readonly unknown: string[]; readonly unused: string[] } {
  const programs = readdirSync(FOLDER)
    .filter((file) => file.endsWith(".bpf.c"))
    .map((file) => file.replace(/\.bpf\.c$/, ""));
  return {
    unknown: programs.filter((name) => !Object.hasOwn(USES, name)),
    unused: Object.keys(USES).filter((name) => !programs.includes(name)),
  };
}

/** @throws what the first one that fails says */
export async function loadPrograms(): Promise<void> {
  const { unknown } = programUses();
  demand(unknown.length === 0, `tests/vm does not know what loads ${unknown.join(", ")} of native/bpf`);
  const lab = createLab({ queues: 2 });
  try {
    for (const use of Object.values(USES)) await use(lab);
  } finally {
    lab.down();
  }
}
