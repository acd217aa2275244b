/** The completions in the shells themselves: what is offered after "iservft-edge vm " by the script that each is given. */

import { deepEqual, equal, ok } from "node:assert/strict";
import { noun } from "../../lib/cli/vm.ts";
import { runWords, sitting } from "./kit.ts";

const BOUND_MS = 60_000;

/** A terminal of zsh's own: keys go in, and what it shows comes out. The list is awaited to its last verb; then one is completed and run. */
const ZSH = `
zmodload zsh/zpty
zpty z "TERM=vt100 zsh -f"
zpty -w z "PS1='% '; unsetopt zle_bracketed_paste prompt_sp; stty rows 60 cols 200; fpath=($1 \\$fpath)
  autoload -Uz compinit; compinit -u -D; print RE''ADY"
zpty -r z seen '*READY*'
zpty -w -n z $'iservft-edge vm \\t'
zpty -r z seen '*yield *-- Ends it here, for the other node has it.*'
print -r -- "$seen"
zpty -w -n z $'swi\\t\\nprint EN\\'\\'D\\n'
zpty -r z seen '*END*'
zpty -d z
`;
const BASH = `
source "$1/script"
COMP_WORDS=(iservft-edge vm sw) COMP_CWORD=2 COMP_LINE="iservft-edge vm sw" COMP_POINT=18
$(complete -p iservft-edge | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
printf '%s\\n' "\${COMPREPLY[@]}"
`;
const FISH = `source "$argv[1]/script"; complete -C 'iservft-edge vm '`;

/** Each with its arguments before the directory. */
const SHELLS = {
  bash: ["bash", "--norc", "-c", BASH, "bash"],
  zsh: ["zsh", "-f", "-c", ZSH, "zsh"],
  fish: ["fish", "--no-config", "-c", FISH],
} as const;

/** The shell, with a program that says what ours says; what the shell showed, and what it asked. */
async function shown(shell: keyof typeof SHELLS): Promise<{ text: string; asked: string[] }> {
  const directory = await Deno.makeTempDir();
  try {
    const terminal = sitting(undefined, {});
    const script = (await runWords(["completions", shell], { terminal })).text;
    await Deno.writeTextFile(`${directory}/${shell === "zsh" ? "_iservft-edge" : "script"}`, `${script}\n`);
    for (const typed of ["", "sw", "swi"]) {
      const { text } = await runWords(["completions", "words", shell, "vm", typed], { terminal });
      await Deno.writeTextFile(`${directory}/vm ${typed}`, `${text}\n`);
    }
    const program =
      `#!/bin/sh\necho "$*" >>${directory}/asked\n[ "$1" = completions ] || exit 0\nshift 3\nexec cat "${directory}/$*"\n`;
    await Deno.writeTextFile(`${directory}/iservft-edge`, program, { mode: 0o755 });
    const [command, ...args] = SHELLS[shell];
    const { stdout, stderr, code } = await new Deno.Command(command, {
      args: [...args, directory],
      env: { PATH: `${directory}:${Deno.env.get("PATH")}`, HOME: directory },
      stdin: "null",
      signal: AbortSignal.timeout(BOUND_MS),
    }).output();
    const text = new TextDecoder().decode(stdout).replaceAll("\0", "");
    equal(code, 0, `${shell}: ${text}\n${new TextDecoder().decode(stderr)}`);
    return { text, asked: (await Deno.readTextFile(`${directory}/asked`)).split("\n").slice(0, -1) };
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

const VERBS = noun.verbs.map(({ name, brief }) => ({ name, brief }));

Deno.test("bash completes a verb", async () => {
  const { text, asked } = await shown("bash");
  equal(text.trim(), "switchover");
  deepEqual(asked, ["completions words bash vm sw"]);
});

Deno.test("fish offers every verb with what it does", async () => {
  const { text, asked } = await shown("fish");
  const lines = text.trim().split("\n").sort();
  deepEqual(lines, VERBS.map(({ name, brief }) => `${name}\t${brief}`).sort());
  deepEqual(asked, ["completions words fish vm "]);
});

Deno.test("zsh lists every verb with what it does, and completes one", async () => {
  const { text, asked } = await shown("zsh");
  for (const { name, brief } of VERBS) {
    ok(new RegExp(`${name} +-- `).test(text) && text.includes(brief), `${name}: ${JSON.stringify(text)}`);
  }
  deepEqual(asked, ["completions words zsh vm ", "completions words zsh vm swi", "vm switchover"]);
});
