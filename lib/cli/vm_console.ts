/** `iservft-edge vm console`: the serial console at this terminal. */

import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { argument } from "@optique/core/primitives";
import { string } from "@optique/core/valueparser";
import { EdgeError } from "../errors.ts";
import { type Cli, type Verb, verb } from "./noun.ts";
import { UnreachableError } from "./pinned.ts";
import { plain } from "./text.ts";

/** Ctrl-]: ends it, as in telnet. */
const ESCAPE = 0x1d;
/** Sent and not yet taken by the VM: below what the node queues for a console. */
const IN_FLIGHT = 64 << 10;
const CHUNK = 4096;
const OPEN_MS = 10_000;
/** How the node closes a console whose other side ended. */
const NORMAL = 1000;

/** What a console is attached to. */
export interface Ends {
  input: ReadableStream<Uint8Array>;
  output(bytes: Uint8Array): Promise<void>;
  setRaw(raw: boolean): void;
}

/** How it ended. */
export interface Ending {
  ok: boolean;
  why: string;
}

/** A console's WebSocket: bytes as binary frames; text frames say how much the VM has taken. */
class Attached {
  readonly #socket: WebSocket;
  readonly closed: Promise<Ending>;
  #output = Promise.resolve();
  #inFlight = 0;
  #taken: (() => void) | null = null;

  constructor(socket: WebSocket, output: Ends["output"]) {
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    socket.addEventListener("message", ({ data }) => {
      if (typeof data === "string") this.#acknowledged(data);
      else this.#output = this.#output.then(() => output(new Uint8Array(data as ArrayBuffer)));
    });
    this.closed = new Promise((resolve) =>
      socket.addEventListener("close", ({ code, reason }) => {
        this.#taken?.();
        resolve({ ok: code === NORMAL, why: reason === "" ? "The console ended." : plain(reason) });
      })
    );
  }

  #acknowledged(text: string): void {
    let taken: unknown;
    try {
      taken = (JSON.parse(text) as { taken?: unknown } | null)?.taken;
    } catch {
      return; // of a newer node; nothing depends on it
    }
    if (typeof taken === "number") this.#inFlight = Math.max(0, this.#inFlight - taken);
    this.#taken?.();
  }

  opened(where: string): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const refused = () =>
      reject(
        new UnreachableError(`The console at ${where} cannot be opened`, {
          op: "open the console",
          hint:
            "Look whether serve runs and the VM is there (iservft-edge vm show NAME), and whether you may act on it.",
        }),
      );
    const timer = setTimeout(() => {
      refused();
      this.#socket.close();
    }, OPEN_MS);
    this.#socket.addEventListener("open", () => resolve(), { once: true });
    this.#socket.addEventListener("error", refused, { once: true });
    this.#socket.addEventListener("close", refused, { once: true });
    return promise.finally(() => clearTimeout(timer));
  }

  /** Sends, and waits for the VM to take it. */
  async send(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; at += CHUNK) {
      while (this.#inFlight > IN_FLIGHT && this.open) {
        await new Promise<void>((resolve) => this.#taken = resolve);
      }
      if (!this.open) return;
      const chunk = bytes.slice(at, at + CHUNK);
      this.#inFlight += chunk.length;
      this.#socket.send(chunk);
    }
  }

  get open(): boolean {
    return this.#socket.readyState === WebSocket.OPEN;
  }

  /** All that came is written. */
  async end(): Promise<void> {
    this.#socket.close();
    await this.closed;
    await this.#output;
  }
}

/** Input of the terminal until Ctrl-] or its end. */
async function typed(console: Attached, reader: ReadableStreamDefaultReader<Uint8Array>): Promise<Ending> {
  for (;;) {
    const { done, value } = await reader.read();
    if (done || !console.open) return { ok: true, why: "The input ended." };
    const end = value.indexOf(ESCAPE);
    await console.send(end < 0 ? value : value.subarray(0, end));
    if (end >= 0) return { ok: true, why: "Detached; the VM goes on." };
  }
}

/** Joins the two until either ends. */
export async function attach(socket: WebSocket, said: { ends: Ends; where: string }): Promise<Ending> {
  const { ends, where } = said;
  const console = new Attached(socket, ends.output);
  await console.opened(where);
  const reader = ends.input.getReader();
  ends.setRaw(true);
  try {
    return await Promise.race([console.closed, typed(console, reader)]);
  } finally {
    ends.setRaw(false);
    await reader.cancel().catch(() => {});
    await console.end();
  }
}

async function runConsole(name: string, cli: Cli): Promise<void> {
  const { terminal } = cli.io;
  if (terminal === undefined) {
    throw new EdgeError("There is no terminal", { op: "open the console", hint: "" });
  }
  const client = await cli.client();
  const ending = await attach(client.webSocket(`/vms/${encodeURIComponent(name)}/console/serial`), {
    where: client.where,
    ends: {
      input: Deno.stdin.readable,
      output: (bytes) => terminal.write(bytes),
      setRaw: (raw) => {
        if (terminal.input) Deno.stdin.setRaw(raw);
        // Now, since what is typed from here on is the VM's. In raw mode a line needs its carriage return.
        if (raw) terminal.draw(`Attached to ${plain(name)}; Ctrl-] ends it.\r\n`);
      },
    },
  });
  if (!ending.ok) {
    throw new EdgeError(ending.why, { op: "console", hint: `Look at the VM: iservft-edge vm show ${name}.` });
  }
  cli.io.err(ending.why);
}

export const consoleVerb: Verb = verb({
  name: "console",
  brief: "Its serial console at this terminal; Ctrl-] ends it.",
  takes: object({ name: argument(string({ metavar: "NAME" }), { description: message`the VM` }) }),
  run: ({ name }, cli) => runConsole(name, cli),
});
