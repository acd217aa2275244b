/** The checks of who may ask, by the principal that the security middleware found. */

import type { MiddlewareHandler } from "hono";
import { may, type Permission, PERMISSIONS } from "../../lib/model/access.ts";
import { ProblemError } from "../../lib/model/problem.ts";
import type { Env } from "../deps.ts";
import { type Guards, principalOf } from "./define.ts";

function requirePermission(permission: Permission): MiddlewareHandler<Env> {
  return async function permissionGuard(context, next) {
    const principal = principalOf(context);
    if (!may(principal.role, permission)) {
      throw new ProblemError("forbidden", {
        detail: `${principal.name} is ${principal.role}; this needs ${PERMISSIONS[permission]}`,
        hint: "Ask an administrator.",
      });
    }
    await next();
  };
}

function requireFresh(): MiddlewareHandler<Env> {
  return async function freshGuard(context, next) {
    if (!principalOf(context).fresh) {
      throw new ProblemError("reauthenticate", {
        detail: "This is not undone easily, so the password is needed again",
        hint: "Give the password again, then repeat this; or do it on the node itself with iservft-edge.",
      });
    }
    await next();
  };
}

export const guards: Guards = { requirePermission, requireFresh };
