/** GET /: the one sentence, and all that belongs to it. */

import { Hono } from "hono";
import { Said } from "../components.tsx";
import { allowedContext } from "../context.ts";
import type { Env, WebDeps } from "../deps.ts";
import { Page } from "../layout.tsx";

/** See above. */
export function homeRoutes(deps: WebDeps): Hono<Env> {
  const app = new Hono<Env>();
  app.get("/", (c) => {
    const context = allowedContext(c, deps, "view");
    return c.html(
      <Page context={context} title={context.t("nav.home")} current="home" bare>
        <Said context={context} verdict={context.snapshot.home} />
      </Page>,
    );
  });
  return app;
}
