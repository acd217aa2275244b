/** Syncs of a host's journal: one for all that is written by then; another follows for what came meanwhile. */

import type { SimHost } from "./host.ts";

export class Flusher {
  #busy = false;
  #waiting: (() => void)[] = [];
  readonly #host: SimHost;
  readonly #onSynced: () => void;

  constructor(host: SimHost, onSynced: () => void) {
    this.#host = host;
    this.#onSynced = onSynced;
  }

  /** Nobody waits for a sync. */
  get idle(): boolean {
    return !this.#busy && this.#waiting.length === 0;
  }

  /** Does `then` after the next sync. */
  afterNext(then: () => void): void {
    this.#waiting.push(then);
    this.flush();
  }

  /** Does `then` once nothing is unsynced. */
  whenClean(then: () => void): void {
    if (this.#host.disk.clean || !this.#host.world.rules.ownJournalFirst) return then();
    this.afterNext(() => this.whenClean(then));
  }

  flush(): void {
    if (this.#busy) return;
    this.#busy = true;
    const { disk, life, world, chance, slowDisk } = this.#host;
    const covered = disk.pending;
    const waiting = this.#waiting;
    this.#waiting = [];
    world.clock.after(chance.between(0.3, 6) + slowDisk, () => {
      if (life !== this.#host.life) return;
      disk.synced(covered);
      this.#host.later(0, () => this.#synced(waiting));
    });
  }

  #synced(waiting: readonly (() => void)[]): void {
    const { life } = this.#host;
    this.#busy = false;
    for (const then of waiting) {
      if (life === this.#host.life) then();
    }
    if (life !== this.#host.life) return;
    if (!this.#host.disk.clean || this.#waiting.length > 0) this.flush();
    this.#onSynced();
  }
}
