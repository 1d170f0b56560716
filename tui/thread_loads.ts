/** What the hot threads of a run take of their cores. */

import { readFileSync } from "node:fs";
import type { RunningThreads } from "../run/measuring_messages.js";
import type { Plan } from "../run/plan.js";
import type { ThreadLoad } from "./live.js";

const TICKS_PER_S = 100; // USER_HZ: what the kernel counts processor time in, for all programs

/** By proc(5), /proc/PID/task/ID/stat: asked for now and then, each time since the last. */
export class ThreadLoads {
  private readonly threads: readonly {
    readonly role: string;
    readonly id: number;
    readonly pinned: boolean;
  }[];
  private before = new Map<number, number>();
  private time_ms = performance.now();

  constructor(
    plan: Plan,
    private readonly running: RunningThreads,
  ) {
    const cpus = plan.sending.threads.map(({ cpu }) => cpu);
    const far = plan.responder?.threads.map(({ cpu }) => cpu) ?? [];
    const named = (role: string, all: readonly number[], own: readonly number[]) =>
      all.map((id, index) => ({
        role: all.length === 1 ? role : `${role} ${index}`,
        id,
        pinned: (own[index] ?? -1) >= 0,
      }));
    this.threads = [
      ...named("generator", running.generator, cpus),
      ...named("responder", running.responder, far),
    ];
    this.read();
  }

  read(): ThreadLoad[] {
    const now_ms = performance.now();
    const passed_s = Math.max(1e-3, (now_ms - this.time_ms) / 1000);
    this.time_ms = now_ms;
    return this.threads.flatMap(({ role, id, pinned }) => {
      const fields = statOf(this.running.pid, id);
      if (fields === null) return [];
      const [ticks, cpu] = [Number(fields[11]) + Number(fields[12]), Number(fields[36])];
      const load = (ticks - (this.before.get(id) ?? ticks)) / TICKS_PER_S / passed_s;
      this.before.set(id, ticks);
      return [{ role, cpu, pinned, load: Math.min(1, load) }];
    });
  }
}

/** The fields behind the name, which may hold anything; null when the thread has ended. */
function statOf(pid: number, id: number): string[] | null {
  try {
    const text = readFileSync(`/proc/${pid}/task/${id}/stat`, "utf8");
    return text.slice(text.lastIndexOf(")") + 2).split(" ");
  } catch {
    return null;
  }
}
