/** Who may use this node: accounts, sessions, tokens, authenticators, the audit log and the first set-up, over one directory. */

import { AuditLog } from "./audit.ts";
import { Backoff } from "./backoff.ts";
import { Changes } from "./changes.ts";
import { COST, type Cost, Passwords } from "./password.ts";
import { SessionStore } from "./sessions.ts";
import { FirstAdministrator } from "./setup.ts";
import { openStore } from "./store.ts";
import { TokenStore } from "./tokens.ts";
import { TotpAccounts } from "./totp.ts";
import type { Access, AccessEvents } from "./types.ts";
import { Accounts, Refusals, type Shared } from "./users.ts";

/** What openAccess needs. */
export interface AccessOptions {
  /** DATA/access. */
  directory: string;
  nowMs(): number;
  /** This node's name, as authenticator apps show it. */
  label: string;
  /** For the node's events; default: nobody. */
  events?: AccessEvents;
  /** What a password costs; tests take less. */
  cost?: Cost;
}

const NOBODY: AccessEvents = { created() {}, changed() {}, deleted() {}, locked() {} };

/** Opens the accounts, and makes them when there are none. */
export async function openAccess(options: AccessOptions): Promise<Access> {
  const { directory, nowMs, label } = options;
  const store = openStore(directory);
  let audit: AuditLog;
  try {
    audit = await AuditLog.open({ directory, store, nowMs });
  } catch (error) {
    store[Symbol.dispose]();
    throw error;
  }
  const changes = new Changes(store, nowMs);
  const shared: Shared = {
    store,
    audit,
    passwords: new Passwords(options.cost ?? COST),
    backoff: new Backoff(nowMs),
    events: options.events ?? NOBODY,
    refusals: new Refusals(audit, nowMs),
    changes,
    nowMs,
  };
  const users = new Accounts(shared, () => setup.done());
  const sessions = new SessionStore(shared);
  const setup = new FirstAdministrator({ shared, users, sessions });
  return {
    users,
    sessions,
    tokens: new TokenStore(shared),
    totp: new TotpAccounts(store, audit, { nowMs, label }),
    audit,
    setup,
    onChange: (listener) => changes.on(listener),
    async [Symbol.asyncDispose]() {
      changes[Symbol.dispose]();
      await audit[Symbol.asyncDispose]();
      store[Symbol.dispose]();
    },
  };
}
