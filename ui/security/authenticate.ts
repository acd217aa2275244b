/** Who asks: the local socket, a token, or a session. */

import type { MiddlewareHandler } from "hono";
import type { Access, Session } from "../../lib/access/types.ts";
import { LOCAL_ACTOR, type Principal } from "../../lib/model/access.ts";
import { ProblemError } from "../../lib/model/problem.ts";
import type { Env } from "../deps.ts";
import { sessionSecret } from "./cookie.ts";

/** Whoever may open the socket (mode 0600) administers the machine. */
const LOCAL = {
  kind: "local",
  name: LOCAL_ACTOR,
  role: "administrator",
  fresh: true,
  language: null,
} as const;

/** The address to count by; "" when the listener said nothing. */
export function remoteOf(env: Env["Bindings"] | undefined): string {
  const peer = env?.peer;
  return peer === undefined ? "" : peer.kind === "unix" ? "unix" : peer.address;
}

/** Where a request comes from, for access. */
export function callerOf(
  c: { get(key: "remote"): string; req: { header(name: string): string | undefined } },
) {
  return { address: c.get("remote"), agent: (c.req.header("user-agent") ?? "").slice(0, 200) };
}

/** Who a request's cookie or token stands for, now; null: nobody. A token that is wrong is refused, whatever cookie comes with it. */
function lookUp(
  access: Access,
  c: { env: Env["Bindings"] | undefined; req: { raw: Request } },
  options: { use: boolean },
): { principal: Principal | null; session: Session | null } {
  if (c.env?.peer?.kind === "unix") return { principal: LOCAL, session: null };
  const authorization = c.req.raw.headers.get("authorization");
  if (authorization === null) {
    const secret = sessionSecret(c.req.raw);
    const session = secret === null ? null : access.sessions.find(secret, options);
    return { principal: session?.principal ?? null, session };
  }
  const [scheme, secret, more] = authorization.split(" ");
  const bearer = scheme?.toLowerCase() === "bearer" && secret !== undefined && more === undefined;
  return { principal: bearer ? access.tokens.find(secret) : null, session: null };
}

/** Who it is that opened a stream or a console, asked again later: null once they signed out, or were removed. Does not count as use. */
export function principalNow(access: Access, c: Parameters<typeof lookUp>[1]): Principal | null {
  return lookUp(access, c, { use: false }).principal;
}

/** Sets `principal` and `session`. */
export function authenticate(access: Access): MiddlewareHandler<Env> {
  return async function authenticate(c, next) {
    const { principal, session } = lookUp(access, c, { use: true });
    if (principal === null && c.req.raw.headers.has("authorization")) {
      throw new ProblemError("unauthenticated", {
        detail: "The API token is not known, or has expired.",
        hint: "Make a new one under Users, or by `iservft-edge token create`.",
      });
    }
    c.set("principal", principal);
    c.set("session", session);
    await next();
  };
}
