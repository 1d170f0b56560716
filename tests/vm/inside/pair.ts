/** A pair of devices in a guest, back to back: the near one in the guest's own network namespace, the far one in another. */

import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, realpathSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { createLab, type Lab, resolveLink } from "../../../lab/lab.js";
import { CaromError } from "../../../native/error.js";
import type { Link } from "../../../native/index.js";
import type { Driver } from "../cells.js";
import { pairMacs } from "../guest.js";

const FAR = "far"; // the namespace
const LAB = "vm";
const CARRIER_MS = 90_000; // igb takes 10 s after its rings were reset
const DEVICES = "/sys/class/net";
export const sleep = (time_ms: number) => new Promise<void>((resolve) => setTimeout(resolve, time_ms));

/** What a guest is told of the project's module. */
export interface ModuleFile {
  readonly file: string;
  readonly busybox: string; // which loads it
}

interface Shown {
  readonly ifname: string;
  readonly flags: readonly string[];
  readonly promiscuity?: number;
  readonly xdp?: object;
  readonly stats64?: { readonly rx: { readonly packets: number }; readonly tx: { readonly packets: number } };
}

export class Pair {
  private constructor(
    readonly driver: Driver,
    readonly near: Link,
    readonly far: Link,
    readonly lab: Lab | null,
    private readonly bring: () => Promise<Pair>,
    private readonly takeAway: () => void,
  ) {}

  /** Makes a pair, and waits until both ends have a carrier. */
  static async make(driver: Driver, index: number, module: ModuleFile | undefined): Promise<Pair> {
    if (driver.made === "lab") return Pair.ofLab(driver);
    const net = `198.18.${index + 1}`;
    const names = [`${driver.name.slice(0, 12)}-a`, `${driver.name.slice(0, 12)}-b`] as const;
    const found = driver.made === "module" ? load(driver, module) : pairMacs(index).map(deviceOf);
    const origins = found.map((name) => originOf(name));
    const setUp = async (devices: readonly string[]) => {
      if (!existsSync(`/run/netns/${FAR}`)) run("ip", "netns", "add", FAR);
      for (const [end, device] of devices.entries()) {
        const name = names[end]!;
        const inside = end === 0 ? [] : ["-n", FAR];
        run("ip", "link", "set", device, "name", name);
        if (end === 1) run("ip", "link", "set", name, "netns", FAR);
        run("ip", ...inside, "addr", "add", `${net}.${end + 1}/24`, "dev", name);
        run("ip", ...inside, "addr", "add", `2001:2:0:${index + 1}::${end + 1}/64`, "dev", name, "nodad");
        run("ip", ...inside, "link", "set", name, "up");
      }
      await carrier(["ip"], names[0]);
      await carrier(["ip", "-n", FAR], names[1]);
      const links = [resolveLink(names[0]), resolveLink(names[1], FAR)] as const;
      return new Pair(driver, ...links, null, again, takeAway);
    };
    const takeAway = () => {
      const origin = origins[0]!;
      if (origin !== undefined) writeFileSync(join(origin.driver, "unbind"), origin.id);
      else run(module!.busybox, "rmmod", driver.name);
    };
    const again = async () => {
      const origin = origins[0];
      if (origin === undefined) return setUp(load(driver, module));
      writeFileSync(join(origin.driver, "bind"), origin.id);
      const back = await until(
        "the driver has its device again",
        () => readdirSync(join(origin.device, "net"))[0],
      );
      run("ip", "-n", FAR, "link", "set", names[1], "down");
      run("ip", "-n", FAR, "addr", "flush", "dev", names[1]);
      run("ip", "-n", FAR, "link", "set", names[1], "netns", "1");
      return setUp([back, names[1]]);
    };
    return setUp(found);
  }

  private static ofLab(driver: Driver): Pair {
    const lab = createLab({ name: LAB, stay: true });
    const again = async () => {
      run(process.execPath, "dist/cli/main.js", "lab", "down", LAB);
      return Pair.ofLab(driver);
    };
    const remove = () => run("nsenter", `--net=${lab.generator.namespace}`, "ip", "link", "del", "gen0");
    return new Pair(driver, lab.generator, lab.responder, lab, again, remove);
  }

  /** What --interface and --namespace say of the near end. */
  get where(): string[] {
    return placeOf(this.near);
  }

  /** Waits until both ends have a carrier: attaching a program costs some drivers theirs for seconds. */
  async ready(): Promise<void> {
    for (const link of [this.near, this.far]) await carrier(ipOf(link), link.interfaceName);
  }

  setLink(state: "up" | "down"): void {
    const [program = "", ...args] = ipOf(this.near);
    run(program, ...args, "link", "set", this.near.interfaceName, state);
  }

  /** Unbinds the driver from the near device, or removes that. */
  unbind(): void {
    this.takeAway();
  }

  /** Undoes that. */
  restore(): Promise<Pair> {
    return this.bring();
  }
}

export function placeOf({ interfaceName, namespace }: Link): string[] {
  return ["--interface", interfaceName, ...(namespace === "" ? [] : ["--namespace", namespace])];
}

/** What ip says of a link. */
export function shown({ interfaceName, namespace }: Link): Shown {
  const enter = namespace === "" ? [] : ["nsenter", `--net=${namespace}`];
  const command = [...enter, "ip", "-json", "-details", "-statistics", "link", "show", "dev", interfaceName];
  return (JSON.parse(run(...command)) as Shown[])[0]!;
}

/** The MAC addresses for which its NIC lets frames in besides its own. */
export function groupMacs(link: Link): string[] {
  const [program = "", ...args] = ipOf(link);
  const text = run(program, ...args, "-json", "maddr", "show", "dev", link.interfaceName);
  const [found] = JSON.parse(text) as { readonly maddr: readonly { readonly link?: string }[] }[];
  return found!.maddr.flatMap(({ link: mac }) => (mac === undefined ? [] : [mac]));
}

export async function until<T>(
  what: string,
  look: () => T | undefined | "" | false,
  limit_ms = CARRIER_MS,
): Promise<T> {
  for (const end = performance.now() + limit_ms; ; await sleep(100)) {
    const found = look();
    if (found !== undefined && found !== "" && found !== false) return found;
    if (performance.now() > end) {
      throw new CaromError("internal", "tests/vm", `it took more than ${limit_ms / 1000} s until ${what}`);
    }
  }
}

function carrier(ip: readonly string[], name: string): Promise<unknown> {
  return until(`${name} has a carrier`, () => {
    const [link] = JSON.parse(run(...ip, "-json", "link", "show", "dev", name)) as Shown[];
    return link!.flags.includes("UP") && !link!.flags.includes("NO-CARRIER");
  });
}

function ipOf({ namespace }: Link): string[] {
  return namespace === "" ? ["ip"] : ["nsenter", `--net=${namespace}`, "ip"];
}

function load(driver: Driver, module: ModuleFile | undefined): string[] {
  if (module === undefined) throw new CaromError("environment", driver.name, "the module is not built");
  const before = new Set(readdirSync(DEVICES));
  run(module.busybox, "insmod", module.file, ...(driver.parameters ?? []));
  const made = readdirSync(DEVICES).filter((name) => !before.has(name));
  if (made.length < 2) throw new CaromError("internal", driver.name, `it made ${made.length} devices`);
  return made.sort().slice(0, 2);
}

function deviceOf(mac: string): string {
  const found = readdirSync(DEVICES).find(
    (name) => readFileSync(join(DEVICES, name, "address"), "utf8").trim() === mac,
  );
  if (found !== undefined) return found;
  throw new CaromError("environment", "find a device", `no driver has made an interface of ${mac}`);
}

/** The device of an interface and its driver; undefined where it has none. */
function originOf(name: string): { device: string; driver: string; id: string } | undefined {
  const device = join(DEVICES, name, "device");
  if (!existsSync(join(device, "driver"))) return undefined;
  const path = realpathSync(device);
  return { device: path, driver: realpathSync(join(path, "driver")), id: basename(path) };
}

export function run(...command: string[]): string {
  const [program = "", ...args] = command;
  try {
    return execFileSync(program, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  } catch (error) {
    const { stderr = "", message } = error as { stderr?: string; message: string };
    throw new CaromError("internal", command.join(" "), stderr.trim() || message);
  }
}
