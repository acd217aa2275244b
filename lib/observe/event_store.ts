/** Events in SQLite: bounded by number, age and size. */

import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { EventQuery, EventView } from "../model/event.ts";
import { isFull } from "./database.ts";

/** From harmless to bad: kept as its place in here. */
const SEVERITIES = ["ok", "info", "warning", "critical"] as const;

/** What is kept at most. */
export interface EventLimits {
  events: number;
  age_ms: number;
  /** Age takes none of these newest ones: a clock that jumps far ahead does not cost the history. */
  always: number;
}

export const EVENT_LIMITS: EventLimits = { events: 100_000, age_ms: 400 * 86_400_000, always: 10_000 };

interface Row {
  id: number;
  at_ms: number;
  node: string;
  severity: number;
  subject: string;
  name: string;
  code: string;
  params: string;
  text: string;
  actor: string | null;
}

function view(row: Row): EventView {
  return {
    id: row.id,
    at: new Date(row.at_ms).toISOString(),
    node: row.node,
    severity: SEVERITIES[row.severity] ?? "critical",
    subject: row.subject as EventView["subject"],
    name: row.name,
    code: row.code,
    params: JSON.parse(row.params),
    text: row.text,
    actor: row.actor,
  };
}

function instantMs(text: string | undefined): number | null {
  if (text === undefined) return null;
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? null : ms;
}

/** The text as SQLite's LIKE wants it, with nothing in it that LIKE reads as anything else. */
function likePattern(text: string): string {
  return `%${text.replace(/[\\%_]/g, "\\$&")}%`;
}

/** What a query asks, as SQL with places for the values. */
function conditions(query: EventQuery): { sql: string; values: (string | number)[] } {
  const parts: string[] = [];
  const values: (string | number)[] = [];
  const add = (sql: string, ...given: (string | number)[]) => {
    parts.push(sql);
    values.push(...given);
  };
  if (query.before !== undefined) add("id < ?", query.before);
  if (query.after !== undefined) add("id > ?", query.after);
  if (query.severity !== undefined) add("severity >= ?", SEVERITIES.indexOf(query.severity));
  if (query.subject !== undefined) add("subject = ?", query.subject);
  if (query.name !== undefined) add("name = ?", query.name);
  if (query.search !== undefined && query.search !== "") {
    const pattern = likePattern(query.search);
    add("(text LIKE ? ESCAPE '\\' OR name LIKE ? ESCAPE '\\')", pattern, pattern);
  }
  const since = instantMs(query.since), until = instantMs(query.until);
  if (since !== null) add("at_ms >= ?", since);
  if (until !== null) add("at_ms <= ?", until);
  return { sql: parts.length === 0 ? "" : `WHERE ${parts.join(" AND ")}`, values };
}

/** The table of events. All calls wait for the disk. */
export class EventStore {
  readonly #db: DatabaseSync;
  readonly #limits: EventLimits;
  readonly #insert: StatementSync;
  #count: number;

  constructor(db: DatabaseSync, limits: EventLimits = EVENT_LIMITS) {
    this.#db = db;
    this.#limits = limits;
    this.#insert = db.prepare(
      `INSERT OR REPLACE INTO events (id, at_ms, node, severity, subject, name, code, params, text, actor)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    );
    this.#count = (db.prepare("SELECT count(*) AS n FROM events").get() as { n: number }).n;
  }

  get count(): number {
    return this.#count;
  }

  /** The greatest id; 0: none. */
  lastId(): number {
    return (this.#db.prepare("SELECT max(id) AS id FROM events").get() as { id: number | null }).id ?? 0;
  }

  /** Keeps them all or, when it throws, none. */
  insert(events: readonly EventView[]): void {
    try {
      this.#insertAll(events);
    } catch (error) {
      if (!isFull(error) || this.#count === 0 || !this.#largest()) throw error;
      // The file has the size that it may have: the oldest tenth makes room. A full disk takes no event from us.
      this.#removeOldest(Math.ceil(this.#count / 10));
      this.#insertAll(events);
    }
    const over = this.#count - this.#limits.events;
    // Not at each event: some more than the limit, then back to it.
    if (over > this.#limits.events / 100) this.#removeOldest(over);
  }

  #largest(): boolean {
    const pages = (pragma: string) =>
      Number(Object.values(this.#db.prepare(`PRAGMA ${pragma}`).get() ?? {})[0]);
    return pages("page_count") >= pages("max_page_count") - 16;
  }

  #insertAll(events: readonly EventView[]): void {
    this.#db.exec("BEGIN IMMEDIATE");
    try {
      for (const event of events) {
        this.#insert.run(
          event.id,
          Date.parse(event.at),
          event.node,
          SEVERITIES.indexOf(event.severity),
          event.subject,
          event.name,
          event.code,
          JSON.stringify(event.params),
          event.text,
          event.actor,
        );
      }
      this.#db.exec("COMMIT");
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec("ROLLBACK");
      throw error;
    }
    this.#count += events.length;
  }

  #removeOldest(number: number): void {
    const { changes } = this.#db.prepare(
      "DELETE FROM events WHERE id IN (SELECT id FROM events ORDER BY id LIMIT ?)",
    ).run(number);
    this.#count -= Number(changes);
  }

  /** Lets go of what is too old. */
  expire(nowMs: number): void {
    const { changes } = this.#db.prepare(
      `DELETE FROM events WHERE at_ms < ? AND id <= (SELECT id FROM events ORDER BY id DESC LIMIT 1 OFFSET ?)`,
    ).run(nowMs - this.#limits.age_ms, this.#limits.always);
    this.#count -= Number(changes);
  }

  /** Newest first. */
  query(query: EventQuery): EventView[] {
    const { sql, values } = conditions(query);
    const rows = this.#db.prepare(`SELECT * FROM events ${sql} ORDER BY id DESC LIMIT ?`)
      .all(...values, query.limit);
    return (rows as unknown as Row[]).map(view);
  }
}
