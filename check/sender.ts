/** Sends each datagram the way that leaves it as it is: through a raw IPv4 socket, or as a frame. */

import { createSocket, type Socket } from "raw-socket";
import { CaromError } from "../native/error.js";
import { type FrameSocket, inNamespace, type Link } from "../native/index.js";
import type { Outgoing } from "./outgoing.js";

// Numbers of Linux (socket(7), ip(7), raw(7)); the package names only some of them.
const IPPROTO_RAW = 255; // only sends, and wants the IP header with each packet
const SOL_SOCKET = 1;
const SO_BINDTODEVICE = 25;
const IPPROTO_IP = 0;
const IP_NODEFRAG = 22; // a lone fragment must go out, whatever connection tracking makes of it
const IP_MULTICAST_IF = 32;
const IP_MULTICAST_LOOP = 34;
const ETHERNET_SIZE = 14;

/**
 * What is open: to wait until a socket can be sent to keeps neither it nor whoever awaits it from being collected as garbage,
 * and then nobody is ever told.
 */
const inUse = new Set<Socket>();

export class Sender {
  private raw: Socket | undefined;

  /** @param frames stays the caller's to close @throws CaromError (environment) */
  constructor(
    private readonly link: Link,
    private readonly frames: FrameSocket,
  ) {
    this.raw = this.open();
  }

  /** @throws CaromError (environment) when the kernel refuses it */
  async send({ frame, way, decoded }: Outgoing): Promise<void> {
    if (way === "frame-socket") {
      this.frames.send(frame);
      return;
    }
    const address = decoded.ip?.destination ?? "";
    const { raw } = this;
    if (raw === undefined) throw this.refused(address, new Error("its socket was closed by an error before"));
    inUse.add(raw);
    const packet = frame.subarray(ETHERNET_SIZE);
    await new Promise<void>((resolve, reject) => {
      // After an error of its own the package closes the socket and calls nobody back; used again, it would open
      // another one, in whatever namespace this thread is.
      const onError = (error: Error) => {
        this.close();
        reject(this.refused(address, error));
      };
      raw.once("error", onError);
      raw.send(packet, 0, packet.length, address, (error) => {
        raw.removeListener("error", onError);
        if (error === null) resolve();
        else reject(this.refused(address, error));
      });
    });
  }

  /** An error has closed a socket. */
  get isLost(): boolean {
    return this.raw === undefined;
  }

  /** May be called more than once. */
  close(): void {
    const { raw } = this;
    this.raw = undefined;
    if (raw === undefined) return;
    inUse.delete(raw);
    raw.close();
  }

  private open(): Socket {
    const { link } = this;
    let socket: Socket | undefined;
    try {
      // The namespace in which a socket is opened is the one that it stays in.
      socket = inNamespace(link.namespace, () => createSocket({ protocol: IPPROTO_RAW }));
      socket.pauseRecv();
      const device = Buffer.from(`${link.interfaceName}\0`);
      socket.setOption(SOL_SOCKET, SO_BINDTODEVICE, device, device.length);
      socket.setOption(IPPROTO_IP, IP_NODEFRAG, 1);
      socket.setOption(IPPROTO_IP, IP_MULTICAST_LOOP, 0);
      if (link.address4 !== "") {
        const address = Buffer.from(link.address4.split(".").map(Number));
        socket.setOption(IPPROTO_IP, IP_MULTICAST_IF, address, address.length);
      }
      return socket;
    } catch (error) {
      socket?.close();
      if (error instanceof CaromError) throw error;
      const hint = "a raw socket needs CAP_NET_RAW: run carom as root";
      throw new CaromError(
        "environment",
        `raw socket on ${link.interfaceName}`,
        (error as Error).message,
        hint,
      );
    }
  }

  private refused(address: string, error: Error): CaromError {
    const operation = `raw socket on ${this.link.interfaceName}: send to ${address}`;
    return new CaromError("environment", operation, error.message, "check the route and the MTU of the link");
  }
}
