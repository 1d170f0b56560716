/** Calibrations that are kept: by the ports' MAC addresses, in a file of the user's own beside the history. */

import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { z } from "zod";
import { historyPath } from "../history/store.js";
import { CaromError } from "../native/error.js";
import type { Link } from "../native/index.js";

const FILE = "calibrations.json";

const port = z.object({ interface: z.string(), mac: z.string() });
const kept = z.object({
  date: z.string(), // ISO 8601
  ports: z.tuple([port, port]),
  path_ns: z.number().min(0).max(1e9),
  spread_ns: z.number(),
  frames: z.number(),
});
const file = z.object({
  schema: z.literal("carom.calibrations"),
  version: z.literal(1),
  calibrations: z.array(kept),
});

export type KeptCalibration = z.output<typeof kept>;

export function calibrationsPath(): string {
  return join(dirname(historyPath()), FILE);
}

/** @throws CaromError (environment) when the file is there and not what was written */
export function readCalibrations(path = calibrationsPath()): readonly KeptCalibration[] {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw new CaromError("environment", `read the calibrations ${path}`, (error as Error).message);
  }
  try {
    return file.parse(JSON.parse(text)).calibrations;
  } catch {
    const hint = "move it away, and run carom calibrate again";
    throw new CaromError("environment", `read the calibrations ${path}`, "it is not what carom wrote", hint);
  }
}

const macs = ({ ports }: KeptCalibration) =>
  ports
    .map(({ mac }) => mac)
    .toSorted()
    .join(" ");

/** Keeps one; an earlier one of the same two ports goes. @throws CaromError (environment) */
export function keepCalibration(calibration: KeptCalibration, path = calibrationsPath()): void {
  const others = readCalibrations(path).filter((other) => macs(other) !== macs(calibration));
  const content = { schema: "carom.calibrations", version: 1, calibrations: [...others, calibration] };
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    const draft = `${path}.${process.pid}`;
    writeFileSync(draft, `${JSON.stringify(content, null, 2)}\n`, { mode: 0o600, flag: "wx" });
    renameSync(draft, path);
  } catch (error) {
    throw new CaromError("environment", `keep the calibration in ${path}`, (error as Error).message);
  }
}

/** The newest in which a port took part. @throws CaromError (environment) when there is none */
export function calibrationOf({ interfaceName, mac }: Link, path = calibrationsPath()): KeptCalibration {
  const found = readCalibrations(path).findLast(({ ports }) => ports.some((one) => one.mac === mac));
  if (found !== undefined) return found;
  const hint = `carom calibrate --interface ${interfaceName} --interface OTHER measures it: two ports, one cable`;
  throw new CaromError("environment", "--calibrated", `${interfaceName} was never calibrated`, hint);
}
