/** One's own account: password, authenticator, where one is logged in. */

import { type Context, Hono } from "hono";
import { newPassword, PASSWORD_MAX } from "../../lib/access/types.ts";
import type { UserView } from "../../lib/model/access.ts";
import { ProblemError, PROBLEMS } from "../../lib/model/problem.ts";
import { explained } from "../../lib/model/problem_english.ts";
import { pageContext } from "../context.ts";
import type { Env } from "../deps.ts";
import { LANGUAGES } from "../i18n/translator.ts";
import { Page } from "../layout.tsx";
import { callerOf } from "../security/authenticate.ts";
import { takeSession } from "../security/cookie.ts";
import { checkFresh } from "../security/require.ts";
import { parsed } from "../security/session_routes.ts";
import {
  CertificateCard,
  CodesPage,
  PasswordCard,
  SessionsCard,
  TotpCard,
  YouCard,
} from "./account_parts.tsx";
import { checkSame, formOf, tried } from "./forms.tsx";
import type { AccessPagesDeps } from "./login.tsx";

/** The account that is signed in. Tokens and the local socket have none. */
function own(c: Context<Env>, deps: AccessPagesDeps): UserView {
  const user = deps.access.users.get(c.var.session?.user ?? "");
  if (user !== null) return user;
  throw new ProblemError(
    "forbidden",
    explained("access.no_account", { name: c.var.principal?.name ?? "nobody" }),
  );
}

/** Which form had a problem. */
interface Shown {
  password?: ProblemError;
  totp?: ProblemError;
}

function accountPage(c: Context<Env>, deps: AccessPagesDeps, shown: Shown = {}) {
  const user = own(c, deps);
  const context = pageContext(c, deps);
  const { t } = context;
  const problem = shown.password ?? shown.totp;
  if (problem !== undefined) c.status(PROBLEMS[problem.code].status);
  const { access } = deps;
  return c.html(
    <Page context={context} title={t("access.account.title")} current="account">
      <h1>{t("access.account.title")}</h1>
      <YouCard context={context} user={user} />
      <PasswordCard t={t} user={user} problem={shown.password ?? null} max={PASSWORD_MAX} />
      <TotpCard t={t} user={user} offer={access.totp.open(user.name)} problem={shown.totp ?? null} />
      <SessionsCard context={context} sessions={access.sessions.list(user.name, c.var.session)} />
      <CertificateCard t={t} fingerprint={deps.fingerprint()} />
    </Page>,
  );
}

function totpRoutes(app: Hono<Env>, deps: AccessPagesDeps): void {
  const { access } = deps;
  app.post("/account/totp", (c) => {
    checkFresh(c);
    access.totp.offer(own(c, deps).name);
    return c.redirect("/account#totp", 303);
  });
  app.post("/account/totp/confirm", async (c) => {
    checkFresh(c);
    const user = own(c, deps);
    const form = await formOf(c);
    const { done, problem } = await tried(() => access.totp.confirm(user.name, form("code").slice(0, 32)));
    if (problem !== null) return accountPage(c, deps, { totp: problem });
    const context = pageContext(c, deps);
    return c.html(<CodesPage context={context} codes={done} />);
  });
  app.post("/account/totp/remove", async (c) => {
    checkFresh(c);
    const user = own(c, deps);
    await access.totp.remove(user.name, `user:${user.name}`);
    return c.redirect("/account#totp", 303);
  });
}

function sessionPages(app: Hono<Env>, deps: AccessPagesDeps): void {
  const { access } = deps;
  app.post("/account/sessions/end", async (c) => {
    const user = own(c, deps);
    const form = await formOf(c);
    // One that has ended meanwhile is what was wanted.
    await tried(() => access.sessions.end(user.name, form("id").slice(0, 64), `user:${user.name}`));
    return c.redirect("/account#sessions", 303);
  });
  app.post("/account/sessions/end-all", async (c) => {
    const user = own(c, deps);
    await access.sessions.endAll(user.name, `user:${user.name}`);
    takeSession(c);
    return c.redirect("/login", 303);
  });
}

/** /account and what its forms do. */
export function accountRoutes(deps: AccessPagesDeps): Hono<Env> {
  const { access } = deps;
  const app = new Hono<Env>();
  // The addresses of the forms too: a form that is shown again stands there, and may be loaded again.
  for (const path of ["/account", "/account/password", "/account/totp/confirm"]) {
    app.get(path, (c) => accountPage(c, deps));
  }
  app.post("/account/password", async (c) => {
    const user = own(c, deps);
    const { t } = pageContext(c, deps);
    const form = await formOf(c);
    const { problem } = await tried(async () => {
      checkSame(t, { new: form("new"), again: form("again") });
      const given = { old: form("old").slice(0, PASSWORD_MAX), new: parsed(form("new"), newPassword) };
      await access.users.changeOwnPassword(
        user.name,
        { ...given, code: form("code").slice(0, 32) },
        callerOf(c),
      );
    });
    if (problem !== null) return accountPage(c, deps, { password: problem });
    takeSession(c);
    return c.redirect("/login?changed=1", 303);
  });
  app.post("/account/language", async (c) => {
    const user = own(c, deps);
    const chosen = (await formOf(c))("language");
    access.users.setLanguage(user.name, LANGUAGES.find((language) => language === chosen) ?? null);
    return c.redirect("/account", 303);
  });
  totpRoutes(app, deps);
  sessionPages(app, deps);
  return app;
}
