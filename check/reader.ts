/** Reads a check script. Every mistake in it is found before anything is sent, and named by line and column. */

import { basename } from "node:path";
import { type Document, readBounded, readDocument } from "../config/document.js";
import { resolveValues, type Texts } from "../config/file.js";
import { keyName, nameOfKey, type OptionTable } from "../config/option.js";
import { validateDocument } from "../config/shape.js";
import { CaromError } from "../native/error.js";
import { isIp6 } from "../wire/address.js";
import { decodeFrame } from "../wire/decode.js";
import type { VlanTag } from "../wire/frame.js";
import { marketData } from "../wire/schema.js";
import {
  type CaseDocument,
  type ExpectDocument,
  PAYLOAD_MAX,
  type ScriptDocument,
  type SendDocument,
  scriptSchema,
  type TickDocument,
} from "./schema.js";
import {
  type Case,
  type ExpectedOrder,
  type IpOverrides,
  type Script,
  SETTINGS,
  type SendItem,
  type TickSpec,
  tickBytes,
} from "./script.js";

const TICKS_MAX = 10_000; // of one case
const WITHIN_NS = 500e6;
const QUIET_NS = 10e6;

/** @throws CaromError (usage) that names file, line and column, and what is allowed there */
export function loadScript(file: string, table: OptionTable): Script {
  return parseScript(readBounded(file, "check script"), file, table);
}

/**
 * @param table the responder's options, by which the settings are checked
 * @throws CaromError as loadScript does
 */
export function parseScript(text: string, file: string, table: OptionTable): Script {
  const document = readDocument(text, file);
  const read = validateDocument(scriptSchema, document);
  const cases = read.cases.map((item, index) =>
    new CaseReader(document, ["cases", index], read, item, table).read(),
  );
  const seen = new Map<string, string>();
  for (const [index, { name, place }] of cases.entries()) {
    const earlier = seen.get(name);
    if (earlier !== undefined) {
      const detail = `a case ${JSON.stringify(name)} was given already at ${earlier}`;
      throw new CaromError(
        "usage",
        document.place(["cases", index, "name"]),
        detail,
        "reports tell cases apart by name",
      );
    }
    seen.set(name, place);
  }
  const name = read.name ?? basename(file).replace(/\.ya?ml$/, "");
  return { file, name, description: read.description ?? "", mtu: read.lab?.mtu, cases };
}

/** Turns one case of the document into what the runner needs. */
class CaseReader {
  constructor(
    private readonly document: Document,
    private readonly path: readonly PropertyKey[],
    private readonly script: ScriptDocument,
    private readonly item: CaseDocument,
    private readonly table: OptionTable,
  ) {}

  read(): Case {
    const { item, script } = this;
    const sends = item.send.map((send, index) => this.send(send, index));
    const ticks = sends.reduce((sum, send) => sum + send.ticks.length * send.repeat, 0);
    if (ticks > TICKS_MAX) this.fail(["send"], `${ticks} ticks, a case may send ${TICKS_MAX}`);
    const settings = new Map([
      ...this.settings(["responder"], script.responder),
      ...this.settings([...this.path, "responder"], item.responder),
    ]);
    resolveValues(this.table, settings); // here, so that a bad value is found before anything is sent
    return {
      name: item.name,
      place: this.document.place(this.path),
      settings,
      needs: { mtu: item.needs?.mtu ?? 0, ipv6: item.needs?.ipv6 ?? false },
      unless: { backends: item.unless?.backend ?? [], reason: item.unless?.reason ?? "" },
      sends,
      expected: item.expect === "nothing" ? [] : this.expected(item.expect, ticks),
      within_ns: item.within ?? script.within ?? WITHIN_NS,
      quiet_ns: item.quiet ?? script.quiet ?? QUIET_NS,
      probe: item.probe ?? script.probe ?? true,
      inOrder: item.any_order !== true,
      datagrams: item.datagrams,
    };
  }

  private fail(path: readonly PropertyKey[], detail: string, hint = ""): never {
    throw new CaromError("usage", this.document.place([...this.path, ...path]), detail, hint);
  }

  private settings(path: readonly PropertyKey[], given: ScriptDocument["responder"]): Texts {
    const texts: Texts = new Map();
    const allowed = SETTINGS.filter((name) => Object.hasOwn(this.table, name));
    for (const [key, value] of Object.entries(given ?? {})) {
      const place = this.document.placeOfKey(path, key);
      const name = allowed.find((candidate) => keyName(candidate) === key);
      if (name === undefined) {
        const known = Object.hasOwn(this.table, nameOfKey(key))
          ? "is not a script's to set"
          : "is no setting";
        const hint = `allowed are: ${allowed.map(keyName).join(", ")}`;
        throw new CaromError("usage", place, `${JSON.stringify(key)} ${known}`, hint);
      }
      const text = typeof value === "string" ? value : value.join(",");
      texts.set(name, { text, place: `${this.document.place([...path, key])}: ${key}` });
    }
    return texts;
  }

  private send(item: SendDocument, index: number): SendItem {
    const at = (...path: PropertyKey[]) => ["send", index, ...path];
    const kinds = (["tick", "ticks", "payload", "frame"] as const).filter((key) => item[key] !== undefined);
    if (kinds.length > 1) this.fail(at(kinds[1]!), `${kinds[0]} and ${kinds[1]} exclude each other`);
    if (kinds.length === 0 && item.partial === undefined) {
      this.fail(at(), "nothing to send", "give one of tick, ticks, partial, payload, frame");
    }
    if (item.partial !== undefined && (kinds[0] === "payload" || kinds[0] === "frame")) {
      this.fail(at("partial"), `partial and ${kinds[0]} exclude each other`);
    }
    if (item.frame !== undefined) {
      const other = Object.keys(item).find((key) => !["frame", "repeat", "pause"].includes(key));
      if (other !== undefined) this.fail(at(other), `a frame is sent as it is: ${other} can't go with it`);
    }
    const { ticks, trailer } = this.content(item, at);
    const size = ticks.length * marketData.size + trailer.length;
    if (size > PAYLOAD_MAX)
      this.fail(at(), `${size} bytes in one datagram, at most ${PAYLOAD_MAX} are possible`);
    const udp = item.udp === "none" ? undefined : item.udp;
    return {
      place: this.document.place([...this.path, ...at()]),
      ticks,
      trailer,
      frame: item.frame,
      to: item.to,
      ethernet: item.ethernet ?? {},
      vlans: vlansOf(item.vlan),
      ip: this.ip(item, at),
      udp:
        item.udp === "none"
          ? undefined
          : {
              sourcePort: udp?.source_port,
              destinationPort: udp?.destination_port,
              length: udp?.length,
              checksum: udp?.checksum,
            },
      truncate: item.truncate,
      pad: item.pad,
      repeat: item.repeat ?? 1,
      pause_ns: item.pause ?? 0,
    };
  }

  private content(item: SendDocument, at: (...path: PropertyKey[]) => PropertyKey[]) {
    if (item.frame !== undefined) return ticksIn(decodeFrame(item.frame).payload);
    if (item.payload !== undefined) return ticksIn(item.payload);
    const documents = item.tick !== undefined ? [item.tick] : (item.ticks ?? []);
    const where = (index: number) => (item.tick !== undefined ? at("tick") : at("ticks", index));
    const ticks = documents.flatMap((tick, index) => this.repeatTick(tick, where(index)));
    if (item.partial === undefined) return { ticks, trailer: Buffer.alloc(0) };
    // The start of a good tick, so that a device which reads beyond the end would find something to answer.
    const last = ticks.at(-1) ?? {
      symbol: Buffer.from("PARTIAL "),
      price: 1,
      quantity: 1,
      timestamp: undefined,
    };
    return { ticks, trailer: tickBytes(last, 1n).subarray(0, item.partial) };
  }

  private repeatTick(tick: TickDocument, path: readonly PropertyKey[]): TickSpec[] {
    const count = tick.repeat ?? 1;
    if (count * marketData.size > PAYLOAD_MAX) {
      const most = Math.floor(PAYLOAD_MAX / marketData.size);
      this.fail(
        [...path, "repeat"],
        `${count} ticks in one datagram, at most ${most} fit`,
        "repeat what is sent instead",
      );
    }
    return Array.from({ length: count }, (_, index) => ({
      symbol: tick.symbol ?? Buffer.from("TEST    "),
      price: this.step(tick.price, tick.price_step, index, path),
      quantity: tick.quantity ?? 10,
      timestamp: tick.timestamp,
    }));
  }

  private step(price: number, step: number | undefined, index: number, path: readonly PropertyKey[]): number {
    const value = price + (step ?? 0) * index;
    if (value < 0 || value > 0xffff_ffff) {
      this.fail(
        [...path, "price_step"],
        `the price becomes ${value} at repetition ${index + 1}, it has 32 bits`,
      );
    }
    return value;
  }

  private ip(item: SendDocument, at: (...path: PropertyKey[]) => PropertyKey[]): IpOverrides {
    const ip = item.ip ?? {};
    const literals = [ip.destination, item.to, ip.source].filter(
      (address) => address !== undefined && /[.:]/.test(address),
    );
    const implied = literals[0] === undefined ? undefined : isIp6(literals[0]) ? 6 : 4;
    const odd = literals.find((address) => isIp6(address!) !== isIp6(literals[0]!));
    if (odd !== undefined) this.fail(at("ip"), `${literals[0]} and ${odd} are not of one IP version`);
    const version = ip.version === 6 ? 6 : ip.version !== undefined ? 4 : implied;
    if (ip.version !== undefined && implied !== undefined && version !== implied) {
      this.fail(at("ip", "version"), `${ip.version}, but ${literals[0]} is an IPv${implied} address`);
    }
    const foreign = version === 6 ? ONLY_IP4 : ONLY_IP6;
    const wrong = foreign.find((key) => ip[key] !== undefined);
    if (wrong !== undefined) this.fail(at("ip", wrong), `an IPv${version ?? 4} header has no ${wrong}`);
    return {
      version,
      versionField: ip.version_field ?? (ip.version === 4 || ip.version === 6 ? undefined : ip.version),
      headerLength: ip.ihl,
      trafficClass: ip.traffic_class,
      flowLabel: ip.flow_label,
      totalLength: ip.total_length,
      payloadLength: ip.payload_length,
      identification: ip.identification,
      dontFragment: ip.dont_fragment,
      moreFragments: ip.more_fragments,
      fragmentOffset: ip.fragment_offset,
      ttl: ip.ttl,
      protocol: ip.protocol,
      checksum: ip.checksum,
      source: ip.source,
      destination: ip.destination,
      options: ip.options,
    };
  }

  private expected(items: readonly ExpectDocument[], ticks: number): ExpectedOrder[] {
    const count = items.reduce((sum, { order }) => sum + (order.repeat ?? 1), 0);
    if (ticks === 0)
      this.fail(["expect"], "the case sends no whole tick that could be answered", "expect nothing");
    if (count > TICKS_MAX) this.fail(["expect"], `${count} orders, a case may expect ${TICKS_MAX}`);
    return items.flatMap((item, index) => {
      const { order } = item;
      if (order.answers === undefined && count !== ticks) {
        const detail = `${count} orders for ${ticks} ticks: this one does not say which tick it answers`;
        this.fail(["expect", index, "order"], detail, "add answers: N, counting ticks from 1");
      }
      return Array.from({ length: order.repeat ?? 1 }, (_, repetition) =>
        this.expectedOrder(item, index, repetition, { items, ticks }),
      );
    });
  }

  private expectedOrder(
    item: ExpectDocument,
    index: number,
    repetition: number,
    all: { items: readonly ExpectDocument[]; ticks: number },
  ): ExpectedOrder {
    const { order } = item;
    const path = ["expect", index, "order"];
    const before = all.items.slice(0, index).reduce((sum, { order: { repeat } }) => sum + (repeat ?? 1), 0);
    const tick = (order.answers === undefined ? before : order.answers - 1) + repetition;
    if (tick >= all.ticks) this.fail([...path, "answers"], `tick ${tick + 1}, but ${all.ticks} are sent`);
    return {
      tick,
      symbol: order.symbol,
      price:
        order.price === undefined ? undefined : this.step(order.price, order.price_step, repetition, path),
      quantity: order.quantity,
      side: order.side,
      timestamp: order.timestamp,
      clOrdId: order.clOrdId,
      vlan: item.vlan === undefined ? undefined : item.vlan === "none" ? -1 : item.vlan.id,
      source: item.ip?.source,
      destination: item.ip?.destination,
      ttl: item.ip?.ttl,
      sourcePort: item.udp?.source_port,
      destinationPort: item.udp?.destination_port,
    };
  }
}

const ONLY_IP4 = ["ihl", "total_length", "dont_fragment", "checksum", "options"] as const;
const ONLY_IP6 = ["flow_label", "payload_length"] as const;

function vlansOf(vlan: SendDocument["vlan"]): VlanTag[] | undefined {
  if (vlan === undefined) return undefined;
  if (vlan === "none") return [];
  return [vlan]
    .flat()
    .map(({ id, priority, drop_eligible, type }) => ({ id, priority, dropEligible: drop_eligible, type }));
}

function ticksIn(payload: Buffer): { ticks: TickSpec[]; trailer: Buffer } {
  const count = Math.floor(payload.length / marketData.size);
  const ticks = Array.from({ length: count }, (_, index) => {
    const at = index * marketData.size;
    return {
      symbol: payload.subarray(at, at + 8),
      price: payload.readUInt32LE(at + 8),
      quantity: payload.readUInt32LE(at + 12),
      timestamp: payload.readBigUInt64LE(at + 16),
    };
  });
  return { ticks, trailer: payload.subarray(count * marketData.size) };
}
