/** The runner's unix socket: commands in, answers and events out, as lines of JSON. It is how the CLI, the demo and `serve` speak
 * with a runner; the file's mode (0600) is what guards it.
 *
 *   → {"id":1,"command":"status"}
 *   ← {"id":1,"ok":true,"result":{…}}      or {"id":1,"ok":false,"error":"…","hint":"…","refused":true}
 *     "refused": nothing is broken, but it would not be safe now
 *   ← {"event":"state","t_us":…,…}         to every connection, as things happen
 */

import { boundedLines, chunks } from "../../ffi/events.ts";
import { EdgeError, RefusedError } from "../errors.ts";

/** The longest line, in bytes. */
const LINE_MAX = 256 * 1024;
/** Connections at a time. */
const CONNECTIONS_MAX = 16;
/** Lines that wait for a slow reader; then it is cut off. */
const BACKLOG_MAX = 4096;
const ANSWER_MS = 30_000;

/** What a command is given, beside its name. */
export type ControlArguments = Record<string, unknown>;

/** Runs a command; what it returns is the answer's result. Throws for a refusal. */
export type ControlHandler = (command: string, options: ControlArguments) => Promise<unknown>;

/** One line to one connection, in order, bounded. */
class Lines {
  readonly #connection: Deno.UnixConn;
  #waiting: string[] = [];
  #writing = false;

  constructor(connection: Deno.UnixConn) {
    this.#connection = connection;
  }

  send(value: unknown): void {
    if (this.#waiting.length >= BACKLOG_MAX) return close(this.#connection);
    this.#waiting.push(`${JSON.stringify(value)}\n`);
    if (!this.#writing) this.#drain();
  }

  async #drain(): Promise<void> {
    this.#writing = true;
    try {
      while (this.#waiting.length > 0) {
        let rest: Uint8Array = new TextEncoder().encode(this.#waiting.join(""));
        this.#waiting = [];
        while (rest.length > 0) rest = rest.subarray(await this.#connection.write(rest));
      }
    } catch {
      close(this.#connection); // the reader is gone; its own loop ends too
    } finally {
      this.#writing = false;
    }
  }
}

function close(connection: { close(): void }): void {
  try {
    connection.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
}

function refusal(error: unknown): { ok: false; error: string; hint?: string; refused?: true } {
  const message = error instanceof Error ? error.message : String(error);
  return {
    ok: false,
    error: message,
    ...(error instanceof EdgeError ? { hint: error.hint } : {}),
    ...(error instanceof RefusedError ? { refused: true } : {}),
  };
}

/** The runner's end. */
export class ControlServer implements AsyncDisposable {
  readonly #listener: Deno.UnixListener;
  readonly #handler: ControlHandler;
  readonly #clients = new Map<Deno.UnixConn, Lines>();
  readonly #accepting: Promise<void>;
  readonly #serving = new Set<Promise<void>>();

  constructor(path: string, handler: ControlHandler) {
    this.#handler = handler;
    try {
      Deno.removeSync(path);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
    this.#listener = Deno.listen({ transport: "unix", path });
    Deno.chmodSync(path, 0o600);
    this.#accepting = this.#accept();
  }

  /** Tells every connection. */
  broadcast(event: Record<string, unknown>): void {
    for (const lines of this.#clients.values()) lines.send(event);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    close(this.#listener);
    for (const connection of this.#clients.keys()) close(connection);
    await this.#accepting;
    await Promise.allSettled(this.#serving);
  }

  async #accept(): Promise<void> {
    try {
      for await (const connection of this.#listener) {
        if (this.#clients.size >= CONNECTIONS_MAX) {
          close(connection);
          continue;
        }
        const serving = this.#serve(connection);
        this.#serving.add(serving);
        serving.finally(() => this.#serving.delete(serving));
      }
    } catch {
      // the listener was closed
    }
  }

  async #serve(connection: Deno.UnixConn): Promise<void> {
    const lines = new Lines(connection);
    this.#clients.set(connection, lines);
    try {
      for await (const line of boundedLines(chunks(connection), LINE_MAX)) {
        if (line !== "") await this.#answer(line, lines);
      }
    } catch {
      // it broke off, or sent a line without an end: nothing is owed to it
    } finally {
      this.#clients.delete(connection);
      close(connection);
    }
  }

  async #answer(line: string, lines: Lines): Promise<void> {
    let id: unknown = null;
    try {
      const request = JSON.parse(line) as Record<string, unknown>;
      const { command, ...options } = request;
      id = options["id"] ?? null;
      delete options["id"];
      if (typeof command !== "string") throw new Error('A request needs a "command"');
      lines.send({ id, ok: true, result: (await this.#handler(command, options)) ?? null });
    } catch (error) {
      lines.send({ id, ...refusal(error) });
    }
  }
}

/** The other end: of the CLI, the demo, `serve`. */
export class ControlClient implements Disposable {
  readonly #connection: Deno.UnixConn;
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
  readonly closed: Promise<void>;
  #next = 1;
  /** Called with each event. */
  onEvent: (event: Record<string, unknown>) => void = () => {};

  private constructor(connection: Deno.UnixConn) {
    this.#connection = connection;
    this.closed = this.#read();
  }

  /** Connects. Throws EdgeError when no runner listens at `path`. */
  static async connect(path: string): Promise<ControlClient> {
    try {
      return new ControlClient(await Deno.connect({ transport: "unix", path }));
    } catch (cause) {
      throw new EdgeError(`No runner listens at ${path}`, {
        op: "speak with the runner",
        hint: "Start it (iservft-edge runner), or look at why it ended.",
        cause,
      });
    }
  }

  /** Runs a command and returns its result. Throws RefusedError when it would not be safe now, EdgeError when it failed. */
  async call(command: string, options: ControlArguments = {}): Promise<unknown> {
    const id = this.#next++;
    const answer = Promise.withResolvers<unknown>();
    this.#waiting.set(id, answer);
    const timer = setTimeout(() => answer.reject(this.#silent(command)), ANSWER_MS);
    try {
      let rest: Uint8Array = new TextEncoder().encode(`${JSON.stringify({ id, command, ...options })}\n`);
      while (rest.length > 0) rest = rest.subarray(await this.#connection.write(rest));
      return await answer.promise;
    } catch (error) {
      throw error instanceof EdgeError ? error : this.#silent(command);
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(id);
    }
  }

  [Symbol.dispose](): void {
    close(this.#connection);
  }

  #silent(command: string): EdgeError {
    return new EdgeError("The runner did not answer", {
      op: `ask for ${command}`,
      hint: "Look at whether it still runs.",
    });
  }

  async #read(): Promise<void> {
    try {
      for await (const line of boundedLines(chunks(this.#connection), LINE_MAX)) {
        if (line !== "") this.#take(JSON.parse(line));
      }
    } catch {
      // closed, by either side
    }
    for (const answer of this.#waiting.values()) answer.reject(this.#silent("anything more"));
  }

  #take(message: Record<string, unknown>): void {
    if (typeof message["event"] === "string") return this.onEvent(message);
    const answer = this.#waiting.get(message["id"] as number);
    if (message["ok"] === true) answer?.resolve(message["result"]);
    else {
      const Refusal = message["refused"] === true ? RefusedError : EdgeError;
      const details = { op: "ask the runner", hint: String(message["hint"] ?? "") };
      answer?.reject(new Refusal(String(message["error"]), details));
    }
  }
}
