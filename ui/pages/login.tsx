/** Signing in, signing out, and giving the password again. */

import { type Context, Hono } from "hono";
import { type Access, credentials, PASSWORD_MAX } from "../../lib/access/types.ts";
import { type ProblemError, PROBLEMS } from "../../lib/model/problem.ts";
import { pageContext } from "../context.ts";
import type { Env, WebDeps } from "../deps.ts";
import { Page } from "../layout.tsx";
import { callerOf } from "../security/authenticate.ts";
import { giveSession, takeSession } from "../security/cookie.ts";
import { principalOf } from "../security/require.ts";
import { returnPath } from "../security/return_path.ts";
import { parsed } from "../security/session_routes.ts";
import { Code, Field, formOf, Submit, tried, Wrong } from "./forms.tsx";

/** What these pages need. */
export interface AccessPagesDeps extends WebDeps {
  access: Access;
  /** SHA-256 of the certificate, as browsers show it; "" when nobody knows. */
  fingerprint(): string;
}

interface Shown {
  problem: ProblemError | null;
  name?: string;
  next: string;
  notice?: boolean;
}

function loginPage(c: Context<Env>, deps: AccessPagesDeps, shown: Shown) {
  const context = pageContext(c, deps);
  const { t } = context;
  if (shown.problem !== null) c.status(PROBLEMS[shown.problem.code].status);
  return c.html(
    <Page context={context} title={t("access.login.title")}>
      <h1>{t("access.login.title")}</h1>
      {shown.notice === true && <p class="notice ok" role="status">{t("access.change.done")}</p>}
      <form class="form" method="post" action="/login">
        <Wrong t={t} problem={shown.problem} />
        <input type="hidden" name="next" value={shown.next} />
        <Field
          t={t}
          label="access.name"
          name="name"
          autocomplete="username"
          value={shown.name ?? ""}
          maxlength={64}
          autofocus
        />
        <Field
          t={t}
          label="access.password"
          name="password"
          type="password"
          autocomplete="current-password"
          maxlength={PASSWORD_MAX}
        />
        <Code t={t} />
        <p class="actions">
          <Submit label={t("access.login.do")} />
        </p>
        <p class="hint">{t("access.login.lost")}</p>
      </form>
    </Page>,
  );
}

function againPage(c: Context<Env>, deps: AccessPagesDeps, shown: Shown) {
  const context = pageContext(c, deps);
  const { t } = context;
  const user = deps.access.users.get(c.var.session?.user ?? "");
  if (shown.problem !== null) c.status(PROBLEMS[shown.problem.code].status);
  return c.html(
    <Page context={context} title={t("access.again.title")}>
      <h1>{t("access.again.title")}</h1>
      <form class="form" method="post" action="/reauthenticate">
        <Wrong t={t} problem={shown.problem} />
        <p>{t("access.again.intro")}</p>
        <input type="hidden" name="next" value={shown.next} />
        <input type="text" name="name" value={user?.name ?? ""} autocomplete="username" readonly hidden />
        <Field
          t={t}
          label="access.password"
          name="password"
          type="password"
          autocomplete="current-password"
          maxlength={PASSWORD_MAX}
          autofocus
        />
        {user?.totp === true && <Code t={t} required />}
        <p class="actions">
          <Submit label={t("access.again.do")} />
        </p>
      </form>
    </Page>,
  );
}

/** /login, /logout, /reauthenticate. */
export function loginRoutes(deps: AccessPagesDeps): Hono<Env> {
  const { access } = deps;
  const app = new Hono<Env>();
  app.get("/login", (c) => {
    const next = returnPath(c.req.query("next"));
    if (c.var.principal !== null) return c.redirect(next, 303);
    if (access.setup.needed()) return c.redirect("/setup", 303);
    return loginPage(c, deps, { problem: null, next, notice: c.req.query("changed") !== undefined });
  });
  app.post("/login", async (c) => {
    const form = await formOf(c);
    const next = returnPath(form("next"));
    const given = { name: form("name"), password: form("password"), code: form("code") };
    const { done, problem } = await tried(async () =>
      await access.sessions.begin(parsed(given, credentials), callerOf(c))
    );
    if (problem !== null) return loginPage(c, deps, { problem, name: given.name.slice(0, 64), next });
    // A session that was open before is not carried on: whoever gave it to this browser must not share the new one.
    const before = c.var.session;
    if (before !== null) {
      await access.sessions.end(before.user, before.id, before.principal.name).catch(() => {});
    }
    giveSession(c, done.secret);
    return c.redirect(next, 303);
  });
  app.post("/logout", async (c) => {
    const session = c.var.session;
    if (session !== null) {
      // It may have ended a moment ago, in another tab.
      await tried(() => access.sessions.end(session.user, session.id, session.principal.name));
    }
    takeSession(c);
    return c.redirect("/login", 303);
  });
  app.get("/reauthenticate", (c) => {
    const next = returnPath(c.req.query("next"));
    if (principalOf(c).fresh) return c.redirect(next, 303);
    return againPage(c, deps, { problem: null, next });
  });
  app.post("/reauthenticate", async (c) => {
    const session = c.var.session;
    const form = await formOf(c);
    const next = returnPath(form("next"));
    if (session === null) return c.redirect(next, 303); // tokens and the local socket need none
    const given = { name: session.user, password: form("password"), code: form("code") };
    const { problem } = await tried(async () => {
      const { password, code } = parsed(given, credentials);
      await access.sessions.reauthenticate(session, { password, code }, callerOf(c));
    });
    return problem === null ? c.redirect(next, 303) : againPage(c, deps, { problem, next });
  });
  return app;
}
