/** What a process that runs cases has open: the generator's end of the link and, in a lab, carom's own responder. */

import { asCaromError, type CaromError } from "../native/error.js";
import { type Counters, type FrameSocket, openFrameSocket, type ResponderConfig } from "../native/index.js";
import { openResponder, type ResponderThreads } from "../responder/threads.js";
import { type Inbox, openInbox } from "./inbox.js";
import type { Wiring } from "./outgoing.js";
import type { Attachment } from "./rig.js";
import { Sender } from "./sender.js";

export class Station {
  readonly wiring: Wiring;
  /** What the device is set to: carom's responder is, another one is taken to be. */
  readonly config: ResponderConfig;
  readonly inbox: Inbox;
  readonly sender: Sender;
  /** Why carom's responder has ended by itself. */
  problem: CaromError | undefined;
  private readonly frames: FrameSocket;
  private readonly responder: ResponderThreads | undefined;

  /** @throws CaromError; then nothing is open */
  constructor({ wiring, config, isOwn }: Attachment) {
    this.wiring = wiring;
    this.config = config;
    const { generator: link, responsePort: holdPort } = wiring;
    let frames: FrameSocket | undefined;
    this.responder = isOwn ? openResponder(config) : undefined;
    try {
      frames = openFrameSocket({ link, holdPort });
      this.sender = new Sender(link, frames);
    } catch (error) {
      frames?.close();
      this.responder?.close();
      throw error;
    }
    this.frames = frames;
    this.inbox = openInbox(frames, wiring);
  }

  /** onEnd is called when carom's responder ends by itself. */
  start(onEnd: (problem: CaromError) => void): void {
    this.responder?.start((error) => {
      if (error === null || error === undefined) return;
      this.problem = asCaromError(error, "carom's responder");
      onEnd(this.problem);
    });
  }

  /** Of carom's responder; empty for another device. */
  counters(): Counters {
    return this.responder?.counters() ?? {};
  }

  /** May be called more than once. */
  close(): void {
    this.sender.close();
    this.frames.close();
    this.responder?.close();
  }
}
