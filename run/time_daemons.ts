/**
 * What the programs that keep this machine's clocks say of them: chrony, by `chronyc tracking`, and linuxptp's ptp4l, by
 * `pmc` over its socket. They are asked before a run, now and then during it, and after it, by the process that does
 * not measure; one that is not there, or does not answer, is no error.
 */

import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { formatNs } from "../config/values.js";

const EVERY_MS = 2000;
const TIMEOUT_MS = 5000;
const OUTPUT_MAX = 1 << 16;
const PTP_SOCKET = "/var/run/ptp4l"; // ptp4l(8), uds_address
const NO_PATH = "/nowhere";

/** CLOCK_REALTIME, as chrony keeps it. */
export interface ChronySays {
  readonly reference: string;
  readonly stratum: number;
  /** Its offset, root dispersion and half of the root delay: it is not off by more (chronyc(1), tracking). */
  readonly error_ns: number;
}

/** A clock that ptp4l keeps: a NIC's own with hardware stamps, CLOCK_REALTIME with software stamps. */
export interface PtpSays {
  readonly grandmaster: string; // its identity
  readonly is_grandmaster: boolean; // this clock is the grandmaster's
  readonly stamps: "hardware" | "software";
  readonly interface: string;
  readonly steps_removed: number;
  readonly offset_ns: number; // at worst
  readonly path_delay_ns: number;
  /**
   * How far it is off the grandmaster's: its offset, and the path's delay, as nobody knows which way has how much of
   * it. Null where there are clocks in between, of whose errors nothing is said.
   */
  readonly error_ns: number | null;
}

export interface DaemonFindings {
  readonly readings: number;
  /** At worst; null unless each reading had it. */
  readonly chrony: ChronySays | null;
  readonly ptp: PtpSays | null;
}

interface Reading {
  readonly chrony: ChronySays | null;
  readonly ptp: PtpSays | null;
}

export interface DaemonWatch {
  readonly first: Promise<Reading>;
  /** Asks once more. @returns what they said at worst */
  end(): Promise<DaemonFindings>;
  /** Forgets it. */
  close(): void;
}

/**
 * @param ptpSocket ptp4l's, where it is another than the usual one
 * @param timeout_ms a program that takes longer says nothing
 */
export function followDaemons(ptpSocket = PTP_SOCKET, timeout_ms = TIMEOUT_MS): DaemonWatch {
  const path = [process.env.PATH ?? NO_PATH, "/usr/sbin", "/sbin", "/usr/bin"].join(":");
  const readings: Promise<Reading>[] = [];
  let isAsking = false;
  const ask = async () => {
    isAsking = true;
    const reading = readDaemons((...command) => said(path, timeout_ms, command), ptpSocket);
    readings.push(reading);
    await reading;
    isAsking = false;
  };
  void ask();
  const timer = setInterval(() => {
    if (!isAsking) void ask();
  }, EVERY_MS);
  const close = () => clearInterval(timer);
  return {
    first: readings[0]!,
    close,
    async end() {
      close();
      await ask();
      return worstOf(await Promise.all(readings));
    },
  };
}

type Ask = (...command: string[]) => Promise<string>;

async function readDaemons(askOf: Ask, ptpSocket: string): Promise<Reading> {
  const [chrony, ptp] = await Promise.all([
    askOf("chronyc", "-c", "-n", "tracking"),
    existsSync(ptpSocket)
      ? askOf(
          ...["pmc", "-u", "-b", "0", "-s", ptpSocket],
          ...["GET TIME_STATUS_NP", "GET CURRENT_DATA_SET", "GET PORT_PROPERTIES_NP"],
        )
      : "",
  ]);
  return { chrony: chronyOf(chrony), ptp: ptpOf(ptp) };
}

/** What a program prints; "" where there is none, it fails, or takes too long. */
function said(path: string, timeout: number, [program = "", ...args]: string[]): Promise<string> {
  const options = { timeout, maxBuffer: OUTPUT_MAX, killSignal: "SIGKILL" } as const;
  return new Promise((resolve) => {
    const child = execFile(program, args, { ...options, env: { PATH: path, LC_ALL: "C" } }, (error, stdout) =>
      resolve(error === null ? stdout : ""),
    );
    child.stdin?.end();
  });
}

/** chronyc -c tracking: one line, whose fields are in the order of those that it prints for people. */
export function chronyOf(text: string): ChronySays | null {
  const fields = text.trim().split(",");
  if (fields.length < 14) return null;
  const [, reference = "", stratum, , systemOffset, , , , , , delay, dispersion, , leap] = fields;
  const [offset_s, delay_s, dispersion_s] = [systemOffset, delay, dispersion].map(Number) as [
    number,
    number,
    number,
  ];
  const error_s = Math.abs(offset_s) + Math.abs(delay_s) / 2 + dispersion_s;
  if (leap === "Not synchronised" || !Number.isFinite(error_s) || !Number.isInteger(Number(stratum)))
    return null;
  return { reference, stratum: Number(stratum), error_ns: Math.ceil(error_s * 1e9) };
}

/** What pmc prints of ptp4l's data sets: a name and a value in each line. */
export function ptpOf(text: string): PtpSays | null {
  const values = new Map(
    text.split("\n").flatMap((line) => {
      const found = /^\t\t(\S+)\s+(\S+)\s*$/.exec(line);
      return found === null ? [] : [[found[1]!, found[2]!] as const];
    }),
  );
  const number = (name: string) => Number(values.get(name) ?? Number.NaN);
  const state = values.get("portState");
  const stamps = values.get("timestamping")?.toLowerCase();
  const grandmaster = values.get("gmIdentity") ?? "";
  const [offset, delay, steps_removed] = [
    Math.max(Math.abs(number("master_offset")), Math.abs(number("offsetFromMaster"))),
    Math.abs(number("meanPathDelay")),
    number("stepsRemoved"),
  ];
  const isMaster = steps_removed === 0 && state === "MASTER";
  if ((stamps !== "hardware" && stamps !== "software") || !(isMaster || state === "SLAVE")) return null;
  if (grandmaster === "" || ![offset, delay, steps_removed].every(Number.isFinite)) return null;
  const rounding_ns = isMaster ? 0 : 1;
  return {
    grandmaster,
    is_grandmaster: isMaster,
    stamps,
    interface: values.get("interface") ?? "",
    steps_removed,
    offset_ns: offset,
    path_delay_ns: delay,
    error_ns: steps_removed <= 1 ? Math.ceil(offset + delay) + rounding_ns : null,
  };
}

function worstOf(readings: readonly Reading[]): DaemonFindings {
  const chrony = readings.map((reading) => reading.chrony);
  const ptp = readings.map((reading) => reading.ptp);
  return { readings: readings.length, chrony: worst(chrony), ptp: isOneGrandmaster(ptp) ? worst(ptp) : null };
}

function isOneGrandmaster(readings: readonly (PtpSays | null)[]): boolean {
  return readings.every((one) => one?.grandmaster === readings[0]?.grandmaster);
}

/** The one with the largest error; null where one of them says nothing. */
function worst<T extends { readonly error_ns: number | null }>(readings: readonly (T | null)[]): T | null {
  const size = (one: T) => one.error_ns ?? Number.POSITIVE_INFINITY;
  return readings.reduce((most, one) =>
    most === null || one === null ? null : size(one) > size(most) ? one : most,
  );
}

export function chronyText({ reference, stratum, error_ns }: ChronySays): string {
  return `chrony keeps CLOCK_REALTIME by ${reference} (stratum ${stratum}), off by ${formatNs(error_ns)} at most`;
}

export function ptpText({ grandmaster, is_grandmaster, stamps, interface: on, error_ns }: PtpSays): string {
  const clock = stamps === "hardware" ? `the clock of ${on}` : "CLOCK_REALTIME";
  if (is_grandmaster) return `${clock} is the grandmaster ${grandmaster} of ptp4l's network`;
  const off = error_ns === null ? "of whose error nothing is known" : `off by ${formatNs(error_ns)} at most`;
  return `ptp4l keeps ${clock} by the grandmaster ${grandmaster}, ${off}`;
}
