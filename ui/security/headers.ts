/** Headers of every response. */

import type { MiddlewareHandler } from "hono";
import type { Env } from "../deps.ts";

/** No inline script or style, nothing from elsewhere, nowhere else to. `nonce` is for style elements that a library makes by itself. */
export function contentSecurityPolicy(nonce: string): string {
  return [
    "default-src 'none'",
    "script-src 'self'",
    `style-src 'self' 'nonce-${nonce}'`,
    "img-src 'self' data:",
    "font-src 'self'",
    "connect-src 'self'",
    "manifest-src 'self'",
    "form-action 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
    "object-src 'none'",
  ].join("; ");
}

/** Sets them. There is no Strict-Transport-Security: with it browsers let nobody past a certificate that they do not know, and this node's
 * own is one; it speaks TLS only, so there is no plain page to be led to. */
export function responseHeaders(): MiddlewareHandler<Env> {
  return async function responseHeaders(c, next) {
    const nonce = crypto.randomUUID().replaceAll("-", "");
    c.set("nonce", nonce);
    await next();
    if (c.res.status === 101) return;
    c.header("content-security-policy", contentSecurityPolicy(nonce));
    c.header("x-content-type-options", "nosniff");
    c.header("referrer-policy", "same-origin");
    c.header("cross-origin-opener-policy", "same-origin");
    c.header("cross-origin-resource-policy", "same-origin");
    c.header("x-frame-options", "DENY");
    c.header("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()");
    if (!c.res.headers.has("cache-control")) c.header("cache-control", "no-store");
  };
}
