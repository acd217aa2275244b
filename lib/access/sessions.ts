/** Sessions: kept here, so that they end when they are ended. The browser has a random secret, the disk its hash. */

import { ProblemError } from "../model/problem.ts";
import { explained } from "../model/problem_english.ts";
import type { Role, UserView } from "../model/access.ts";
import { ABSOLUTE_MS, IDLE_MS } from "./changes.ts";
import { hashOf, instantOf, randomSecret } from "./store.ts";
import type { Caller, Credentials, Session, Sessions, SessionView } from "./types.ts";
import { type Shared, verifyAgain } from "./users.ts";

/** How long a password that was given counts for dangerous actions. */
export const FRESH_MS = 5 * 60_000;
/** Of one account; the one that was used longest ago goes. */
const PER_USER = 20;
/** Use is written down this often. */
const TOUCH_MS = 60_000;
const SECRET = /^[A-Za-z0-9_-]{43}$/;

interface Row {
  id: string;
  user: string;
  created_ms: number;
  used_ms: number;
  fresh_ms: number;
  address: string;
  agent: string;
  role: string;
  language: string | null;
}

const SELECT = "select s.*, u.role, u.language from sessions s join users u on u.name = s.user";

export class SessionStore implements Sessions {
  readonly #shared: Shared;

  constructor(shared: Shared) {
    this.#shared = shared;
  }

  async begin(given: Credentials, caller: Caller): Promise<{ secret: string; session: Session }> {
    const name = given.name.trim().toLowerCase();
    const user = await verifyAgain(this.#shared, { ...given, name, caller });
    if (this.#shared.passwords.outdated(user.password)) {
      const kept = await this.#shared.passwords.hash(given.password);
      // Only if it is still the same one.
      this.#shared.store.run(
        "update users set password = ? where name = ? and password = ?",
        kept,
        name,
        user.password,
      );
    }
    return await this.open(name, caller);
  }

  /** A new session of somebody who has just shown who they are. */
  async open(name: string, caller: Caller): Promise<{ secret: string; session: Session }> {
    const { store, audit, nowMs } = this.#shared;
    const secret = randomSecret();
    const hash = hashOf(secret);
    const now = nowMs();
    store.transaction(() => {
      store.run(
        "delete from sessions where used_ms <= ? or created_ms <= ?",
        now - IDLE_MS,
        now - ABSOLUTE_MS,
      );
      store.run(
        "delete from sessions where user = ? and hash not in (select hash from sessions where user = ? order by used_ms desc limit ?)",
        ...[name, name, PER_USER - 1],
      );
      store.run(
        "insert into sessions values (?, ?, ?, ?, ?, ?, ?, ?)",
        ...[hash, hashOf(hash).slice(0, 16), name, now, now, now + FRESH_MS, caller.address.slice(0, 64)],
        caller.agent.slice(0, 200),
      );
      store.run("update users set login_ms = ? where name = ?", now, name);
    });
    this.#shared.changes.tell(); // the oldest of many has ended
    await audit.append({
      actor: `user:${name}`,
      action: "session.begin",
      subject: name,
      address: caller.address,
    });
    return { secret, session: this.find(secret)! };
  }

  find(secret: string, options: { use?: boolean } = {}): Session | null {
    if (!SECRET.test(secret)) return null;
    const { store, nowMs } = this.#shared;
    const now = nowMs();
    const hash = hashOf(secret);
    const row = store.get<Row>(
      `${SELECT} where s.hash = ? and s.used_ms > ? and s.created_ms > ?`,
      ...[hash, now - IDLE_MS, now - ABSOLUTE_MS],
    );
    if (row === undefined) return null;
    if (options.use !== false && now - row.used_ms >= TOUCH_MS) {
      store.note("update sessions set used_ms = ? where hash = ?", now, hash);
    }
    return {
      id: row.id,
      user: row.user,
      fresh_until_ms: row.fresh_ms,
      principal: {
        kind: "user",
        name: `user:${row.user}`,
        role: row.role as Role,
        fresh: row.fresh_ms > now,
        language: row.language as UserView["language"],
      },
    };
  }

  async reauthenticate(
    session: Session,
    given: { password: string; code: string },
    caller: Caller,
  ): Promise<void> {
    const { store, audit, nowMs } = this.#shared;
    await verifyAgain(this.#shared, { name: session.user, ...given, caller });
    store.run("update sessions set fresh_ms = ? where id = ?", nowMs() + FRESH_MS, session.id);
    await audit.append({
      actor: session.principal.name,
      action: "session.fresh",
      subject: session.user,
      address: caller.address,
    });
  }

  list(user: string, current: Session | null): SessionView[] {
    const now = this.#shared.nowMs();
    return this.#shared.store.all<Row>(
      `${SELECT} where s.user = ? and s.used_ms > ? and s.created_ms > ? order by s.used_ms desc`,
      ...[user, now - IDLE_MS, now - ABSOLUTE_MS],
    ).map((row) => ({
      id: row.id,
      created: instantOf(row.created_ms),
      last_used: instantOf(row.used_ms),
      address: row.address,
      agent: row.agent,
      current: row.id === current?.id,
    }));
  }

  async end(user: string, id: string, actor: string): Promise<void> {
    const { store, audit, changes } = this.#shared;
    if (store.run("delete from sessions where user = ? and id = ?", user, id) === 0) {
      throw new ProblemError("not_found", explained("access.session"));
    }
    changes.tell();
    await audit.append({ actor, action: "session.end", subject: user });
  }

  async endAll(user: string, actor: string): Promise<void> {
    const { store, audit, changes } = this.#shared;
    const ended = store.run("delete from sessions where user = ?", user);
    changes.tell();
    await audit.append({ actor, action: "session.end_all", subject: user, detail: `${ended} sessions` });
  }
}
