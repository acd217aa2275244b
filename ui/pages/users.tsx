/** GET /settings/users: accounts and API tokens. What changes them asks for the password again. */

import { type Context, Hono } from "hono";
import { userChange, userCreate } from "../../lib/access/types.ts";
import type { UserView } from "../../lib/model/access.ts";
import { ProblemError } from "../../lib/model/problem.ts";
import { explained } from "../../lib/model/problem_english.ts";
import { Ago, Badge, ButtonLink } from "../components.tsx";
import { allowedContext, type PageContext } from "../context.ts";
import type { Env } from "../deps.ts";
import {
  CheckField,
  FormProblem,
  type FormState,
  freshForm,
  refused,
  TextField,
  textFields,
} from "../forms.tsx";
import { Page } from "../layout.tsx";
import { administrator, errorsBy, RoleField } from "./access_parts.tsx";
import { type AccessDeps, Crumbs } from "./settings.tsx";
import { TokenTable } from "./tokens.tsx";

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
    throw new ProblemError(
      "not_found",
      explained("page.no_account", { name: JSON.stringify(shown.name.slice(0, 40)) }),
    );
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
    return failed(refused(t, error, { values }), 409);
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
    return failed(refused(t, error, { values }), 409);
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

/** See above. */
export function userPageRoutes(deps: AccessDeps): Hono<Env> {
  const app = new Hono<Env>();
  const { users, sessions } = deps.access;
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
  return app;
}
