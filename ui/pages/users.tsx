/** GET /settings/users: accounts and API tokens. What changes them asks for the password again. */

import { type Context, Hono } from "hono";
import { tokenCreate, userChange, userCreate } from "../../lib/access/types.ts";
import { ROLES, type TokenView, type UserView } from "../../lib/model/access.ts";
import { ProblemError } from "../../lib/model/problem.ts";
import { Ago, Badge, ButtonLink, When } from "../components.tsx";
import { allowedContext, type PageContext } from "../context.ts";
import type { Env } from "../deps.ts";
import {
  CheckField,
  FormProblem,
  type FormState,
  freshForm,
  issueText,
  RadioField,
  refused,
  SelectField,
  TextField,
  textFields,
} from "../forms.tsx";
import type { MessageKey } from "../i18n/en.ts";
import { Page } from "../layout.tsx";
import { checkFresh } from "../security/require.ts";
import type { AccessDeps } from "./settings.tsx";
import { Crumbs } from "./settings.tsx";

const PATTERNS: Readonly<Record<string, MessageKey>> = {
  "user.name": "users.name.pattern",
  "token.name": "tokens.name.pattern",
};

/** Errors by field of what a schema found. */
function errorsBy(
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
function administrator(c: Context<Env>, deps: AccessDeps) {
  const context = allowedContext(c, deps, "administer");
  checkFresh(c, { person: true });
  return context;
}

function UserTable({ context, users }: { context: PageContext; users: readonly UserView[] }) {
  const { t, nowMs } = context;
  const locked = ({ locked_until }: UserView) => locked_until !== null && Date.parse(locked_until) > nowMs;
  return (
    <table class="stacked">
      <thead>
        <tr>
          {(["name", "role", "totp", "last"] as const).map((head) => <th scope="col">{t(`users.${head}`)}
          </th>)}
        </tr>
      </thead>
      <tbody>
        {users.map((user) => (
          <tr>
            <td data-label={t("users.name")}>
              <a href={`/settings/users/${user.name}`}>{user.name}</a>{" "}
              {locked(user) && (
                <Badge t={t} severity="warning">
                  {t("users.locked", { until: t.time(user.locked_until!) })}
                </Badge>
              )}
            </td>
            <td data-label={t("users.role")}>{t(`role.${user.role}`)}</td>
            <td data-label={t("users.totp")}>{user.totp ? t("yes") : t("no")}</td>
            <td data-label={t("users.last")}>
              {user.last_login === null ? t("users.never") : <Ago context={context} at={user.last_login} />}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function TokenTable({ context, tokens }: { context: PageContext; tokens: readonly TokenView[] }) {
  const { t } = context;
  if (tokens.length === 0) return <p>{t("tokens.none")}</p>;
  return (
    <table class="stacked">
      <thead>
        <tr>
          {(["name", "role", "expires", "used"] as const).map((head) => (
            <th scope="col">{t(`tokens.${head}`)}</th>
          ))}
          <td></td>
        </tr>
      </thead>
      <tbody>
        {tokens.map(({ id, name, role, expires, last_used }) => (
          <tr>
            <td data-label={t("tokens.name")}>{name}</td>
            <td data-label={t("tokens.role")}>{t(`role.${role}`)}</td>
            <td data-label={t("tokens.expires")}>
              {expires === null ? t("tokens.never") : <When context={context} at={expires} />}
            </td>
            <td data-label={t("tokens.used")}>
              {last_used === null ? t("users.never") : <Ago context={context} at={last_used} />}
            </td>
            <td>
              <form method="post" action={`/settings/tokens/${id}/remove`}>
                <button class="button plain" type="submit" aria-label={t("tokens.remove", { name })}>
                  {t("form.remove")}
                </button>
              </form>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function listPage(c: Context<Env>, deps: AccessDeps) {
  const context = allowedContext(c, deps, "administer");
  const { t } = context;
  const { users, tokens } = deps.access;
  return c.html(
    <Page context={context} title={t("settings.users")} current="settings">
      <Crumbs label={t("nav.settings")} />
      <h1>{t("settings.users")}</h1>
      <section class="card" aria-labelledby="users-title">
        <div class="card-head">
          <h2 id="users-title">{t("users.title")}</h2>
          <ButtonLink href="/settings/users/new" icon="plus">{t("users.new")}</ButtonLink>
        </div>
        <UserTable context={context} users={users.list()} />
        <p class="hint">{t("users.each_node")}</p>
      </section>
      <section class="card" aria-labelledby="tokens-title">
        <div class="card-head">
          <h2 id="tokens-title">{t("tokens.title")}</h2>
          <ButtonLink href="/settings/tokens/new" icon="plus">{t("tokens.new")}</ButtonLink>
        </div>
        <TokenTable context={context} tokens={tokens.list()} />
      </section>
    </Page>,
  );
}

function RoleField({ context, form }: { context: PageContext; form: FormState }) {
  const { t } = context;
  return (
    <RadioField
      {...{ t, form, name: "role", label: t("users.role") }}
      options={ROLES.map((role) => ({ value: role, label: t(`role.${role}`), hint: t(`role.${role}.hint`) }))}
    />
  );
}

function newUserPage(c: Context<Env>, deps: AccessDeps, form: FormState) {
  const context = administrator(c, deps);
  const { t } = context;
  return c.html(
    <Page context={context} title={t("users.new")} current="settings">
      <Crumbs label={t("nav.settings")} />
      <h1>{t("users.new")}</h1>
      <form method="post" action="/settings/users/new" class="card">
        <FormProblem t={t} form={form} />
        <div class="fields">
          <TextField
            {...{ t, form, name: "name", label: t("users.name"), hint: t("users.name.pattern") }}
            required
            plain
          />
          <TextField
            {...{ t, form, name: "password", label: t("users.password"), hint: t("users.password.hint") }}
            type="password"
            autocomplete="new-password"
            required
          />
          <RoleField context={context} form={form} />
        </div>
        <p class="actions">
          <button class="button primary" type="submit">{t("users.create")}</button>
          <a class="button plain" href="/settings/users">{t("cancel")}</a>
        </p>
      </form>
    </Page>,
  );
}

function userPage(c: Context<Env>, deps: AccessDeps, shown: { name: string; form?: FormState }) {
  const context = administrator(c, deps);
  const { t } = context;
  const user = deps.access.users.get(shown.name);
  if (user === null) {
    throw new ProblemError("not_found", {
      detail: `there is no account "${shown.name.slice(0, 40)}"`,
      hint: "Look at the list of accounts.",
    });
  }
  const form = shown.form ?? freshForm({ role: user.role });
  const path = `/settings/users/${user.name}`;
  return c.html(
    <Page context={context} title={user.name} current="settings">
      <p class="crumbs">
        <a href="/settings/users">{t("settings.users")}</a>
      </p>
      <h1>{user.name}</h1>
      <form method="post" action={path} class="card">
        <h2>{t("users.change")}</h2>
        <FormProblem t={t} form={form} />
        <RoleField context={context} form={form} />
        <TextField
          {...{ t, form, name: "password", label: `${t("users.password.new")} (${t("form.optional")})` }}
          hint={t("users.password.reset")}
          type="password"
          autocomplete="new-password"
        />
        {user.totp && (
          <CheckField
            {...{ t, form, name: "no_totp", label: t("users.totp.off"), hint: t("users.totp.off.hint") }}
          />
        )}
        <button class="button primary" type="submit">{t("form.save")}</button>
      </form>
      <div class="card">
        <h2>{t("users.more")}</h2>
        <div class="actions">
          <form method="post" action={`${path}/sign-out`}>
            <button class="button plain" type="submit">{t("users.sign_out")}</button>
          </form>
          <ButtonLink href={`${path}/remove`} kind="danger" icon="trash">{t("users.remove")}</ButtonLink>
        </div>
      </div>
    </Page>,
  );
}

async function createUser(c: Context<Env>, deps: AccessDeps) {
  const { t, principal } = administrator(c, deps);
  const { password = "", ...values } = textFields(await c.req.parseBody());
  const checked = userCreate.safeParse({ ...values, password });
  const failed = (form: FormState, status: 400 | 409) => (c.status(status), newUserPage(c, deps, form));
  if (!checked.success) {
    return failed(
      { values, errors: errorsBy(checked.error.issues, { t, what: "user" }), problem: null },
      400,
    );
  }
  try {
    await deps.access.users.create(checked.data, principal.name);
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error;
    return failed(refused(values, error), 409);
  }
  return c.redirect("/settings/users", 303);
}

async function changeUser(c: Context<Env>, deps: AccessDeps, name: string) {
  const { t, principal } = administrator(c, deps);
  const { password = "", ...values } = textFields(await c.req.parseBody());
  const user = deps.access.users.get(name);
  const checked = userChange.safeParse({
    ...(values.role === user?.role ? {} : { role: values.role }),
    ...(password === "" ? {} : { password }),
    ...(values.no_totp === "1" ? { totp: false } : {}),
  });
  const failed = (
    form: FormState,
    status: 400 | 409,
  ) => (c.status(status), userPage(c, deps, { name, form }));
  if (!checked.success) {
    return failed(
      { values, errors: errorsBy(checked.error.issues, { t, what: "user" }), problem: null },
      400,
    );
  }
  try {
    await deps.access.users.change(name, checked.data, principal.name);
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error;
    return failed(refused(values, error), 409);
  }
  return c.redirect("/settings/users", 303);
}

function removePage(c: Context<Env>, deps: AccessDeps, name: string) {
  const context = administrator(c, deps);
  const { t } = context;
  return c.html(
    <Page context={context} title={t("users.remove")} current="settings">
      <h1>{t("users.remove")}</h1>
      <form method="post" action={`/settings/users/${encodeURIComponent(name)}/remove`} class="card">
        <p>{t("users.remove.confirm", { name })}</p>
        <p class="actions">
          <button class="button danger" type="submit">{t("users.remove")}</button>
          <a class="button plain" href="/settings/users">{t("cancel")}</a>
        </p>
      </form>
    </Page>,
  );
}

function newTokenPage(c: Context<Env>, deps: AccessDeps, form: FormState) {
  const context = administrator(c, deps);
  const { t } = context;
  const terms = ["30", "90", "365", ""] as const;
  return c.html(
    <Page context={context} title={t("tokens.new")} current="settings">
      <Crumbs label={t("nav.settings")} />
      <h1>{t("tokens.new")}</h1>
      <form method="post" action="/settings/tokens/new" class="card">
        <FormProblem t={t} form={form} />
        <TextField
          {...{ t, form, name: "name", label: t("tokens.name"), hint: t("tokens.name.hint") }}
          required
          plain
        />
        <RoleField context={context} form={form} />
        <SelectField
          {...{ t, form, name: "days", label: t("tokens.expires") }}
          options={terms.map((days) =>
            [days, days === "" ? t("tokens.never") : t("unit.days", { count: Number(days) })] as const
          )}
        />
        <p class="actions">
          <button class="button primary" type="submit">{t("tokens.create")}</button>
          <a class="button plain" href="/settings/users">{t("cancel")}</a>
        </p>
      </form>
    </Page>,
  );
}

async function createToken(c: Context<Env>, deps: AccessDeps) {
  const context = administrator(c, deps);
  const { t, principal } = context;
  const values = textFields(await c.req.parseBody());
  const { name, role, days = "" } = values;
  const checked = tokenCreate.safeParse({ name, role, days: days === "" ? null : Number(days) });
  const failed = (form: FormState, status: 400 | 409) => (c.status(status), newTokenPage(c, deps, form));
  if (!checked.success) {
    return failed(
      { values, errors: errorsBy(checked.error.issues, { t, what: "token" }), problem: null },
      400,
    );
  }
  try {
    const { secret } = await deps.access.tokens.create(checked.data, principal.name);
    return c.html(
      <Page context={context} title={t("tokens.made")} current="settings">
        <h1>{t("tokens.made")}</h1>
        <div class="card">
          <p>{t("tokens.made.text")}</p>
          <p class="token-secret code" tabindex={0}>{secret}</p>
          <p>{t("tokens.made.use")}</p>
          <pre tabindex={0}><code>Authorization: Bearer {secret}</code></pre>
          <p class="actions">
            <ButtonLink href="/settings/users" kind="primary">{t("tokens.made.done")}</ButtonLink>
          </p>
        </div>
      </Page>,
    );
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error;
    return failed(refused(values, error), 409);
  }
}

/** See above. */
export function userPageRoutes(deps: AccessDeps): Hono<Env> {
  const app = new Hono<Env>();
  const { users, sessions, tokens } = deps.access;
  app.get("/settings/users", (c) => listPage(c, deps));
  app.get("/settings/users/new", (c) => newUserPage(c, deps, freshForm({ role: "operator" })));
  app.post("/settings/users/new", (c) => createUser(c, deps));
  app.get("/settings/users/:name", (c) => userPage(c, deps, { name: c.req.param("name") }));
  app.post("/settings/users/:name", (c) => changeUser(c, deps, c.req.param("name")));
  app.post("/settings/users/:name/sign-out", async (c) => {
    const { principal } = administrator(c, deps);
    await sessions.endAll(c.req.param("name"), principal.name);
    return c.redirect("/settings/users", 303);
  });
  app.get("/settings/users/:name/remove", (c) => removePage(c, deps, c.req.param("name")));
  app.post("/settings/users/:name/remove", async (c) => {
    const { principal } = administrator(c, deps);
    await users.remove(c.req.param("name"), principal.name);
    return c.redirect("/settings/users", 303);
  });
  app.get("/settings/tokens/new", (c) => newTokenPage(c, deps, freshForm({ role: "viewer", days: "365" })));
  app.post("/settings/tokens/new", (c) => createToken(c, deps));
  app.post("/settings/tokens/:id/remove", async (c) => {
    const { principal } = administrator(c, deps);
    await tokens.remove(c.req.param("id"), principal.name);
    return c.redirect("/settings/users", 303);
  });
  return app;
}
