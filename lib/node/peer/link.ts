/** One TLS connection as frames. First they are asked for one by one (`next`), later they are taken as they come (`serve`). What the other
 * side may make this one hold is bounded in both directions. */

import type { TLSSocket } from "node:tls";
import { encodeFrame, type Frame, FRAME_MAX, FrameDecoder } from "./frames.ts";
import { type Refusal, toBody, TYPE } from "./messages.ts";

/** Frames that came before somebody asked. */
const WAITING_MAX = 32;
/** Bytes that the other side does not read: then the connection ends. */
const UNSENT_MAX = 16 * 1024 * 1024;
/** Bytes on their way at which streams wait. */
const ROOM = 256 * 1024;
/** Time that the last frame has to leave, ms. */
const LAST_MS = 1000;

export class Link {
  readonly #socket: TLSSocket;
  readonly #decoder = new FrameDecoder(FRAME_MAX.stranger);
  readonly #waiting: Frame[] = [];
  #take: ((frame: Frame) => void) | null = null;
  #asked: ((frame: Frame | null) => void) | null = null;
  #leaving = false;
  #why: string | null = null;
  /** Called once, at the end. */
  readonly ended: Promise<string>;
  #resolveEnded: (why: string) => void;

  constructor(socket: TLSSocket) {
    this.#socket = socket;
    ({ promise: this.ended, resolve: this.#resolveEnded } = Promise.withResolvers<string>());
    socket.setNoDelay(true);
    socket.on("error", (error: Error) => this.end(error.message));
    socket.on("close", () => this.end("the connection was closed"));
    socket.on("data", (bytes: Uint8Array) => this.#came(bytes));
  }

  /** Why it ended; null: it has not. */
  get over(): string | null {
    return this.#why;
  }

  /** The next frame; null: it ended. */
  next(): Promise<Frame | null> {
    const frame = this.#waiting.shift();
    if (frame !== undefined) return Promise.resolve(frame);
    if (this.#why !== null) return Promise.resolve(null);
    return new Promise((resolve) => this.#asked = resolve);
  }

  /** The other side is known: frames may be long, and are taken as they come. */
  serve(take: (frame: Frame) => void): void {
    this.#decoder.allow(FRAME_MAX.peer);
    this.#take = take;
    for (const frame of this.#waiting.splice(0)) {
      if (this.#why === null) take(frame);
    }
  }

  send(type: number, body: Uint8Array): void {
    if (this.#why !== null || this.#leaving) return;
    this.#socket.write(encodeFrame(type, body));
    if (this.#socket.writableLength > UNSENT_MAX) this.end("it does not read what is sent to it");
  }

  say(type: number, value: unknown): void {
    this.send(type, toBody(value));
  }

  /** Waits until little is on its way. */
  async room(): Promise<void> {
    while (this.#why === null && this.#socket.writableLength > ROOM) {
      await Promise.race([
        new Promise<void>((resolve) => this.#socket.once("drain", () => resolve())),
        this.ended,
      ]);
    }
  }

  /** Says why, and ends. */
  async bye(refusal: Refusal, type: number = TYPE.BYE): Promise<void> {
    if (this.#why !== null || this.#leaving) return;
    this.#leaving = true;
    const late = setTimeout(() => this.end(refusal.error), LAST_MS);
    await new Promise<void>((resolve) => {
      this.ended.then(() => resolve());
      this.#socket.end(encodeFrame(type, toBody(refusal)), () => resolve());
    });
    clearTimeout(late);
    this.end(refusal.error);
  }

  /** Ends it without a word. */
  end(why: string): void {
    if (this.#why !== null) return;
    this.#why = why;
    this.#socket.destroy();
    this.#waiting.length = 0;
    this.#asked?.(null);
    this.#asked = null;
    this.#resolveEnded(why);
  }

  #came(bytes: Uint8Array): void {
    if (this.#why !== null) return;
    try {
      this.#decoder.push(bytes, (frame) => this.#frame(frame));
    } catch (error) {
      this.end(error instanceof Error ? error.message : String(error));
    }
  }

  #frame(frame: Frame): void {
    if (this.#why !== null) return;
    if (this.#take !== null) return this.#take(frame);
    if (this.#asked !== null) {
      const asked = this.#asked;
      this.#asked = null;
      return asked(frame);
    }
    if (this.#waiting.length >= WAITING_MAX) return this.end("it sends more than it was asked for");
    this.#waiting.push(frame);
  }
}
