/** What the web's parts are given. */

import type { Principal } from "../lib/model/access.ts";
import type { Backend } from "../lib/model/backend.ts";

/** Variables that the security middleware sets on each request's context. */
export interface Variables {
  principal: Principal | null;
  /** Random per response, for the Content-Security-Policy; only for what cannot be a file of ours. */
  nonce: string;
}

/** Hono's environment type in all of ui/. */
export interface Env {
  Variables: Variables;
}

/** What pages and the API work with. */
export interface WebDeps {
  backend: Backend;
  /** The version of this program. */
  version: string;
  nowMs(): number;
}
