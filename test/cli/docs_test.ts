import { deepEqual, equal, ok } from "node:assert/strict";
import { treeFiles } from "../../build/tidy.ts";
import { commands } from "../../main.ts";
import type { Noun } from "../../lib/cli/noun.ts";
import { PROBLEMS } from "../../lib/model/problem.ts";
import { ROUTES } from "../ui/api/kit.ts";
import { runWords, sitting } from "./kit.ts";

const API = new URL("../../docs/api.md", import.meta.url);

/** What keys and greetings are labelled with: it begins like a command. */
const LABELS = new Set(["link", "heartbeat", "pairing", "hello"]);
/** What follows the program's name in a sentence. */
const PROSE = new Set(["and", "is", "as", "to", "of", "in", "on", "node", "command"]);

/** A command that a text tells somebody to say. */
interface Mention {
  where: string;
  words: string[];
}

/** Every "iservft-edge ..." of a text, up to what ends a command. */
function mentions(where: string, text: string): Mention[] {
  return [
    ...text.matchAll(
      /(?:^ {4,}(?:\(umask \d+; )?|`|: |sudo |: \(umask 077; )iservft-edge((?: +[^\s`|;"')<>]+)+)/gm,
    ),
  ].map((match) => ({
    where,
    words: match[1]!.trim().split(/ +/).map((word) => word.replace(/[.,:]$/, "")),
  })).filter(({ words }) =>
    /^[a-z][a-z-]*$/.test(words[0]!) && !PROSE.has(words[0]!) && !LABELS.has(words[0]!)
  );
}

/** What is wrong with a command that somebody is told to say; null: nothing. */
function wrong(mention: Mention, nouns: ReadonlyMap<string, Noun | undefined>): string | null {
  const [first = "", second = ""] = mention.words;
  if (!nouns.has(first)) return `${mention.where}: there is no command ${first}`;
  const noun = nouns.get(first);
  if (noun === undefined) return null;
  const verb = noun.verbs[0]?.name === "" ? noun.verbs[0] : noun.verbs.find(({ name }) => name === second);
  if (verb !== undefined || !/^[a-z][a-z-]*$/.test(second)) return null;
  return `${mention.where}: there is no "${first} ${second}"`;
}

async function allNouns(): Promise<Map<string, Noun | undefined>> {
  const nouns = new Map<string, Noun | undefined>();
  for (const { name, load } of commands) nouns.set(name, (await load()).noun);
  return nouns;
}

Deno.test("every command that a document, a page or a hint tells somebody to say exists", async () => {
  const nouns = await allNouns();
  const files = (await treeFiles()).filter(({ path }) =>
    /^(lib|ui|docs|README)/.test(path) && !path.endsWith("decisions.md")
  );
  const found = files.flatMap(({ path, text }) => mentions(path, text));
  ok(found.length > 40, `${found.length} are too few: the pattern finds them no more`);
  deepEqual(found.map((mention) => wrong(mention, nouns)).filter((it) => it !== null), []);
});

Deno.test("a command that does not exist is found in a document", async () => {
  const nouns = await allNouns();
  const text = "Say `iservft-edge vm strat press-1`, or:\n\n    iservft-edge paar show\n";
  deepEqual(mentions("x.md", text).map((mention) => wrong(mention, nouns)), [
    'x.md: there is no "vm strat"',
    "x.md: there is no command paar",
  ]);
});

Deno.test("options of the commands in docs/api.md are those that the commands take", async () => {
  for (const { words } of mentions("docs/api.md", await Deno.readTextFile(API))) {
    const [noun = "", verb = ""] = words;
    const help = await runWords([noun, verb, "--help"], { terminal: sitting(undefined, {}) });
    equal(help.code, 0, words.join(" "));
    for (const word of words.filter((word) => word.startsWith("--"))) {
      ok(help.text.includes(word), words.join(" "));
    }
  }
});

Deno.test("docs/api.md has every problem code, with its status and exit code, and no other", async () => {
  const text = await Deno.readTextFile(API);
  const rows = [...text.matchAll(/^\| `(\w+)` \| (\d+) \| .* \| (\d) \|$/gm)].map(([, code, status, exit]) =>
    [code, { status: Number(status), exit: Number(exit) }] as const
  );
  deepEqual(Object.fromEntries(rows), Object.fromEntries(Object.entries(PROBLEMS)));
});

Deno.test("docs/api.md names no path that the API does not have", async () => {
  const text = await Deno.readTextFile(API);
  const known = ROUTES.map(({ path }) => new RegExp(`^${path.replaceAll(/\{\w+\}/g, "[^/]+")}$`));
  const named = [...text.matchAll(/\/api\/v1(\/[A-Za-z0-9._/-]+)/g)].map(([, path]) =>
    path!.replace(/\.$/, "")
  );
  ok(named.length > 8);
  for (const path of named) {
    ok(path.startsWith("/session") || known.some((pattern) => pattern.test(path)), path);
  }
});
