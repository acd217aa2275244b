/** What the pages of accounts and of tokens have in common. */

import type { Context } from "hono";
import { ROLES } from "../../lib/model/access.ts";
import { allowedContext, type PageContext } from "../context.ts";
import type { Env } from "../deps.ts";
import { type FormState, issueText, RadioField } from "../forms.tsx";
import type { MessageKey } from "../i18n/en.ts";
import { checkFresh } from "../security/require.ts";
import type { AccessDeps } from "./settings.tsx";

const PATTERNS: Readonly<Record<string, MessageKey>> = {
  "user.name": "users.name.pattern",
  "token.name": "tokens.name.pattern",
};

/** Errors by field of what a schema found. */
export function errorsBy(
  issues: Parameters<typeof issueText>[1][],
  options: { t: PageContext["t"]; what: "user" | "token" },
): Record<string, string> {
  const { t, what } = options;
  const errors: Record<string, string> = {};
  for (const issue of issues) {
    const field = String(issue.path[0] ?? "name");
    errors[field] ??= issueText(t, issue, PATTERNS[`${what}.${field}`]);
  }
  return errors;
}

/** Whoever changes accounts: an administrator, a person, who has just given the password. */
export function administrator(c: Context<Env>, deps: AccessDeps) {
  const context = allowedContext(c, deps, "administer");
  checkFresh(c, { person: true });
  return context;
}

/** Which role somebody has, with what each may do. */
export function RoleField({ context, form }: { context: PageContext; form: FormState }) {
  const { t } = context;
  return (
    <RadioField
      {...{ t, form, name: "role", label: t("users.role") }}
      options={ROLES.map((role) => ({ value: role, label: t(`role.${role}`), hint: t(`role.${role}.hint`) }))}
    />
  );
}
