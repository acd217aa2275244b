/** Accounts in a directory of their own, with a clock that stands still and passwords that cost nothing. */

import { type AccessOptions, openAccess } from "../../lib/access/access.ts";
import type { Access } from "../../lib/access/types.ts";

export const CHEAP = { n: 16, r: 1, p: 1 };
export const PASSWORD = "a long enough secret";
export const CALLER = { address: "192.0.2.7", agent: "test" };

export interface Rig extends AsyncDisposable {
  access: Access;
  directory: string;
  clock: { ms: number };
  said: string[];
  /** Closes it and opens it again. */
  reopen(): Promise<void>;
}

export async function rig(options: Partial<AccessOptions> = {}): Promise<Rig> {
  const parent = await Deno.makeTempDir();
  const directory = `${parent}/access`;
  const clock = { ms: Date.UTC(2026, 0, 1) };
  const said: string[] = [];
  const open = () =>
    openAccess({
      directory,
      nowMs: () => clock.ms,
      label: "node-a",
      cost: CHEAP,
      events: {
        created: (user, actor) => said.push(`created ${user} by ${actor}`),
        changed: (user, { what, actor }) => said.push(`changed ${user}: ${what} by ${actor}`),
        deleted: (user, actor) => said.push(`deleted ${user} by ${actor}`),
        locked: (user, address) => said.push(`locked ${user} from ${address}`),
      },
      ...options,
    });
  const made = { access: await open(), directory, clock, said };
  return Object.assign(made, {
    async reopen() {
      await made.access[Symbol.asyncDispose]();
      made.access = await open();
    },
    async [Symbol.asyncDispose]() {
      await made.access[Symbol.asyncDispose]();
      await Deno.remove(parent, { recursive: true });
    },
  });
}

/** An account named so, with PASSWORD. */
export function user(
  access: Access,
  name: string,
  role: "viewer" | "operator" | "administrator" = "operator",
) {
  return access.users.create({ name, password: PASSWORD, role, language: null }, "local");
}

export function signIn(
  access: Access,
  name: string,
  given: { password?: string; code?: string; address?: string } = {},
) {
  const { password = PASSWORD, code = "", address = CALLER.address } = given;
  return access.sessions.begin({ name, password, code }, { address, agent: "test" });
}

/** A predicate for assert.rejects. */
export function problem(code: string): (error: Error) => boolean {
  return (error) => "code" in error && error.code === code;
}
