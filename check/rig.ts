/** What the cases run against: carom's own responder in a lab, or a device that somebody else set up. */

import { resolveValues, type Texts } from "../config/file.js";
import { createLab, type Lab } from "../lab/lab.js";
import { askNeighbor } from "../lab/neighbor.js";
import { attachXdpPass, type Link } from "../native/index.js";
import { type ResponderPlan, responderConfig, responderOptions } from "../responder/config.js";
import { isIp6 } from "../wire/address.js";
import type { Wiring } from "./outgoing.js";

const DEFAULT_MTU = 1500; // bytes

/** The generator's end of the link, and what is known of the device at the other: plain data, for another process. */
export interface Attachment {
  readonly wiring: Wiring;
  /** What the device is set to: carom's responder is, another one is taken to be. */
  readonly config: ResponderPlan;
  readonly isOwn: boolean; // carom's responder is to be started
}

export interface Rig {
  /** "carom's responder on af_xdp". */
  readonly device: string;
  readonly backend: string | undefined; // of carom's responder
  /** The device must be attached anew for cases of which this differs. */
  key(settings: Texts, mtu: number | undefined): string;
  /**
   * Makes what it takes for the device to be set like this. What was attached before must have been closed.
   * @throws CaromError
   */
  prepare(settings: Texts, mtu: number | undefined): Attachment;
  /** Gives everything back. May be called more than once. */
  close(): void;
}

function keyOf(settings: Texts): string {
  return JSON.stringify([...settings].map(([name, { text }]) => [name, text]).sort());
}

/**
 * Carom's own responder, in a lab of its own, started anew whenever a script wants it set differently.
 * @param base how the responder runs, as texts of its options; a script's settings come on top
 */
export function labRig(backend: string, base: Texts): Rig {
  return new LabRig(backend, base);
}

class LabRig implements Rig {
  readonly device: string;
  private lab: Lab | undefined;
  private detachPass: (() => void) | undefined;
  private mtu = 0;

  constructor(
    readonly backend: string,
    private readonly base: Texts,
  ) {
    this.device = `carom's responder on ${backend}`;
  }

  key(settings: Texts, mtu = DEFAULT_MTU): string {
    return `${mtu} ${keyOf(settings)}`;
  }

  prepare(settings: Texts, mtu = DEFAULT_MTU): Attachment {
    if (this.mtu !== mtu) this.close();
    this.lab ??= this.makeLab(mtu);
    const { generator, responder } = this.lab;
    const config = responderConfig(
      responder,
      resolveValues(responderOptions, new Map([...this.base, ...settings])),
    );
    const { mac, address4, address6 } = responder;
    const wiring = wiringOf(config, generator, { mac, address4, address6 }, settings, true);
    return { wiring, config, isOwn: true };
  }

  private makeLab(mtu: number): Lab {
    const lab = createLab({ mtu });
    this.lab = lab;
    this.mtu = mtu;
    // A veth takes what XDP sends back only while it has a program of its own.
    if (this.backend === "xdp") this.detachPass = attachXdpPass(lab.generator);
    return lab;
  }

  close(): void {
    const { lab, detachPass } = this;
    this.lab = this.detachPass = undefined;
    this.mtu = 0;
    detachPass?.();
    lab?.down();
  }
}

/** A device that is there already. */
export interface DeviceOptions {
  readonly link: Link; // the generator's end
  readonly addresses: readonly string[]; // of the device: at most one of each IP version
  readonly mac: string; // "": found out by asking the link
  readonly kernelResolves: boolean; // false when its MAC address was given, as the kernel might not find it
  /** Where the device is, whatever a script says: texts of the responder's options. */
  readonly overrides: Texts;
  /** Whether the generator's end is a veth and an XDP program answers at the other: it then needs one, too. */
  readonly takesXdpBack: boolean;
}

/** @throws CaromError (environment) when the device's MAC address can't be found out */
export async function deviceRig(options: DeviceOptions): Promise<Rig> {
  const { link, addresses } = options;
  const isAsked = options.mac === "" && addresses[0] !== undefined;
  const mac = isAsked ? await askNeighbor(link, addresses[0]!) : options.mac;
  return new DeviceRig({ ...options, mac });
}

class DeviceRig implements Rig {
  readonly device: string;
  readonly backend = undefined;
  private detachPass: (() => void) | undefined;

  constructor(private readonly options: DeviceOptions) {
    if (options.takesXdpBack) this.detachPass = attachXdpPass(options.link);
    const where = options.addresses.length === 0 ? "" : ` at ${options.addresses.join(" and ")}`;
    this.device = `the device${where} on ${options.link.interfaceName}`;
  }

  key(settings: Texts): string {
    return keyOf(settings);
  }

  prepare(settings: Texts): Attachment {
    const { link, addresses, mac, overrides, kernelResolves } = this.options;
    const texts = new Map([...settings, ...overrides]);
    const address4 = addresses.find((address) => !isIp6(address)) ?? "";
    const address6 = addresses.find(isIp6) ?? "";
    const config = responderConfig(
      { ...link, mac, address4, address6 },
      resolveValues(responderOptions, texts),
    );
    const wiring = wiringOf(config, link, { mac, address4, address6 }, texts, kernelResolves);
    return { wiring, config, isOwn: false };
  }

  close(): void {
    const { detachPass } = this;
    this.detachPass = undefined;
    detachPass?.();
  }
}

function wiringOf(
  config: ResponderPlan,
  generator: Link,
  device: Wiring["device"],
  settings: Texts,
  kernelResolves: boolean,
): Wiring {
  return {
    generator,
    device,
    group: config.io.groups[0] ?? "",
    toGroup: settings.get("multicast")?.text === "true",
    targetPort: config.io.localPort,
    responsePort: config.responsePort,
    vlan: config.io.vlan,
    kernelResolves,
  };
}
