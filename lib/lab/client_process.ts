/** The lab's client as a process in the client's namespace, seen from the process that started it: Deno cannot enter a
 * namespace by itself. */

import { EdgeError } from "../errors.ts";
import type { ClientEvent, ClientOptions, ClientSummary } from "./counting_client.ts";
import type { Lab } from "./lab.ts";

/** How the client is started. */
export interface ClientStart {
  /** The command that runs this program, e.g. selfCommand() of lib/cli/assets.ts. */
  self: readonly string[];
  options: Partial<ClientOptions> & { hostname: string };
  /** Called for each line that the client says while it runs. */
  onEvent?: (event: ClientEvent) => void;
}

/** How a client's process is started. */
export interface JsonClientStart<Event> {
  command: readonly string[];
  /** Called for each line that the client says while it runs. */
  onEvent?: (event: Event) => void;
}

/** A client that runs in the lab's place for clients. It says lines of JSON, `connected` first and `summary` last, and its standard
 * input takes words. */
export class JsonClient<Event extends { event: string }, Summary extends { event: "summary" }>
  implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #summary: Promise<Summary>;
  readonly #connected = Promise.withResolvers<void>();

  constructor(lab: Lab, start: JsonClientStart<Event>) {
    this.#child = lab.exec("client", start.command, { stdin: "piped", stdout: "piped", stderr: "piped" });
    this.#input = this.#child.stdin.getWriter();
    this.#summary = this.#follow(start.onEvent ?? (() => {}));
    this.#summary.catch(() => {}); // whoever asks for it is told
    this.#connected.promise.catch(() => {});
  }

  /** Resolves when the guest has answered the connection; throws when it never does. */
  get connected(): Promise<void> {
    return this.#connected.promise;
  }

  /** The client's last word; throws when it ended without one. */
  get summary(): Promise<Summary> {
    return this.#summary;
  }

  /** Ends the client after the reply that is on its way, and returns its summary. */
  async stop(): Promise<Summary> {
    await this.say("stop");
    return await this.#summary;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.#summary.catch(() => {});
    await this.#input.close().catch(() => {});
  }

  /** A word to its standard input. */
  async say(word: string): Promise<void> {
    try {
      await this.#input.write(new TextEncoder().encode(`${word}\n`));
    } catch {
      // It has ended; its summary says how.
    }
  }

  async #follow(onEvent: (event: Event) => void): Promise<Summary> {
    const errors = new Response(this.#child.stderr).text();
    let summary: Summary | undefined;
    let rest = "";
    for await (const text of this.#child.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) {
        const event: Event | Summary = JSON.parse(line);
        if (event.event === "summary") summary = event as Summary;
        else onEvent(event as Event);
        if (event.event === "connected") this.#connected.resolve();
      }
    }
    const { code } = await this.#child.status;
    if (summary !== undefined) return summary;
    const error = new EdgeError((await errors).trim() || `the client ended with code ${code}`, {
      op: "run the lab's client",
      hint: "Check that the guest runs and has its address on the LAN.",
    });
    this.#connected.reject(error);
    throw error;
  }
}

/** A client that counts. */
export class ClientProcess extends JsonClient<ClientEvent, ClientSummary> {
  constructor(lab: Lab, start: ClientStart) {
    const { self, options, onEvent } = start;
    const command = [...self, "lab-client", ...clientArguments(options)];
    super(lab, { command, ...(onEvent === undefined ? {} : { onEvent }) });
  }

  /** Sets the mark from which gaps are counted apart. */
  async mark(): Promise<void> {
    await this.say("mark");
  }
}

/** The client's options as words of its command line. */
export function clientArguments(options: object): string[] {
  const words: string[] = [];
  for (const [key, value] of Object.entries(options)) {
    const name = `--${key.replaceAll("_", "-")}`;
    if (value === true) words.push(name);
    else if (value !== undefined && value !== false) words.push(name, `${value}`);
  }
  return words;
}
