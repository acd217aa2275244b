/** `iservft-edge audit`: who did what. */

import { object } from "@optique/core/constructs";
import { withDefault } from "@optique/core/modifiers";
import { option } from "@optique/core/primitives";
import { integer } from "@optique/core/valueparser";
import { z } from "zod";
import { auditEntry, auditVerdict } from "../model/audit.ts";
import { type Noun, runNoun, verb } from "./noun.ts";
import { orDash, plain, table } from "./text.ts";

/** A long log is read whole. */
const VERIFY_MS = 120_000;

export const noun: Noun = {
  name: "audit",
  brief: "who did what; and whether the log of it is whole",
  verbs: [
    verb({
      name: "list",
      brief: "The newest entries, the newest last.",
      takes: object({
        limit: withDefault(option("--limit", "-n", integer({ min: 1, max: 1000, metavar: "COUNT" })), 50),
      }),
      async run({ limit }, cli) {
        const client = await cli.client();
        const newest = await client.ask("GET", "/audit", { schema: z.array(auditEntry), query: { limit } });
        const entries = newest.reverse();
        const rows = entries.map((it) =>
          [it.at, it.actor, it.action, it.subject, it.address, it.detail].map(orDash)
        );
        cli.answer(entries, () => table([["AT", "WHO", "DID", "TO", "FROM", ""], ...rows]));
      },
    }),
    verb({
      name: "verify",
      brief: "Checks the chain: nothing was changed, left out or put in.",
      takes: object({}),
      async run(_, cli) {
        const client = await cli.client();
        const verdict = await client.ask("GET", "/audit/verify", {
          schema: auditVerdict,
          timeout_ms: VERIFY_MS,
        });
        cli.answer(verdict, () => [
          verdict.ok
            ? `${verdict.entries} entries, each follows from the one before`
            : `NOT WHOLE: ${plain(verdict.file)}, line ${verdict.line}: ${plain(verdict.problem)}`,
        ]);
        return verdict.ok ? 0 : 1;
      },
    }),
  ],
};

export const run = runNoun(noun);
