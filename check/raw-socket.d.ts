/** The part of the raw-socket package that is used; it brings no types of its own. */
declare module "raw-socket" {
  export interface Socket {
    send(
      buffer: Buffer,
      offset: number,
      length: number,
      address: string,
      afterCallback: (error: Error | null, bytes: number) => void,
    ): this;
    setOption(level: number, option: number, value: number | Buffer, length?: number): void;
    pauseRecv(): this;
    close(): this;
    once(event: "error", listener: (error: Error) => void): this;
    removeListener(event: "error", listener: (error: Error) => void): this;
  }
  export function createSocket(options: { protocol: number; addressFamily?: number }): Socket;
}
