/** GET /settings/doctor: what was found on both nodes, the worst first, each with why it matters and how to mend it. */

import { Hono } from "hono";
import type { CheckView } from "../../lib/model/doctor.ts";
import type { Severity } from "../../lib/model/sentence.ts";
import { Badge, ButtonLink, When } from "../components.tsx";
import { allowedContext, type PageContext } from "../context.ts";
import type { Env, WebDeps } from "../deps.ts";
import { Page } from "../layout.tsx";
import { Crumbs } from "./settings.tsx";

const ORDER = ["failed", "warning", "unknown", "info", "ok"] as const;
const SEVERITY: Readonly<Record<CheckView["state"], Severity>> = {
  failed: "critical",
  warning: "warning",
  unknown: "warning",
  info: "info",
  ok: "ok",
};

function Check({ context, check }: { context: PageContext; check: CheckView }) {
  const { t } = context;
  const known = t.finding(check);
  const { title, seen, why, fix } = known ?? check;
  const lang = known === null ? { lang: "en" } : {};
  return (
    <li class="check-item" id={`${check.node}-${check.id}`}>
      <p class="check-title">
        <strong {...lang}>{title}</strong> <span class="check-node">{check.node}</span>
      </p>
      <p {...lang} class="check-seen">{seen}</p>
      {check.state !== "ok" && (
        <dl class="check-more">
          <dt>{t("doctor.why")}</dt>
          <dd {...lang}>{why}</dd>
          {fix !== "" && (
            <>
              <dt>{t("doctor.fix")}</dt>
              <dd {...lang}>{fix}</dd>
            </>
          )}
        </dl>
      )}
    </li>
  );
}

function Group(
  { context, state, checks }: { context: PageContext; state: CheckView["state"]; checks: CheckView[] },
) {
  const { t } = context;
  const head = (
    <>
      <Badge t={t} severity={SEVERITY[state]} {...(state === "unknown" ? { icon: "unknown" as const } : {})}>
        {t(`doctor.${state}`)}
      </Badge>{" "}
      <span class="count">{t.number(checks.length)}</span>
    </>
  );
  const list = <ul class="checks">{checks.map((check) => <Check context={context} check={check} />)}</ul>;
  if (state === "ok") {
    return (
      <details class="card">
        <summary>{head}</summary>
        {list}
      </details>
    );
  }
  return (
    <section class="card">
      <h2>{head}</h2>
      {list}
    </section>
  );
}

/** See above. */
export function doctorRoutes(deps: WebDeps): Hono<Env> {
  const app = new Hono<Env>();
  app.get("/settings/doctor", async (c) => {
    const context = allowedContext(c, deps, "operate");
    const { t, snapshot } = context;
    const { at, checks } = await deps.backend.doctor({ peer: snapshot.nodes.length > 1 });
    const groups = ORDER.map((state) => ({ state, checks: checks.filter((check) => check.state === state) }))
      .filter(({ checks }) => checks.length > 0);
    return c.html(
      <Page context={context} title={t("settings.doctor")} current="settings">
        <Crumbs label={t("nav.settings")} />
        <div class="page-head">
          <h1>{t("settings.doctor")}</h1>
          <p class="actions">
            <ButtonLink href="/settings/doctor" icon="check" kind="primary">{t("doctor.again")}</ButtonLink>
          </p>
        </div>
        <p class="hint">
          {t("doctor.at")} <When context={context} at={at} />
        </p>
        {groups.map(({ state, checks }) => <Group context={context} state={state} checks={checks} />)}
      </Page>,
    );
  });
  return app;
}
