/** What the cases run against: carom's own responder in a lab, or a device that somebody else set up. */

import { resolveValues, type Texts } from "../config/file.js";
import { createLab, type Lab } from "../lab/lab.js";
import { resolveMac } from "../lab/neighbor.js";
import { asCaromError, type CaromError } from "../native/error.js";
import {
  attachXdpPass,
  type Counters,
  type FrameSocket,
  type Link,
  openFrameSocket,
  type ResponderConfig,
} from "../native/index.js";
import { responderConfig, responderOptions } from "../responder/config.js";
import { openResponder, type ResponderThreads } from "../responder/threads.js";
import { isIp6 } from "../wire/address.js";
import { type Inbox, openInbox } from "./inbox.js";
import type { Wiring } from "./outgoing.js";
import { Sender } from "./sender.js";

const DEFAULT_MTU = 1500; // bytes

/** The generator's end of the link, and what is known of the device at the other. */
export interface Attachment {
  readonly wiring: Wiring;
  /** What the device is set to: carom's responder is, another one is taken to be. */
  readonly config: ResponderConfig;
  readonly inbox: Inbox;
  readonly sender: Sender;
  /** Of carom's responder; empty for another device. */
  counters(): Counters;
  /** Why carom's responder has ended by itself. */
  problem(): CaromError | undefined;
}

export interface Rig {
  /** "carom's responder on af_xdp". */
  readonly device: string;
  readonly backend: string | undefined; // of carom's responder
  /**
   * The device, set as a case needs it: the same attachment as before when nothing has to change.
   * @param beforeChange called before what was attached is given back
   * @throws CaromError
   */
  attach(settings: Texts, mtu: number | undefined, beforeChange: () => void): Promise<Attachment>;
  /** Gives everything back. May be called more than once. */
  close(): void;
}

/** What is open on the generator's end. */
class Station {
  readonly inbox: Inbox;
  readonly sender: Sender;
  private readonly frames: FrameSocket;

  constructor(readonly wiring: Wiring) {
    const { generator: link, responsePort: holdPort } = wiring;
    this.frames = openFrameSocket({ link, holdPort });
    this.inbox = openInbox(this.frames, wiring);
    this.sender = new Sender(link, this.frames);
  }

  close(): void {
    this.sender.close();
    this.frames.close();
  }
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
  private current:
    | { key: string; responder: ResponderThreads; station: Station; attachment: Attachment }
    | undefined;

  constructor(
    readonly backend: string,
    private readonly base: Texts,
  ) {
    this.device = `carom's responder on ${backend}`;
  }

  async attach(settings: Texts, mtu = DEFAULT_MTU, beforeChange: () => void): Promise<Attachment> {
    const key = JSON.stringify([mtu, [...settings].map(([name, { text }]) => [name, text]).sort()]);
    if (this.current?.key === key && this.current.attachment.problem() === undefined)
      return this.current.attachment;
    if (this.current !== undefined) beforeChange();
    this.stop();
    if (this.mtu !== mtu) this.removeLab();
    this.lab ??= this.makeLab(mtu);
    this.current = await this.start(this.lab, settings, key);
    return this.current.attachment;
  }

  private async start(lab: Lab, settings: Texts, key: string) {
    const values = resolveValues(responderOptions, new Map([...this.base, ...settings]));
    const config = responderConfig(lab.responder, values);
    const responder = openResponder(config);
    let ended: CaromError | undefined;
    let station: Station | undefined;
    try {
      const { mac, address4, address6 } = lab.responder;
      const wiring = wiringOf(config, lab.generator, { mac, address4, address6 }, settings, true);
      station = new Station(wiring);
      responder.start((error) => {
        if (error !== null && error !== undefined) ended = asCaromError(error, this.device);
      });
      const { inbox, sender } = station;
      const counters = () => responder.counters();
      const attachment = { wiring, config, inbox, sender, counters, problem: () => ended };
      return { key, responder, station, attachment };
    } catch (error) {
      station?.close();
      responder.close();
      throw error;
    }
  }

  private stop(): void {
    const { current } = this;
    this.current = undefined;
    current?.station.close();
    current?.responder.close();
  }

  private makeLab(mtu: number): Lab {
    const lab = createLab({ mtu });
    this.lab = lab;
    this.mtu = mtu;
    // A veth takes what XDP sends back only while it has a program of its own.
    if (this.backend === "xdp") this.detachPass = attachXdpPass(lab.generator);
    return lab;
  }

  private removeLab(): void {
    const { lab, detachPass } = this;
    this.lab = this.detachPass = undefined;
    this.mtu = 0;
    detachPass?.();
    lab?.down();
  }

  close(): void {
    try {
      this.stop();
    } finally {
      this.removeLab();
    }
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
  let { mac } = options;
  if (mac === "" && addresses[0] !== undefined) {
    const frames = openFrameSocket({ link, holdPort: 0 });
    try {
      mac = await resolveMac(frames, link, addresses[0]);
    } finally {
      frames.close();
    }
  }
  return new DeviceRig({ ...options, mac });
}

class DeviceRig implements Rig {
  readonly device: string;
  readonly backend = undefined;
  private current: { key: string; station: Station; attachment: Attachment } | undefined;

  private detachPass: (() => void) | undefined;

  constructor(private readonly options: DeviceOptions) {
    if (options.takesXdpBack) this.detachPass = attachXdpPass(options.link);
    const where = options.addresses.length === 0 ? "" : ` at ${options.addresses.join(" and ")}`;
    this.device = `the device${where} on ${options.link.interfaceName}`;
  }

  async attach(settings: Texts, _mtu: number | undefined, beforeChange: () => void): Promise<Attachment> {
    const key = JSON.stringify([...settings].map(([name, { text }]) => [name, text]).sort());
    if (this.current?.key === key) return this.current.attachment;
    if (this.current !== undefined) beforeChange();
    this.leave();
    const { link, addresses, mac, overrides, kernelResolves } = this.options;
    const texts = new Map([...settings, ...overrides]);
    const address4 = addresses.find((address) => !isIp6(address)) ?? "";
    const address6 = addresses.find(isIp6) ?? "";
    const config = responderConfig(
      { ...link, mac, address4, address6 },
      resolveValues(responderOptions, texts),
    );
    const wiring = wiringOf(config, link, { mac, address4, address6 }, texts, kernelResolves);
    const station = new Station(wiring);
    const { inbox, sender } = station;
    const attachment = { wiring, config, inbox, sender, counters: () => ({}), problem: () => undefined };
    this.current = { key, station, attachment };
    return attachment;
  }

  close(): void {
    const { detachPass } = this;
    this.detachPass = undefined;
    this.leave();
    detachPass?.();
  }

  private leave(): void {
    const { current } = this;
    this.current = undefined;
    current?.station.close();
  }
}

function wiringOf(
  config: ResponderConfig,
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
