/** Keeps events and samples whatever the disk does: a damaged file is put aside and said, and while nothing can be written the newest events
 * stay in memory. Runs in the worker. */

import type { DatabaseSync } from "node:sqlite";
import { english } from "../model/english.ts";
import type { EventQuery, EventView } from "../model/event.ts";
import type { VmSample } from "../model/vm.ts";
import { isDamage, openDatabase } from "./database.ts";
import { EVENT_LIMITS, type EventLimits, EventStore } from "./event_store.ts";
import { SampleHistory } from "./sample_history.ts";

/** An event before it has its number. */
export type Taken = Omit<EventView, "id">;

export interface KeeperOptions {
  /** The file; its directory is there. */
  path: string;
  /** Name of this node, for what the keeper itself has to say. */
  node: string;
  limits?: EventLimits;
  /** Size that the file may have. */
  bytes?: number;
  nowMs?: () => number;
}

/** Events in memory while they cannot be written. */
const UNWRITTEN = 2_000;
const FILE_BYTES = 512 << 20;
const EXPIRE_EACH_MS = 3_600_000;
/** After a failure the file is not tried at each event. */
const RETRY_MS = 2_000;

interface Open {
  db: DatabaseSync;
  events: EventStore;
  history: SampleHistory;
}

const words = (error: unknown) => error instanceof Error ? error.message : String(error);

/** See above. No call throws but those that ask. */
export class Keeper implements Disposable {
  readonly #options: KeeperOptions;
  readonly #nowMs: () => number;
  #open: Open | null = null;
  #unwritten: EventView[] = [];
  #nextId = 1;
  #lost = 0;
  #problem: string | null = null;
  #retryMs = -Infinity;
  #expiredMs = -Infinity;

  constructor(options: KeeperOptions) {
    this.#options = options;
    this.#nowMs = options.nowMs ?? Date.now;
    this.#reopen();
  }

  /** Why nothing is written now; null: it is. */
  get problem(): string | null {
    return this.#problem;
  }

  get kept(): number {
    return (this.#open?.events.count ?? 0) + this.#unwritten.length;
  }

  /** Numbers them and keeps them. Returns them as they are kept, with what the keeper had to say itself. */
  events(taken: readonly Taken[]): EventView[] {
    const made = taken.map((event) => ({ id: this.#nextId++, ...event }));
    this.#unwritten.push(...made);
    this.#write();
    return [...made, ...this.#said.splice(0)];
  }

  /** Events that the keeper said and nobody was told yet. */
  readonly #said: EventView[] = [];

  #say(code: "node.events_lost" | "node.events_begun_anew", params: Record<string, string | number>): void {
    const event: EventView = {
      id: this.#nextId++,
      at: new Date(this.#nowMs()).toISOString(),
      node: this.#options.node,
      severity: "critical",
      subject: "node",
      name: "",
      code,
      params,
      text: english({ code, params }),
      actor: null,
    };
    this.#unwritten.push(event);
    this.#said.push(event);
    if (this.#said.length > 100) this.#said.shift();
  }

  #reopen(): void {
    this.#close();
    try {
      const nowMs = this.#nowMs();
      const { db, aside } = openDatabase(this.#options.path, {
        nowMs,
        bytes: this.#options.bytes ?? FILE_BYTES,
      });
      try {
        const events = new EventStore(db, this.#options.limits ?? EVENT_LIMITS);
        this.#open = { db, events, history: new SampleHistory(db) };
      } catch (error) {
        db.close();
        throw error;
      }
      // In a file begun anew numbers must still grow: they begin where no file can have come.
      const floor = aside === null ? 0 : Math.floor(nowMs / 1000);
      this.#nextId = Math.max(this.#nextId, this.#open.events.lastId() + 1, floor);
      this.#problem = null;
      if (aside !== null) this.#say("node.events_begun_anew", { file: aside });
    } catch (error) {
      this.#problem = words(error);
      this.#retryMs = this.#nowMs() + RETRY_MS;
      // Which numbers the file has is not known: these are greater.
      this.#nextId = Math.max(this.#nextId, Math.floor(this.#nowMs() / 1000));
    }
  }

  /** Writes what waits. When that fails it waits on, and the oldest of too many are lost, counted. */
  #write(): void {
    if (this.#unwritten.length === 0 && this.#lost === 0) return;
    const now = this.#nowMs();
    if (this.#problem !== null && now < this.#retryMs && now > this.#retryMs - 2 * RETRY_MS) {
      return this.#dropTooMany();
    }
    if (this.#open === null) this.#reopen();
    for (let attempt = 0; attempt < 2 && this.#open !== null; attempt++) {
      if (this.#lost > 0) {
        const count = this.#lost;
        this.#lost = 0;
        this.#say("node.events_lost", { count, why: this.#problem ?? "there were too many at once" });
      }
      try {
        this.#open.events.insert(this.#unwritten);
        this.#unwritten = [];
        this.#problem = null;
        this.#expire();
        return;
      } catch (error) {
        this.#failed(error);
      }
    }
    this.#dropTooMany();
  }

  #failed(error: unknown): void {
    this.#problem = words(error);
    this.#retryMs = this.#nowMs() + RETRY_MS;
    // Closed and opened again it is checked, and put aside if it is damaged.
    if (isDamage(error)) this.#reopen();
  }

  #dropTooMany(): void {
    const over = this.#unwritten.length - UNWRITTEN;
    if (over <= 0) return;
    this.#unwritten.splice(0, over);
    this.#lost += over;
  }

  /** Counts events that never came here. */
  lost(count: number): void {
    this.#lost += count;
  }

  #expire(): void {
    const now = this.#nowMs();
    if (Math.abs(now - this.#expiredMs) < EXPIRE_EACH_MS) return;
    this.#expiredMs = now;
    this.#open?.events.expire(now);
  }

  /** Takes a sample. Returns whether it was kept. */
  sample(vm: string, sample: VmSample): boolean {
    try {
      this.#open?.history.take(vm, sample);
      return this.#open !== null;
    } catch (error) {
      if (isDamage(error)) this.#reopen();
      return false;
    }
  }

  /** Newest first, those that could not be written yet included. */
  query(query: EventQuery): EventView[] {
    if (this.#open === null) {
      this.#write();
      if (this.#open === null) return matching(this.#unwritten, query);
    }
    try {
      const waiting = matching(this.#unwritten, query);
      return [...waiting, ...this.#open!.events.query(query)].slice(0, query.limit);
    } catch (error) {
      if (!isDamage(error)) throw error;
      this.#reopen();
      this.#write();
      return this.#open === null
        ? matching(this.#unwritten, query)
        : (this.#open as Open).events.query(query);
    }
  }

  history(vm: string, range: { from_ms: number; to_ms: number; points: number }): VmSample[] {
    try {
      return this.#open?.history.query(vm, range) ?? [];
    } catch (error) {
      if (!isDamage(error)) throw error;
      this.#reopen();
      return [];
    }
  }

  #close(): void {
    try {
      this.#open?.db.close();
    } catch {
      // It was damaged, or is closed: there is nothing left to save in it.
    }
    this.#open = null;
  }

  [Symbol.dispose](): void {
    this.#retryMs = -Infinity;
    if (this.#unwritten.length > 0 || this.#lost > 0) this.#write();
    try {
      this.#open?.history.flush();
    } catch {
      // At most ten seconds of samples.
    }
    this.#close();
  }
}

const WORSE: Record<EventView["severity"], number> = { ok: 0, info: 1, warning: 2, critical: 3 };

/** Which of these a query asks for: what SQL says of those that are written. */
export function matching(events: readonly EventView[], query: EventQuery): EventView[] {
  const search = query.search?.toLowerCase() ?? "";
  const since = Date.parse(query.since ?? ""), until = Date.parse(query.until ?? "");
  return events.filter((event) =>
    (query.before === undefined || event.id < query.before) &&
    (query.after === undefined || event.id > query.after) &&
    (query.severity === undefined || WORSE[event.severity] >= WORSE[query.severity]) &&
    (query.subject === undefined || event.subject === query.subject) &&
    (query.name === undefined || event.name === query.name) &&
    (search === "" || `${event.text}\n${event.name}`.toLowerCase().includes(search)) &&
    !(Date.parse(event.at) < since) && !(Date.parse(event.at) > until)
  ).reverse().slice(0, query.limit);
}
