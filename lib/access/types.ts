/** Who may use this node, as the web and the command line see it. `openAccess` (access.ts) makes it. Passwords, tokens and codes go in and
 * are never kept as they are. All that changes something is written to the audit log before it resolves; all may throw ProblemError. */

import { z } from "zod";
import type { Principal, Role, TokenView, UserView } from "../model/access.ts";
import { ROLES } from "../model/access.ts";

export const USER_NAME = /^[a-z][a-z0-9._-]{0,31}$/;
export const PASSWORD_MIN = 10;
export const PASSWORD_MAX = 256;
export const LANGUAGES = ["en", "zh-TW"] as const;

export const userName = z.string().regex(
  USER_NAME,
  "must begin with a letter a-z, then up to 31 of a-z, 0-9, '.', '_' and '-'",
);
/** What a new password must be, as far as a schema can say it; users.create says the rest. */
export const newPassword = z.string().min(PASSWORD_MIN, `must have at least ${PASSWORD_MIN} characters`).max(
  PASSWORD_MAX,
  `must have at most ${PASSWORD_MAX} characters`,
);
export const userCreate = z.strictObject({
  name: userName,
  password: newPassword,
  role: z.enum(ROLES),
  language: z.enum(LANGUAGES).nullable().default(null),
});
export type UserCreate = z.infer<typeof userCreate>;
/** What an administrator may change of an account. A new password ends all of its sessions. */
export const userChange = z.strictObject({
  role: z.enum(ROLES).optional(),
  password: newPassword.optional(),
  language: z.enum(LANGUAGES).nullable().optional(),
  /** false: turns it off, for somebody who lost the device. */
  totp: z.literal(false).optional(),
});
export type UserChange = z.infer<typeof userChange>;
export const tokenCreate = z.strictObject({
  name: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, "must be 1 to 64 of A-Z a-z 0-9 . _ -"),
  role: z.enum(ROLES),
  /** Whole days; null: until it is removed. */
  days: z.number().int().min(1).max(3650).nullable().default(null),
});
export type TokenCreate = z.infer<typeof tokenCreate>;
/** What somebody who signs in gives. */
export const credentials = z.strictObject({
  name: z.string().min(1).max(64),
  password: z.string().min(1).max(PASSWORD_MAX),
  /** Six digits, or a recovery code; "" without. */
  code: z.string().max(32).default(""),
});
export type Credentials = z.infer<typeof credentials>;

/** A session as its owner sees it. */
export const sessionView = z.object({
  /** Not the secret: a name for ending it. */
  id: z.string(),
  created: z.string(),
  last_used: z.string(),
  address: z.string(),
  agent: z.string(),
  /** The one that asks. */
  current: z.boolean(),
});
export type SessionView = z.infer<typeof sessionView>;

/** A session that is good. */
export interface Session {
  id: string;
  user: string;
  /** Sensitive actions are allowed until then, Unix ms. */
  fresh_until_ms: number;
  principal: Principal;
}

/** Where a request comes from. */
export interface Caller {
  /** Address without port; "unix" for the local socket. */
  address: string;
  /** The browser's name for itself, cut to 200 characters. */
  agent: string;
}

export interface Users {
  list(): UserView[];
  get(name: string): UserView | null;
  create(user: UserCreate, actor: string): Promise<UserView>;
  /** Refused: to take the role from the last administrator. */
  change(name: string, change: UserChange, actor: string): Promise<UserView>;
  /** Somebody's own password; the old one counts as a sign-in (back-off). Ends all their sessions. */
  changeOwnPassword(
    name: string,
    passwords: { old: string; new: string; code: string },
    caller: Caller,
  ): Promise<void>;
  setLanguage(name: string, language: UserView["language"]): void;
  /** Refused: the last administrator. */
  remove(name: string, actor: string): Promise<void>;
  hasAdministrator(): boolean;
}

export interface Sessions {
  /** Throws unauthenticated (which of name, password, code was wrong is not said), or too_many. */
  begin(given: Credentials, caller: Caller): Promise<{ secret: string; session: Session }>;
  /** null: unknown, ended, expired. Counts as use, unless `use` is false. */
  find(secret: string, options?: { use?: boolean }): Session | null;
  /** Makes a session fresh again for five minutes. */
  reauthenticate(session: Session, given: { password: string; code: string }, caller: Caller): Promise<void>;
  list(user: string, current: Session | null): SessionView[];
  /** By id, of this user only. */
  end(user: string, id: string, actor: string): Promise<void>;
  endAll(user: string, actor: string): Promise<void>;
}

export interface Tokens {
  list(): TokenView[];
  /** `secret` is shown once. */
  create(token: TokenCreate, actor: string): Promise<{ secret: string; view: TokenView }>;
  remove(id: string, actor: string): Promise<void>;
  /** null: unknown, expired, removed. */
  find(secret: string): Principal | null;
}

/** What an authenticator app is given. */
export interface TotpOffer {
  uri: string;
  /** Base32, in groups, for typing in. */
  secret: string;
  /** The URI as QR code. */
  svg: string;
}

export interface Totp {
  /** Offers a secret, which holds for ten minutes or until it is confirmed. */
  offer(user: string): TotpOffer;
  /** The offer that is open; null: none. */
  open(user: string): TotpOffer | null;
  /** Turns it on: the app shows the right code. Returns recovery codes, which are shown once. */
  confirm(user: string, code: string): Promise<string[]>;
  remove(user: string, actor: string): Promise<void>;
}

/** A line of the audit log. */
export interface AuditEntry {
  seq: number;
  at: string;
  actor: string;
  /** Noun and verb, e.g. "user.create", "vm.stop", "session.refused". */
  action: string;
  subject: string;
  /** Where it was asked; "local": on the machine itself, by the socket; "": nobody asked, or it is not known. */
  address: string;
  detail: string;
  /** SHA-256 of the line before, in hex. */
  prev: string;
}

/** What checking the log found. */
export type AuditVerdict =
  | { ok: true; entries: number; from: string | null }
  | { ok: false; file: string; line: number; problem: string };

export interface Audit {
  /** Resolves when it is on stable storage. */
  append(
    entry: Pick<AuditEntry, "actor" | "action" | "subject"> & { address?: string; detail?: string },
  ): Promise<
    void
  >;
  /** What `work` writes down without an address comes from this one, also what it does later. */
  from<T>(address: string, work: () => T): T;
  /** Newest first. */
  query(options: { before?: number; limit: number }): Promise<AuditEntry[]>;
  verify(): Promise<AuditVerdict>;
}

/** How the first administrator comes to be. */
export interface Setup {
  /** Nobody is an administrator yet. */
  needed(): boolean;
  /** The one-time token; a new one an hour after the last; null when it is not needed. */
  token(): string | null;
  /** Makes the first administrator and signs them in. Throws forbidden for a wrong or an old token. */
  redeem(
    token: string,
    user: { name: string; password: string; language: UserView["language"] },
    caller: Caller,
  ): Promise<{ secret: string; session: Session }>;
  /** Called once, when there is an administrator. */
  onDone(listener: () => void): Disposable;
}

/** All of it. */
export interface Access extends AsyncDisposable {
  users: Users;
  sessions: Sessions;
  tokens: Tokens;
  totp: Totp;
  audit: Audit;
  setup: Setup;
  /** Called whenever somebody may do less than before: sessions and tokens that end or expire, other roles. Ask `find` then. */
  onChange(listener: () => void): Disposable;
}

/** What openAccess tells the node, for its events. */
export interface AccessEvents {
  created(user: string, actor: string): void;
  changed(user: string, change: { what: string; actor: string }): void;
  deleted(user: string, actor: string): void;
  /** Too many wrong passwords. */
  locked(user: string, address: string): void;
}

export type { Principal, Role, TokenView, UserView };
