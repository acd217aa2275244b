/** Accounts, tokens and the audit log. Signing in is ui/security's. */

import { z } from "zod";
import {
  type Access,
  newPassword,
  sessionView,
  tokenCreate,
  userChange,
  userCreate,
  userName,
} from "../../lib/access/types.ts";
import { type Principal, tokenView, userView } from "../../lib/model/access.ts";
import { auditEntry, auditVerdict } from "../../lib/model/audit.ts";
import { ProblemError } from "../../lib/model/problem.ts";
import { callerOf } from "../security/authenticate.ts";
import type { Define } from "./define.ts";

const byName = z.strictObject({ name: userName });

/** The answer to making a token. */
export const madeToken = z.object({ secret: z.string(), view: tokenView });

function userRoutes(define: Define, access: Access): void {
  const { users, sessions } = access;
  const tag = "Users";
  define({
    method: "get",
    path: "/users",
    tag,
    summary: "All accounts",
    permission: "administer",
    answer: z.array(userView),
  }, () => users.list());
  define({
    method: "post",
    path: "/users",
    tag,
    summary: "Makes an account",
    permission: "administer",
    fresh: "person",
    body: userCreate,
    status: 201,
    answer: userView,
  }, ({ body, actor }) => users.create(body, actor));
  define({
    method: "patch",
    path: "/users/{name}",
    tag,
    summary: "Changes an account; a new password ends all of its sessions",
    permission: "administer",
    fresh: "person",
    params: byName,
    body: userChange,
    answer: userView,
  }, ({ params, body, actor }) => users.change(params.name, body, actor));
  define({
    method: "delete",
    path: "/users/{name}",
    tag,
    summary: "Removes an account; never the last administrator",
    permission: "administer",
    fresh: "person",
    params: byName,
  }, ({ params, actor }) => users.remove(params.name, actor));
  define({
    method: "get",
    path: "/users/{name}/sessions",
    tag,
    summary: "Where an account is signed in",
    permission: "administer",
    params: byName,
    answer: z.array(sessionView),
  }, ({ params, context }) => sessions.list(params.name, context.get("session")));
  define({
    method: "delete",
    path: "/users/{name}/sessions",
    tag,
    summary: "Signs an account out everywhere",
    permission: "administer",
    params: byName,
  }, ({ params, actor }) => sessions.endAll(params.name, actor));
}

function tokenRoutes(define: Define, access: Access): void {
  const { tokens } = access;
  const tag = "Tokens";
  define({
    method: "get",
    path: "/tokens",
    tag,
    summary: "All API tokens, without their secrets",
    permission: "administer",
    answer: z.array(tokenView),
  }, () => tokens.list());
  define({
    method: "post",
    path: "/tokens",
    tag,
    summary: "Makes a token; its secret is in this answer and nowhere else",
    permission: "administer",
    fresh: "person",
    body: tokenCreate,
    status: 201,
    answer: madeToken,
  }, ({ body, actor }) => tokens.create(body, actor));
  define({
    method: "delete",
    path: "/tokens/{id}",
    tag,
    summary: "Revokes a token at once",
    permission: "administer",
    fresh: "person",
    params: z.strictObject({ id: z.string().min(1).max(100) }),
  }, ({ params, actor }) => tokens.remove(params.id, actor));
}

/** The account behind a principal: tokens and the local socket have none. */
function ownName(principal: Principal): string {
  if (principal.kind === "user") return principal.name.replace(/^user:/, "");
  throw new ProblemError("forbidden", {
    detail: `${principal.name} is no account, and has no password.`,
    hint: "Sign in first; an administrator changes others' passwords by PATCH /api/v1/users/NAME.",
  });
}

/** Declares these routes. */
export function accessRoutes(define: Define, access: Access): void {
  userRoutes(define, access);
  tokenRoutes(define, access);
  define({
    method: "post",
    path: "/account/password",
    tag: "Users",
    summary: "Somebody's own password; ends all their sessions",
    permission: "view",
    body: z.strictObject({
      old: z.string().min(1).max(256),
      new: newPassword,
      code: z.string().max(32).default(""),
    }),
  }, async ({ body, principal, context }) => {
    await access.users.changeOwnPassword(ownName(principal), body, callerOf(context));
  });
  define(
    {
      method: "get",
      path: "/audit",
      tag: "Audit",
      summary: "Who did what, newest first",
      permission: "administer",
      query: z.strictObject({
        before: z.coerce.number().int().min(0).optional(),
        limit: z.coerce.number().int().min(1).max(1000).default(100),
      }),
      answer: z.array(auditEntry),
    },
    ({ query: { before, limit } }) =>
      access.audit.query({ limit, ...(before === undefined ? {} : { before }) }),
  );
  define({
    method: "get",
    path: "/audit/verify",
    tag: "Audit",
    summary: "Checks the chain of the audit log",
    permission: "administer",
    answer: auditVerdict,
  }, () => access.audit.verify());
}
