/** API tokens: for programs. A token has a role and nothing else; it is shown once, and its hash is kept. */

import type { Principal, Role, TokenView } from "../model/access.ts";
import { ProblemError } from "../model/problem.ts";
import { explained } from "../model/problem_english.ts";
import { hashOf, instantOf, instantOrNull, randomSecret } from "./store.ts";
import type { TokenCreate, Tokens } from "./types.ts";
import type { Shared } from "./users.ts";

const TOKENS_MAX = 200;
const DAY_MS = 24 * 60 * 60_000;
const TOUCH_MS = 60_000;
/** So that a scanner for secrets knows one when it sees it. */
const PREFIX = "isft_";
const SECRET = /^isft_[A-Za-z0-9_-]{43}$/;

interface Row {
  id: string;
  name: string;
  role: string;
  created_ms: number;
  expires_ms: number | null;
  used_ms: number | null;
}

function viewOf(row: Row): TokenView {
  return {
    id: row.id,
    name: row.name,
    role: row.role as Role,
    created: instantOf(row.created_ms),
    expires: instantOrNull(row.expires_ms),
    last_used: instantOrNull(row.used_ms),
  };
}

export class TokenStore implements Tokens {
  readonly #shared: Shared;

  constructor(shared: Shared) {
    this.#shared = shared;
  }

  list(): TokenView[] {
    return this.#shared.store.all<Row>("select * from tokens order by name").map(viewOf);
  }

  async create(token: TokenCreate, actor: string): Promise<{ secret: string; view: TokenView }> {
    const { store, audit, nowMs } = this.#shared;
    const secret = `${PREFIX}${randomSecret()}`;
    const hash = hashOf(secret);
    const id = hashOf(hash).slice(0, 16);
    store.transaction(() => {
      if (store.get("select 1 from tokens where name = ?", token.name) !== undefined) {
        throw new ProblemError("exists", explained("access.token_exists", { name: token.name }));
      }
      if (store.get<{ n: number }>("select count(*) as n from tokens")!.n >= TOKENS_MAX) {
        throw new ProblemError("refused", explained("access.tokens_max", { count: TOKENS_MAX }));
      }
      const expires = token.days === null ? null : nowMs() + token.days * DAY_MS;
      store.run(
        "insert into tokens values (?, ?, ?, ?, ?, ?, null)",
        ...[id, token.name, hash, token.role, nowMs(), expires],
      );
    });
    this.#shared.changes.tell(); // it may be what expires next
    await audit.append({ actor, action: "token.create", subject: token.name, detail: token.role });
    return { secret, view: viewOf(store.get<Row>("select * from tokens where id = ?", id)!) };
  }

  async remove(id: string, actor: string): Promise<void> {
    const { store, audit } = this.#shared;
    const row = store.get<Row>("select * from tokens where id = ?", id);
    if (row === undefined) {
      throw new ProblemError("not_found", explained("access.no_token"));
    }
    store.run("delete from tokens where id = ?", id);
    this.#shared.changes.tell();
    await audit.append({ actor, action: "token.remove", subject: row.name });
  }

  find(secret: string): Principal | null {
    if (!SECRET.test(secret)) return null;
    const { store, nowMs } = this.#shared;
    const now = nowMs();
    const row = store.get<Row>(
      "select * from tokens where hash = ? and (expires_ms is null or expires_ms > ?)",
      hashOf(secret),
      now,
    );
    if (row === undefined) return null;
    if (now - (row.used_ms ?? 0) >= TOUCH_MS) {
      store.note("update tokens set used_ms = ? where id = ?", now, row.id);
    }
    return { kind: "token", name: `token:${row.name}`, role: row.role as Role, fresh: true, language: null };
  }
}
