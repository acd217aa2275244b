/** What a route asks of whoever asks. */

import type { Context, MiddlewareHandler } from "hono";
import { may, type Permission, type Principal } from "../../lib/model/access.ts";
import { ProblemError } from "../../lib/model/problem.ts";
import { explained } from "../../lib/model/problem_english.ts";
import type { Env } from "../deps.ts";

/** Whoever asks; throws when nobody is known. */
export function principalOf(c: Context<Env>): Principal {
  const principal = c.get("principal") ?? null;
  if (principal !== null) return principal;
  throw new ProblemError("unauthenticated", explained("access.stranger"));
}

/** Throws unless they may. */
export function checkPermission(c: Context<Env>, permission: Permission): Principal {
  const principal = principalOf(c);
  if (may(principal.role, permission)) return principal;
  throw new ProblemError(
    "forbidden",
    explained("access.role", { name: principal.name, role: principal.role }),
  );
}

/** Throws unless the password was given within the last five minutes. A token and the local socket need none; where a `person` is wanted
 * (accounts, tokens), a token does not do: it could make itself another that outlives it. */
export function checkFresh(c: Context<Env>, options: { person?: boolean } = {}): Principal {
  const principal = principalOf(c);
  if (options.person === true && principal.kind === "token") {
    throw new ProblemError("forbidden", explained("access.token_may_not"));
  }
  if (principal.fresh) return principal;
  throw new ProblemError("reauthenticate", explained("access.again"));
}

/** Lets pass who has a permission. */
export function requirePermission(permission: Permission): MiddlewareHandler<Env> {
  return async function requirePermission(c, next) {
    checkPermission(c, permission);
    await next();
  };
}

/** Lets pass who has given the password within the last five minutes. */
export function requireFresh(options: { person?: boolean } = {}): MiddlewareHandler<Env> {
  return async function requireFresh(c, next) {
    checkFresh(c, options);
    await next();
  };
}
