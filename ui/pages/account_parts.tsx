/** What the account's page is made of. */

import { raw } from "hono/html";
import type { SessionView, TotpOffer } from "../../lib/access/types.ts";
import type { UserView } from "../../lib/model/access.ts";
import type { ProblemError } from "../../lib/model/problem.ts";
import { Ago, Badge, ButtonLink, Card, Facts, When } from "../components.tsx";
import type { PageContext } from "../context.ts";
import { LANGUAGE_NAMES, LANGUAGES, type Translator } from "../i18n/translator.ts";
import { Icon } from "../icons.tsx";
import { Page } from "../layout.tsx";
import { Code, Field, NewPassword, Submit, Wrong } from "./forms.tsx";

/** Who one is here. */
export function YouCard({ context, user }: { context: PageContext; user: UserView }) {
  const { t } = context;
  return (
    <Card id="you" title={t("access.account.you")}>
      <Facts
        rows={[
          [t("access.name"), user.name],
          [t("access.account.role"), t(`access.account.role.${user.role}`)],
          [
            t("access.account.last_login"),
            user.last_login === null ? t("none") : <When context={context} at={user.last_login} />,
          ],
        ]}
      />
      <form class="form" method="post" action="/account/language">
        <label>
          <span>{t("access.account.language")}</span>
          <select name="language">
            <option value="">{t("access.account.language.auto")}</option>
            {LANGUAGES.map((language) => (
              <option value={language} lang={language} selected={language === user.language}>
                {LANGUAGE_NAMES[language]}
              </option>
            ))}
          </select>
        </label>
        <p class="actions">
          <Submit label={t("access.account.save")} kind="plain" />
        </p>
      </form>
    </Card>
  );
}

/** A new password. */
export function PasswordCard(
  { t, user, problem, max }: { t: Translator; user: UserView; problem: ProblemError | null; max: number },
) {
  return (
    <Card id="password" title={t("access.change.title")}>
      <form class="form" method="post" action="/account/password">
        <Wrong t={t} problem={problem} />
        <input type="text" name="name" value={user.name} autocomplete="username" readonly hidden />
        <Field
          t={t}
          label="access.change.old"
          name="old"
          type="password"
          autocomplete="current-password"
          maxlength={max}
        />
        <NewPassword t={t} />
        {user.totp && <Code t={t} required />}
        <p class="actions">
          <Submit label={t("access.change.do")} />
        </p>
      </form>
    </Card>
  );
}

function TotpOffered(
  { t, offer, problem }: { t: Translator; offer: TotpOffer; problem: ProblemError | null },
) {
  return (
    <>
      {problem !== null && <p class="problem" role="alert">{t("access.totp.wrong")}</p>}
      <p>{t("access.totp.scan")}</p>
      <div class="qr">{raw(offer.svg)}</div>
      <p>
        {t("access.totp.secret")}
        {t("colon")}
        <code>{offer.secret}</code>
      </p>
      <form class="form" method="post" action="/account/totp/confirm">
        <div>
          <label for="field-totp">
            <span>{t("access.code")}</span>
          </label>
          <input
            id="field-totp"
            name="code"
            inputmode="numeric"
            autocomplete="one-time-code"
            maxlength={7}
            required
          />
        </div>
        <p class="actions">
          <Submit label={t("access.totp.confirm")} />
        </p>
      </form>
    </>
  );
}

/** The authenticator. */
export function TotpCard(
  { t, user, offer, problem }: {
    t: Translator;
    user: UserView;
    offer: TotpOffer | null;
    problem: ProblemError | null;
  },
) {
  return (
    <Card id="totp" title={t("access.totp.title")}>
      <p>{t(user.totp ? "access.totp.on" : "access.totp.off")}</p>
      {offer !== null && <TotpOffered t={t} offer={offer} problem={problem} />}
      {offer === null && !user.totp && (
        <form method="post" action="/account/totp">
          <Submit label={t("access.totp.begin")} kind="plain" />
        </form>
      )}
      {user.totp && (
        <form method="post" action="/account/totp/remove">
          <Submit label={t("access.totp.remove")} kind="danger" />
        </form>
      )}
    </Card>
  );
}

/** Sessions, and how to end them. */
export function SessionsCard({ context, sessions }: { context: PageContext; sessions: SessionView[] }) {
  const { t } = context;
  return (
    <Card id="sessions" title={t("access.sessions.title")}>
      <div class="table-box" tabindex={0} role="group" aria-labelledby="sessions-title">
        <table class="stacked">
          <thead>
            <tr>
              <th scope="col">{t("access.sessions.since")}</th>
              <th scope="col">{t("access.sessions.used")}</th>
              <th scope="col">{t("access.sessions.address")}</th>
              <th scope="col">{t("access.sessions.browser")}</th>
              <th scope="col">
                <span class="visually-hidden">{t("access.sessions.end")}</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {sessions.map((session) => (
              <tr>
                <td data-label={t("access.sessions.since")}>
                  <When context={context} at={session.created} />
                </td>
                <td data-label={t("access.sessions.used")}>
                  <Ago context={context} at={session.last_used} />
                </td>
                <td data-label={t("access.sessions.address")} class="short">{session.address}</td>
                <td data-label={t("access.sessions.browser")} class="wrap">{session.agent}</td>
                <td>
                  {session.current
                    ? <Badge t={t} severity="ok" icon="check">{t("access.sessions.this")}</Badge>
                    : (
                      <form method="post" action="/account/sessions/end">
                        <input type="hidden" name="id" value={session.id} />
                        <button
                          class="button plain"
                          type="submit"
                          aria-label={t("access.sessions.end_of", { address: session.address })}
                        >
                          <span>{t("access.sessions.end")}</span>
                        </button>
                      </form>
                    )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <form method="post" action="/account/sessions/end-all">
        <p class="actions">
          <button class="button plain" type="submit">
            <Icon name="out" size={18} />
            <span>{t("access.sessions.end_all")}</span>
          </button>
        </p>
      </form>
    </Card>
  );
}

/** What the browser should show of the certificate. */
export function CertificateCard({ t, fingerprint }: { t: Translator; fingerprint: string }) {
  if (fingerprint === "") return null;
  return (
    <Card id="certificate" title={t("access.certificate.title")}>
      <p>{t("access.certificate")}</p>
      <p class="said-by-node">
        <code>{fingerprint}</code>
      </p>
    </Card>
  );
}

/** Recovery codes: shown once. */
export function CodesPage({ context, codes }: { context: PageContext; codes: string[] }) {
  const { t } = context;
  return (
    <Page context={{ ...context, snapshot: null }} title={t("access.totp.codes.title")} current="account">
      <h1>{t("access.totp.codes.title")}</h1>
      <p class="notice warning">{t("access.totp.codes")}</p>
      <ul class="codes">
        {codes.map((code) => (
          <li>
            <code>{code}</code>
          </li>
        ))}
      </ul>
      <p class="actions">
        <ButtonLink href="/account" kind="primary" icon="check">{t("access.totp.codes.done")}</ButtonLink>
      </p>
    </Page>
  );
}
