/** Every message that crosses the network, defined once. From it come the codecs and native/wire.gen.h. */

export type FieldType = "ascii" | "u8" | "u32" | "u64";

export interface Field {
  readonly name: string;
  readonly type: FieldType;
  readonly offset: number; // bytes from the start of the message
  readonly size: number; // bytes
  readonly description: string;
}

export interface Message {
  readonly name: string;
  readonly size: number; // bytes
  readonly fields: readonly Field[];
  readonly description: string;
}

/** A market-data message: 24 bytes, little-endian, packed. */
export const marketData = message("market_data", 24, "one tick, from the exchange side", [
  ["symbol", "ascii", 8, "ASCII, padded with spaces"],
  ["price", "u32", 4, "cents"],
  ["quantity", "u32", 4, "shares"],
  ["timestamp", "u64", 8, "ns; unique for each tick of a run"],
]);

/** The answer to a tick: 41 bytes, little-endian, packed. */
export const tradingOrder = message("trading_order", 41, "one order, from the trader side", [
  ["symbol", "ascii", 8, "as in the tick"],
  ["price", "u32", 4, "cents"],
  ["quantity", "u32", 4, "shares"],
  ["side", "u8", 1, "0 buy, 1 sell"],
  ["timestamp", "u64", 8, "ns, when the order was made"],
  ["clOrdId", "ascii", 16, "the tick's timestamp as 16 lower-case hex digits"],
]);

export const messages: readonly Message[] = [marketData, tradingOrder];

type FieldRow = readonly [name: string, type: FieldType, size: number, description: string];

function message(name: string, size: number, description: string, rows: readonly FieldRow[]): Message {
  let offset = 0;
  const fields = rows.map(([fieldName, type, fieldSize, fieldDescription]) => {
    const field = { name: fieldName, type, offset, size: fieldSize, description: fieldDescription };
    offset += fieldSize;
    return field;
  });
  if (offset !== size) throw new Error(`${name}: fields take ${offset} bytes, the message has ${size}`);
  return { name, size, fields, description };
}

/** 64-bit FNV-1a over names, types, offsets and sizes: two builds that differ in any of them differ in it. */
export function layoutHash(): string {
  let hash = 0xcbf29ce484222325n;
  const text = messages
    .map((m) => `${m.name}:${m.size}{${m.fields.map((f) => `${f.name}:${f.type}@${f.offset}+${f.size}`)}}`)
    .join("");
  for (const byte of Buffer.from(text)) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  }
  return hash.toString(16).padStart(16, "0");
}
