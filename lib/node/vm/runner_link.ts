/** The way to one runner: its control socket, connected again whenever it is lost. Follows its events and asks for its status each second,
 * and at each change. */

import { ControlClient } from "../../group/control_socket.ts";
import type { Status } from "../../../ffi/status.ts";
import type { MetadataWord } from "./records.ts";

const POLL_MS = 1000;
const RETRY_MS = 100;
/** Status at a change of state, after those that follow at once. */
const SOON_MS = 30;
/** Older than this, what a runner said is not what it says. */
export const STALE_MS = 5000;

/** What a runner answers to "status", as far as it is used here. */
export interface RunnerStatus {
  pid?: number;
  phase: string;
  since_us: number;
  sentence: string;
  term: number;
  metadata: MetadataWord | null;
  peer: { role: number; flags: number } | null;
  silent: boolean;
  arbiter: { name: string; state: "none" | "unknown" | "reachable" | "lost" };
  pace?: { level: string; stuck: boolean; why: string };
  phase_step?: string;
  phase_why?: string;
  auto_protect?: boolean;
  confirmed_off?: boolean;
  commands?: Record<string, { problem: string; hint: string } | null>;
  engine: Status;
}

/** An event of a runner. */
export type RunnerEvent = Record<string, unknown> & { event: string };

export interface RunnerLinkOptions {
  socket: string;
  onEvent(event: RunnerEvent): void;
  /** Each answer, and that there is none any more (null). */
  onStatus(status: RunnerStatus | null): void;
}

export class RunnerLink implements AsyncDisposable {
  readonly #options: RunnerLinkOptions;
  #client: ControlClient | null = null;
  #status: { status: RunnerStatus; at_ms: number } | null = null;
  #ended = false;
  #wake: () => void = () => {};
  #soon: ReturnType<typeof setTimeout> | undefined;
  readonly #running: Promise<void>;

  constructor(options: RunnerLinkOptions) {
    this.#options = options;
    this.#running = this.#run();
  }

  /** What it said last, if that is new enough. */
  get status(): RunnerStatus | null {
    return this.#status !== null && performance.now() - this.#status.at_ms < STALE_MS
      ? this.#status.status
      : null;
  }

  get connected(): boolean {
    return this.#client !== null;
  }

  /** Runs a command. Throws EdgeError when nobody answers, RefusedError when the runner refuses. */
  async call(command: string, options: Record<string, unknown> = {}): Promise<unknown> {
    if (this.#client !== null) return await this.#client.call(command, options);
    using client = await ControlClient.connect(this.#options.socket);
    return await client.call(command, options);
  }

  /** Asks for the status now. */
  poll(): void {
    this.#wake();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended = true;
    clearTimeout(this.#soon);
    this.#client?.[Symbol.dispose]();
    this.#wake();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#ended) {
      try {
        using client = await ControlClient.connect(this.#options.socket);
        this.#client = client;
        client.onEvent = (event) => this.#heard(event as RunnerEvent);
        await this.#follow(client);
      } catch {
        // nobody listens, or it went away: tried again
      }
      this.#client = null;
      if (this.#ended) return;
      if (this.#status !== null) {
        this.#status = null;
        this.#options.onStatus(null);
      }
      await this.#pause(RETRY_MS);
    }
  }

  async #follow(client: ControlClient): Promise<void> {
    let closed = false;
    client.closed.then(() => {
      closed = true;
      this.#wake();
    });
    while (!closed && !this.#ended) {
      const status = await client.call("status") as RunnerStatus;
      this.#status = { status, at_ms: performance.now() };
      this.#options.onStatus(status);
      if (!closed) await this.#pause(POLL_MS);
    }
  }

  #heard(event: RunnerEvent): void {
    this.#options.onEvent(event);
    if (!["state", "path", "link", "active"].includes(event.event) || this.#ended) return;
    clearTimeout(this.#soon);
    this.#soon = setTimeout(() => this.#wake(), SOON_MS);
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#wake(), ms);
      this.#wake = () => {
        clearTimeout(timer);
        this.#wake = () => {};
        resolve();
      };
    });
  }
}
