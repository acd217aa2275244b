/** `iservft-edge user`: accounts. */

import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { optional, withDefault } from "@optique/core/modifiers";
import { argument, flag, option } from "@optique/core/primitives";
import { choice, string } from "@optique/core/valueparser";
import { z } from "zod";
import { ROLES, userView } from "../model/access.ts";
import { type Cli, type Noun, runNoun, type Verb, verb } from "./noun.ts";
import { newPassword, passwordFile } from "./password.ts";
import { confirmed } from "./terminal.ts";
import { orDash, plain, table } from "./text.ts";

const nameArgument = argument(string({ metavar: "NAME" }), { description: message`the account` });
const role = choice(ROLES, { metavar: "ROLE" });

async function change(
  cli: Cli,
  said: { name: string; body: Record<string, unknown>; text: string },
): Promise<void> {
  const user = await (await cli.client()).ask("PATCH", `/users/${encodeURIComponent(said.name)}`, {
    schema: userView,
    body: said.body,
  });
  cli.answer(user, () => [said.text]);
}

const add = verb({
  name: "add",
  brief: "Makes an account.",
  examples: ["iservft-edge user add ann --role operator"],
  takes: object({
    name: nameArgument,
    role: withDefault(
      option("--role", role, { description: message`viewer sees, operator acts on VMs too` }),
      "viewer" as const,
    ),
    language: optional(option("--language", choice(["en", "zh-TW"], { metavar: "LANGUAGE" }))),
    passwordFile,
  }),
  async run({ name, role, language, passwordFile }, cli) {
    const password = await newPassword(passwordFile, cli.io);
    const user = await (await cli.client()).ask("POST", "/users", {
      schema: userView,
      body: { name, role, password, language: language ?? null },
    });
    cli.answer(user, () => [`${user.name} may sign in, as ${user.role}`]);
  },
});

const list = verb({
  name: "list",
  brief: "All accounts.",
  takes: object({}),
  async run(_, cli) {
    const users = await (await cli.client()).ask("GET", "/users", { schema: z.array(userView) });
    const rows = users.map((user) => [
      user.name,
      user.role,
      user.totp ? "yes" : "no",
      orDash(user.last_login),
      orDash(user.locked_until),
    ]);
    cli.answer(users, () => table([["NAME", "ROLE", "TOTP", "LAST LOGIN", "LOCKED UNTIL"], ...rows]));
  },
});

const remove = verb({
  name: "remove",
  brief: "Removes an account and its sessions; never the last administrator.",
  takes: object({
    name: nameArgument,
    yes: withDefault(flag("--yes", "-y", { description: message`do not ask` }), false),
  }),
  async run({ name, yes }, cli) {
    if (!yes && !await confirmed(cli.io, `Remove the account ${name}?`, "--yes")) {
      return cli.io.err("nothing was done"), 1;
    }
    await (await cli.client()).tell("DELETE", `/users/${encodeURIComponent(name)}`);
    cli.answer({ name, removed: true }, () => [`${plain(name)} is removed`]);
  },
});

const password = verb({
  name: "password",
  brief: "Gives an account a new password, and ends its sessions.",
  takes: object({ name: nameArgument, passwordFile }),
  async run({ name, passwordFile }, cli) {
    const password = await newPassword(passwordFile, cli.io);
    await change(cli, {
      name,
      body: { password },
      text: `${name} has a new password, and is signed out everywhere`,
    });
  },
});

const reset = verb({
  name: "reset",
  brief: "For somebody who lost password and device: a new password, no second factor, and no sessions.",
  takes: object({ name: nameArgument, passwordFile }),
  async run({ name, passwordFile }, cli) {
    const password = await newPassword(passwordFile, cli.io);
    await change(cli, {
      name,
      body: { password, totp: false },
      text: `${name} has a new password, and signs in by it alone`,
    });
  },
});

const setRole = verb({
  name: "role",
  brief: "Gives an account another role.",
  takes: object({ name: nameArgument, role: argument(role) }),
  run: ({ name, role }, cli) => change(cli, { name, body: { role }, text: `${name} is ${role}` }),
});

const totpOff = verb({
  name: "totp-off",
  brief: "Turns off the second factor, for somebody who lost the device.",
  takes: object({ name: nameArgument }),
  run: ({ name }, cli) =>
    change(cli, { name, body: { totp: false }, text: `${name} signs in by password alone` }),
});

const signOut = verb({
  name: "sign-out",
  brief: "Ends an account's sessions.",
  takes: object({ name: nameArgument }),
  async run({ name }, cli) {
    await (await cli.client()).tell("DELETE", `/users/${encodeURIComponent(name)}/sessions`);
    cli.answer({ name, signed_out: true }, () => [`${plain(name)} is signed out everywhere`]);
  },
});

const verbs: readonly Verb[] = [add, list, remove, password, reset, setRole, totpOff, signOut];
export const noun: Noun = { name: "user", brief: "accounts of people: who may see, act, administer", verbs };

export const run = runNoun(noun);
