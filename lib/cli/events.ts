/** `iservft-edge events`: what happened, and what happens. */

import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { optional, withDefault } from "@optique/core/modifiers";
import { flag, option } from "@optique/core/primitives";
import { choice, integer, string } from "@optique/core/valueparser";
import { setTimeout as pause } from "node:timers/promises";
import { z } from "zod";
import { EVENT_SUBJECTS, type EventView, eventView } from "../model/event.ts";
import { AGAIN_MS } from "./follow.ts";
import { type Cli, type Noun, runNoun, verb } from "./noun.ts";
import { eventLine } from "./says.ts";
import { since } from "./values.ts";

interface Given {
  follow: boolean;
  limit: number;
  severity?: EventView["severity"] | undefined;
  subject?: EventView["subject"] | undefined;
  name?: string | undefined;
  search?: string | undefined;
  since?: string | undefined;
  until?: string | undefined;
}

function filterOf({ limit, severity, subject, name, search, since, until }: Given) {
  return { limit, severity, subject, name, search, since, until };
}

/** Whether an event that is pushed is one of those wanted: the same as the node's own filter. */
function isWanted(event: EventView, given: Given): boolean {
  return (given.severity === undefined || event.severity === given.severity) &&
    (given.subject === undefined || event.subject === given.subject) &&
    (given.name === undefined || event.name === given.name) &&
    (given.search === undefined || event.text.toLowerCase().includes(given.search.toLowerCase()));
}

/** Those so far, then each as it happens, until Ctrl-C. */
async function follow(
  given: Given,
  said: { cli: Cli; events: readonly EventView[]; newest: number; signal: AbortSignal },
) {
  const { cli, events, signal } = said;
  const print = (event: EventView) => cli.io.out(cli.json ? JSON.stringify(event) : eventLine(cli.io, event));
  for (const event of events) print(event);
  const client = await cli.client();
  let after = Math.max(said.newest, events.at(-1)?.id ?? 0);
  // A stream ends after a while so that its reader is asked who it is again: the next one goes on where it ended.
  while (!signal.aborted) {
    for await (const record of client.records("/events/stream", { signal, query: { after } })) {
      const read = z.object({ event: eventView }).safeParse(record.data);
      if (record.event !== "event" || !read.success) continue;
      after = read.data.event.id;
      if (isWanted(read.data.event, given)) print(read.data.event);
    }
    await pause(AGAIN_MS, undefined, { signal }).catch(() => {});
  }
}

async function runEvents(given: Given, cli: Cli): Promise<number> {
  const client = await cli.client();
  const schema = z.array(eventView);
  // Before those that are shown: what happens from here on is neither missed nor told twice, whatever the filter.
  const newest = (await client.ask("GET", "/events", { schema, query: { limit: 1 } }))[0]?.id ?? 0;
  const events = (await client.ask("GET", "/events", { schema, query: filterOf(given) })).reverse();
  if (!given.follow) {
    cli.answer(events, () => events.map((event) => eventLine(cli.io, event)));
    return 0;
  }
  const stop = new AbortController();
  using _interrupt = cli.io.terminal?.onInterrupt(() => stop.abort());
  await follow(given, { cli, events, newest, signal: stop.signal });
  return 0;
}

export const noun: Noun = {
  name: "events",
  brief: "what happened, oldest first; --follow goes on",
  verbs: [verb({
    name: "",
    brief: "Says what happened, the newest last.",
    detail: "With --json one array; with --follow one object on each line.",
    examples: [
      "iservft-edge events --since 2h --severity critical",
      "iservft-edge events --follow --subject vm",
    ],
    takes: object({
      follow: withDefault(flag("--follow", "-f", { description: message`goes on, until Ctrl-C` }), false),
      limit: withDefault(option("--limit", "-n", integer({ min: 1, max: 1000, metavar: "COUNT" })), 100),
      severity: optional(
        option("--severity", choice(["ok", "info", "warning", "critical"], { metavar: "SEVERITY" })),
      ),
      subject: optional(option("--subject", choice(EVENT_SUBJECTS, { metavar: "SUBJECT" }))),
      name: optional(
        option("--name", string({ metavar: "NAME" }), {
          description: message`of the VM, line, account, ...`,
        }),
      ),
      search: optional(
        option("--search", string({ metavar: "TEXT" }), { description: message`in the text` }),
      ),
      since: optional(
        option("--since", since, { description: message`such as 2h, 7d, or 2026-11-22T08:00Z` }),
      ),
      until: optional(option("--until", since)),
    }),
    run: (given, cli) => runEvents(given, cli),
  })],
};

export const run = runNoun(noun);
