/** Carries a console's bytes between a WebSocket and the VM, with a bound in each direction.
 *
 * To the browser: binary frames; nothing more is read from the VM while the socket has more than `ahead_bytes` unsent. From the browser: binary
 * frames; a queue of at most `queue_bytes`. A serial console's client is told how much was taken (text frames, {"taken": bytes}) and so never
 * fills it; who does anyway is closed with 1009. */

import { setTimeout } from "node:timers/promises";
import type { Duplex } from "../../lib/model/backend.ts";
import { ProblemError } from "../../lib/model/problem.ts";

/** What is needed of a WebSocket; `WebSocket` is one. */
export interface ConsoleSocket extends EventTarget {
  readonly readyState: number;
  readonly bufferedAmount: number;
  binaryType: string;
  send(data: string | Uint8Array<ArrayBuffer>): void;
  close(code?: number, reason?: string): void;
}

/** Why a console was closed, as WebSocket close codes. 4000 and up are ours. */
export const CLOSE = {
  ended: 1000, // the VM's side ended it
  data: 1003, // a text frame came
  too_much: 1009, // faster than the VM takes it
  session: 4401, // the session ended, or may not do this any more
  problem: 4500, // it could not be opened; the reason is a sentence
} as const;

/** The bounds. */
export interface BridgeLimits {
  ahead_bytes: number;
  queue_bytes: number;
  /** How often `bufferedAmount` is looked at while the browser is slow: it has no event. */
  drain_ms: number;
  /** A browser that takes nothing for this long is given up. */
  stuck_ms: number;
  /** How often the session is asked about. */
  session_ms: number;
}

export const LIMITS: BridgeLimits = {
  ahead_bytes: 512 << 10,
  queue_bytes: 256 << 10,
  drain_ms: 20,
  stuck_ms: 60_000,
  session_ms: 2_000,
};

const OPEN = 1;
const CONNECTING = 0;

/** What a bridge joins. */
export interface BridgeEnds {
  socket: ConsoleSocket;
  /** Opens the VM's side. Called once. */
  open(): Promise<Duplex>;
  /** Whether who opened it may still have it; asked every `session_ms`. */
  allowed(): Promise<boolean>;
  /** Calls the listener when that may have changed. */
  onChange(listener: () => void): Disposable;
  /** Tell the client how much was taken. */
  acknowledge: boolean;
}

/** A reason fits into 123 bytes of UTF-8. */
function reasonOf(error: unknown): string {
  const text = error instanceof ProblemError ? error.message : "The console could not be opened.";
  let cut = text.slice(0, 120);
  while (new TextEncoder().encode(cut).length > 120) cut = cut.slice(0, -1);
  return cut;
}

/** Closing what the other side closed already may fail, and then nothing is left to do. */
async function closed(duplex: Duplex | null): Promise<void> {
  try {
    await duplex?.[Symbol.asyncDispose]();
  } catch {
    // It is closed.
  }
}

class Bridge {
  readonly #ends: BridgeEnds;
  readonly #limits: BridgeLimits;
  readonly #over = new AbortController();
  readonly #queue: Uint8Array[] = [];
  #queued = 0;
  #more: (() => void) | null = null;

  constructor(ends: BridgeEnds, limits: BridgeLimits) {
    this.#ends = ends;
    this.#limits = limits;
    const { socket } = ends;
    socket.binaryType = "arraybuffer";
    const { signal } = this.#over;
    socket.addEventListener("message", (event) => this.#take((event as MessageEvent).data), { signal });
    socket.addEventListener("close", () => this.#end(), { signal });
    socket.addEventListener("error", () => this.#end(), { signal });
  }

  async run(): Promise<void> {
    const watching = this.#watch();
    let duplex: Duplex | null = null;
    try {
      await this.#opened();
      duplex = await this.#ends.open();
      if (this.#over.signal.aborted) return;
      // A serial console may be silent for hours: the client is told that it is there.
      if (this.#ends.acknowledge) this.#send(JSON.stringify({ taken: 0 }));
      await Promise.race([this.#down(duplex), this.#up(duplex), this.#aborted()]);
      this.#close(CLOSE.ended, "The VM's side closed the console.");
    } catch (error) {
      this.#close(duplex === null ? CLOSE.problem : CLOSE.ended, reasonOf(error));
    } finally {
      this.#end();
      await closed(duplex);
      await watching;
    }
  }

  /** A frame of the browser. */
  #take(data: unknown): void {
    if (!(data instanceof ArrayBuffer)) return this.#close(CLOSE.data, "Binary frames only.");
    if (this.#queued + data.byteLength > this.#limits.queue_bytes) {
      return this.#close(CLOSE.too_much, "More came than the VM takes.");
    }
    this.#queued += data.byteLength;
    this.#queue.push(new Uint8Array(data));
    this.#more?.();
  }

  async #up(duplex: Duplex): Promise<void> {
    const writer = duplex.writable.getWriter();
    while (!this.#over.signal.aborted) {
      const chunk = this.#queue[0];
      if (chunk === undefined) {
        await new Promise<void>((resolve) => this.#more = resolve);
        this.#more = null;
        continue;
      }
      await writer.ready;
      await writer.write(chunk);
      this.#queue.shift();
      this.#queued -= chunk.length;
      if (this.#ends.acknowledge) this.#send(JSON.stringify({ taken: chunk.length }));
    }
  }

  async #down(duplex: Duplex): Promise<void> {
    const reader = duplex.readable.getReader();
    while (!this.#over.signal.aborted) {
      const { value, done } = await reader.read();
      if (done) return;
      this.#send(new Uint8Array(value));
      await this.#drained();
    }
  }

  /** Until the browser has taken enough of what was sent. */
  async #drained(): Promise<void> {
    const { socket } = this.#ends;
    const { ahead_bytes, drain_ms, stuck_ms } = this.#limits;
    let least = Infinity;
    let waited_ms = 0;
    while (!this.#over.signal.aborted && socket.bufferedAmount > ahead_bytes) {
      if (socket.bufferedAmount < least) waited_ms = 0;
      least = Math.min(least, socket.bufferedAmount);
      if (waited_ms >= stuck_ms) return this.#close(CLOSE.too_much, "The browser takes nothing.");
      await this.#pause(drain_ms);
      waited_ms += drain_ms;
    }
  }

  async #watch(): Promise<void> {
    using _change = this.#ends.onChange(() => void this.#check());
    while (!this.#over.signal.aborted) {
      await this.#pause(this.#limits.session_ms);
      await this.#check();
    }
  }

  async #check(): Promise<void> {
    if (this.#over.signal.aborted) return;
    const allowed = await this.#ends.allowed().catch(() => false);
    if (!allowed) this.#close(CLOSE.session, "The session has ended.");
  }

  #opened(): Promise<void> {
    const { socket } = this.#ends;
    if (socket.readyState !== CONNECTING) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    socket.addEventListener("open", () => resolve(), { once: true });
    this.#over.signal.addEventListener("abort", () => resolve(), { once: true });
    return promise;
  }

  #aborted(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    if (this.#over.signal.aborted) resolve();
    this.#over.signal.addEventListener("abort", () => resolve(), { once: true });
    return promise;
  }

  async #pause(ms: number): Promise<void> {
    try {
      await setTimeout(ms, undefined, { signal: this.#over.signal });
    } catch {
      // It is over: whoever waits looks at the signal.
    }
  }

  #send(data: string | Uint8Array<ArrayBuffer>): void {
    if (this.#ends.socket.readyState === OPEN) this.#ends.socket.send(data);
  }

  #close(code: number, reason: string): void {
    const { socket } = this.#ends;
    if (socket.readyState === OPEN || socket.readyState === CONNECTING) socket.close(code, reason);
    this.#end();
  }

  #end(): void {
    this.#over.abort();
    this.#more?.();
  }
}

/** Joins the two until either ends, or the session does. Resolves when all is closed. */
export function bridge(ends: BridgeEnds, limits: BridgeLimits = LIMITS): Promise<void> {
  return new Bridge(ends, limits).run();
}
