/** The first administrator, by the one-time link. */

import { type Context, Hono } from "hono";
import { z } from "zod";
import { newPassword, userName } from "../../lib/access/types.ts";
import { type ProblemError, PROBLEMS } from "../../lib/model/problem.ts";
import { ButtonLink } from "../components.tsx";
import { pageContext } from "../context.ts";
import type { Env } from "../deps.ts";
import { LANGUAGE_NAMES, LANGUAGES } from "../i18n/translator.ts";
import { Page } from "../layout.tsx";
import { callerOf } from "../security/authenticate.ts";
import { giveSession } from "../security/cookie.ts";
import { parsed } from "../security/session_routes.ts";
import { checkSame, Field, formOf, NewPassword, Submit, tried, Wrong } from "./forms.tsx";
import type { AccessPagesDeps } from "./login.tsx";

const administrator = z.strictObject({ name: userName, password: newPassword, language: z.enum(LANGUAGES) });

function noTokenPage(c: Context<Env>, deps: AccessPagesDeps, bad: boolean) {
  const context = pageContext(c, deps);
  const { t } = context;
  c.status(403);
  return c.html(
    <Page context={context} title={t("access.setup.title")}>
      <h1>{t("access.setup.no_token.title")}</h1>
      {bad && <p class="problem" role="alert">{t("access.setup.bad_token")}</p>}
      <p>{t("access.setup.no_token")}</p>
      <p>{t("access.setup.no_token.other")}</p>
      {!deps.access.setup.needed() && (
        <p class="actions">
          <ButtonLink href="/login" icon="user">{t("nav.login")}</ButtonLink>
        </p>
      )}
    </Page>,
  );
}

function setupPage(
  c: Context<Env>,
  deps: AccessPagesDeps,
  shown: { token: string; problem: ProblemError | null; name: string },
) {
  const context = pageContext(c, deps);
  const { t } = context;
  const fingerprint = deps.fingerprint();
  if (shown.problem !== null) c.status(PROBLEMS[shown.problem.code].status);
  return c.html(
    <Page context={context} title={t("access.setup.title")}>
      <h1>{t("access.setup.title")}</h1>
      <p>{t("access.setup.intro")}</p>
      <form class="form" method="post" action="/setup">
        <Wrong t={t} problem={shown.problem} />
        <input type="hidden" name="token" value={shown.token} />
        <Field
          t={t}
          label="access.name"
          name="name"
          autocomplete="username"
          value={shown.name}
          maxlength={32}
          hint={t("access.setup.name.hint")}
          autofocus
        />
        <NewPassword t={t} />
        <div>
          <label for="field-language">
            <span>{t("access.setup.language")}</span>
          </label>
          <select id="field-language" name="language">
            {LANGUAGES.map((language) => (
              <option value={language} lang={language} selected={language === t.language}>
                {LANGUAGE_NAMES[language]}
              </option>
            ))}
          </select>
        </div>
        <p class="actions">
          <Submit label={t("access.setup.do")} />
        </p>
      </form>
      {fingerprint !== "" && (
        <details>
          <summary>{t("access.certificate.title")}</summary>
          <p>{t("access.certificate")}</p>
          <p>
            <code>{fingerprint}</code>
          </p>
        </details>
      )}
    </Page>,
  );
}

/** /setup. */
export function setupRoutes(deps: AccessPagesDeps): Hono<Env> {
  const { access } = deps;
  const app = new Hono<Env>();
  app.get("/setup", (c) => {
    const token = c.req.query("token");
    // Nobody learns from here whether a token is right: it is looked at when the form is sent.
    if (!access.setup.needed()) return c.redirect("/login", 303);
    return token === undefined
      ? noTokenPage(c, deps, false)
      : setupPage(c, deps, { token, problem: null, name: "" });
  });
  app.post("/setup", async (c) => {
    const { t } = pageContext(c, deps);
    const form = await formOf(c);
    const given = { name: form("name"), password: form("new"), language: form("language") };
    const { done, problem } = await tried(async () => {
      checkSame(t, { new: given.password, again: form("again") });
      return await access.setup.redeem(form("token"), parsed(given, administrator), callerOf(c));
    });
    if (problem?.code === "forbidden") return noTokenPage(c, deps, true);
    if (problem !== null) {
      return setupPage(c, deps, { token: form("token"), problem, name: given.name.slice(0, 32) });
    }
    giveSession(c, done.secret);
    return c.redirect("/", 303);
  });
  return app;
}
