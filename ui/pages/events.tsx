/** GET /events: what happened, newest first; filtered by a form, page by page, new ones as they come, exported as a file. */

import { Hono } from "hono";
import { EVENT_SUBJECTS, type EventQuery, eventQuery, type EventView } from "../../lib/model/event.ts";
import { actorText, Badge, ButtonLink, When } from "../components.tsx";
import { allowedContext, type PageContext } from "../context.ts";
import type { Env, WebDeps } from "../deps.ts";
import { eventText, searchEvents } from "../event_search.ts";
import { type FormState, freshForm, issueText, SelectField, TextField } from "../forms.tsx";
import { Page } from "../layout.tsx";
import type { Translator } from "../i18n/translator.ts";

const LIMIT = 100;
const SEVERITIES = ["ok", "info", "warning", "critical"] as const;
const FILTERS = ["severity", "subject", "name", "search", "since", "until"] as const;

/** What a row is about: "VM press-1". */
function subjectText(t: Translator, event: EventView): string {
  const kind = t(`events.subject.${event.subject}`);
  return event.name === "" ? kind : `${kind} ${event.name}`;
}

/** One event of a list. */
export function EventRow({ context, event }: { context: PageContext; event: EventView }) {
  const { t } = context;
  const subject = subjectText(t, event);
  return (
    <tr data-event={String(event.id)}>
      <td data-label={t("events.at")} class="event-at">
        <When context={context} at={event.at} />
      </td>
      <td data-label={t("events.severity")}>
        <Badge t={t} severity={event.severity} />
      </td>
      <td data-label={t("events.subject")}>
        {event.subject === "vm" ? <a href={`/vms/${event.name}`}>{subject}</a> : subject}
      </td>
      <td data-label={t("events.text")} class="event-text">
        {eventText(t, event)}
        {event.actor !== null && (
          <span class="event-actor">{t("events.by", { who: actorText(t, event.actor) })}</span>
        )}
      </td>
      <td data-label={t("events.node")} class="short">{event.node}</td>
      <td data-label={t("events.code")} class="short">
        <a href="/docs/troubleshooting#each-event" class="code">{event.code}</a>
      </td>
    </tr>
  );
}

interface Asked {
  form: FormState;
  query: EventQuery;
}

/** A local date and time of a form, as the server keeps it. */
function instantOf(text: string): string {
  const at = new Date(text);
  return Number.isNaN(at.getTime()) ? text : at.toISOString();
}

function askedOf(query: Record<string, string>, t: Translator): Asked {
  const values: Record<string, string> = {};
  for (const name of FILTERS) if (query[name] !== undefined) values[name] = query[name].slice(0, 200);
  const given = Object.fromEntries(Object.entries(values).filter(([, value]) => value !== ""));
  for (const name of ["since", "until"]) if (given[name] !== undefined) given[name] = instantOf(given[name]);
  const checked = eventQuery.safeParse({
    ...given,
    limit: LIMIT,
    ...(query.before === undefined ? {} : { before: query.before }),
  });
  if (checked.success) return { form: freshForm(values), query: checked.data };
  const errors: Record<string, string> = {};
  for (const issue of checked.error.issues) errors[String(issue.path[0])] = issueText(t, issue);
  return { form: { values, errors, problem: null }, query: eventQuery.parse({ limit: LIMIT }) };
}

function Filters({ context, form }: { context: PageContext; form: FormState }) {
  const { t } = context;
  const any = ["", t("events.any")] as const;
  const set = FILTERS.some((name) => (form.values[name] ?? "") !== "");
  return (
    <details class="card filters" open={set}>
      <summary>{t("events.filter")}</summary>
      <form method="get" action="/events">
        <div class="fields columns">
          <SelectField
            {...{ t, form, name: "severity", label: t("events.severity") }}
            options={[any, ...SEVERITIES.map((severity) => [severity, t(`severity.${severity}`)] as const)]}
          />
          <SelectField
            {...{ t, form, name: "subject", label: t("events.subject") }}
            options={[
              any,
              ...EVENT_SUBJECTS.map((subject) => [subject, t(`events.subject.${subject}`)] as const),
            ]}
          />
          <TextField
            {...{ t, form, name: "name", label: t("events.name") }}
            plain
            suggestions={context.snapshot?.vms.map(({ name }) => name) ?? []}
          />
          <TextField {...{ t, form, name: "search", label: t("events.search") }} type="search" />
          <TextField {...{ t, form, name: "since", label: t("events.since") }} type="datetime-local" />
          <TextField {...{ t, form, name: "until", label: t("events.until") }} type="datetime-local" />
        </div>
        <p class="actions">
          <button class="button primary" type="submit">{t("events.show")}</button>
          <a class="button plain" href="/events">{t("events.all")}</a>
        </p>
      </form>
    </details>
  );
}

function addressOf(path: string, query: Partial<EventQuery>, more: Record<string, string>): string {
  const parts = new URLSearchParams(more);
  for (const name of FILTERS) if (query[name] !== undefined) parts.set(name, String(query[name]));
  const text = parts.toString();
  return text === "" ? path : `${path}?${text}`;
}

/** See above. */
export function eventPageRoutes(deps: WebDeps): Hono<Env> {
  const app = new Hono<Env>();
  app.get("/events", async (c) => {
    const context = allowedContext(c, deps, "view");
    const { t } = context;
    const { form, query } = askedOf(c.req.query(), t);
    const { events, next } = await searchEvents(t, query, deps);
    const language: Record<string, string> = query.search === undefined ? {} : { language: t.language };
    const heads = ["at", "severity", "subject", "text", "node", "code"] as const;
    return c.html(
      <Page context={context} title={t("nav.events")} current="events" wide>
        <div class="page-head">
          <h1>{t("nav.events")}</h1>
          <p class="actions">
            <ButtonLink
              href={addressOf("/api/v1/events/export", query, { format: "csv", ...language })}
              icon="down"
            >
              CSV
            </ButtonLink>
            <ButtonLink
              href={addressOf("/api/v1/events/export", query, { format: "json", ...language })}
              icon="down"
            >
              JSON
            </ButtonLink>
          </p>
        </div>
        <Filters context={context} form={form} />
        <div class="table-scroll" tabindex={0} role="region" aria-label={t("nav.events")}>
          <table class="events stacked">
            <thead>
              <tr>{heads.map((head) => <th scope="col">{t(`events.${head}`)}</th>)}</tr>
            </thead>
            <tbody id="events-rows" data-live={query.before === undefined ? "" : undefined}>
              {events.map((event) => <EventRow context={context} event={event} />)}
            </tbody>
          </table>
        </div>
        {events.length === 0 && <p>{t(next === null ? "events.none" : "events.none_yet")}</p>}
        <p class="actions">
          {next !== null && (
            <ButtonLink href={addressOf("/events", query, { before: String(next) })}>
              {t("events.older")}
            </ButtonLink>
          )}
          {query.before !== undefined && (
            <ButtonLink href={addressOf("/events", query, {})}>{t("events.newest")}</ButtonLink>
          )}
        </p>
      </Page>,
    );
  });
  return app;
}
