/** Whether a request comes from this node's own pages. The browser says so, by Origin and Sec-Fetch-Site, which no script can set.
 *
 * Hono's csrf() looks only at unsafe methods whose content type a form can send: a WebSocket upgrade (a GET) and JSON from another site
 * pass it. Here everything that acts or listens has to show where it comes from: unsafe methods, upgrades and event streams. SameSite=Strict
 * does not do that: another port of the same host is the same site. */

import { ProblemError } from "../../lib/model/problem.ts";

/** Does a request act on something, or open a channel? */
export function actsOrListens(request: Request): boolean {
  if (request.method !== "GET" && request.method !== "HEAD") return true;
  if (request.headers.has("upgrade")) return true;
  return (request.headers.get("accept") ?? "").toLowerCase().includes("text/event-stream");
}

function foreign(detail: string): ProblemError {
  return new ProblemError("origin", {
    detail,
    hint: "Use this node's own page; programs send an API token and no Origin.",
  });
}

/** Does Origin name the place that the request names (hosts.ts has checked that)? Everything here is TLS, so http is another place. */
function sameOrigin(origin: string, host: string): boolean {
  return origin === URL.parse(`https://${host}`)?.origin;
}

/** Throws unless the request may come from where it comes from. `ambient`: whoever asks is known by what a browser adds by itself (a
 * cookie), or not at all; false: by a token that was put in on purpose, or by the local socket. */
export function checkOrigin(request: Request, options: { ambient: boolean }): void {
  const { headers } = request;
  const origin = headers.get("origin");
  const site = headers.get("sec-fetch-site");
  const acts = actsOrListens(request);
  if (origin !== null && !sameOrigin(origin, new URL(request.url).host)) {
    throw foreign(`The request comes from ${JSON.stringify(origin.slice(0, 100))}.`);
  }
  if (site === "cross-site" || site === "same-site") {
    // A link on another page that a person follows is all that may come from elsewhere; it comes without our cookie.
    const followed = !acts && headers.get("sec-fetch-mode") === "navigate" &&
      headers.get("sec-fetch-dest") === "document";
    if (!followed) throw foreign(`The browser says that it comes from elsewhere (Sec-Fetch-Site: ${site}).`);
  }
  if (acts && options.ambient && origin === null && site !== "same-origin") {
    throw foreign("The request does not say where it comes from.");
  }
}
