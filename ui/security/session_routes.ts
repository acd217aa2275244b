/** Signing in and out by the API: /api/v1/session. */

import { type Context, Hono } from "hono";
import { z } from "zod";
import { type Access, credentials } from "../../lib/access/types.ts";
import { ProblemError } from "../../lib/model/problem.ts";
import type { Env } from "../deps.ts";
import { callerOf } from "./authenticate.ts";
import { giveSession, takeSession } from "./cookie.ts";
import { principalOf } from "./require.ts";

const again = z.strictObject({ password: credentials.shape.password, code: credentials.shape.code });

/** A JSON body that fits, or a problem that names the keys that do not. */
export async function jsonBody<T>(c: Context<Env>, schema: z.ZodType<T>): Promise<T> {
  let body: unknown;
  try {
    body = await c.req.json();
  } catch {
    throw new ProblemError("invalid", { detail: "The body is not JSON.", hint: "Send one JSON object." });
  }
  return parsed(body, schema);
}

/** A value that fits, or a problem that names the keys that do not. */
export function parsed<T>(value: unknown, schema: z.ZodType<T>): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const fields = result.error.issues.slice(0, 20).map(({ path, message }) => ({
    key: path.join("."),
    problem: message,
  }));
  throw new ProblemError("invalid", {
    detail: fields.map(({ key, problem }) => `${key}: ${problem}`).join("; "),
    hint: "Correct these, and send it again.",
    fields,
  });
}

/** POST signs in, GET says who is signed in, DELETE signs out, POST …/reauthenticate gives the password again. */
export function sessionRoutes(access: Access): Hono<Env> {
  const app = new Hono<Env>();
  app.post("/", async (c) => {
    const given = await jsonBody(c, credentials);
    const { secret, session } = await access.sessions.begin(given, callerOf(c));
    giveSession(c, secret);
    return c.json(session.principal, 201);
  });
  app.get("/", (c) => c.json(principalOf(c)));
  app.delete("/", async (c) => {
    const session = c.get("session");
    if (session !== null) await access.sessions.end(session.user, session.id, session.principal.name);
    takeSession(c);
    return c.body(null, 204);
  });
  app.post("/reauthenticate", async (c) => {
    const session = c.get("session");
    const given = await jsonBody(c, again);
    if (session === null) {
      throw new ProblemError("invalid", {
        detail: "Only a session can give its password again.",
        hint: "Tokens and the local socket need none.",
      });
    }
    await access.sessions.reauthenticate(session, given, callerOf(c));
    return c.body(null, 204);
  });
  return app;
}
