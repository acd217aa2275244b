/** What a command of the program is, and how one is chosen and run. */

import { errorText } from "../errors.ts";
import type { Noun } from "./noun.ts";
import { closest } from "./text.ts";
import { realTerminal } from "./terminal.ts";

/** Where a command writes. Passed in, so that a test can read it. */
export interface CommandIo {
  /** One line for whoever asked, on standard output. */
  out(line: string): void;
  /** One line about what is going on or wrong, on standard error. */
  err(line: string): void;
  /** Who sits there; left out: nobody, it is a program. */
  terminal?: Terminal;
}

/** What only matters to a person at a terminal. */
export interface Terminal {
  /** Whether each is a terminal. */
  readonly input: boolean;
  readonly out: boolean;
  readonly err: boolean;
  /** Width, characters. */
  readonly columns: number;
  /** Text as it is, on standard error: progress that is drawn over. */
  draw(text: string): void;
  /** Bytes as they are, on standard output. */
  write(bytes: Uint8Array): Promise<void>;
  /** Asks for a line; a secret one is not shown. null: no answer. */
  ask(question: string, options?: { secret?: boolean }): Promise<string | null>;
  env(name: string): string | undefined;
  /** Calls `listener` at Ctrl-C instead of ending the program. */
  onInterrupt(listener: () => void): Disposable;
}

/** What a command's module exports. */
export interface CommandModule {
  /** Runs the command; the result is the process's exit code: 0 done, 1 it did not work, 2 it was asked for wrongly, 3 it is degraded,
   * 4 nobody was reached, 5 it was refused because it would not be safe now. `commands`: the table that it is in. */
  run(args: string[], io: CommandIo, commands: readonly Command[]): Promise<number>;
  /** What it takes, for completions. */
  noun?: Noun;
}

/** A row of the command table in main.ts. */
export interface Command {
  name: string;
  /** One line for the usage. */
  summary: string;
  /** Loads the command's code, only when it is asked for. */
  load(): Promise<CommandModule>;
}

/** Standard output and standard error of this process. */
export const processIo: CommandIo = {
  out: (line) => console.log(line),
  err: (line) => console.error(line),
  terminal: realTerminal,
};

/** What belongs together, in the order in which it is needed. A command that is in none comes last. */
const GROUPS: readonly (readonly [string, readonly string[]])[] = [
  ["First steps, on each of the two machines", ["doctor", "install", "serve"]],
  ["Every day", ["status", "vm", "pair", "events", "alert", "job"]],
  ["Who may do what", ["user", "token", "audit"]],
  ["This machine", ["config", "backup", "support-bundle", "identity", "uninstall", "completions", "version"]],
  ["A third machine that decides", ["witness"]],
  ["To see and to measure it, on one machine", ["demo", "bench", "faults", "lab"]],
];

/** The usage, with every command. */
export function usage(commands: readonly Command[]): string {
  const width = Math.max(...commands.map((command) => command.name.length));
  const line = ({ name, summary }: Command) => `  ${name.padEnd(width)}  ${summary}`;
  const groups = GROUPS.map(([title, names]) => ({
    title,
    rows: names.flatMap((name) => commands.filter((command) => command.name === name)),
  }));
  const grouped = new Set(groups.flatMap(({ rows }) => rows));
  const rest = commands.filter((command) => !grouped.has(command));
  return [
    "Fault tolerance for whole virtual machines.",
    "",
    "usage: iservft-edge COMMAND [ARGUMENTS]",
    ...[...groups, { title: "More", rows: rest }].flatMap(({ title, rows }) =>
      rows.length === 0 ? [] : ["", `${title}:`, ...rows.map(line)]
    ),
    "",
    "iservft-edge COMMAND --help says more about a command. Ends with 0 ok, 1 failed, 2 asked wrongly, 3 degraded,",
    "4 nobody was reached, 5 refused because it would not be safe now.",
  ].join("\n");
}

/** The exit code that an error asks for: 1, or what the error itself says (lib/errors.ts). */
function exitCodeOf(error: unknown): number {
  const code = (error as { exitCode?: unknown } | null)?.exitCode;
  return typeof code === "number" ? code : 1;
}

/** Runs the command that `args` name, and returns the process's exit code. */
export async function runCommand(
  commands: readonly Command[],
  invocation: { args: string[]; io: CommandIo },
): Promise<number> {
  const { args: [first, ...rest], io } = invocation;
  if (first === "help" || first === "--help" || first === "-h") {
    io.out(usage(commands));
    return 0;
  }
  const name = first === "--version" || first === "-V" ? "version" : first;
  const command = commands.find((candidate) => candidate.name === name);
  if (command === undefined) {
    const meant = closest(first ?? "", commands.map(({ name }) => name));
    io.err(
      first === undefined
        ? "error: no command was given"
        : `error: there is no command ${JSON.stringify(first)}${
          meant === null ? "" : `; did you mean ${meant}?`
        }`,
    );
    io.err(first === undefined ? usage(commands) : "see: iservft-edge --help");
    return 2;
  }
  try {
    const module = await command.load();
    return await module.run(rest, io, commands);
  } catch (error) {
    io.err(`error: ${errorText(error)}`);
    return exitCodeOf(error);
  }
}
