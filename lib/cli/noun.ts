/** Commands by noun and verb: what each takes, its help, and how it is run. */

import { merge, object, or } from "@optique/core/constructs";
import { runParser } from "@optique/core/facade";
import { formatMessage, type Message, message } from "@optique/core/message";
import type { Usage } from "@optique/core/usage";
import { optional, withDefault } from "@optique/core/modifiers";
import type { Parser } from "@optique/core/parser";
import { command, flag, option } from "@optique/core/primitives";
import { string } from "@optique/core/valueparser";
import { usualPlaces } from "../node/config.ts";
import { ApiClient, type Target } from "./client.ts";
import type { CommandIo } from "./command.ts";
import { UsageError } from "./terminal.ts";
import { closest, table } from "./text.ts";

const PROGRAM = "iservft-edge";

/** What ends every help text. */
const EXITS =
  "Ends with 0 ok, 1 failed, 2 asked wrongly, 3 degraded, 4 nobody was reached, 5 refused for safety.";

/** Where the node is, as options say it. */
export interface Connection {
  socket?: string | undefined;
  url?: string | undefined;
  tokenFile?: string | undefined;
  fingerprint?: string | undefined;
}

/** What a verb works with. */
export interface Cli {
  io: CommandIo;
  json: boolean;
  /** The node; connected at first use. */
  client(): Promise<ApiClient>;
  /** The answer: as JSON for programs, else as lines for a person. */
  answer(data: unknown, lines: () => readonly string[]): void;
}

/** A verb, whatever it takes. */
export interface Verb {
  name: string;
  brief: string;
  /** What it takes, with the options that all have. */
  parser: Parser<"sync", unknown, unknown>;
  help: { description: Message | null; examples: readonly string[] };
  run(given: unknown, cli: Cli): Promise<number | void>;
}

/** A noun with its verbs; with a single verb named "" it is a command by itself. */
export interface Noun {
  name: string;
  brief: string;
  verbs: readonly Verb[];
}

const json = object({
  json: withDefault(
    flag("--json", { description: message`the answer as JSON, and nothing else on standard output` }),
    false,
  ),
});

const connection = object("Which node (this machine's by default)", {
  socket: optional(option("--socket", string({ metavar: "PATH" }), {
    description: message`serve's socket; also ISERVFT_SOCKET`,
  })),
  url: optional(option("--url", string({ metavar: "URL" }), {
    description: message`another node, such as https://192.168.1.10:8443, with the next two`,
  })),
  tokenFile: optional(option("--token-file", string({ metavar: "FILE" }), {
    description: message`a file that holds an API token, readable by you alone`,
  })),
  fingerprint: optional(option("--fingerprint", string({ metavar: "SHA256" }), {
    description: message`of that node's certificate, as its page and serve show it`,
  })),
});

/** Declares a verb. `local`: it asks no node. */
export function verb<T>(said: {
  name: string;
  brief: string;
  takes: Parser<"sync", T, unknown>;
  detail?: string;
  examples?: readonly string[];
  local?: boolean;
  run(given: T, cli: Cli): Promise<number | void>;
}): Verb {
  const takes = said.takes as Parser<"sync", Record<string, unknown>, Record<string, unknown>>;
  const parser = said.local === true ? merge(takes, json) : merge(takes, json, connection);
  return {
    name: said.name,
    brief: said.brief,
    parser: parser as Parser<"sync", unknown, unknown>,
    help: {
      description: said.detail === undefined ? null : message`${textOf(said.detail)}`,
      examples: said.examples ?? [],
    },
    run: (given, cli) => said.run(given as T, cli),
  };
}

/** Text as it is. */
function textOf(text: string): Message {
  return [{ type: "text", text }];
}

/** Where the node is. */
export function targetOf(given: Connection, io: CommandIo): Target {
  const { socket, url, tokenFile, fingerprint } = given;
  if (url !== undefined) {
    if (socket !== undefined) throw new UsageError("--socket and --url are two nodes: give one");
    if (tokenFile === undefined || fingerprint === undefined) {
      throw new UsageError("--url needs --token-file and --fingerprint too");
    }
    return { kind: "remote", url, tokenFile, fingerprint };
  }
  if (tokenFile !== undefined || fingerprint !== undefined) {
    throw new UsageError("--token-file and --fingerprint go with --url");
  }
  const env = (name: string) => io.terminal?.env(name);
  const said = socket ?? env("ISERVFT_SOCKET");
  if (said !== undefined && said !== "") return { kind: "socket", path: said };
  const root = Deno.uid() === 0;
  const own = usualPlaces({ root, get: (name) => env(name) ?? Deno.env.get(name) });
  return { kind: "socket", path: usualSocket(root ? [own.run] : [own.run, MACHINE_RUN]) };
}

/** The machine's own service is meant where this user has none: it says that it may not be asked by this user, not that nobody is there. */
const { run: MACHINE_RUN } = usualPlaces({ root: true, get: () => undefined });

/** The first run directory that is there, or else the first. */
export function usualSocket(runs: readonly string[]): string {
  const there = runs.find((run) => {
    try {
      return Deno.statSync(`${run}/serve.sock`).isSocket;
    } catch {
      return false;
    }
  });
  return `${there ?? runs[0]}/serve.sock`;
}

/** Of a usage what must be there, and arguments that may: options that may are listed below it. */
function needed(usage: Usage): Usage {
  return usage.flatMap((term): Usage => {
    if (term.type === "optional" || term.type === "multiple") {
      const terms = needed(term.terms).filter((inner) => inner.type !== "option");
      return terms.length === 0 ? [] : [{ ...term, terms }];
    }
    return [term];
  });
}

/** Ends the parser: help was shown, or it was asked wrongly. */
class Ended {
  constructor(readonly code: number, readonly problem: string | null = null) {}
}

function parsed(said: { verb: Verb; title: string; args: string[]; io: CommandIo }): unknown {
  const { verb, title, args, io } = said;
  const { description, examples } = verb.help;
  const footer = [
    ...(examples.length === 0 ? [] : ["Examples:", ...examples.map((example) => `  ${example}`), ""]),
    EXITS,
  ].join("\n");
  return runParser(verb.parser, title, args, {
    help: {
      option: { names: ["--help", "-h"] },
      onShow: () => {
        throw new Ended(0);
      },
    },
    brief: textOf(verb.brief),
    ...(description === null ? {} : { description }),
    colors: false,
    maxWidth: Math.max(60, Math.min(120, io.terminal?.columns ?? 100)),
    termWidth: "auto",
    showDefault: { prefix: " (default ", suffix: ")" },
    showChoices: true,
    usageLine: [...needed(verb.parser.usage), { type: "literal", value: "[OPTIONS]" }],
    aboveError: "none",
    stdout: (text) => {
      io.out(text.trimEnd());
      io.out("");
      for (const line of footer.split("\n")) io.out(line);
    },
    stderr: () => {},
    onError: (_, error) => {
      throw new Ended(2, formatMessage(error, { colors: false, quotes: true }).replaceAll(/\s*\n\s*/g, " "));
    },
  });
}

function nounHelp(noun: Noun): string[] {
  return [
    `usage: ${PROGRAM} ${noun.name} VERB [ARGUMENTS]`,
    "",
    noun.brief,
    "",
    ...table(noun.verbs.map(({ name, brief }) => [`  ${name}`, brief])),
    "",
    `${PROGRAM} ${noun.name} VERB --help says more about one. All take --json.`,
    EXITS,
  ];
}

/** The verb that was asked for; a number: what the command ends with instead. */
function chosen(noun: Noun, args: string[], io: CommandIo): { verb: Verb; rest: string[] } | number {
  const only = noun.verbs[0];
  if (only !== undefined && only.name === "") return { verb: only, rest: args };
  const [first, ...rest] = args;
  if (first === "--help" || first === "-h" || first === "help") {
    for (const line of nounHelp(noun)) io.out(line);
    return 0;
  }
  const verb = noun.verbs.find(({ name }) => name === first);
  if (verb !== undefined) return { verb, rest };
  const meant = first === undefined ? null : closest(first, noun.verbs.map(({ name }) => name));
  io.err(
    first === undefined
      ? `error: say what to do: ${noun.verbs.map(({ name }) => name).join(", ")}`
      : `error: there is no "${noun.name} ${first}"${meant === null ? "" : `; did you mean ${meant}?`}`,
  );
  io.err(`see: ${PROGRAM} ${noun.name} --help`);
  return 2;
}

/** What a module of a noun exports as `run`. */
export function runNoun(noun: Noun): (args: string[], io: CommandIo) => Promise<number> {
  return async (args, io) => {
    const choice = chosen(noun, args, io);
    if (typeof choice === "number") return choice;
    const { verb, rest } = choice;
    const title = [PROGRAM, noun.name, verb.name].filter((word) => word !== "").join(" ");
    let given: { json?: boolean } & Connection;
    try {
      given = parsed({ verb, title, args: rest, io }) as typeof given;
    } catch (error) {
      if (!(error instanceof Ended)) throw error;
      if (error.problem !== null) {
        io.err(`error: ${error.problem.trim()}`);
        io.err(`see: ${title} --help`);
      }
      return error.code;
    }
    let client: ApiClient | null = null;
    const cli: Cli = {
      io,
      json: given.json === true,
      client: async () => client ??= await ApiClient.open(targetOf(given, io)),
      answer(data, lines) {
        if (given.json === true) io.out(JSON.stringify(data, null, 2));
        else for (const line of lines()) io.out(line);
      },
    };
    try {
      return await verb.run(given, cli) ?? 0;
    } finally {
      await (client as ApiClient | null)?.[Symbol.asyncDispose]();
    }
  };
}

/** What a noun takes, as one parser: for completions. */
export function parserOf(noun: Noun): Parser<"sync", unknown, unknown> {
  const [first, ...others] = noun.verbs.map((verb) =>
    verb.name === "" ? verb.parser : command(verb.name, verb.parser, { brief: textOf(verb.brief) })
  );
  if (first === undefined) throw new Error(`${noun.name} has no verbs`);
  const inner = others.length === 0 ? first : or(first, ...others as never[]);
  return command(noun.name, inner as Parser<"sync", unknown, unknown>, { brief: textOf(noun.brief) });
}
