/** A second responder for the same ticks is refused before it opens anything, with who has them. */

import { z } from "zod";
import { hasProgram } from "../config/io.js";
import { CaromError } from "../native/error.js";
import type { IoConfig } from "../native/index.js";
import { ask, refuseTakenName, socketNames } from "./control.js";
import { namespaceAt } from "./usage.js";

const ANSWER_MS = 500; // for all that run, together: one that hangs must not keep a new one from starting

/** The part of what a running responder says of itself that is of use here. */
const other = z.object({
  name: z.string(),
  pid: z.number(),
  started: z.string(),
  backend: z.string(),
  interface: z.string(),
  network_namespace: z.number().nullable(),
  queues: z.array(z.number()),
  addresses: z.array(z.string()),
  port: z.number(),
});

type Other = z.output<typeof other>;

/** @throws CaromError (environment) when a running responder has the name, or takes the same ticks */
export async function refuseSecond(name: string, io: IoConfig): Promise<void> {
  const operation = `respond on ${io.link.interfaceName}`;
  await refuseTakenName(name, operation);
  const here = namespaceAt(io.link.namespace);
  const running = await Promise.all(socketNames().map(statusOf));
  const holder = running.find(
    (found) =>
      found?.interface === io.link.interfaceName && found.network_namespace === here && collide(io, found),
  );
  if (holder === undefined) return;
  const { name: held, pid, started, backend, queues, port } = holder;
  const where = isXdp(backend)
    ? `${backend}, ${queues.length > 1 ? "queues" : "queue"} ${queues.join(", ")}`
    : backend;
  const otherwise = bothXdp(io, holder)
    ? "; one process serves several queues of an interface: --queues 0-1"
    : ", or choose another --target-port";
  throw new CaromError(
    "environment",
    operation,
    `held by the responder ${held}, process ${pid}, since ${started}, backend ${where}, UDP port ${port}`,
    `carom stop --name ${held} ends it${otherwise}`,
  );
}

/** What a responder says of itself; undefined when it says nothing, or nothing that makes sense. */
async function statusOf(name: string): Promise<Other | undefined> {
  try {
    return other.parse(await ask(name, "status", {}, ANSWER_MS));
  } catch {
    return undefined; // stale, hanging or of another version: what it holds, the kernel will refuse
  }
}

/** Whether two responders on one interface would get the same ticks, or can't be there together. */
function collide(io: IoConfig, found: Other): boolean {
  if (bothXdp(io, found)) return true;
  const { address4, address6 } = io.link;
  return io.localPort === found.port && found.addresses.some((own) => own === address4 || own === address6);
}

function bothXdp(io: IoConfig, found: Other): boolean {
  return isXdp(io.backend) && isXdp(found.backend);
}

function isXdp(backend: string): boolean {
  return hasProgram(backend);
}
