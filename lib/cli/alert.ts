/** `iservft-edge alert`: what is wrong now, and who is told. */

import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { argument } from "@optique/core/primitives";
import { string } from "@optique/core/valueparser";
import { z } from "zod";
import { alertSettings, alertView } from "../model/alerts.ts";
import { type Noun, runNoun, verb } from "./noun.ts";
import { severityWord, UsageError } from "./terminal.ts";
import { plain } from "./text.ts";

/** Longest that a channel takes to say whether it worked. */
const TEST_MS = 60_000;

function readJson(file: string): unknown {
  try {
    return JSON.parse(Deno.readTextFileSync(file));
  } catch (error) {
    throw new UsageError(`${file} cannot be read: ${error instanceof Error ? error.message : error}`);
  }
}

export const noun: Noun = {
  name: "alert",
  brief: "what is wrong now; who is told of it, and how",
  verbs: [
    verb({
      name: "list",
      brief: "What is wrong now.",
      takes: object({}),
      async run(_, cli) {
        const alerts = await (await cli.client()).ask("GET", "/alerts", { schema: z.array(alertView) });
        cli.answer(
          alerts,
          () =>
            alerts.length === 0
              ? ["nothing"]
              : alerts.map((it) =>
                `${severityWord(cli.io, it.severity)}  ${plain(it.since)}  ${plain(it.text)}`
              ),
        );
        return alerts.length === 0 ? 0 : 3;
      },
    }),
    verb({
      name: "settings",
      brief: 'Who is told, as JSON; secrets show as "set".',
      takes: object({}),
      async run(_, cli) {
        const settings = await (await cli.client()).ask("GET", "/alerts/settings", { schema: alertSettings });
        cli.answer(settings, () => JSON.stringify(settings, null, 2).split("\n"));
      },
    }),
    verb({
      name: "configure",
      brief: 'Sets who is told, by a file as `alert settings` writes it; a secret that stays "set" is kept.',
      examples: ["iservft-edge alert settings >alerts.json", "iservft-edge alert configure alerts.json"],
      takes: object({ file: argument(string({ metavar: "FILE" })) }),
      async run({ file }, cli) {
        const body = readJson(file);
        const settings = await (await cli.client()).ask("PUT", "/alerts/settings", {
          schema: alertSettings,
          body,
        });
        cli.answer(settings, () => [`${settings.channels.length} channel(s), from ${settings.threshold} on`]);
      },
    }),
    verb({
      name: "test",
      brief: "Sends a test by one channel.",
      takes: object({
        channel: argument(string({ metavar: "CHANNEL" }), { description: message`its name` }),
      }),
      async run({ channel }, cli) {
        const result = await (await cli.client()).ask("POST", "/alerts/test", {
          schema: z.object({ ok: z.boolean(), detail: z.string() }),
          body: { channel },
          timeout_ms: TEST_MS,
        });
        cli.answer(result, () => [`${result.ok ? "sent" : "FAILED"}: ${plain(result.detail)}`]);
        return result.ok ? 0 : 1;
      },
    }),
  ],
};

export const run = runNoun(noun);
