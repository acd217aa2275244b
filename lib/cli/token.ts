/** `iservft-edge token`: what programs sign in by. */

import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { optional, withDefault } from "@optique/core/modifiers";
import { argument, option } from "@optique/core/primitives";
import { choice, integer, string } from "@optique/core/valueparser";
import { z } from "zod";
import { ROLES, tokenView } from "../model/access.ts";
import { EdgeError } from "../errors.ts";
import { type Noun, runNoun, verb } from "./noun.ts";
import { orDash, plain, table } from "./text.ts";

const made = z.object({ secret: z.string(), view: tokenView });

const create = verb({
  name: "create",
  brief: "Makes a token, and shows it once.",
  detail: "The token alone is on standard output, so that it can be put into a file of mode 600.",
  examples: ["(umask 077; iservft-edge token create prometheus --role viewer >prometheus.token)"],
  takes: object({
    name: argument(string({ metavar: "NAME" }), { description: message`what it is for` }),
    role: withDefault(option("--role", choice(ROLES, { metavar: "ROLE" })), "viewer" as const),
    days: optional(option("--days", integer({ min: 1, max: 3650, metavar: "COUNT" }), {
      description: message`how long it holds; left out: until it is revoked`,
    })),
  }),
  async run({ name, role, days }, cli) {
    const { secret, view } = await (await cli.client()).ask("POST", "/tokens", {
      schema: made,
      body: { name, role, days: days ?? null },
    });
    cli.answer({ secret, view }, () => [secret]);
    cli.io.err(`the token ${view.name} is ${view.role}; it is not shown again`);
  },
});

const list = verb({
  name: "list",
  brief: "All tokens, without their secrets.",
  takes: object({}),
  async run(_, cli) {
    const tokens = await (await cli.client()).ask("GET", "/tokens", { schema: z.array(tokenView) });
    const rows = tokens.map((it) => [it.id, it.name, it.role, orDash(it.expires), orDash(it.last_used)]);
    cli.answer(tokens, () => table([["ID", "NAME", "ROLE", "EXPIRES", "LAST USED"], ...rows]));
  },
});

const revoke = verb({
  name: "revoke",
  brief: "Makes a token worthless at once.",
  takes: object({ which: argument(string({ metavar: "ID|NAME" })) }),
  async run({ which }, cli) {
    const client = await cli.client();
    const tokens = await client.ask("GET", "/tokens", { schema: z.array(tokenView) });
    const meant = tokens.filter(({ id, name }) => id === which || name === which);
    const [token] = meant;
    if (token === undefined || meant.length > 1) {
      throw new EdgeError(
        `${meant.length === 0 ? "No token is" : `${meant.length} tokens are`} called ${which}`,
        {
          op: "revoke a token",
          hint: "Give the ID that iservft-edge token list shows.",
        },
      );
    }
    await client.tell("DELETE", `/tokens/${encodeURIComponent(token.id)}`);
    cli.answer({ id: token.id, revoked: true }, () => [`${plain(token.name)} is revoked`]);
  },
});

export const noun: Noun = {
  name: "token",
  brief: "tokens that programs sign in by",
  verbs: [create, list, revoke],
};

export const run = runNoun(noun);
