/** `iservft-edge completions`: what the shell offers when Tab is pressed, made of the same declarations as the help. */

import { bash, fish, type ShellCompletion, zsh } from "@optique/core/completion";
import { object } from "@optique/core/constructs";
import { suggest, type Suggestion } from "@optique/core/parser";
import { argument } from "@optique/core/primitives";
import { choice } from "@optique/core/valueparser";
import type { Command, CommandIo } from "./command.ts";
import { type Noun, parserOf, runNoun, verb } from "./noun.ts";

const SHELLS: Readonly<Record<string, ShellCompletion>> = { bash, zsh, fish };

/** What the script asks the program by: it is not for people. */
const WORDS = "words";

export const noun: Noun = {
  name: "completions",
  brief: "completions for bash, zsh or fish",
  verbs: [verb({
    name: "",
    brief: "Writes the script that makes Tab complete commands, options and values.",
    examples: [
      "iservft-edge completions bash >/etc/bash_completion.d/iservft-edge",
      "iservft-edge completions zsh >/usr/local/share/zsh/site-functions/_iservft-edge",
      "iservft-edge completions fish >~/.config/fish/completions/iservft-edge.fish",
    ],
    local: true,
    takes: object({ shell: argument(choice(["bash", "zsh", "fish"], { metavar: "SHELL" })) }),
    run({ shell }, cli) {
      const script = SHELLS[shell]!.generateScript("iservft-edge", ["completions", WORDS, shell]);
      cli.answer({ shell, script }, () => [script]);
      return Promise.resolve();
    },
  })],
};

/** What may follow `words`, the last of which is being typed. Only the command that is named is loaded. */
export async function suggestions(
  words: readonly string[],
  commands: readonly Command[],
): Promise<readonly Suggestion[]> {
  const [first = "", ...rest] = words;
  if (rest.length === 0) {
    return commands.filter(({ name }) => name.startsWith(first)).map(({ name, summary }) => ({
      kind: "literal",
      text: name,
      description: [{ type: "text", text: summary }],
    }));
  }
  const command = commands.find(({ name }) => name === first);
  const { noun } = command === undefined ? { noun: undefined } : await command.load();
  return noun === undefined ? [] : suggest(parserOf(noun), words as [string, ...string[]]);
}

/** Runs the command. */
export async function run(args: string[], io: CommandIo, commands: readonly Command[] = []): Promise<number> {
  const [first, shell, ...words] = args;
  if (first !== WORDS) return await runNoun(noun)(args, io);
  const encoder = SHELLS[shell ?? ""];
  if (encoder === undefined) return 2;
  // zsh's are records, each of which its script wants in a line of its own; the others' have their line ends in them.
  const records = [...encoder.encodeSuggestions(await suggestions(words, commands))];
  const text = records.join(shell === "zsh" ? "\n" : "");
  if (text !== "") io.out(text);
  return 0;
}
