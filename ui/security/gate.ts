/** What stands before every request, in this order: is it a request that we know, is it meant for us, does it come from our own page, not
 * too often, who asks, and may a stranger ask this at all. */

import type { MiddlewareHandler } from "hono";
import { addressKey, RateLimiter } from "../../lib/access/rate.ts";
import type { Access } from "../../lib/access/types.ts";
import { ProblemError } from "../../lib/model/problem.ts";
import { explained } from "../../lib/model/problem_english.ts";
import type { Env } from "../deps.ts";
import { remoteOf } from "./authenticate.ts";
import type { HostList } from "./hosts.ts";
import { checkOrigin } from "./origin.ts";
import { checkRequestLine } from "./request_line.ts";

/** Requests of one address: a page with its files is about ten. */
const RATE = { burst: 400, perSecond: 60, keys: 4096 };

/** What anybody may ask: to sign in, and what those pages are made of. Everything else is for those who are known. */
const PUBLIC = new Set([
  "/preferences",
  "/login",
  "/setup",
  "/preferences",
  "/favicon.ico",
  "/healthz",
  "/api/v1/session",
]);

/** May this be asked by somebody unknown? */
export function isPublic(path: string): boolean {
  return PUBLIC.has(path) || path.startsWith("/static/");
}

/** Is an address this machine's own loopback? */
export function isLoopback(address: string): boolean {
  return /^127\.\d+\.\d+\.\d+$/.test(address) || address === "::1" || address.startsWith("::ffff:127.");
}

/** Checks what does not depend on who asks, and sets `remote`. */
export function checkRequest(options: { hosts: HostList; nowMs(): number }): MiddlewareHandler<Env> {
  const rate = new RateLimiter(RATE, options.nowMs);
  return async function checkRequest(c, next) {
    const remote = remoteOf(c.env);
    c.set("remote", remote);
    c.set("principal", null);
    checkRequestLine(c.req.raw);
    if (remote !== "unix") {
      options.hosts.check(c.req.raw);
      checkOrigin(c.req.raw, { ambient: !c.req.raw.headers.has("authorization") });
      const wait = rate.take(addressKey(remote));
      if (wait > 0) {
        c.header("retry-after", String(Math.ceil(wait / 1000)));
        throw new ProblemError("too_many", explained("access.too_often"));
      }
    }
    await next();
  };
}

/** Nobody unknown gets further than signing in; and before there is an administrator, nobody from elsewhere anywhere. */
export function keepStrangersOut(access: Access): MiddlewareHandler<Env> {
  return async function keepStrangersOut(c, next) {
    const remote = c.get("remote");
    if (remote !== "unix" && !isLoopback(remote) && access.setup.needed()) {
      throw new ProblemError("forbidden", explained("access.unset"));
    }
    if (c.get("principal") === null && !isPublic(c.req.path)) {
      throw new ProblemError("unauthenticated", explained("access.stranger"));
    }
    await next();
  };
}
