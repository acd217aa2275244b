/** GET /settings/alerts: who is told, and how; each channel is tried from here. */

import { type Context, Hono } from "hono";
import { type AlertChannel, type AlertSettings, alertSettings } from "../../lib/model/alerts.ts";
import { ProblemError } from "../../lib/model/problem.ts";
import { Badge, ButtonLink, Card, Reason, Said } from "../components.tsx";
import { allowedContext, type PageContext } from "../context.ts";
import type { Env, WebDeps } from "../deps.ts";
import {
  AreaField,
  CheckField,
  FormProblem,
  type FormState,
  freshForm,
  issueText,
  refused,
  SelectField,
  TextField,
  textFields,
} from "../forms.tsx";
import { Icon } from "../icons.tsx";
import { Page } from "../layout.tsx";
import {
  channelDefaults,
  channelErrors,
  channelOf,
  channelValues,
  type Kind,
  KINDS,
  SET,
} from "./alert_form.ts";
import { Crumbs } from "./settings.tsx";

/** What a test said. */
interface Tried {
  channel: string;
  ok: boolean;
  detail: string;
}

function target(channel: AlertChannel): string {
  switch (channel.kind) {
    case "email":
      return channel.to.join(", ");
    case "webhook":
      return channel.url;
    default:
      return `${channel.host}:${channel.port}`;
  }
}

function ChannelItem(
  { context, channel, tried }: { context: PageContext; channel: AlertChannel; tried: Tried | null },
) {
  const { t } = context;
  const { name, kind, enabled } = channel;
  return (
    <li class="card channel">
      <div class="card-head">
        <h3>{name}</h3>
        {enabled ? t(`alerts.kind.${kind}`) : <Badge t={t} severity="info">{t("alerts.off")}</Badge>}
      </div>
      <p class="code">{target(channel)}</p>
      {tried !== null && (
        <p role="status" class={tried.ok ? "note ok" : "note critical"}>
          <Badge t={t} severity={tried.ok ? "ok" : "critical"}>
            {t(tried.ok ? "alerts.test.ok" : "alerts.test.failed")}
          </Badge>{" "}
          <span class="said-by-node">
            <Reason t={t} text={tried.detail} />
          </span>
        </p>
      )}
      <div class="actions">
        <form method="post" action="/settings/alerts/test">
          <input type="hidden" name="channel" value={name} />
          <button class="button primary" type="submit">{t("alerts.test")}</button>
        </form>
        <ButtonLink href={`/settings/alerts/edit?name=${encodeURIComponent(name)}`}>
          {t("alerts.edit")}
        </ButtonLink>
        <form method="post" action="/settings/alerts/remove">
          <input type="hidden" name="channel" value={name} />
          <button class="button plain" type="submit" aria-label={t("alerts.remove", { name })}>
            <Icon name="trash" size={18} />
            <span>{t("form.remove")}</span>
          </button>
        </form>
      </div>
    </li>
  );
}

function RulesForm({ context, form }: { context: PageContext; form: FormState }) {
  const { t } = context;
  return (
    <form method="post" action="/settings/alerts" class="card">
      <h2>{t("alerts.rules")}</h2>
      <FormProblem t={t} form={form} />
      <div class="fields columns">
        <SelectField
          {...{ t, form, name: "threshold", label: t("alerts.threshold") }}
          options={[["warning", t("alerts.threshold.warning")], ["critical", t("alerts.threshold.critical")]]}
        />
        <TextField
          {...{ t, form, name: "repeat_min", label: t("alerts.repeat"), hint: t("alerts.repeat.hint") }}
          type="number"
          min={1}
          unit={t("alerts.minutes")}
        />
      </div>
      <button class="button primary" type="submit">{t("form.save")}</button>
    </form>
  );
}

function rulesForm({ threshold, repeat_s }: AlertSettings): FormState {
  return freshForm({ threshold, repeat_min: String(Math.round(repeat_s / 60)) });
}

function alertsPage(c: Context<Env>, deps: WebDeps, shown: { rules?: FormState; tried?: Tried } = {}) {
  const context = allowedContext(c, deps, "administer");
  const { t, snapshot } = context;
  const settings = deps.backend.alerts.settings();
  return c.html(
    <Page context={context} title={t("settings.alerts")} current="settings">
      <Crumbs label={t("nav.settings")} />
      <h1>{t("settings.alerts")}</h1>
      <Card id="alerts-now" title={t("alerts.now")} live>
        {snapshot.alerts.length === 0 && <p>{t("alerts.now.none")}</p>}
        {snapshot.alerts.map(({ severity, code, params, since }) => (
          <Said context={context} verdict={{ severity, said: { code, params }, since, next: null }} />
        ))}
      </Card>
      <h2>{t("alerts.channels")}</h2>
      {settings.channels.length === 0 && <p>{t("alerts.channels.none")}</p>}
      <ul class="channels">
        {settings.channels.map((channel) => (
          <ChannelItem
            context={context}
            channel={channel}
            tried={shown.tried?.channel === channel.name ? shown.tried : null}
          />
        ))}
      </ul>
      <p class="actions">
        {KINDS.map((kind) => (
          <ButtonLink href={`/settings/alerts/new?kind=${kind}`} icon="plus">
            {t(`alerts.kind.${kind}`)}
          </ButtonLink>
        ))}
      </p>
      <RulesForm context={context} form={shown.rules ?? rulesForm(settings)} />
    </Page>,
  );
}

function KindFields(
  { context, form, kind, secret }: { context: PageContext; form: FormState; kind: Kind; secret: boolean },
) {
  const { t } = context;
  const ca = (
    <AreaField
      {...{
        t,
        form,
        name: "ca",
        label: `${t("alerts.ca")} (${t("form.optional")})`,
        hint: t("alerts.ca.hint"),
      }}
      rows={3}
    />
  );
  const kept = secret ? { placeholder: t("alerts.secret.set"), hint: t("alerts.secret.keep") } : {};
  if (kind === "webhook") {
    return (
      <>
        <TextField {...{ t, form, name: "url", label: t("alerts.url") }} type="url" required plain />
        <TextField
          {...{ t, form, name: "secret", label: t("alerts.secret"), hint: t("alerts.secret.hint") }}
          {...kept}
          type="password"
        />
        {ca}
      </>
    );
  }
  return (
    <>
      <TextField {...{ t, form, name: "host", label: t("alerts.host") }} required plain />
      <TextField
        {...{ t, form, name: "port", label: t("alerts.port") }}
        type="number"
        min={1}
        max={65535}
        required
      />
      {kind === "syslog" && (
        <SelectField
          {...{ t, form, name: "protocol", label: t("alerts.protocol") }}
          options={[["udp", "UDP"], ["tcp", "TCP"]]}
        />
      )}
      {kind === "snmp" && (
        <TextField
          {...{ t, form, name: "community", label: t("alerts.community") }}
          {...kept}
          type="password"
        />
      )}
      {kind === "email" && (
        <>
          <SelectField
            {...{ t, form, name: "security", label: t("alerts.security") }}
            options={[["starttls", "STARTTLS"], ["tls", "TLS"], ["none", t("alerts.security.none")]]}
          />
          <TextField
            {...{ t, form, name: "user", label: `${t("alerts.user")} (${t("form.optional")})` }}
            plain
          />
          <TextField
            {...{ t, form, name: "password", label: `${t("alerts.password")} (${t("form.optional")})` }}
            {...kept}
            type="password"
            autocomplete="new-password"
          />
          <TextField {...{ t, form, name: "from", label: t("alerts.from") }} required plain />
          <AreaField
            {...{ t, form, name: "to", label: t("alerts.to"), hint: t("alerts.to.hint") }}
            rows={3}
          />
          {ca}
        </>
      )}
    </>
  );
}

function channelPage(
  c: Context<Env>,
  deps: WebDeps,
  { form, before }: { form: FormState; before: AlertChannel | null },
) {
  const context = allowedContext(c, deps, "administer");
  const { t } = context;
  const kind = KINDS.find((known) => known === form.values.kind) ?? "email";
  const title = before === null ? t(`alerts.kind.${kind}`) : before.name;
  const secret = before !== null && Object.values(before).includes(SET);
  return c.html(
    <Page context={context} title={title} current="settings">
      <p class="crumbs">
        <a href="/settings/alerts">{t("settings.alerts")}</a>
      </p>
      <h1>{title}</h1>
      <form method="post" action="/settings/alerts/channel" class="card">
        <FormProblem t={t} form={form} />
        <input type="hidden" name="kind" value={kind} />
        <input type="hidden" name="was" value={before?.name ?? ""} />
        <div class="fields">
          <TextField
            {...{ t, form, name: "name", label: t("alerts.name"), hint: t("alerts.name.hint") }}
            required
          />
          <KindFields context={context} form={form} kind={kind} secret={secret} />
          <CheckField {...{ t, form, name: "enabled", label: t("alerts.enabled") }} />
        </div>
        <p class="actions">
          <button class="button primary" type="submit">{t("form.save")}</button>
          <a class="button plain" href="/settings/alerts">{t("cancel")}</a>
        </p>
      </form>
    </Page>,
  );
}

function named(deps: WebDeps, name: string | undefined): AlertChannel | null {
  return deps.backend.alerts.settings().channels.find((channel) => channel.name === name) ?? null;
}

async function saveChannel(c: Context<Env>, deps: WebDeps) {
  const { t, principal } = allowedContext(c, deps, "administer");
  const values = textFields(await c.req.parseBody());
  const settings = deps.backend.alerts.settings();
  const before = named(deps, values.was === "" ? undefined : values.was);
  const channel = channelOf(values, before);
  const others = settings.channels.filter(({ name }) => name !== before?.name);
  const errors = channelErrors(channel, { t, others: others.map(({ name }) => name) });
  if (Object.keys(errors).length > 0) {
    c.status(400);
    return channelPage(c, deps, { form: { values, errors, problem: null }, before });
  }
  const made = alertSettings.parse({ channels: [channel] }).channels[0]!;
  const channels = before === null
    ? [...settings.channels, made]
    : settings.channels.map((known) => known.name === before.name ? made : known);
  try {
    await deps.backend.alerts.configure(alertSettings.parse({ ...settings, channels }), principal.name);
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error;
    c.status(409);
    return channelPage(c, deps, {
      form: refused(t, error, { values, rename: (key) => key.split(".").at(-1)! }),
      before,
    });
  }
  return c.redirect("/settings/alerts", 303);
}

async function saveRules(c: Context<Env>, deps: WebDeps) {
  const { t, principal } = allowedContext(c, deps, "administer");
  const values = textFields(await c.req.parseBody());
  const checked = alertSettings.safeParse({
    ...deps.backend.alerts.settings(),
    threshold: values.threshold,
    repeat_s: Number(values.repeat_min) * 60,
  });
  if (!checked.success) {
    const errors: Record<string, string> = {};
    for (const issue of checked.error.issues) {
      const repeat = issue.path[0] === "repeat_s";
      errors[repeat ? "repeat_min" : String(issue.path[0])] = repeat
        ? t("alerts.repeat.range")
        : issueText(t, issue);
    }
    c.status(400);
    return alertsPage(c, deps, { rules: { values, errors, problem: null } });
  }
  await deps.backend.alerts.configure(checked.data, principal.name);
  return c.redirect("/settings/alerts", 303);
}

/** Sends a test; what goes wrong is a result, too. */
async function tryChannel(
  deps: WebDeps,
  { channel, actor }: { channel: string; actor: string },
): Promise<Tried> {
  try {
    return { channel, ...await deps.backend.alerts.test(channel, actor) };
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error;
    return { channel, ok: false, detail: error.message };
  }
}

/** See above. */
export function alertPageRoutes(deps: WebDeps): Hono<Env> {
  const app = new Hono<Env>();
  const { alerts } = deps.backend;
  app.get("/settings/alerts", (c) => alertsPage(c, deps));
  app.post("/settings/alerts", (c) => saveRules(c, deps));
  app.get("/settings/alerts/new", (c) => {
    const kind = KINDS.find((known) => known === c.req.query("kind")) ?? "email";
    return channelPage(c, deps, { form: freshForm(channelDefaults(kind)), before: null });
  });
  app.get("/settings/alerts/edit", (c) => {
    const before = named(deps, c.req.query("name"));
    if (before === null) return c.redirect("/settings/alerts", 303);
    return channelPage(c, deps, { form: freshForm(channelValues(before)), before });
  });
  app.post("/settings/alerts/channel", (c) => saveChannel(c, deps));
  app.post("/settings/alerts/test", async (c) => {
    const { principal } = allowedContext(c, deps, "administer");
    const { channel = "" } = textFields(await c.req.parseBody());
    const tried = await tryChannel(deps, { channel, actor: principal.name });
    return alertsPage(c, deps, { tried });
  });
  app.post("/settings/alerts/remove", async (c) => {
    const { principal } = allowedContext(c, deps, "administer");
    const { channel } = textFields(await c.req.parseBody());
    const settings = alerts.settings();
    const channels = settings.channels.filter(({ name }) => name !== channel);
    await alerts.configure({ ...settings, channels }, principal.name);
    return c.redirect("/settings/alerts", 303);
  });
  return app;
}
