/** What is used of pcap-parser 0.2, which has no types of its own. */

declare module "pcap-parser" {
  import type { EventEmitter } from "node:events";

  export interface ParsedPacket {
    readonly header: {
      readonly timestampSeconds: number;
      readonly timestampMicroseconds: number;
      readonly capturedLength: number;
      readonly originalLength: number;
    };
    readonly data: Buffer;
  }

  /** Emits "packet" for each, then "end"; "error" for a file that it can't read. */
  const pcapParser: { parse(path: string): EventEmitter };
  export default pcapParser;
}
