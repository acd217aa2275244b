/** Server-sent events: what changes is pushed to a bounded number of readers, and one that does not read is cut off. */

import type { Context } from "hono";
import type { Principal } from "../../lib/model/access.ts";
import type { Change } from "../../lib/model/backend.ts";
import { ProblemError } from "../../lib/model/problem.ts";
import type { Env, WebDeps } from "../deps.ts";
import { changeFor } from "./redact.ts";

/** Bounds of the streams. */
export interface StreamLimits {
  /** Streams at once, of all readers, and of one. */
  total: number;
  each: number;
  /** Between comments that keep the line open, ms. */
  heartbeat_ms: number;
  /** A stream ends after this time, so that who may read is asked anew; readers connect again by themselves. */
  life_ms: number;
  /** Text that waits for a reader, in characters; more, and it is cut off. */
  backlog: number;
}

export const STREAM_LIMITS: StreamLimits = {
  total: 64,
  each: 16,
  heartbeat_ms: 15_000,
  life_ms: 300_000,
  backlog: 1_000_000,
};

/** Events that a reader who comes back is told of at most. */
const REPLAYED = 1000;

/** Whether who opened a stream may still read it, and when to ask that again. */
export interface Readers {
  valid(context: Context<Env>): boolean;
  /** Called when somebody may do less than before. */
  onChange(listener: () => void): Disposable;
}

/** The streams of one server. */
export class StreamPool {
  readonly limits: StreamLimits;
  readonly readers: Readers;
  #total = 0;
  readonly #each = new Map<string, number>();
  readonly #ends = new Set<() => void>();

  constructor(limits: StreamLimits, readers: Readers) {
    this.limits = limits;
    this.readers = readers;
  }

  get size(): number {
    return this.#total;
  }

  /** Takes a place; throws when there is none. `end` is called when the server closes. The result gives the place back, once. */
  take(who: string, end: () => void): () => void {
    const mine = this.#each.get(who) ?? 0;
    if (this.#total >= this.limits.total || mine >= this.limits.each) {
      throw new ProblemError("too_many", {
        detail: `There are ${this.#total} live streams, ${mine} of them of ${who}`,
        hint: "Close pages or programs that follow this node, then try again.",
      });
    }
    this.#total++;
    this.#each.set(who, mine + 1);
    this.#ends.add(end);
    return () => {
      if (!this.#ends.delete(end)) return;
      this.#total--;
      const left = (this.#each.get(who) ?? 1) - 1;
      if (left === 0) this.#each.delete(who);
      else this.#each.set(who, left);
    };
  }

  /** Ends all streams. */
  close(): void {
    for (const end of [...this.#ends]) end();
  }
}

/** One record. */
function record(change: Change): string {
  const id = change.kind === "event" ? `id: ${change.event.id}\n` : "";
  return `${id}event: ${change.kind}\ndata: ${JSON.stringify(change)}\n\n`;
}

interface Wanted {
  deps: WebDeps & { pool: StreamPool };
  principal: Principal;
  context: Context<Env>;
  /** Id of the last event that the reader has; beside the header Last-Event-ID. */
  after: number | undefined;
  /** Sent at once. */
  first: Change | null;
  wanted(change: Change): boolean;
}

/** The reader's side of a stream: what it was told, and what waits. */
class Reader {
  readonly body: ReadableStream<Uint8Array>;
  readonly #wanted: Wanted;
  readonly #cleanups: (() => void)[] = [];
  #controller!: ReadableStreamDefaultController<Uint8Array>;
  /** Newest snapshot that a slow reader has not been told; older ones are of no use to it. */
  #snapshot: Change | null = null;
  #lastEvent: number;
  #ended = false;
  /** Events that came while older ones were looked up; null: none are. */
  #held: Change[] | null = null;

  constructor(wanted: Wanted) {
    this.#wanted = wanted;
    const header = Number(wanted.context.req.header("Last-Event-ID") ?? NaN);
    this.#lastEvent = wanted.after ?? (Number.isSafeInteger(header) && header >= 0 ? header : -1);
    this.body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#controller = controller;
      },
      pull: () => this.#pulled(),
      cancel: () => this.end(),
    }, new ByteLengthQueuingStrategy({ highWaterMark: 65_536 }));
  }

  open(): void {
    const { deps, principal, first } = this.#wanted;
    const { limits } = deps.pool;
    this.#cleanups.push(deps.pool.take(principal.name, () => this.end()));
    this.#send(": connected\nretry: 2000\n\n");
    if (first !== null) this.#send(record(first));
    if (this.#lastEvent >= 0) this.#held = [];
    const subscription = deps.backend.subscribe((change) => this.#changed(change));
    const change = deps.pool.readers.onChange(() => void this.#mayRead());
    this.#cleanups.push(() => subscription[Symbol.dispose](), () => change[Symbol.dispose]());
    const heart = setInterval(() => this.#beat(), limits.heartbeat_ms);
    const life = setTimeout(() => this.end(), limits.life_ms);
    this.#cleanups.push(() => clearInterval(heart), () => clearTimeout(life));
    if (this.#held !== null) this.#replay().catch(() => this.end());
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const cleanup of this.#cleanups.splice(0)) cleanup();
    try {
      this.#controller.close();
    } catch {
      // The reader closed it first.
    }
  }

  #beat(): void {
    if (this.#mayRead()) this.#send(": still here\n\n");
  }

  /** Ends it when its reader may not read it any more, or that cannot be told. */
  #mayRead(): boolean {
    let valid = false;
    try {
      valid = this.#wanted.deps.pool.readers.valid(this.#wanted.context);
    } catch {
      // The accounts are closed: so is this.
    }
    if (!valid) this.end();
    return valid;
  }

  /** What the reader missed, oldest first; then what came meanwhile. */
  async #replay(): Promise<void> {
    const missed = await this.#wanted.deps.backend.events.query({ after: this.#lastEvent, limit: REPLAYED });
    const held = this.#held ?? [];
    this.#held = null;
    for (const event of missed.sort((a, b) => a.id - b.id)) this.#changed({ kind: "event", event });
    for (const change of held) this.#changed(change);
  }

  #changed(change: Change): void {
    if (this.#ended || !this.#wanted.wanted(change)) return;
    const seen = changeFor(change, this.#wanted.principal);
    if (seen.kind === "snapshot" && (this.#controller.desiredSize ?? 0) <= 0) {
      this.#snapshot = seen;
      return;
    }
    if (seen.kind === "event") {
      if (this.#held !== null) {
        if (this.#held.length >= REPLAYED) this.end();
        else this.#held.push(change);
        return;
      }
      if (seen.event.id <= this.#lastEvent) return;
      this.#lastEvent = seen.event.id;
    }
    this.#send(record(seen));
  }

  #pulled(): void {
    const waiting = this.#snapshot;
    this.#snapshot = null;
    if (waiting !== null) this.#send(record(waiting));
  }

  #send(text: string): void {
    if (this.#ended) return;
    this.#controller.enqueue(new TextEncoder().encode(text));
    if ((this.#controller.desiredSize ?? 0) < -this.#wanted.deps.pool.limits.backlog) this.end();
  }
}

/** The answer that goes on. */
export function liveStream(wanted: Wanted): Response {
  const reader = new Reader(wanted);
  reader.open();
  return wanted.context.body(reader.body, 200, {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
  });
}
