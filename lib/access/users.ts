/** Accounts. */

import { may, type Role, type UserView } from "../model/access.ts";
import { ProblemError } from "../model/problem.ts";
import { explained } from "../model/problem_english.ts";
import type { Backoff } from "./backoff.ts";
import type { Changes } from "./changes.ts";
import { checkNewPassword, type Passwords } from "./password.ts";
import { RateLimiter } from "./rate.ts";
import { instantOf, instantOrNull, type Store, type UserRow } from "./store.ts";
import { useCode } from "./totp.ts";
import type { AccessEvents, Audit, Caller, UserChange, UserCreate, Users } from "./types.ts";

const USERS_MAX = 200;

/** What the parts of access share. */
export interface Shared {
  store: Store;
  audit: Audit;
  passwords: Passwords;
  backoff: Backoff;
  events: AccessEvents;
  refusals: Refusals;
  /** Told at once when somebody may do less. */
  changes: Changes;
  nowMs(): number;
}

/** Refused attempts in the audit log: few enough that whoever guesses from everywhere does not push out what is in it. */
export class Refusals {
  readonly #audit: Audit;
  readonly #rate: RateLimiter;
  #left = 0;

  constructor(audit: Audit, nowMs: () => number) {
    this.#audit = audit;
    this.#rate = new RateLimiter({ burst: 200, perSecond: 0.1, keys: 1 }, nowMs);
  }

  async note(subject: string, address: string): Promise<void> {
    if (this.#rate.take("") > 0) {
      this.#left++;
      return;
    }
    const detail = this.#left === 0 ? "" : `${this.#left} more were refused before and are not written down`;
    this.#left = 0;
    await this.#audit.append({ actor: "nobody", action: "session.refused", subject, address, detail });
  }
}

/** An account as it is shown. */
export function viewOf(row: UserRow, backoff: Backoff): UserView {
  return {
    name: row.name,
    role: row.role as Role,
    totp: row.totp !== null,
    created: instantOf(row.created_ms),
    last_login: instantOrNull(row.login_ms),
    locked_until: instantOrNull(backoff.lockedUntil(row.name)),
    language: row.language as UserView["language"],
  };
}

export class Accounts implements Users {
  readonly #shared: Shared;
  readonly #onAdministrator: () => void;

  /** `onAdministrator` is called whenever somebody has become one. */
  constructor(shared: Shared, onAdministrator: () => void) {
    this.#shared = shared;
    this.#onAdministrator = onAdministrator;
  }

  list(): UserView[] {
    return this.#shared.store.all<UserRow>("select * from users order by name")
      .map((row) => viewOf(row, this.#shared.backoff));
  }

  get(name: string): UserView | null {
    const row = this.#shared.store.user(name);
    return row === undefined ? null : viewOf(row, this.#shared.backoff);
  }

  async create(user: UserCreate, actor: string): Promise<UserView> {
    const { store, passwords, audit, events, nowMs } = this.#shared;
    checkNewPassword(user.password, user.name);
    this.#refuseTaken(user.name);
    const kept = await passwords.hash(user.password);
    store.transaction(() => {
      this.#refuseTaken(user.name); // somebody may have been quicker
      store.run(
        "insert into users (name, password, role, created_ms, language) values (?, ?, ?, ?, ?)",
        ...[user.name, kept, user.role, nowMs(), user.language],
      );
    });
    await audit.append({ actor, action: "user.create", subject: user.name, detail: user.role });
    events.created(user.name, actor);
    if (user.role === "administrator") this.#onAdministrator();
    return this.get(user.name)!;
  }

  #refuseTaken(name: string): void {
    const { store } = this.#shared;
    if (store.user(name) !== undefined) {
      throw new ProblemError("exists", explained("access.user_exists", { name }));
    }
    if (store.get<{ n: number }>("select count(*) as n from users")!.n >= USERS_MAX) {
      throw new ProblemError("refused", explained("access.users_max", { count: USERS_MAX }));
    }
  }

  async change(name: string, change: UserChange, actor: string): Promise<UserView> {
    const { store, passwords, audit, events } = this.#shared;
    this.#row(name);
    if (change.password !== undefined) checkNewPassword(change.password, name);
    const kept = change.password === undefined ? null : await passwords.hash(change.password);
    store.transaction(() => {
      const row = this.#row(name);
      if (change.role !== undefined && change.role !== "administrator") {
        this.#refuseLast(row, "loses the role");
      }
      if (change.role !== undefined) store.run("update users set role = ? where name = ?", change.role, name);
      if (change.language !== undefined) {
        store.run("update users set language = ? where name = ?", change.language, name);
      }
      if (change.totp === false) {
        store.run("update users set totp = null, totp_step = 0 where name = ?", name);
        store.run("delete from recovery where user = ?", name);
      }
      if (kept !== null) this.#setPassword(name, kept);
    });
    this.#shared.changes.tell();
    const what = Object.entries(change).filter(([, value]) => value !== undefined)
      .map(([key, value]) => key === "password" ? "password" : `${key} ${value}`).join(", ");
    await audit.append({ actor, action: "user.change", subject: name, detail: what });
    events.changed(name, { what, actor });
    if (change.role === "administrator") this.#onAdministrator();
    return this.get(name)!;
  }

  async changeOwnPassword(
    name: string,
    given: { old: string; new: string; code: string },
    caller: Caller,
  ): Promise<void> {
    const { store, passwords, audit, events, nowMs } = this.#shared;
    checkNewPassword(given.new, name);
    await verifyAgain(this.#shared, { name, password: given.old, code: given.code, caller });
    const kept = await passwords.hash(given.new);
    store.transaction(() => {
      this.#row(name);
      this.#setPassword(name, kept);
      store.run("update users set login_ms = ? where name = ?", nowMs(), name);
    });
    this.#shared.changes.tell();
    const actor = `user:${name}`;
    await audit.append({ actor, action: "user.password", subject: name, address: caller.address });
    events.changed(name, { what: "password", actor });
  }

  setLanguage(name: string, language: UserView["language"]): void {
    this.#shared.store.run("update users set language = ? where name = ?", language, name);
  }

  async remove(name: string, actor: string): Promise<void> {
    const { store, audit, events } = this.#shared;
    store.transaction(() => {
      this.#refuseLast(this.#row(name), "is removed");
      store.run("delete from users where name = ?", name); // sessions and recovery codes go with it
    });
    this.#shared.changes.tell();
    await audit.append({ actor, action: "user.remove", subject: name });
    events.deleted(name, actor);
  }

  hasAdministrator(): boolean {
    return this.#shared.store.get("select 1 from users where role = 'administrator' limit 1") !== undefined;
  }

  #row(name: string): UserRow {
    const row = this.#shared.store.user(name);
    if (row !== undefined) return row;
    throw new ProblemError("not_found", explained("access.no_user", { name }));
  }

  #refuseLast(row: UserRow, what: string): void {
    if (!may(row.role as Role, "administer")) return;
    const others = this.#shared.store.get(
      "select 1 from users where role = 'administrator' and name <> ? limit 1",
      row.name,
    );
    if (others !== undefined) return;
    throw new ProblemError("refused", explained("access.last_administrator", { name: row.name, what }));
  }

  #setPassword(name: string, kept: string): void {
    const { store } = this.#shared;
    store.run("update users set password = ? where name = ?", kept, name);
    store.run("delete from sessions where user = ?", name);
  }
}

/** Is it who they say they are? Counts for the back-off, and writes down what was refused. Returns the account as it is now. */
export async function verifyAgain(
  shared: Shared,
  given: { name: string; password: string; code: string; caller: Caller },
): Promise<UserRow> {
  const { store, passwords, backoff, refusals, events, nowMs } = shared;
  const { name, caller } = given;
  const attempt = backoff.begin(name, caller.address);
  const before = store.user(name);
  const right = await passwords.verify(given.password, before?.password ?? null);
  const user = store.user(name);
  // The account may have changed while the password was being checked.
  const same = user !== undefined && user.password === before?.password;
  if (right && same && useCode(store, { user, code: given.code, nowMs: nowMs() })) {
    attempt.succeeded();
    return user;
  }
  // A name that is no account's may be a password in the wrong field: it is not written down.
  const subject = user === undefined ? "?" : name;
  await refusals.note(subject, caller.address);
  if (attempt.locked && user !== undefined) events.locked(name, caller.address);
  throw new ProblemError("unauthenticated", explained("access.wrong"));
}
