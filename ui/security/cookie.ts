/** The session's cookie. `__Host-`: the browser takes it only over TLS, for this host, from this host; all listeners are TLS. */

import type { Context } from "hono";
import { deleteCookie, setCookie } from "hono/cookie";
import type { Env } from "../deps.ts";

export const SESSION_COOKIE = "__Host-iservft";

const ATTRIBUTES = { path: "/", httpOnly: true, secure: true, sameSite: "Strict" } as const;

/** The secret in a request's cookie; null without, or when there are two (one of them is somebody else's). */
export function sessionSecret(request: Request): string | null {
  const values = (request.headers.get("cookie") ?? "").split(";")
    .map((part) => part.trim())
    .filter((part) => part.startsWith(`${SESSION_COOKIE}=`))
    .map((part) => part.slice(SESSION_COOKIE.length + 1));
  return values.length === 1 ? values[0]! : null;
}

/** Gives the browser a session; it is forgotten when the browser closes. */
export function giveSession(c: Context<Env>, secret: string): void {
  setCookie(c, SESSION_COOKIE, secret, ATTRIBUTES);
}

/** Takes it away. */
export function takeSession(c: Context<Env>): void {
  deleteCookie(c, SESSION_COOKIE, ATTRIBUTES);
}
