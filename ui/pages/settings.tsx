/** GET /settings: where each setting is; this node's own file; the support bundle; the audit log. */

import { type Context, Hono } from "hono";
import type { Access } from "../../lib/access/types.ts";
import { Badge, Card, Problem, When } from "../components.tsx";
import { allowedContext } from "../context.ts";
import type { Env, WebDeps } from "../deps.ts";
import type { MessageKey } from "../i18n/en.ts";
import { Icon, type IconName } from "../icons.tsx";
import { Page } from "../layout.tsx";

/** What pages about accounts need besides. */
export interface AccessDeps extends WebDeps {
  access: Access;
}

type Right = "view" | "operate" | "administer";

const PLACES: readonly { href: string; icon: IconName; key: string; needs: Right }[] = [
  { href: "/pair", icon: "node", key: "pair", needs: "view" },
  { href: "/settings/alerts", icon: "warning", key: "alerts", needs: "administer" },
  { href: "/settings/users", icon: "user", key: "users", needs: "administer" },
  { href: "/settings/doctor", icon: "check", key: "doctor", needs: "operate" },
  { href: "/settings/audit", icon: "events", key: "audit", needs: "administer" },
  { href: "/settings/config", icon: "settings", key: "config", needs: "administer" },
  { href: "/api/v1/reference", icon: "console", key: "api", needs: "view" },
];

function settingsPage(c: Context<Env>, deps: WebDeps) {
  const context = allowedContext(c, deps, "view");
  const { t } = context;
  return c.html(
    <Page context={context} title={t("nav.settings")} current="settings">
      <h1>{t("nav.settings")}</h1>
      <ul class="places">
        {PLACES.filter(({ needs }) => context.may(needs)).map(({ href, icon, key }) => (
          <li>
            <a class="card place" href={href}>
              <Icon name={icon} size={26} />
              <span>
                <strong>{t(`settings.${key}` as MessageKey)}</strong>
                <span class="hint">{t(`settings.${key}.hint` as MessageKey)}</span>
              </span>
            </a>
          </li>
        ))}
      </ul>
      {context.may("administer") && (
        <Card id="bundle" title={t("settings.bundle")}>
          <p>{t("settings.bundle.hint")}</p>
          <form method="post" action="/settings/support-bundle" data-plain="">
            <button class="button primary" type="submit">
              <Icon name="down" size={18} />
              <span>{t("settings.bundle.go")}</span>
            </button>
          </form>
        </Card>
      )}
    </Page>,
  );
}

/** Way back to the settings, above each of their pages. */
export function Crumbs({ label }: { label: string }) {
  return (
    <p class="crumbs">
      <a href="/settings">{label}</a>
    </p>
  );
}

function auditRoute(app: Hono<Env>, deps: AccessDeps): void {
  app.get("/settings/audit", async (c) => {
    const context = allowedContext(c, deps, "administer");
    const { t } = context;
    const before = Number(c.req.query("before") ?? "");
    const range = Number.isInteger(before) && before > 0 ? { before } : {};
    const [entries, verdict] = await Promise.all([
      deps.access.audit.query({ limit: 100, ...range }),
      deps.access.audit.verify(),
    ]);
    const heads = ["at", "actor", "action", "subject", "address", "detail"] as const;
    const oldest = entries.at(-1)?.seq ?? 0;
    return c.html(
      <Page context={context} title={t("settings.audit")} current="settings" wide>
        <Crumbs label={t("nav.settings")} />
        <h1>{t("settings.audit")}</h1>
        {verdict.ok
          ? (
            <p class="note">
              <Badge t={t} severity="ok" /> {t("audit.whole", { count: verdict.entries })}
            </p>
          )
          : (
            <Problem
              t={t}
              code="failed"
              detail={`${verdict.file}, line ${verdict.line}: ${verdict.problem}`}
              hint={t("audit.broken")}
            />
          )}
        <div class="table-scroll" tabindex={0} role="region" aria-label={t("settings.audit")}>
          <table class="stacked">
            <thead>
              <tr>{heads.map((head) => <th scope="col">{t(`audit.${head}`)}</th>)}</tr>
            </thead>
            <tbody>
              {entries.map((entry) => (
                <tr>
                  <td data-label={t("audit.at")} class="short">
                    <When context={context} at={entry.at} />
                  </td>
                  <td data-label={t("audit.actor")} class="short">{entry.actor}</td>
                  <td data-label={t("audit.action")} class="code short">{entry.action}</td>
                  <td data-label={t("audit.subject")} class="wrap">{entry.subject}</td>
                  <td data-label={t("audit.address")} class="code short">{entry.address}</td>
                  <td data-label={t("audit.detail")} class="wrap" lang="en">{entry.detail}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
        {entries.length === 100 && (
          <p class="actions">
            <a class="button plain" href={`/settings/audit?before=${oldest}`}>{t("events.older")}</a>
          </p>
        )}
      </Page>,
    );
  });
}

/** See above. */
export function settingsPageRoutes(deps: AccessDeps): Hono<Env> {
  const app = new Hono<Env>();
  app.get("/settings", (c) => settingsPage(c, deps));
  app.get("/settings/config", async (c) => {
    const context = allowedContext(c, deps, "administer");
    const { t } = context;
    const { file, text } = await deps.backend.config();
    return c.html(
      <Page context={context} title={t("settings.config")} current="settings">
        <Crumbs label={t("nav.settings")} />
        <h1>{t("settings.config")}</h1>
        <Card id="file" title={file === "" ? t("settings.config.none") : file}>
          <pre tabindex={0} class="file"><code>{text}</code></pre>
          <p class="hint">{t("settings.config.how")}</p>
        </Card>
      </Page>,
    );
  });
  app.post("/settings/support-bundle", async (c) => {
    const { principal, snapshot } = allowedContext(c, deps, "administer");
    const stream = await deps.backend.supportBundle(principal.name);
    const name = (snapshot.nodes[0]?.name ?? "node").replace(/[^A-Za-z0-9-]/g, "");
    const day = new Date(deps.nowMs()).toISOString().slice(0, 10);
    return c.body(stream, 200, {
      "content-type": "application/gzip",
      "content-disposition": `attachment; filename="iservft-edge-${name}-${day}.tar.gz"`,
      "cache-control": "no-store",
    });
  });
  auditRoute(app, deps);
  return app;
}
