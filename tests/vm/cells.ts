/** The matrix: kernels, drivers, backends, and what is tried with each; which guest tries what; and what is told of it. */

import type { Hardware } from "./guest.js";

/** A pair of network devices, back to back. */
export interface Driver {
  readonly name: string;
  /** How there comes to be one: carom's own lab, a device of QEMU's, or the project's kernel module. */
  readonly made: "lab" | "hardware" | "module";
  readonly hardware?: Hardware;
  readonly parameters?: readonly string[]; // of the module
}

/** What the project's devices are told to be (tests/vm/module/README.md): what their stamps have to be follows from it. */
export const NIC = {
  ppb: [5_000, -20_000],
  offset_ns: [1_000_000_000, 5_000_000_000],
  wire_ns: [700, 900],
} as const;

export const DRIVERS: readonly Driver[] = [
  { name: "veth", made: "lab" },
  { name: "e1000e", made: "hardware", hardware: { device: "e1000e", module: "e1000e" } },
  { name: "virtio-net", made: "hardware", hardware: { device: "virtio-net-pci", module: "virtio_net" } },
  { name: "vmxnet3", made: "hardware", hardware: { device: "vmxnet3", module: "vmxnet3" } },
  { name: "igb", made: "hardware", hardware: { device: "igb", module: "igb" } },
  {
    name: "carom_nic",
    made: "module",
    parameters: Object.entries(NIC).map(([name, values]) => `${name}=${values.join(",")}`),
  },
];

/** A backend and the roles that it has, as the native core's table has them. */
export interface Backend {
  readonly name: string;
  readonly roles: readonly string[];
}

/** Something that is tried. */
export interface Deed {
  readonly name: string;
  /** What there is one of it for: a kernel, a driver, or each backend of a driver that has the role. */
  readonly of: "kernel" | "driver" | "generator" | "responder" | "role";
  readonly backends?: readonly string[]; // only these
  readonly drivers?: readonly string[]; // only these
  /** A refusal that says why is an answer; otherwise it is a failure. */
  readonly mayRefuse?: true;
  readonly says: string;
}

const NIC_STAMPS = { drivers: ["carom_nic"], backends: ["af_packet", "udp"] } as const;

export const DEEDS: readonly Deed[] = [
  { name: "load", of: "kernel", says: "every eBPF program loads" },
  { name: "doctor", of: "driver", says: "`carom doctor --interface … --try` says what works there" },
  {
    name: "capture",
    of: "driver",
    says: "`carom capture` at the far end has each frame of a `carom generate`",
  },
  { name: "run", of: "role", says: "a run, all of whose orders are right and all of whose balances hold" },
  {
    name: "multicast",
    of: "responder",
    says: "`carom respond` joins groups of IPv4 and IPv6, so that its NIC lets their ticks in, and each is answered; `kill -9` leaves none joined",
  },
  { name: "replay", of: "generator", says: "`carom replay --expect` of a capture, likewise" },
  { name: "check", of: "responder", says: "cases of `carom check` against the responder at the far end" },
  {
    name: "copy",
    of: "generator",
    backends: ["af_xdp"],
    mayRefuse: true,
    says: "a run with `--copy-mode copy`",
  },
  {
    name: "zero-copy",
    of: "generator",
    backends: ["af_xdp"],
    mayRefuse: true,
    says: "a run with `--copy-mode zero-copy`, or a refusal",
  },
  {
    name: "stamps",
    of: "generator",
    mayRefuse: true,
    says: "a run with `--timestamps hardware`, each round trip stamped by the NIC, or a refusal",
  },
  {
    name: "exact",
    of: "generator",
    ...NIC_STAMPS,
    says: "each hardware-stamped round trip is the one that another program saw, by the known wire and clocks",
  },
  {
    name: "faults",
    of: "generator",
    ...NIC_STAMPS,
    says: "stamps out of order, late, missing, wrapped, never: what can't be is not taken, and it is told",
  },
  {
    name: "refused",
    of: "driver",
    drivers: ["carom_nic"],
    says: "a device that stamps PTP alone is refused",
  },
  {
    name: "calibrated",
    of: "driver",
    drivers: ["carom_nic"],
    says: "`carom calibrate` finds the wire as long as it is: within 2 ns by exact cross stamps, otherwise within its bound",
  },
  {
    name: "one-way",
    of: "driver",
    drivers: ["carom_nic"],
    says: "`carom join` of two processes by the NICs' stamps: each way is the wire, within 2 ns by exact cross stamps, otherwise within its bound; a clock that is set is told",
  },
  {
    name: "scheduled",
    of: "driver",
    drivers: ["carom_nic"],
    says: "`--schedule-clock phc`; the clock's rate as it is known, and a step in mid-run, are told",
  },
  {
    name: "launches",
    of: "driver",
    drivers: ["carom_nic"],
    says: "the module's devices hold a frame until its launch time (etf with offload)",
  },
  {
    name: "paced",
    of: "generator",
    ...NIC_STAMPS,
    says: "`--pacing launch-time`: each frame leaves at the ns of its planned time, by stamps of the far end; what is too late is told",
  },
  {
    name: "ptp",
    of: "driver",
    drivers: ["carom_nic"],
    says: "linuxptp's servo on the same devices before, during and after a run, and the NIC's mode as it was",
  },
  {
    name: "restored",
    of: "generator",
    drivers: ["carom_nic"],
    backends: ["af_packet"],
    says: "after `kill -9` the NIC's stamps are as they were, though nobody runs carom again",
  },
  {
    name: "kill",
    of: "generator",
    says: "`kill -9` of a run ends its processes, leaves its interfaces as they were, and the next run is right",
  },
  {
    name: "link",
    of: "generator",
    says: "a link that goes down and up in a run is told, and the balances hold",
  },
  { name: "unbind", of: "generator", says: "a driver that is unbound in a run ends it, and is told" },
];

export const NONE = "-"; // the driver or the backend of a cell that has none

export interface Cell {
  readonly kernel: string;
  readonly driver: string;
  readonly backend: string;
  readonly deed: string;
}

export function cellId({ kernel, driver, backend, deed }: Cell): string {
  return [kernel, driver, backend, deed].join("/");
}

/** All cells, in the order in which they are best tried: a driver at a time, and what takes it away last. */
export function allCells(kernels: readonly string[], backends: readonly Backend[]): Cell[] {
  return kernels.flatMap((kernel) => [
    ...DEEDS.filter(({ of }) => of === "kernel").map(({ name }) => ({
      ...{ kernel, driver: NONE, backend: NONE, deed: name },
    })),
    ...DRIVERS.flatMap(({ name: driver }) =>
      DEEDS.flatMap((deed) =>
        backendsOf(deed, driver, backends).map((backend) => ({ kernel, driver, backend, deed: deed.name })),
      ),
    ),
  ]);
}

/** The backends for which a deed is done on a driver. */
export function backendsOf(deed: Deed, driver: string, backends: readonly Backend[]): string[] {
  if (deed.of === "kernel" || deed.drivers?.includes(driver) === false) return [];
  if (deed.of === "driver") return [NONE];
  return backends
    .filter(({ roles }) => deed.of === "role" || roles.includes(deed.of))
    .map(({ name }) => name)
    .filter((name) => deed.backends === undefined || deed.backends.includes(name));
}

// Whether a pattern such as "6.1/igb", "*/veth/af_xdp" or "stamps" fits: a word alone is any part of the cell.
export function fits(cell: Cell, pattern: string): boolean {
  const parts = [cell.kernel, cell.driver, cell.backend, cell.deed];
  const wanted = pattern.split("/");
  if (wanted.length === 1) return parts.includes(pattern);
  return wanted.every((part, index) => part === "*" || part === "" || part === parts[index]);
}

export type Outcome = "yes" | "refused" | "failed";

export interface Result {
  readonly id: string;
  readonly outcome: Outcome;
  readonly said: string; // why not, or what was seen
  readonly time_s: number;
}

/** What is kept of a result. */
export interface Kept extends Result {
  readonly state: string; // of the tree when it was found
  readonly release: string; // of the kernel
}

/** What is still to be tried: what was not found in this state of the tree (undefined: in any), and on this kernel. */
export function remaining(
  cells: readonly Cell[],
  kept: ReadonlyMap<string, Kept>,
  state: string | undefined,
  releases: ReadonlyMap<string, string>,
): Cell[] {
  return cells.filter((cell) => {
    const result = kept.get(cellId(cell));
    if (result === undefined || (state !== undefined && result.state !== state)) return true;
    return result.release !== releases.get(cell.kernel);
  });
}

/** Cells for one guest: of the first one's kernel. */
export function nextGuest(cells: readonly Cell[]): Cell[] {
  return cells.filter(({ kernel }) => kernel === cells[0]?.kernel);
}
