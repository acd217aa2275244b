/** All pages. Each part adds its own routes here: a function that returns a Hono with whole paths. */

import { Hono } from "hono";
import type { Env, WebDeps } from "../deps.ts";
import { homeRoutes } from "./home.tsx";
import { preferenceRoutes } from "./preferences.ts";

/** The pages of the node. Who may see them is said by each (`allowedContext`); the security middleware comes before them. */
export function pageRoutes(deps: WebDeps): Hono<Env> {
  const app = new Hono<Env>();
  app.route("/", preferenceRoutes());
  app.route("/", homeRoutes(deps));
  return app;
}
