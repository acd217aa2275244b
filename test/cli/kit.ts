/** Commands as main.ts runs them, against a node with a backend that the test steers, at a unix socket. */

import { commands } from "../../main.ts";
import { type Command, runCommand, type Terminal } from "../../lib/cli/command.ts";
import { consoleEndpoints } from "../../ui/console/endpoint.ts";
import { type ApiRig, apiRig } from "../ui/api/kit.ts";

/** What a command said, and what it ended with. */
export interface Said {
  code: number;
  out: string[];
  err: string[];
  text: string;
}

export interface CliRig extends AsyncDisposable {
  api: ApiRig;
  /** Of the node. */
  socket: string;
  /** A directory of this test's own. */
  directory: string;
  /** Runs a command against the node; `answers`: what a person types. */
  said(
    words: readonly string[],
    options?: { answers?: readonly string[]; terminal?: Partial<Terminal> },
  ): Promise<Said>;
}

/** Where a person sits who answers in this order; without answers nobody does. */
export function sitting(
  answers: readonly string[] | undefined,
  env: Record<string, string>,
): Terminal & { drawn: string[] } {
  const left = [...answers ?? []];
  const drawn: string[] = [];
  return {
    input: answers !== undefined,
    out: false,
    err: false,
    columns: 100,
    drawn,
    draw: (text) => void drawn.push(text),
    write: () => Promise.resolve(),
    ask(question) {
      drawn.push(question);
      return Promise.resolve(left.shift() ?? null);
    },
    env: (name) => env[name],
    onInterrupt: (listener) => {
      interrupts.add(listener);
      return { [Symbol.dispose]: () => void interrupts.delete(listener) };
    },
  };
}

/** Those who wait for Ctrl-C. */
const interrupts = new Set<() => void>();

/** Presses Ctrl-C. */
export function interrupt(): void {
  for (const listener of [...interrupts]) listener();
}

/** Runs words as main.ts does. */
export async function runWords(
  words: readonly string[],
  options: { terminal: Terminal; table?: readonly Command[] },
): Promise<Said> {
  const [out, err]: string[][] = [[], []];
  const io = {
    out: (line: string) => void out!.push(line),
    err: (line: string) => void err!.push(line),
    terminal: options.terminal,
  };
  const code = await runCommand(options.table ?? commands, { args: [...words], io });
  return { code, out: out!, err: err!, text: out!.join("\n") };
}

export async function cliRig(): Promise<CliRig> {
  const api = await apiRig();
  const directory = await Deno.makeTempDir();
  const socket = `${directory}/serve.sock`;
  api.app.route(
    "/",
    consoleEndpoints({ backend: api.backend, version: "1", nowMs: () => 0 }, {
      recheck: (c) => c.get("principal"),
      onChange: (listener) => api.access.onChange(listener),
    }),
  );
  const server = Deno.serve(
    { path: socket, transport: "unix", onListen() {} },
    (request) => api.app.fetch(request, { peer: { kind: "unix" } }),
  );
  return {
    api,
    socket,
    directory,
    said: (words, { answers, terminal } = {}) =>
      runWords(words, { terminal: Object.assign(sitting(answers, { ISERVFT_SOCKET: socket }), terminal) }),
    async [Symbol.asyncDispose]() {
      await server.shutdown();
      await api[Symbol.asyncDispose]();
      await Deno.remove(directory, { recursive: true });
    },
  };
}
