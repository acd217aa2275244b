/** The HTTP API: what the page shows and the command line says, for programs. Mounted at /api/v1. */

import { OpenAPIHono } from "@hono/zod-openapi";
import type { Context } from "hono";
import type { Access } from "../../lib/access/types.ts";
import { ProblemError } from "../../lib/model/problem.ts";
import type { Env, WebDeps } from "../deps.ts";
import { principalNow } from "../security/authenticate.ts";
import { problemResponse } from "../security/problem.ts";
import { accessRoutes } from "./access_routes.ts";
import { definer } from "./define.ts";
import { documentRoutes } from "./document.ts";
import { eventRoutes } from "./event_routes.ts";
import { pairRoutes } from "./pair_routes.ts";
import { invalidRequest, problemOf } from "./problem.ts";
import { metricsAt, settingsRoutes } from "./settings_routes.ts";
import { STREAM_LIMITS, type StreamLimits, StreamPool } from "./stream.ts";
import { vmRoutes } from "./vm_routes.ts";

/** What the API needs beside the backend. */
export interface ApiDeps extends WebDeps {
  access: Access;
  limits?: StreamLimits;
  /** Errors that nobody expected; default: console.error. */
  log?: (error: unknown) => void;
}

/** Whether who opened a stream may still read it: signed out, removed, or of another role since, they may not. Does not count as use. */
function stillValid(access: Access, context: Context<Env>): boolean {
  const now = principalNow(access, context);
  return now !== null && now.role === context.get("principal")?.role;
}

/** The API's routes, to be mounted at /api/v1 behind the middleware that sets `principal`. */
export function apiRoutes(deps: ApiDeps): OpenAPIHono<Env> {
  const app = new OpenAPIHono<Env>({
    defaultHook(result) {
      if (!result.success) throw invalidRequest(result.error, result.target);
    },
  });
  app.onError((error) => {
    const problem = problemOf(error);
    if (problem.code === "failed" && problem !== error) (deps.log ?? console.error)(error);
    return problemResponse(problem);
  });
  app.notFound((context) =>
    problemResponse(
      new ProblemError("not_found", {
        detail: `There is no ${context.req.method} ${context.req.path.slice(0, 200)}`,
        hint: "See /api/v1/reference for what there is.",
      }),
    )
  );
  const define = definer(app);
  const pool = new StreamPool(deps.limits ?? STREAM_LIMITS, {
    valid: (context) => stillValid(deps.access, context),
    onChange: (listener) => deps.access.onChange(listener),
  });
  pairRoutes(define, deps);
  vmRoutes(define, deps);
  eventRoutes(define, { ...deps, pool });
  settingsRoutes(define, deps);
  accessRoutes(define, deps.access);
  documentRoutes(app, { define, version: deps.version });
  return app;
}

/** /metrics, where Prometheus looks for it: the same as /api/v1/metrics. To be mounted at the top. */
export function metricsRoute(deps: ApiDeps): OpenAPIHono<Env> {
  const app = new OpenAPIHono<Env>();
  metricsAt(definer(app), deps);
  return app;
}
