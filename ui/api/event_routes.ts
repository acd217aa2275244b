/** Events: asked for, exported, and as they happen. */

import { z } from "zod";
import type { Backend } from "../../lib/model/backend.ts";
import { eventQuery, type EventView, eventView } from "../../lib/model/event.ts";
import type { WebDeps } from "../deps.ts";
import { searchEvents } from "../event_search.ts";
import { LANGUAGES, translator } from "../i18n/translator.ts";
import { csvRow } from "./csv.ts";
import type { Define } from "./define.ts";
import { snapshotFor } from "./redact.ts";
import { liveStream, type StreamPool } from "./stream.ts";

const tag = "Events";
const filter = z.strictObject({
  ...eventQuery.shape,
  /** `search` also finds what the page shows in this language. */
  language: z.enum(LANGUAGES).default("en"),
});
/** Most events of one export. */
const EXPORTED = 100_000;
const PAGE = 1000;
const COLUMNS = ["id", "at", "node", "severity", "subject", "name", "code", "text", "actor"] as const;

/** All events that match, newest first, page by page. */
async function* pages(backend: Backend, asked: z.infer<typeof filter>): AsyncGenerator<EventView[]> {
  const { language, ...query } = asked;
  const t = translator(language);
  let before = query.before;
  for (let left = EXPORTED; left > 0;) {
    const limit = Math.min(PAGE, left);
    const part = { ...query, limit, ...(before === undefined ? {} : { before }) };
    const { events, next } = await searchEvents(t, part, { backend });
    if (events.length > 0) yield events;
    if (next === null || next === before) return;
    before = next;
    left -= events.length;
  }
}

async function* asCsv(events: AsyncIterable<EventView[]>): AsyncGenerator<string> {
  yield csvRow([...COLUMNS]);
  for await (const page of events) {
    yield page.map((event) => csvRow(COLUMNS.map((column) => event[column] ?? ""))).join("");
  }
}

async function* asJson(events: AsyncIterable<EventView[]>): AsyncGenerator<string> {
  let separator = "[\n";
  for await (const page of events) {
    for (const event of page) {
      yield `${separator}${JSON.stringify(event)}`;
      separator = ",\n";
    }
  }
  yield separator === "[\n" ? "[]\n" : "\n]\n";
}

function streamRoutes(define: Define, deps: WebDeps & { pool: StreamPool }): void {
  const resume = z.strictObject({ after: z.coerce.number().int().min(0).optional() });
  define({
    method: "get",
    path: "/stream",
    tag: "Status",
    summary: "Everything live as server-sent events: a snapshot at once, then each change, event and sample",
    permission: "view",
    query: resume,
    answer: { media: "text/event-stream", description: "Records `snapshot`, `event`, `sample`" },
  }, ({ query, principal, context }) =>
    liveStream({
      deps,
      principal,
      context,
      after: query.after,
      first: { kind: "snapshot", snapshot: snapshotFor(deps.backend.snapshot(), principal) },
      wanted: () => true,
    }));
  define({
    method: "get",
    path: "/events/stream",
    tag,
    summary: "Events as they happen; after=ID or the header Last-Event-ID goes on where a reader stopped",
    permission: "view",
    query: resume,
    answer: { media: "text/event-stream", description: "Records `event`" },
  }, ({ query, principal, context }) =>
    liveStream({
      deps,
      principal,
      context,
      after: query.after,
      first: null,
      wanted: (change) => change.kind === "event",
    }));
}

/** The same question, of the events before this one (RFC 8288). */
function nextAddress(asked: string, before: number): string {
  const { pathname, searchParams } = new URL(asked);
  searchParams.set("before", String(before));
  return `${pathname}?${searchParams}`;
}

/** Declares the routes of events. */
export function eventRoutes(define: Define, deps: WebDeps & { pool: StreamPool }): void {
  define(
    {
      method: "get",
      path: "/events",
      tag,
      summary:
        "Events, newest first. While there may be further ones the header Link names the address to go on at (rel=next): not every page is full",
      permission: "view",
      query: filter,
      answer: z.array(eventView),
    },
    async ({ query: { language, ...query }, context }) => {
      const { events, next } = await searchEvents(translator(language), query, deps);
      if (next !== null) context.header("link", `<${nextAddress(context.req.url, next)}>; rel="next"`);
      return events;
    },
  );
  define({
    method: "get",
    path: "/events/export",
    tag,
    summary: `Up to ${EXPORTED} events as a file: format=csv or json`,
    permission: "view",
    query: filter.extend({ format: z.enum(["csv", "json"]).default("csv") }),
    answer: { media: "text/csv", description: "CSV with a header row, or a JSON array" },
  }, ({ query: { format, ...query }, context }) => {
    const events = pages(deps.backend, query);
    const text = ReadableStream.from(format === "csv" ? asCsv(events) : asJson(events));
    return context.body(text.pipeThrough(new TextEncoderStream()), 200, {
      "Content-Type": format === "csv" ? "text/csv; charset=utf-8" : "application/json",
      "Content-Disposition": `attachment; filename="events.${format}"`,
      "Cache-Control": "no-store",
    });
  });
  streamRoutes(define, deps);
}
