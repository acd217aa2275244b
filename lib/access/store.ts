/** Accounts, sessions and tokens on disk: SQLite, in a file that only this program's user may read. Of secrets it has hashes; of
 * authenticators it has to have the secret itself. */

import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import { makeDurableDirectory } from "../durable_directory.ts";
import { EdgeError } from "../errors.ts";

const VERSION = 1;

const SCHEMA = `
create table users (
  name text primary key, password text not null, role text not null, totp text, totp_step integer not null default 0,
  created_ms integer not null, login_ms integer, language text
) strict;
create table recovery (user text not null references users on delete cascade, hash text not null, primary key (user, hash)) strict;
create table sessions (
  hash text primary key, id text not null unique, user text not null references users on delete cascade,
  created_ms integer not null, used_ms integer not null, fresh_ms integer not null, address text not null, agent text not null
) strict;
create index sessions_user on sessions (user);
create table tokens (
  id text primary key, name text not null unique, hash text not null unique, role text not null,
  created_ms integer not null, expires_ms integer, used_ms integer
) strict;
create table audit (one integer primary key check (one = 1), seq integer not null, hash text not null,
  kept_seq integer not null, kept_hash text not null) strict;
`;

/** An account's row. */
export interface UserRow {
  name: string;
  password: string;
  role: string;
  totp: string | null;
  totp_step: number;
  created_ms: number;
  login_ms: number | null;
  language: string | null;
}

/** A row of anything, and its changes. */
export class Store implements Disposable {
  readonly #db: DatabaseSync;

  constructor(db: DatabaseSync) {
    this.#db = db;
  }

  get<T>(sql: string, ...values: SQLInputValue[]): T | undefined {
    return this.#db.prepare(sql).get(...values) as T | undefined;
  }

  all<T>(sql: string, ...values: SQLInputValue[]): T[] {
    return this.#db.prepare(sql).all(...values) as T[];
  }

  /** Returns how many rows it changed. */
  run(sql: string, ...values: SQLInputValue[]): number {
    return Number(this.#db.prepare(sql).run(...values).changes);
  }

  /** Writes what may be lost: a disk that a guest has filled must not lock out who would look after it. */
  note(sql: string, ...values: SQLInputValue[]): void {
    try {
      this.run(sql, ...values);
    } catch {
      // What was there before stands.
    }
  }

  /** All of it or nothing. */
  transaction<T>(work: () => T): T {
    this.#db.exec("begin immediate");
    try {
      const result = work();
      this.#db.exec("commit");
      return result;
    } catch (error) {
      // On a full disk SQLite has rolled back by itself.
      if (this.#db.isTransaction) this.#db.exec("rollback");
      throw error;
    }
  }

  user(name: string): UserRow | undefined {
    return this.get<UserRow>("select * from users where name = ?", name);
  }

  [Symbol.dispose](): void {
    this.#db.close();
  }
}

/** Opens DIRECTORY/access.db, and makes it when it is not there. */
export function openStore(directory: string): Store {
  const file = `${directory}/access.db`;
  try {
    makeDurableDirectory(directory, 0o700);
    // Made by us, so that it is never readable by others, not for a moment; SQLite gives its other files the same mode.
    Deno.openSync(file, { write: true, create: true, mode: 0o600 }).close();
    Deno.chmodSync(file, 0o600);
    const db = new DatabaseSync(file);
    try {
      db.exec(
        "pragma journal_mode = wal; pragma synchronous = full; pragma foreign_keys = on; pragma busy_timeout = 2000",
      );
      migrate(db, file);
    } catch (error) {
      db.close();
      throw error;
    }
    return new Store(db);
  } catch (cause) {
    if (cause instanceof EdgeError) throw cause;
    throw new EdgeError(`${file} cannot be used`, {
      op: "open the accounts",
      hint:
        "Run this as the user that owns it; if it is damaged, restore it from a backup, or remove it and set up anew.",
      cause,
    });
  }
}

function migrate(db: DatabaseSync, file: string): void {
  const { user_version: found } = db.prepare("pragma user_version").get() as { user_version: number };
  if (found > VERSION) {
    throw new EdgeError(`${file} is of version ${found}, and this program knows ${VERSION}`, {
      op: "open the accounts",
      hint: "Use the newer program, or restore a backup that is older.",
    });
  }
  if (found === 0) db.exec(`begin; ${SCHEMA} pragma user_version = ${VERSION}; commit`);
}

/** SHA-256 in hex: how random secrets are kept. (Passwords are kept otherwise: password.ts.) */
export function hashOf(secret: string): string {
  return createHash("sha256").update(secret).digest("hex");
}

/** 256 random bits for a URL or a header. */
export function randomSecret(): string {
  return Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString("base64url");
}

/** Unix ms as it is shown. */
export function instantOf(ms: number): string {
  return new Date(ms).toISOString();
}

/** The same of what may never have been. */
export function instantOrNull(ms: number | null): string | null {
  return ms === null ? null : instantOf(ms);
}
