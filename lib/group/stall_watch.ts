/** Notices that this process itself did not run: frozen, or starved. What it believes of the other host is old then. Whether the other host
 * may have gone on meanwhile is another question, which the heartbeats' own thread answers (event own_stall): on a busy host this process
 * is late often, and they are not. */

/** What a watch goes by. */
export interface StallOptions {
  /** A monotonic clock, ms, that goes on while the process stands still. */
  nowMs(): number;
  heartbeatMs: number;
  takeoverMs: number;
}

/** Heartbeats that may be missed before what was heard counts as old. */
const MISSED = 3;

/** A clock that is looked at with each heartbeat. */
export class StallWatch implements Disposable {
  readonly #options: StallOptions;
  readonly #timer: ReturnType<typeof setInterval>;
  #last: number;
  #settledAt = 0;

  constructor(options: StallOptions) {
    this.#options = options;
    this.#last = options.nowMs();
    this.#timer = setInterval(() => this.#look(), options.heartbeatMs);
  }

  /** Resolves when this process has run without a gap for the takeover time since its last one: at once, mostly. */
  async settled(): Promise<void> {
    this.#look();
    for (let left = this.#left(); left > 0; left = this.#left()) {
      await new Promise((resolve) => setTimeout(resolve, left));
      this.#look();
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #left(): number {
    return this.#settledAt - this.#options.nowMs();
  }

  #look(): void {
    const { nowMs, heartbeatMs, takeoverMs } = this.#options;
    const now = nowMs();
    const gap = now - this.#last;
    this.#last = now;
    if (gap > Math.max((MISSED + 1) * heartbeatMs, takeoverMs / 2)) this.#settledAt = now + takeoverMs;
  }
}
