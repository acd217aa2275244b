/** `iservft-edge vm console`: the serial console at this terminal. */

import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { argument } from "@optique/core/primitives";
import { string } from "@optique/core/valueparser";
import { EdgeError } from "../errors.ts";
import { UnreachableError } from "./pinned.ts";
import { type Cli, type Verb, verb } from "./noun.ts";

/** Ctrl-]: ends it, as in telnet. */
const ESCAPE = 0x1d;
/** What may wait to be sent. */
const BACKLOG = 1 << 20;
const OPEN_MS = 10_000;

function opened(socket: WebSocket, where: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const refused = () =>
    reject(
      new UnreachableError(`The console at ${where} cannot be opened`, {
        op: "open the console",
        hint: "Look whether the VM runs (iservft-edge vm show NAME), and whether you may act on it.",
      }),
    );
  const timer = setTimeout(() => {
    refused();
    socket.close();
  }, OPEN_MS);
  socket.addEventListener("open", () => resolve(), { once: true });
  socket.addEventListener("error", refused, { once: true });
  socket.addEventListener("close", refused, { once: true });
  return promise.finally(() => clearTimeout(timer));
}

/** Input of the terminal until Ctrl-], its end, or the console's. */
async function typed(socket: WebSocket, reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
  for (;;) {
    const { done, value } = await reader.read();
    if (done || socket.readyState !== WebSocket.OPEN) return;
    const end = value.indexOf(ESCAPE);
    const part = end < 0 ? value : value.subarray(0, end);
    if (part.length > 0) socket.send(part.slice());
    if (end >= 0) return;
    if (socket.bufferedAmount > BACKLOG) {
      throw new EdgeError("The console does not take what is typed", { op: "type", hint: "Look at the VM." });
    }
  }
}

/** What a console is attached to. */
export interface Ends {
  input: ReadableStream<Uint8Array>;
  output(bytes: Uint8Array): Promise<void>;
  setRaw(raw: boolean): void;
}

/** Joins the two until either ends. The result says why. */
export async function attach(socket: WebSocket, said: { ends: Ends; where: string }): Promise<string> {
  const { ends, where } = said;
  socket.binaryType = "arraybuffer";
  let writes = Promise.resolve();
  socket.addEventListener("message", ({ data }) => {
    const bytes = typeof data === "string"
      ? new TextEncoder().encode(data)
      : new Uint8Array(data as ArrayBuffer);
    writes = writes.then(() => ends.output(bytes));
  });
  const closed = new Promise<string>((resolve) => {
    socket.addEventListener(
      "close",
      (event) => resolve(event.reason === "" ? "the console ended" : event.reason),
    );
  });
  await opened(socket, where);
  const reader = ends.input.getReader();
  ends.setRaw(true);
  try {
    const detached = typed(socket, reader).then(() => "detached");
    const why = await Promise.race([closed, detached]);
    await writes;
    return why;
  } finally {
    ends.setRaw(false);
    await reader.cancel().catch(() => {});
    socket.close();
    await closed;
  }
}

async function runConsole(name: string, cli: Cli): Promise<number> {
  const { terminal } = cli.io;
  const client = await cli.client();
  cli.io.err(`attached to ${name}; Ctrl-] ends it`);
  const isTerminal = terminal?.input === true;
  const why = await attach(client.webSocket(`/vms/${encodeURIComponent(name)}/console/serial`), {
    where: client.where,
    ends: {
      input: Deno.stdin.readable,
      output: (bytes) => terminal === undefined ? Promise.resolve() : terminal.write(bytes),
      setRaw: (raw) => {
        if (isTerminal) Deno.stdin.setRaw(raw);
      },
    },
  });
  cli.io.err(why);
  return 0;
}

export const consoleVerb: Verb = verb({
  name: "console",
  brief: "Its serial console at this terminal; Ctrl-] ends it.",
  takes: object({ name: argument(string({ metavar: "NAME" }), { description: message`the VM` }) }),
  run: ({ name }, cli) => runConsole(name, cli),
});
