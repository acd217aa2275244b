/** API tokens: a list beside the accounts, /settings/tokens/new, and the secret, which is shown once. */

import { type Context, Hono } from "hono";
import { tokenCreate } from "../../lib/access/types.ts";
import type { TokenView } from "../../lib/model/access.ts";
import { ProblemError } from "../../lib/model/problem.ts";
import { Ago, ButtonLink, When } from "../components.tsx";
import type { PageContext } from "../context.ts";
import type { Env } from "../deps.ts";
import {
  FormProblem,
  type FormState,
  freshForm,
  refused,
  SelectField,
  TextField,
  textFields,
} from "../forms.tsx";
import { Page } from "../layout.tsx";
import { administrator, errorsBy, RoleField } from "./access_parts.tsx";
import { type AccessDeps, Crumbs } from "./settings.tsx";

/** All tokens, without their secrets. */
export function TokenTable({ context, tokens }: { context: PageContext; tokens: readonly TokenView[] }) {
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
    return failed(refused(t, error, { values }), 409);
  }
}

/** See above. */
export function tokenPageRoutes(deps: AccessDeps): Hono<Env> {
  const app = new Hono<Env>();
  app.get("/settings/tokens/new", (c) => newTokenPage(c, deps, freshForm({ role: "viewer", days: "365" })));
  app.post("/settings/tokens/new", (c) => createToken(c, deps));
  app.post("/settings/tokens/:id/remove", async (c) => {
    const { principal } = administrator(c, deps);
    await deps.access.tokens.remove(c.req.param("id"), principal.name);
    return c.redirect("/settings/users", 303);
  });
  return app;
}
