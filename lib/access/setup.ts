/** How the first administrator comes to be: by a link with a one-time token that is shown on the node's terminal only. */

import { timingSafeEqual } from "node:crypto";
import { ProblemError } from "../model/problem.ts";
import { explained } from "../model/problem_english.ts";
import type { UserView } from "../model/access.ts";
import type { SessionStore } from "./sessions.ts";
import { hashOf, randomSecret } from "./store.ts";
import type { Caller, Session, Setup } from "./types.ts";
import type { Accounts, Shared } from "./users.ts";

const VALID_MS = 60 * 60_000;

export class FirstAdministrator implements Setup {
  readonly #parts: { shared: Shared; users: Accounts; sessions: SessionStore };
  readonly #listeners = new Set<() => void>();
  #token: { secret: string; until_ms: number } | null = null;
  #busy = false;
  #done: boolean;

  constructor(parts: { shared: Shared; users: Accounts; sessions: SessionStore }) {
    this.#parts = parts;
    this.#done = parts.users.hasAdministrator();
  }

  needed(): boolean {
    return !this.#done;
  }

  token(): string | null {
    if (this.#done) return null;
    const now = this.#parts.shared.nowMs();
    if (this.#token === null || this.#token.until_ms <= now) {
      this.#token = { secret: randomSecret(), until_ms: now + VALID_MS };
    }
    return this.#token.secret;
  }

  async redeem(
    token: string,
    user: { name: string; password: string; language: UserView["language"] },
    caller: Caller,
  ): Promise<{ secret: string; session: Session }> {
    const expected = this.token();
    const right = expected !== null &&
      timingSafeEqual(new TextEncoder().encode(hashOf(token)), new TextEncoder().encode(hashOf(expected)));
    if (!right || this.#busy) {
      throw new ProblemError(
        "forbidden",
        explained(expected === null ? "access.link" : "access.link_newest"),
      );
    }
    this.#busy = true;
    try {
      await this.#parts.users.create({ ...user, role: "administrator" }, "setup");
    } finally {
      this.#busy = false;
    }
    return await this.#parts.sessions.open(user.name, caller);
  }

  /** Somebody has become an administrator, by whatever way. */
  done(): void {
    if (this.#done) return;
    this.#done = true;
    this.#token = null;
    for (const listener of this.#listeners) listener();
    this.#listeners.clear();
  }

  onDone(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }
}
