/** `iservft-edge config`: files that people write, checked; and the one that serve uses. */

import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { optional, withDefault } from "@optique/core/modifiers";
import { argument, option } from "@optique/core/primitives";
import { choice, string } from "@optique/core/valueparser";
import { z } from "zod";
import { InputError } from "../errors.ts";
import { CONFIG_FILE, readServeConfig } from "../node/config.ts";
import { readHostConfig } from "../vm/host_config.ts";
import { readSpec } from "../vm/spec.ts";
import { type Cli, type Noun, runNoun, verb } from "./noun.ts";
import { plain } from "./text.ts";

/** What each kind of file is checked by; the result is the file that was read, null: none is there. */
const CHECKS = {
  serve: (file: string | undefined) => readServeConfig(file).file,
  vm: (file: string | undefined) => (readSpec(file ?? "vm.toml"), file ?? "vm.toml"),
  host: (file: string | undefined) => (readHostConfig(file ?? "host.toml"), file ?? "host.toml"),
} as const;
type Kind = keyof typeof CHECKS;

/** With --json problems are the answer, so they go to standard output; else they are the error. */
function check(given: { file?: string | undefined; kind: Kind }, cli: Cli): number {
  try {
    const file = CHECKS[given.kind](given.file);
    cli.answer({ ok: true, file, problems: [] }, () => [
      file === null
        ? `${CONFIG_FILE} is not there: all settings have their defaults`
        : `${plain(file)} is right`,
    ]);
    return 0;
  } catch (error) {
    if (!(error instanceof InputError) || !cli.json) throw error;
    cli.answer({ ok: false, file: given.file ?? null, problems: error.problems }, () => []);
    return error.exitCode;
  }
}

export const noun: Noun = {
  name: "config",
  brief: "settings files: checked, or shown",
  verbs: [
    verb({
      name: "check",
      brief: "Says what is wrong in a file: line, key, value seen, values allowed.",
      examples: [
        "iservft-edge config check /etc/iservft-edge/serve.toml",
        "iservft-edge config check vm.toml --kind vm",
      ],
      local: true,
      takes: object({
        file: optional(
          argument(string({ metavar: "FILE" }), { description: message`default: the one that serve reads` }),
        ),
        kind: withDefault(
          option("--kind", choice(["serve", "vm", "host"], { metavar: "KIND" }), {
            description: message`what the file is`,
          }),
          "serve" as const,
        ),
      }),
      run: (given, cli) => Promise.resolve(check(given, cli)),
    }),
    verb({
      name: "show",
      brief: "The file that the node was started with.",
      takes: object({}),
      async run(_, cli) {
        const schema = z.object({ file: z.string(), text: z.string() });
        const config = await (await cli.client()).ask("GET", "/config", { schema });
        cli.answer(
          config,
          () => [`# ${plain(config.file)}`, ...config.text.trimEnd().split("\n").map(plain)],
        );
      },
    }),
  ],
};

export const run = runNoun(noun);
