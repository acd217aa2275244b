/** Text search of events as the reader sees them: their language's words as well as the English ones. */

import type { Backend } from "../lib/model/backend.ts";
import type { EventQuery, EventView } from "../lib/model/event.ts";
import type { Translator } from "./i18n/translator.ts";

/** Events that are fetched at a time, and looked at for one answer. */
const FETCHED = 500;
const LOOKED_AT_MAX = 20_000;

/** What was found, newest first. `next`: further ones may come before this id; null: that was all. */
export interface Found {
  events: EventView[];
  next: number | null;
}

/** An event as a sentence in the reader's language. */
export function eventText(t: Translator, event: EventView): string {
  return t.say({ code: event.code, params: event.params }, event.text);
}

/** Names, numbers and English words are the same in what is kept: the store itself searches for them. */
function keptAlike(t: Translator, search: string): boolean {
  // deno-lint-ignore no-control-regex
  return t.language === "en" || /^[\x00-\x7f]*$/.test(search);
}

/** Events that match, as the page shows them. Looks at a bounded number of events: `next` says where to go on. `most`: as many are looked at. */
export async function searchEvents(
  t: Translator,
  query: EventQuery,
  { backend, most = LOOKED_AT_MAX }: { backend: Backend; most?: number },
): Promise<Found> {
  const { search = "", limit, ...rest } = query;
  if (keptAlike(t, search)) {
    const events = await backend.events.query(query);
    return { events, next: events.length === limit ? events.at(-1)?.id ?? null : null };
  }
  const wanted = search.toLowerCase();
  const events: EventView[] = [];
  let before = query.before;
  for (let looked = 0; looked < most;) {
    const some = await backend.events.query({
      ...rest,
      limit: FETCHED,
      ...(before === undefined ? {} : { before }),
    });
    for (const event of some) {
      if (!`${eventText(t, event)}\n${event.text}\n${event.name}`.toLowerCase().includes(wanted)) continue;
      events.push(event);
      if (events.length === limit) return { events, next: event.id };
    }
    before = some.at(-1)?.id;
    if (some.length < FETCHED || before === undefined) return { events, next: null };
    looked += some.length;
  }
  return { events, next: before ?? null };
}
