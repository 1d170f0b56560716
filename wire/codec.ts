/** Ticks and orders to bytes and back, by the schema. */

import { marketData, tradingOrder } from "./schema.js";

export const SYMBOL_SIZE = 8;

export type Side = "buy" | "sell";

export interface Tick {
  readonly symbol: string; // 1 to 8 printable ASCII characters, without the padding
  readonly price: number; // cents
  readonly quantity: number; // shares
  readonly timestamp: bigint; // ns
}

export interface Order {
  readonly symbol: string;
  readonly price: number; // cents
  readonly quantity: number; // shares
  readonly side: number; // 0 buy, 1 sell; kept as the number, so that a wrong one can be shown
  readonly timestamp: bigint; // ns
  readonly clOrdId: string; // 16 characters
}

export function encodeTick(tick: Tick): Buffer {
  const bytes = Buffer.alloc(marketData.size);
  bytes.write(padSymbol(tick.symbol), 0, "latin1");
  bytes.writeUInt32LE(tick.price, 8);
  bytes.writeUInt32LE(tick.quantity, 12);
  bytes.writeBigUInt64LE(tick.timestamp, 16);
  return bytes;
}

/** @throws RangeError when fewer than 24 bytes are left at the offset */
export function decodeTick(bytes: Uint8Array, offset = 0): Tick {
  const view = viewOf(bytes, offset, marketData.size);
  return {
    symbol: unpadSymbol(view),
    price: view.readUInt32LE(8),
    quantity: view.readUInt32LE(12),
    timestamp: view.readBigUInt64LE(16),
  };
}

export function encodeOrder(order: Order): Buffer {
  const bytes = Buffer.alloc(tradingOrder.size, " ");
  bytes.write(padSymbol(order.symbol), 0, "latin1");
  bytes.writeUInt32LE(order.price, 8);
  bytes.writeUInt32LE(order.quantity, 12);
  bytes.writeUInt8(order.side, 16);
  bytes.writeBigUInt64LE(order.timestamp, 17);
  bytes.write(order.clOrdId.slice(0, 16), 25, "latin1");
  return bytes;
}

/** @throws RangeError when fewer than 41 bytes are left at the offset */
export function decodeOrder(bytes: Uint8Array, offset = 0): Order {
  const view = viewOf(bytes, offset, tradingOrder.size);
  return {
    symbol: unpadSymbol(view),
    price: view.readUInt32LE(8),
    quantity: view.readUInt32LE(12),
    side: view.readUInt8(16),
    timestamp: view.readBigUInt64LE(17),
    clOrdId: view.toString("latin1", 25, 41),
  };
}

/** The order identifier that ties an order to its tick: 16 lower-case hex digits. */
export function clOrdIdOf(timestamp: bigint): string {
  return BigInt.asUintN(64, timestamp).toString(16).padStart(16, "0");
}

/** @throws RangeError when the symbol is empty, longer than 8 or not printable ASCII */
export function padSymbol(symbol: string): string {
  if (!/^[\x21-\x7e][\x20-\x7e]{0,7}$/.test(symbol)) {
    throw new RangeError(`symbol ${JSON.stringify(symbol)} is not 1 to 8 printable ASCII characters`);
  }
  return symbol.padEnd(SYMBOL_SIZE, " ");
}

/** Only the padding goes: any other byte, a newline too, makes another symbol. */
function unpadSymbol(view: Buffer): string {
  return view.toString("latin1", 0, SYMBOL_SIZE).replace(/ +$/, "");
}

function viewOf(bytes: Uint8Array, offset: number, size: number): Buffer {
  if (offset < 0 || offset + size > bytes.length) {
    throw new RangeError(`${size} bytes wanted at offset ${offset} of ${bytes.length}`);
  }
  return Buffer.from(bytes.buffer, bytes.byteOffset + offset, size);
}
