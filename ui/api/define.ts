/** How a route of the API is declared: what it takes and gives, who may ask, and whether the password is needed again.
 * The same declaration checks requests, guards the route and makes the OpenAPI document. */

import { createRoute, type OpenAPIHono } from "@hono/zod-openapi";
import type { Context } from "hono";
import type { z } from "zod";
import type { Permission, Principal } from "../../lib/model/access.ts";
import { problemView } from "../../lib/model/problem.ts";
import type { Env } from "../deps.ts";
import { principalOf, requireFresh, requirePermission } from "../security/require.ts";

type Schema = z.ZodType | undefined;
type Out<S extends Schema> = S extends z.ZodType ? z.output<S> : undefined;

/** A route as it is declared. */
export interface RouteRule<Params extends Schema, Query extends Schema, Body extends Schema, Answer> {
  method: "get" | "post" | "put" | "patch" | "delete";
  /** OpenAPI's spelling: /vms/{name}. */
  path: string;
  tag: string;
  summary: string;
  permission: Permission;
  /** The password must have been given again just now; "person": and no token does, since it could make itself another. */
  fresh?: boolean | "person";
  params?: Params;
  query?: Query;
  body?: Body;
  /** Of a success; 200 unless told otherwise, 204 without an answer. */
  status?: 200 | 201 | 202;
  /** What a success looks like: a schema of JSON, or a media type of something else. */
  answer?: z.ZodType<Answer> | { media: string; description: string };
}

/** What a handler is given. */
export interface Asked<Params extends Schema, Query extends Schema, Body extends Schema> {
  params: Out<Params>;
  query: Out<Query>;
  body: Out<Body>;
  principal: Principal;
  /** The audit log's name for who asks. */
  actor: string;
  context: Context<Env>;
}

const PROBLEM_TYPE = "application/problem+json";

function isSchema(answer: unknown): answer is z.ZodType {
  return typeof (answer as { safeParse?: unknown } | undefined)?.safeParse === "function";
}

function responses(rule: RouteRule<Schema, Schema, Schema, unknown>) {
  const { answer } = rule;
  const success = answer === undefined
    ? { description: "Done" }
    : isSchema(answer)
    ? { description: "Done", content: { "application/json": { schema: answer } } }
    : {
      description: answer.description,
      content: { [answer.media]: { schema: { type: "string" as const } } },
    };
  const problem = { description: "A problem", content: { [PROBLEM_TYPE]: { schema: problemView } } };
  return { [answer === undefined ? 204 : rule.status ?? 200]: success, default: problem };
}

/** Makes a declarer of routes on `app`. */
export function definer(app: OpenAPIHono<Env>) {
  return function define<
    Answer,
    Params extends Schema = undefined,
    Query extends Schema = undefined,
    Body extends Schema = undefined,
  >(
    rule: RouteRule<Params, Query, Body, Answer>,
    handle: (asked: Asked<Params, Query, Body>) => Promise<Answer | Response> | Answer | Response,
  ): void {
    const route = createRoute({
      method: rule.method,
      path: rule.path,
      tags: [rule.tag],
      summary: rule.summary,
      "x-permission": rule.permission,
      "x-fresh": rule.fresh ?? false,
      middleware: [
        requirePermission(rule.permission),
        ...(rule.fresh === undefined ? [] : [requireFresh({ person: rule.fresh === "person" })]),
      ],
      request: {
        ...(rule.params === undefined ? {} : { params: rule.params }),
        ...(rule.query === undefined ? {} : { query: rule.query }),
        ...(rule.body === undefined
          ? {}
          : { body: { required: true, content: { "application/json": { schema: rule.body } } } }),
      },
      responses: responses(rule),
      // deno-lint-ignore no-explicit-any
    } as any);
    app.openapi(
      route,
      (async (context: Context<Env>) => {
        const valid = (target: string) => context.req.valid(target as never);
        const principal = principalOf(context);
        const result = await handle({
          params: (rule.params && valid("param")) as Out<Params>,
          query: (rule.query && valid("query")) as Out<Query>,
          body: (rule.body && valid("json")) as Out<Body>,
          principal,
          actor: principal.name,
          context,
        });
        if (result instanceof Response) return result;
        if (rule.answer === undefined) return context.body(null, 204);
        return context.json(result as object, rule.status ?? 200, { "Cache-Control": "no-store" });
        // deno-lint-ignore no-explicit-any
      }) as any,
    );
  };
}
export type Define = ReturnType<typeof definer>;
