/** Streams of bytes between two nodes, many on one connection. Each side may send as many bytes as the other has given it credit for, so a
 * reader that stands still holds a bounded number of bytes, and nobody else up. */

import type { Duplex } from "../../model/backend.ts";
import { ProblemError } from "../../model/problem.ts";
import { explained } from "../../model/problem_english.ts";
import { problemOf, unknownMethod, unreachable, wireError } from "./calls.ts";
import type { Link } from "./link.ts";
import { errorSchema, fromBody, openSchema, streamSchema, TYPE } from "./messages.ts";

/** Bytes that one side of a stream may have on their way or unread. */
export const WINDOW = 256 * 1024;
/** Streams at a time, of both sides together. */
export const STREAMS_MAX = 32;
/** Bytes in one frame: short, so that signs of life do not wait long. */
const PIECE = 16 * 1024;
/** The other node answers within this, ms. */
const OPEN_MS = 5000;

/** What answers an opened stream: whose bytes are carried to the other node. */
export type StreamHandler = (params: unknown) => Promise<Duplex>;

function numbers(...values: number[]): Uint8Array {
  const bytes = new Uint8Array(values.length * 4);
  values.forEach((value, i) => new DataView(bytes.buffer).setUint32(4 * i, value, true));
  return bytes;
}

/** One stream's end. */
class Stream implements Duplex {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;
  readonly #id: number;
  readonly #link: Link;
  readonly #gone: () => void;
  readonly #queue: Uint8Array[] = [];
  #unread = 0;
  #owed = 0;
  #credit = WINDOW;
  /** The other side sends no more. */
  #theirEnd = false;
  #ourEnd = false;
  #error: Error | null = null;
  #over = false;
  /** Whoever waits for bytes, or for credit. */
  #wake: (() => void)[] = [];
  #writer: WritableStreamDefaultController | null = null;

  constructor(id: number, { link, gone }: { link: Link; gone(): void }) {
    this.#id = id;
    this.#link = link;
    this.#gone = gone;
    this.readable = new ReadableStream<Uint8Array>({
      pull: (controller) => this.#pull(controller),
      cancel: () => this.fail(new Error("the stream was closed here"), { tell: true }),
    }, { highWaterMark: 0 });
    this.writable = new WritableStream<Uint8Array>({
      start: (controller) => void (this.#writer = controller),
      write: (bytes) => this.#write(bytes),
      close: () => this.#close(),
      abort: () => this.fail(new Error("the stream was closed here"), { tell: true }),
    }, { highWaterMark: 1 });
  }

  /** Bytes came; false: more than they had credit for. */
  came(bytes: Uint8Array): boolean {
    if (this.#over) return true;
    if (this.#theirEnd || this.#unread + this.#owed + bytes.length > WINDOW) return false;
    this.#queue.push(bytes);
    this.#unread += bytes.length;
    this.#awake();
    return true;
  }

  credited(bytes: number): boolean {
    if (bytes === 0 || this.#credit + bytes > WINDOW) return false;
    this.#credit += bytes;
    this.#awake();
    return true;
  }

  theyEnded(): void {
    this.#theirEnd = true;
    this.#awake();
    this.#done();
  }

  /** It breaks off, for both sides. */
  fail(error: Error, { tell }: { tell: boolean }): void {
    if (this.#over) return;
    this.#over = true;
    this.#error = error;
    if (tell) this.#link.say(TYPE.RESET, wireError(this.#id, error));
    try {
      this.#writer?.error(error);
    } catch {
      // It was closed already.
    }
    this.#awake();
    this.#gone();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.fail(new Error("the stream was closed"), { tell: true });
    return Promise.resolve();
  }

  #awake(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }

  #changed(): Promise<void> {
    return new Promise((resolve) => this.#wake.push(resolve));
  }

  async #pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    while (this.#queue.length === 0) {
      if (this.#theirEnd) return controller.close();
      if (this.#error !== null) return controller.error(this.#error);
      await this.#changed();
    }
    const bytes = this.#queue.shift()!;
    this.#unread -= bytes.length;
    this.#owed += bytes.length;
    if (this.#owed >= WINDOW / 4 && !this.#over) {
      this.#link.send(TYPE.CREDIT, numbers(this.#id, this.#owed));
      this.#owed = 0;
    }
    controller.enqueue(bytes);
  }

  async #write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      while (this.#credit === 0 && this.#error === null) await this.#changed();
      await this.#link.room();
      if (this.#error !== null) throw this.#error;
      const piece = bytes.subarray(at, at + Math.min(PIECE, this.#credit));
      const body = new Uint8Array(4 + piece.length);
      body.set(numbers(this.#id));
      body.set(piece, 4);
      this.#credit -= piece.length;
      at += piece.length;
      this.#link.send(TYPE.DATA, body);
    }
  }

  #close(): void {
    if (this.#over) return;
    this.#ourEnd = true;
    this.#link.say(TYPE.END, { id: this.#id });
    this.#done();
  }

  #done(): void {
    if (!this.#ourEnd || !this.#theirEnd || this.#over) return;
    this.#over = true;
    this.#gone();
  }
}

/** When one direction has ended, the other one has this long, ms. */
const HALF_MS = 1000;

/** Carries a stream's bytes to and from what answers it; when either side ends, so does the other. */
async function carry(stream: Stream, local: Duplex): Promise<void> {
  const ends = [stream.readable.pipeTo(local.writable), local.readable.pipeTo(stream.writable)];
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    await Promise.race(ends);
    const late = new Promise<void>((resolve) => timer = setTimeout(resolve, HALF_MS));
    await Promise.race([Promise.all(ends), late]);
  } catch (error) {
    stream.fail(error instanceof Error ? error : new Error(String(error)), { tell: true });
  } finally {
    clearTimeout(timer);
    for (const end of ends) end.catch(() => {});
    await local[Symbol.asyncDispose]();
    await stream[Symbol.asyncDispose]();
  }
}

export class Streams {
  readonly #link: Link;
  readonly #handlers: ReadonlyMap<string, StreamHandler>;
  readonly #starting: () => boolean;
  readonly #open = new Map<number, Stream>();
  readonly #asked = new Map<number, { resolve(): void; reject(error: Error): void }>();
  #next: number;
  /** Numbers of streams of the other side that are being opened here. */
  readonly #opening = new Set<number>();
  #over: string | null = null;

  constructor(
    link: Link,
    options: { dialled: boolean; handlers: ReadonlyMap<string, StreamHandler>; starting(): boolean },
  ) {
    this.#link = link;
    this.#handlers = options.handlers;
    this.#starting = () => options.starting();
    this.#next = options.dialled ? 1 : 2;
  }

  /** None is open, nor being opened. */
  get idle(): boolean {
    return this.#open.size === 0 && this.#opening.size === 0 && this.#asked.size === 0;
  }

  async open(method: string, params: unknown): Promise<Duplex> {
    if (this.#over !== null) throw unreachable(explained("peer.over", { why: this.#over }));
    if (this.#open.size + this.#opening.size >= STREAMS_MAX) throw tooMany();
    const id = this.#next;
    this.#next += 2;
    const stream = this.#make(id);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timer = setTimeout(() => {
      const late = unreachable(explained("peer.not_opened", { method, seconds: OPEN_MS / 1000 }));
      stream.fail(late, { tell: true });
      reject(late);
    }, OPEN_MS);
    this.#asked.set(id, { resolve, reject });
    this.#link.say(TYPE.OPEN, { id, method, params });
    try {
      await promise;
    } finally {
      clearTimeout(timer);
      this.#asked.delete(id);
    }
    return stream;
  }

  /** Takes a frame of a stream; false: it is not one, or breaks the rules. */
  take(type: number, body: Uint8Array): boolean {
    if (type === TYPE.DATA || type === TYPE.CREDIT) return this.#bytes(type, body);
    if (type === TYPE.OPEN) return this.#wanted(body);
    if (type === TYPE.RESET) {
      const error = fromBody(errorSchema, body);
      if (error === undefined) return false;
      const problem = problemOf(error);
      this.#asked.get(error.id)?.reject(problem);
      this.#open.get(error.id)?.fail(problem, { tell: false });
      return true;
    }
    const named = type === TYPE.OPENED || type === TYPE.END ? fromBody(streamSchema, body) : undefined;
    if (named === undefined) return false;
    if (type === TYPE.OPENED) this.#asked.get(named.id)?.resolve();
    else this.#open.get(named.id)?.theyEnded();
    return true;
  }

  end(why: string): void {
    this.#over = why;
    const error = unreachable(explained("peer.over", { why }));
    for (const { reject } of this.#asked.values()) reject(error);
    for (const stream of [...this.#open.values()]) stream.fail(error, { tell: false });
  }

  #make(id: number): Stream {
    const stream = new Stream(id, { link: this.#link, gone: () => this.#open.delete(id) });
    this.#open.set(id, stream);
    return stream;
  }

  #bytes(type: number, body: Uint8Array): boolean {
    if (body.length < 5) return false;
    const view = new DataView(body.buffer, body.byteOffset, body.length);
    const stream = this.#open.get(view.getUint32(0, true));
    if (type === TYPE.CREDIT && body.length !== 8) return false;
    if (stream === undefined) return true; // it has just ended here, which the other side does not know yet
    return type === TYPE.CREDIT ? stream.credited(view.getUint32(4, true)) : stream.came(body.subarray(4));
  }

  #wanted(body: Uint8Array): boolean {
    const open = fromBody(openSchema, body);
    // Whoever opens a stream numbers it: a number of this side's, or one that is in use, breaks the rules.
    if (open === undefined || open.id % 2 === this.#next % 2) return false;
    if (this.#open.has(open.id) || this.#opening.has(open.id)) return false;
    this.#answer(open.id, open).catch((error) => this.#link.say(TYPE.RESET, wireError(open.id, error)));
    return true;
  }

  async #answer(id: number, { method, params }: { method: string; params?: unknown }): Promise<void> {
    const handler = this.#handlers.get(method);
    if (handler === undefined) throw unknownMethod(method, this.#starting());
    if (this.#open.size + this.#opening.size >= STREAMS_MAX) throw tooMany();
    this.#opening.add(id);
    let local: Duplex;
    try {
      local = await handler(params);
    } finally {
      this.#opening.delete(id);
    }
    if (this.#over !== null) return await local[Symbol.asyncDispose]();
    const stream = this.#make(id);
    this.#link.say(TYPE.OPENED, { id });
    await carry(stream, local);
  }
}

function tooMany(): ProblemError {
  return new ProblemError("too_many", explained("peer.streams_max", { count: STREAMS_MAX }));
}
