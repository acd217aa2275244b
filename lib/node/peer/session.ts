/** A connection with the other node from the moment that both have said hello: signs of life, calls, streams. */

import { Calls, type Handler } from "./calls.ts";
import type { Frame } from "./frames.ts";
import type { Link } from "./link.ts";
import {
  fromBody,
  type Introduction,
  pingSchema,
  pongSchema,
  type Refusal,
  refusalSchema,
  TYPE,
} from "./messages.ts";
import { type StreamHandler, Streams } from "./streams.ts";

/** Pings whose answer is waited for. */
const PINGS_MAX = 8;

/** Looks whether something was heard, from one sign of life to the next. */
const LOOKS = 4;

/** So long an older session stays for what the other node may still send on it, ms; and so often it is looked whether it is done. */
const LINGER_MS = 1000;

/** What each session of a node has. */
export interface SessionContext {
  handlers: ReadonlyMap<string, Handler>;
  streams: ReadonlyMap<string, StreamHandler>;
  /** This node has just started: not all who answer have said so yet. */
  starting(): boolean;
  heartbeatMs: number;
  silentMs: number;
  /** Unix ms. */
  now(): number;
}

/** A session's other end. */
export interface SessionPeer {
  id: string;
  version: string;
  introduction: Introduction;
  /** The address of its end of this connection. */
  address: string;
}

/** What a session tells. */
export interface SessionEvents {
  /** The other side keeps this connection. */
  chosen(): void;
  /** A round trip, us; the other's clock minus this one's, ms. */
  measured(sample: { rtt_us: number; offset_ms: number }): void;
  /** Nothing has been heard for longer than it should be. */
  quiet(): void;
}

export class Session {
  readonly peer: SessionPeer;
  readonly dialled: boolean;
  readonly calls: Calls;
  readonly streams: Streams;
  readonly startedMs = performance.now();
  readonly #link: Link;
  readonly #context: SessionContext;
  readonly #events: SessionEvents;
  readonly #pings = new Map<number, { sent: number; at: number }>();
  #heard = performance.now();
  #seq = 1;
  #lookedAt = performance.now();
  #looks = 0;
  #timer: ReturnType<typeof setInterval> | undefined;
  #retiring: ReturnType<typeof setInterval> | undefined;
  /** What the other side said when it ended this. */
  refusal: Refusal | null = null;

  constructor(
    link: Link,
    options: { peer: SessionPeer; dialled: boolean; context: SessionContext; events: SessionEvents },
  ) {
    this.#link = link;
    this.peer = options.peer;
    this.dialled = options.dialled;
    this.#context = options.context;
    this.#events = options.events;
    const { handlers, streams, starting } = options.context;
    this.calls = new Calls((type, body) => link.send(type, body), { handlers, starting });
    this.streams = new Streams(link, { dialled: options.dialled, handlers: streams, starting });
  }

  /** Takes what comes from now on, also what has come already. */
  start(): void {
    this.#timer = setInterval(() => this.#look(), this.#context.heartbeatMs / LOOKS);
    this.#link.ended.then((why) => this.#over(why));
    this.#link.serve((frame) => this.#take(frame));
    this.#ping();
  }

  /** Resolves when it is over, with why. */
  get ended(): Promise<string> {
    return this.#link.ended;
  }

  get over(): boolean {
    return this.#link.over !== null;
  }

  /** For how long nothing has been heard, ms. */
  get silentForMs(): number {
    return performance.now() - this.#heard;
  }

  /** Tells the other side that this is the connection that is kept. */
  choose(): void {
    this.#link.say(TYPE.CHOSEN, {});
  }

  bye(refusal: Refusal): Promise<void> {
    return this.#link.bye(refusal);
  }

  end(why: string): void {
    this.#link.end(why);
  }

  /** Another session has taken its place: what was begun on this one comes to its end first, on both sides. */
  retire(why: string): void {
    clearInterval(this.#retiring);
    this.#retiring = setInterval(() => {
      if (this.calls.idle && this.streams.idle) this.end(why);
    }, LINGER_MS);
  }

  #over(why: string): void {
    clearInterval(this.#timer);
    clearInterval(this.#retiring);
    this.calls.end(why);
    this.streams.end(why);
  }

  #look(): void {
    const { silentMs, heartbeatMs } = this.#context;
    const silent = this.silentForMs;
    // A process that stood still has not yet read what came meanwhile: it judges the next time.
    const stood = performance.now() - this.#lookedAt > heartbeatMs;
    this.#lookedAt = performance.now();
    if (++this.#looks % LOOKS === 0) this.#ping();
    if (stood) return;
    if (silent > silentMs) return this.end(`nothing was heard for ${(silentMs / 1000).toFixed(1)} s`);
    if (silent > silentMs / 2) this.#events.quiet();
  }

  #ping(): void {
    if (this.#pings.size >= PINGS_MAX) this.#pings.delete(this.#pings.keys().next().value!);
    this.#pings.set(this.#seq, { sent: performance.now(), at: this.#context.now() });
    this.#link.say(TYPE.PING, { seq: this.#seq++ });
  }

  #take({ type, body }: Frame): void {
    this.#heard = performance.now();
    const fine = this.#beats(type, body) ?? (this.calls.take(type, body) || this.streams.take(type, body));
    if (!fine) this.end(`it sent a frame of type ${type} that no node sends`);
  }

  /** What is about the connection itself; null: it is not. */
  #beats(type: number, body: Uint8Array): boolean | null {
    if (type === TYPE.PING) {
      const ping = fromBody(pingSchema, body);
      if (ping !== undefined) this.#link.say(TYPE.PONG, { seq: ping.seq, at: this.#context.now() });
      return ping !== undefined;
    }
    if (type === TYPE.PONG) {
      const pong = fromBody(pongSchema, body);
      if (pong !== undefined) this.#ponged(pong);
      return pong !== undefined;
    }
    if (type === TYPE.CHOSEN) {
      this.#events.chosen();
      return true;
    }
    if (type !== TYPE.BYE) return null;
    this.refusal = fromBody(refusalSchema, body) ?? null;
    this.end(this.refusal?.error ?? "it ended the connection");
    return true;
  }

  #ponged({ seq, at }: { seq: number; at: number }): void {
    const ping = this.#pings.get(seq);
    if (ping === undefined) return;
    this.#pings.delete(seq);
    const ms = performance.now() - ping.sent;
    this.#events.measured({ rtt_us: Math.round(ms * 1000), offset_ms: at - (ping.at + ms / 2) });
  }
}
