/** QEMU's monitor (QMP) over a unix socket: one client, bounded waits and lines. */

import { boundedLines, chunks } from "../../ffi/events.ts";
import { EdgeError } from "../errors.ts";

/** The longest answer that is accepted, in bytes. */
const LINE_MAX = 4 << 20;
/** Commands that may wait for their answers at once. */
const PENDING_MAX = 64;
const ANSWER_MS = 5000;

/** QEMU answered a command with an error, or not at all. */
export class QmpError extends EdgeError {
  /** QEMU's own class of error, e.g. "CommandNotFound"; "Closed" and "Timeout" are ours. */
  readonly kind: string;

  constructor(message: string, details: { op: string; hint: string; kind: string; cause?: unknown }) {
    super(message, details);
    this.kind = details.kind;
  }
}

/** A QMP event. */
export interface QmpEvent {
  event: string;
  data: Record<string, unknown>;
}

interface Pending {
  command: string;
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

/** What a command may be given. */
export interface ExecuteOptions {
  arguments?: Record<string, unknown>;
  signal?: AbortSignal;
  /** Bound of the wait, ms; 5,000 unless told. */
  timeoutMs?: number;
}

/** A connection to QEMU's monitor. Open one by `QmpClient.connect`. */
export class QmpClient implements Disposable {
  readonly #connection: Deno.UnixConn;
  readonly #pending = new Map<number, Pending>();
  readonly #listeners = new Set<(event: QmpEvent) => void>();
  readonly #reading: Promise<void>;
  #greeting = Promise.withResolvers<void>();
  #next = 1;
  #open = true;
  #writing: Promise<unknown> = Promise.resolve();

  private constructor(connection: Deno.UnixConn) {
    this.#connection = connection;
    this.#greeting.promise.catch(() => {});
    this.#reading = this.#read();
  }

  /** Connects and negotiates. Throws QmpError when nobody answers in `timeoutMs`. */
  static async connect(
    path: string,
    options: { signal?: AbortSignal; timeoutMs?: number } = {},
  ): Promise<QmpClient> {
    options.signal?.throwIfAborted();
    const client = new QmpClient(await Deno.connect({ transport: "unix", path }));
    try {
      await client.#bounded("greeting", client.#greeting.promise, options);
      await client.execute("qmp_capabilities", options);
      return client;
    } catch (error) {
      await client.close();
      throw error;
    }
  }

  /** Settles when the connection has ended, by either side. */
  get closed(): Promise<void> {
    return this.#reading;
  }

  /** Calls `listener` for each event until the returned function is called. */
  onEvent(listener: (event: QmpEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Runs a command. Returns its result. Throws QmpError. */
  async execute(command: string, options: ExecuteOptions = {}): Promise<unknown> {
    options.signal?.throwIfAborted();
    if (!this.#open) throw this.#closedError(command);
    if (this.#pending.size >= PENDING_MAX) {
      throw new QmpError(`${PENDING_MAX} commands wait for QEMU's answers already`, {
        op: `QMP ${command}`,
        hint: "QEMU's main loop is held up; see what its disks and sockets wait for.",
        kind: "Limit",
      });
    }
    const id = this.#next++;
    const answer = Promise.withResolvers<unknown>();
    answer.promise.catch(() => {});
    this.#pending.set(id, { command, resolve: answer.resolve, reject: answer.reject });
    const request = options.arguments === undefined
      ? { execute: command, id }
      : { execute: command, arguments: options.arguments, id };
    const bytes = new TextEncoder().encode(`${JSON.stringify(request)}\n`);
    this.#writing = this.#writing.then(() => this.#write(bytes)).catch(answer.reject);
    try {
      return await this.#bounded(command, answer.promise, options);
    } finally {
      this.#pending.delete(id);
    }
  }

  /** Waits for the first event that `wanted` accepts. Ask for it before the command that causes it. */
  async awaitEvent(
    wanted: (event: QmpEvent) => boolean,
    options: { signal?: AbortSignal; timeoutMs?: number } = {},
  ): Promise<QmpEvent> {
    const found = Promise.withResolvers<QmpEvent>();
    const stop = this.onEvent((event) => wanted(event) && found.resolve(event));
    this.#reading.then(() => found.reject(this.#closedError("await an event")));
    found.promise.catch(() => {});
    try {
      return await this.#bounded("await an event", found.promise, options);
    } finally {
      stop();
    }
  }

  async close(): Promise<void> {
    this.#end();
    await this.#reading;
  }

  [Symbol.dispose](): void {
    this.#end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #end(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#connection.close();
    for (const { command, reject } of this.#pending.values()) reject(this.#closedError(command));
    this.#pending.clear();
    this.#greeting.reject(this.#closedError("greeting"));
  }

  async #write(bytes: Uint8Array): Promise<void> {
    for (let sent = 0; sent < bytes.length;) sent += await this.#connection.write(bytes.subarray(sent));
  }

  async #read(): Promise<void> {
    try {
      for await (const line of boundedLines(chunks(this.#connection), LINE_MAX)) this.#take(line);
    } catch {
      // Closed, by us or by QEMU, or no QMP: whoever waits is told below.
    } finally {
      this.#end();
    }
  }

  #take(line: string): void {
    if (line.trim() === "") return;
    const message = JSON.parse(line) as Record<string, unknown>;
    if ("QMP" in message) return this.#greeting.resolve();
    if (typeof message["event"] === "string") {
      const data = message["data"];
      const event = { event: message["event"], data: typeof data === "object" && data !== null ? data : {} };
      for (const listener of [...this.#listeners]) listener(event as QmpEvent);
      return;
    }
    const pending = this.#pending.get(Number(message["id"]));
    if (pending === undefined) return; // The answer to a wait that was given up.
    const error = message["error"] as { class?: string; desc?: string } | undefined;
    if (error === undefined) return pending.resolve(message["return"]);
    pending.reject(
      new QmpError(error.desc ?? "QEMU refused without a reason", {
        op: `QMP ${pending.command}`,
        hint: "",
        kind: error.class ?? "GenericError",
      }),
    );
  }

  async #bounded<T>(
    command: string,
    promise: Promise<T>,
    options: { signal?: AbortSignal; timeoutMs?: number },
  ): Promise<T> {
    const limit = Promise.withResolvers<never>();
    const ms = options.timeoutMs ?? ANSWER_MS;
    const timer = setTimeout(() =>
      limit.reject(
        new QmpError(`QEMU did not answer within ${ms} ms`, {
          op: `QMP ${command}`,
          hint: "QEMU's main loop is held up; see what its disks and sockets wait for.",
          kind: "Timeout",
        }),
      ), ms);
    const abort = () => limit.reject(options.signal?.reason);
    options.signal?.addEventListener("abort", abort, { once: true });
    try {
      return await Promise.race([promise, limit.promise]);
    } finally {
      clearTimeout(timer);
      options.signal?.removeEventListener("abort", abort);
    }
  }

  #closedError(command: string): QmpError {
    return new QmpError("The connection to QEMU's monitor has ended", {
      op: `QMP ${command}`,
      hint: "QEMU ended, or was stopped; see its last lines.",
      kind: "Closed",
    });
  }
}
