/** One channel's messages on their way: in order, bounded, tried again with growing pauses. A dead channel holds up no other one. */

import type { AlertMessage } from "./message.ts";

export interface ChannelQueueOptions {
  /** Sends one; throws why it could not. */
  send: (message: AlertMessage, signal: AbortSignal) => Promise<string>;
  /** Told at the first failure in a row, and of what was given up. */
  failed: (why: string) => void;
  /** Pauses between attempts, ms; after the last one a message is given up. */
  retry_ms?: readonly number[];
  /** A bound on one attempt. */
  attempt_ms?: number;
}

const MOST = 100;
const RETRY_MS = [5_000, 30_000, 120_000, 600_000, 1_800_000, 3_600_000];
const ATTEMPT_MS = 30_000;

/** See above. */
export class ChannelQueue implements AsyncDisposable {
  readonly #options: Required<ChannelQueueOptions>;
  readonly #messages: AlertMessage[] = [];
  readonly #stop = new AbortController();
  #running: Promise<void> | null = null;
  #failing = false;
  #sent = 0;
  #failed = 0;

  constructor(options: ChannelQueueOptions) {
    this.#options = { retry_ms: RETRY_MS, attempt_ms: ATTEMPT_MS, ...options };
  }

  counts(): { sent: number; failed: number; waiting: number } {
    return { sent: this.#sent, failed: this.#failed, waiting: this.#messages.length };
  }

  /** Takes one; the oldest of too many goes. */
  push(message: AlertMessage): void {
    if (this.#stop.signal.aborted) return;
    this.#messages.push(message);
    if (this.#messages.length > MOST) {
      // The first one may be on its way just now.
      this.#messages.splice(1, 1);
      this.#failed++;
    }
    this.#running ??= this.#run().finally(() => this.#running = null);
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const message = this.#messages[0];
      if (message === undefined) return;
      if (await this.#deliver(message)) this.#sent++;
      else if (this.#stop.signal.aborted) return;
      else this.#failed++;
      this.#messages.shift();
    }
  }

  async #deliver(message: AlertMessage): Promise<boolean> {
    for (let attempt = 0; !this.#stop.signal.aborted; attempt++) {
      const why = await this.attempt(message);
      if (why === null) {
        this.#failing = false;
        return true;
      }
      if (this.#stop.signal.aborted) return false;
      const pause_ms = this.#options.retry_ms[attempt];
      if (!this.#failing || pause_ms === undefined) this.#options.failed(why);
      this.#failing = true;
      if (pause_ms === undefined) return false;
      await this.#pause(pause_ms);
    }
    return false;
  }

  /** One attempt. Returns why it failed; null: it did not. */
  async attempt(message: AlertMessage): Promise<string | null> {
    const tried = await attemptOnce(this.#options.send, message, {
      ms: this.#options.attempt_ms,
      stop: this.#stop.signal,
    });
    return tried.ok ? null : tried.detail;
  }

  async #pause(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, ms);
    const stop = () => resolve();
    this.#stop.signal.addEventListener("abort", stop);
    await promise;
    clearTimeout(timer);
    this.#stop.signal.removeEventListener("abort", stop);
  }

  /** What waits is not sent any more. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error("the node's service ends"));
    await this.#running;
  }
}

/** Sends one within a time, and says how that went. Never throws. */
export async function attemptOnce(
  send: ChannelQueueOptions["send"],
  message: AlertMessage,
  bound: { ms: number; stop?: AbortSignal },
): Promise<{ ok: boolean; detail: string }> {
  const attempt = new AbortController();
  const late = setTimeout(
    () => attempt.abort(new Error(`there was no answer within ${bound.ms / 1000} s`)),
    bound.ms,
  );
  const stop = () => attempt.abort(bound.stop!.reason);
  bound.stop?.addEventListener("abort", stop);
  try {
    if (bound.stop?.aborted) throw bound.stop.reason;
    return { ok: true, detail: await send(message, attempt.signal) };
  } catch (error) {
    return { ok: false, detail: (error instanceof Error ? error.message : String(error)).slice(0, 400) };
  } finally {
    clearTimeout(late);
    bound.stop?.removeEventListener("abort", stop);
  }
}
