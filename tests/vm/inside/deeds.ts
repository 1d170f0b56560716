/** What is tried with a pair of devices, as the table in tests/vm/cells.ts names it. */

import { readdirSync, readFileSync, rmSync } from "node:fs";
import { command as check } from "../../../cli/check.js";
import { command as doctor } from "../../../cli/doctor.js";
import { command as generate } from "../../../cli/generate.js";
import { command as replay } from "../../../cli/replay.js";
import { command as runCommand } from "../../../cli/run.js";
import { CaromError } from "../../../native/error.js";
import type { Link } from "../../../native/index.js";
import type { Report } from "../../../run/report.js";
import { multicastMac } from "../../../wire/address.js";
import { traces } from "../../leftovers.js";
import type { Backend, Cell } from "../cells.js";
import { allRight, command, demand, runPair, start, Wrong, withResponder } from "./carom.js";
import { calibrated, exact, faults, launches, paced, refused, restored, scheduled } from "./nic.js";
import { oneWay } from "./one_way.js";
import { groupMacs, type Pair, placeOf, shown, sleep, until } from "./pair.js";
import { loadPrograms } from "./programs.js";
import { besidePtp } from "./ptp.js";

const CAPTURED = 100; // frames
const GROUPS = ["239.1.1.1", "ff15::4:3"];
const CAPTURE = "/tmp/captured.pcapng";
const REPLAYED = "pcaps/steady.pcap";
const CHECKED = "check/scripts/threshold.yaml";
const ENOUGH = 20; // frames, by which a run is known to send
const START_MS = 240_000; // carom starts in seconds in a guest, and another process of it after that
const DOWN_MS = 500;

export interface Circumstances {
  readonly pair: Pair;
  readonly backends: readonly Backend[];
  readonly ptp4l: string; // linuxptp's daemon
  /** Another pair is there now. */
  replacePair(pair: Pair): void;
}

type Act = (cell: Cell, circumstances: Circumstances) => Promise<string>;

/** The backends of both ends, where one of them is given: it takes each role that it has. */
function sides({ backend }: Cell, backends: readonly Backend[]): [string, string] {
  const roles = backends.find(({ name }) => name === backend)?.roles ?? [];
  const other = "af_xdp"; // the one that runs by default
  return [roles.includes("generator") ? backend : other, roles.includes("responder") ? backend : other];
}

/** One of those that can, each in both roles where it has both. @returns what to tell besides, or "" */
const rightRun =
  (over: Readonly<Record<string, string>> = {}): Act =>
  async (cell, { pair, backends }) => {
    const report = await runPair(pair, ...sides(cell, backends), { over });
    allRight(report);
    return report.notes.filter((note) => /copy|native|generic/i.test(note)).join("; ");
  };

const stamps: Act = async (cell, { pair, backends }) => {
  const report = await runPair(pair, ...sides(cell, backends), { over: { timestamps: "hardware" } });
  // A device that says it stamps, and doesn't: that is told, as it has to be.
  const lie = report.faults.find((fault) => /took the order to stamp/.test(fault));
  if (lie !== undefined) throw new CaromError("environment", "run, and find out", lie);
  allRight(report);
  const { provenance, stamped, unstamped } = report.clock;
  demand(provenance === "hardware", `the provenance is ${provenance}`);
  demand(
    stamped > 0 && unstamped === 0,
    `${stamped} of ${stamped + unstamped} round trips have hardware stamps`,
  );
  return `${stamped} of ${stamped} round trips`;
};

const examine: Act = async (_cell, { pair }) => {
  const where = pair.lab === null ? [...pair.where, "--try"] : []; // it makes a lab of its own
  const { status, json, text } = await command(doctor, ...where, "--quick");
  demand(json?.schema === "carom.doctor", `status ${status}: ${text}`);
  const { usable } = json as unknown as { readonly usable: readonly string[] };
  demand(usable.length > 0, "no backend is usable");
  return `usable: ${usable.join(", ")}`;
};

const takeCapture: Act = async (_cell, { pair }) => {
  const filter = ["--filter", "udp dst port 8080", "--direction", "in"];
  rmSync(CAPTURE, { force: true });
  const capture = start(
    "capture",
    ...placeOf(pair.far),
    "--write",
    CAPTURE,
    "--count",
    String(CAPTURED),
    ...filter,
  );
  try {
    let isOver = false;
    capture.child.on("exit", () => {
      isOver = true;
    });
    await until("the capture has begun", () => isOver || capture.text().includes("capturing on"), START_MS);
    if (isOver) throw new Wrong(`the capture ended: ${(await capture.end).text}`);
    const sending = ["--backend", "af_packet", "--rate", "100", "--count", String(CAPTURED), "--warmup", "0"];
    const sent = await command(generate, ...pair.where, ...sending, "--no-history");
    demand(sent.status === 0, `generate: status ${sent.status}: ${sent.text}`);
    const timer = setTimeout(() => capture.child.kill("SIGINT"), START_MS);
    const { status, json, text } = await capture.end;
    clearTimeout(timer);
    const frames = (json as { readonly captured?: { readonly frames?: number } } | undefined)?.captured
      ?.frames;
    demand(status === 0, `capture: status ${status}: ${text}`);
    return `${frames ?? CAPTURED} frames`;
  } finally {
    capture.child.kill("SIGKILL");
  }
};

/** Two groups at once, by a responder that is then killed. */
const joinGroups: Act = async (cell, { pair, backends }) => {
  const [, backend] = sides(cell, backends);
  const before = shown(pair.far);
  const macs = GROUPS.map((group) => multicastMac(group)!);
  const joined = () => macs.filter((mac) => groupMacs(pair.far).includes(mac));
  const where = [...placeOf(pair.far), "--backend", backend, "--name", "vm-groups", "--ring-size", "1024"];
  const responder = start("respond", ...where, "--multicast-group", GROUPS.join());
  let isOver = false;
  responder.child.on("exit", () => {
    isOver = true;
  });
  try {
    await until("the responder answers", () => isOver || responder.text().includes("answering"), START_MS);
    demand(!isOver, `the responder ended: ${responder.text()}`);
    await pair.ready();
    demand(
      joined().length === macs.length,
      `of ${macs.join(", ")} there is ${joined().join(", ") || "none"}`,
    );
    for (const group of GROUPS) {
      const far = pair.lab === null ? pair.where : ["--lab", pair.lab.name, "--no-responder"];
      const brief = ["--count", "60", "--rate", "100", "--warmup", "0", "--timeout", "20s", "--no-history"];
      const args = [...far, ...brief, "--backend", "af_packet", "--multicast-group", group];
      const { status, json, text } = await command(runCommand, ...args);
      demand(json?.schema === "carom.report", `${group}: status ${status}: ${text}`);
      allRight(json as unknown as Report);
    }
  } finally {
    responder.child.kill("SIGKILL");
  }
  await responder.end;
  demand(joined().length === 0, `${joined().join(", ")} is left`);
  demandClean(pair.far, before);
  return "";
};

const replayCapture: Act = async (cell, { pair, backends }) => {
  const [generator, responder] = sides(cell, backends);
  const args = [
    REPLAYED,
    "--expect",
    "--rate",
    "100",
    "--timeout",
    "20s",
    "--backend",
    generator,
    "--no-history",
  ];
  const replayIn = async (...where: string[]) => {
    const { status, json, text } = await command(replay, ...args, ...where);
    demand(json?.schema === "carom.report", `status ${status}: ${text}`);
    return json as unknown as Report;
  };
  const report =
    pair.lab === null
      ? await withResponder(pair, responder, () => replayIn(...pair.where, "--target-mac", pair.far.mac))
      : await replayIn("--lab", pair.lab.name, "--responder-backend", responder);
  allRight(report);
  return "";
};

const checkDevice: Act = async (cell, { pair, backends }) => {
  const [, responder] = sides(cell, backends);
  const args = [CHECKED, ...pair.where, "--target-ip", pair.far.address4, "--target-mac", pair.far.mac];
  const { status, json, text } = await withResponder(pair, responder, () => command(check, ...args));
  const { summary, cases } = (json ?? {}) as {
    readonly summary?: Readonly<Record<string, number>>;
    readonly cases?: readonly { readonly name: string; readonly outcome: string; readonly reason: string }[];
  };
  const bad = (cases ?? []).filter(({ outcome }) => outcome === "failed" || outcome === "error");
  demand(
    status === 0,
    `status ${status}: ${bad.map(({ name, reason }) => `${name}: ${reason}`).join("; ") || text}`,
  );
  return `${summary?.passed} cases passed, ${summary?.skipped ?? 0} skipped`;
};

/** Whatever carom had attached or switched on a device is gone. */
function demandClean(link: Link, before: ReturnType<typeof shown>): void {
  const now = shown(link);
  demand(now.xdp === undefined, "an XDP program is left on the device");
  demand((now.promiscuity ?? 0) <= (before.promiscuity ?? 0), "the device is left promiscuous");
}

const killRun: Act = async (cell, circumstances) => {
  const { pair, backends } = circumstances;
  const [generator, responder] = sides(cell, backends);
  const before = shown(pair.near);
  const kill = async () => {
    const known = traces();
    const where = pair.lab === null ? pair.where : ["--lab", pair.lab.name, "--responder-backend", responder];
    const args = [
      "--backend",
      generator,
      "--rate",
      "100",
      "--duration",
      "300s",
      "--warmup",
      "0",
      "--no-history",
    ];
    const arrived = () => shown(pair.far).stats64!.rx.packets;
    const first = arrived();
    const running = start("run", ...where, ...args);
    let said = "";
    running.end.then(({ text }) => {
      said = text || "it ended";
    });
    try {
      await until("the run sends", () => said !== "" || arrived() > first + ENOUGH, START_MS);
      demand(said === "", `the run ended: ${said}`);
    } finally {
      running.child.kill("SIGKILL");
    }
    await until("what it started has ended", () => !isMeasuring(), START_MS);
    await until("what it made is gone", () => [...traces()].every((trace) => known.has(trace)), START_MS);
    demandClean(pair.near, before);
  };
  if (pair.lab === null) await withResponder(pair, responder, kill);
  else await kill();
  await pair.ready();
  return rightRun()(cell, circumstances);
};

function isMeasuring(): boolean {
  return readdirSync("/proc").some((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("measuring_main");
    } catch {
      return false; // it has ended
    }
  });
}

/** Until so many ticks were sent. */
async function untilSent(counters: () => Readonly<Record<string, number>>): Promise<void> {
  await until("ticks are sent", () => (counters().sent ?? 0) >= ENOUGH, START_MS);
}

const flapLink: Act = async (cell, { pair, backends }) => {
  const report = await runPair(pair, ...sides(cell, backends), {
    over: { count: "300", timeout: "2s" },
    during: async ({ generator }) => {
      await untilSent(() => generator.counters());
      pair.setLink("down");
      await sleep(DOWN_MS);
      pair.setLink("up");
    },
  });
  demand(
    report.faults.some((fault) => /the link of \S+ went down/.test(fault)),
    `that the link went down is not told, but: ${report.faults.join("; ") || "all as expected"}`,
  );
  const broken = report.balances.filter(({ holds, name }) => !holds && !name.endsWith("drops"));
  demand(broken.length === 0, broken.map(({ equation }) => equation).join("; "));
  return "";
};

const unbindDriver: Act = async (cell, { pair, backends, replacePair }) => {
  let isBound = true;
  try {
    const report = await runPair(pair, ...sides(cell, backends), {
      over: { count: "300", timeout: "2s" },
      during: async ({ generator }) => {
        await untilSent(() => generator.counters());
        isBound = false;
        pair.unbind();
      },
    });
    demand(
      report.faults.some((fault) => /was removed/.test(fault)),
      `that the device is gone is not told, but: ${report.faults.join("; ") || "all as expected"}`,
    );
  } finally {
    if (!isBound) replacePair(await pair.restore());
  }
  return "";
};

export const ACTS: Readonly<Record<string, Act>> = {
  load: async () => {
    await loadPrograms();
    return "";
  },
  doctor: examine,
  calibrated: (_cell, { pair }) => calibrated(pair, "af_packet"),
  exact: ({ backend }, { pair }) => exact(pair, backend),
  faults: ({ backend }, { pair }) => faults(pair, backend),
  "one-way": (_cell, { pair }) => oneWay(pair),
  refused: (_cell, { pair }) => refused(pair),
  launches: (_cell, { pair }) => launches(pair),
  paced: ({ backend }, { pair }) => paced(pair, backend),
  ptp: (_cell, { pair, ptp4l }) => besidePtp(pair, ptp4l),
  scheduled: (_cell, { pair }) => scheduled(pair),
  restored: ({ backend }, { pair }) => restored(pair, backend),
  capture: takeCapture,
  run: rightRun(),
  multicast: joinGroups,
  replay: replayCapture,
  check: checkDevice,
  copy: rightRun({ copyMode: "copy" }),
  "zero-copy": rightRun({ copyMode: "zero-copy" }),
  stamps,
  kill: killRun,
  link: flapLink,
  unbind: unbindDriver,
};
