/** Who asks: the local socket, a token, or a session. */

import type { MiddlewareHandler } from "hono";
import type { Access } from "../../lib/access/types.ts";
import { ProblemError } from "../../lib/model/problem.ts";
import type { Env } from "../deps.ts";
import { sessionSecret } from "./cookie.ts";

/** Whoever may open the socket (mode 0600) administers the machine. */
const LOCAL = { kind: "local", name: "local", role: "administrator", fresh: true, language: null } as const;

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

/** Sets `principal` and `session`. A token that is wrong is refused, whatever cookie comes with it; cookies do not count beside a token. */
export function authenticate(access: Access): MiddlewareHandler<Env> {
  return async function authenticate(c, next) {
    c.set("session", null);
    const authorization = c.req.header("authorization");
    if (c.env?.peer?.kind === "unix") {
      c.set("principal", LOCAL);
    } else if (authorization !== undefined) {
      const [scheme, secret, more] = authorization.split(" ");
      const principal = scheme?.toLowerCase() === "bearer" && secret !== undefined && more === undefined
        ? access.tokens.find(secret)
        : null;
      if (principal === null) {
        throw new ProblemError("unauthenticated", {
          detail: "The API token is not known, or has expired.",
          hint: "Make a new one under Users, or by `iservft-edge token create`.",
        });
      }
      c.set("principal", principal);
    } else {
      const secret = sessionSecret(c.req.raw);
      const session = secret === null ? null : access.sessions.find(secret);
      c.set("session", session);
      c.set("principal", session?.principal ?? null);
    }
    await next();
  };
}
