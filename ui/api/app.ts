/** The HTTP API: what the page shows and the command line says, for programs. Mounted at /api/v1. */

import { OpenAPIHono } from "@hono/zod-openapi";
import type { Context } from "hono";
import { bodyLimit } from "hono/body-limit";
import { ProblemError } from "../../lib/model/problem.ts";
import type { Env, WebDeps } from "../deps.ts";
import { definer } from "./define.ts";
import { eventRoutes } from "./event_routes.ts";
import { guards } from "./guards.ts";
import { pairRoutes } from "./pair_routes.ts";
import { invalidRequest, problemResponse } from "./problem.ts";
import { settingsRoutes } from "./settings_routes.ts";
import { STREAM_LIMITS, type StreamLimits, StreamPool } from "./stream.ts";
import { vmRoutes } from "./vm_routes.ts";

/** What the API needs beside the backend. */
export interface ApiDeps extends WebDeps {
  /** Whether who opened a live stream may still read it (not logged out, not removed): asked at each heartbeat. */
  stillValid?(context: Context<Env>): boolean | Promise<boolean>;
  limits?: StreamLimits;
}

/** Most bytes of a request's body. */
const BODY_BYTES = 262_144;

/** The API's routes, to be mounted at /api/v1 behind the middleware that sets `principal`. */
export function apiRoutes(deps: ApiDeps): OpenAPIHono<Env> {
  const app = new OpenAPIHono<Env>({
    defaultHook(result) {
      if (!result.success) throw invalidRequest(result.error, result.target);
    },
  });
  app.onError((error, context) => problemResponse(context, error));
  app.notFound((context) =>
    problemResponse(
      context,
      new ProblemError("not_found", {
        detail: `There is no ${context.req.method} ${context.req.path}`,
        hint: "See /api/v1/reference for what there is.",
      }),
    )
  );
  app.use(bodyLimit({
    maxSize: BODY_BYTES,
    onError() {
      throw new ProblemError("too_large", {
        detail: `The body has more than ${BODY_BYTES} bytes`,
        hint: "Send less.",
      });
    },
  }));
  const define = definer(app, guards);
  const pool = new StreamPool(deps.limits ?? STREAM_LIMITS, (context) => deps.stillValid?.(context) ?? true);
  pairRoutes(define, deps);
  vmRoutes(define, deps);
  eventRoutes(define, { ...deps, pool });
  settingsRoutes(define, deps);
  return app;
}
