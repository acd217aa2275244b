/** What the web's parts are given. */

import type { Principal } from "../lib/model/access.ts";
import type { Backend } from "../lib/model/backend.ts";
import type { StaticAssets } from "./static.ts";
import type { Session } from "../lib/access/types.ts";

/** Who is at the other end of a connection, as the listener knows it. */
export type Peer = { kind: "unix" } | { kind: "tcp"; address: string };

/** Variables that the security middleware sets on each request's context. */
export interface Variables {
  principal: Principal | null;
  /** The session that a cookie named; null: none, a token, or the local socket. */
  session: Session | null;
  /** Where the request comes from: an address, or "unix". */
  remote: string;
  /** Random per response, for the Content-Security-Policy; only for what cannot be a file of ours. */
  nonce: string;
}

/** Hono's environment type in all of ui/. */
export interface Env {
  /** Given by the listener (ui/listen.ts); without it a request comes from nowhere, and nothing is believed of it. */
  Bindings: { peer?: Peer };
  Variables: Variables;
}

/** What pages and the API work with. */
export interface WebDeps {
  backend: Backend;
  /** The version of this program. */
  version: string;
  nowMs(): number;
  /** Scripts and styles (ui/static.ts); left out where no browser comes. */
  assets?: StaticAssets;
}
