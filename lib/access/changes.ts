/** Tells whoever keeps something open for somebody (event streams, consoles) to ask again whether they still may: at once when accounts,
 * sessions or tokens change, and when one of them expires. */

import type { Store } from "./store.ts";

/** How long a session lasts without use, and in all, ms. */
export const IDLE_MS = 30 * 60_000;
export const ABSOLUTE_MS = 12 * 60 * 60_000;
/** A clock may be set meanwhile: it is looked at this often at least. */
const LOOK_MS = 3600_000;

const NEXT = `select min(ends_ms) as ends_ms from (
  select min(used_ms + ?, created_ms + ?) as ends_ms from sessions union all select expires_ms from tokens
) where ends_ms > ?`;

export class Changes implements Disposable {
  readonly #store: Store;
  readonly #nowMs: () => number;
  readonly #listeners = new Set<() => void>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(store: Store, nowMs: () => number) {
    this.#store = store;
    this.#nowMs = nowMs;
  }

  /** The listener must not throw. */
  on(listener: () => void): Disposable {
    this.#listeners.add(listener);
    this.#wait();
    return {
      [Symbol.dispose]: () => {
        this.#listeners.delete(listener);
        if (this.#listeners.size === 0) clearTimeout(this.#timer);
      },
    };
  }

  /** Somebody may do less than before, perhaps. */
  tell(): void {
    for (const listener of [...this.#listeners]) listener();
    this.#wait();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#listeners.clear();
  }

  /** Until what expires next. Sessions that are used meanwhile expire later: then nothing has changed, and it waits again. */
  #wait(): void {
    clearTimeout(this.#timer);
    if (this.#listeners.size === 0) return;
    const now = this.#nowMs();
    const { ends_ms } = this.#store.get<{ ends_ms: number | null }>(NEXT, IDLE_MS, ABSOLUTE_MS, now) ??
      { ends_ms: null };
    const wait_ms = ends_ms === null ? LOOK_MS : Math.min(LOOK_MS, Math.max(1, ends_ms - now));
    this.#timer = setTimeout(() => this.tell(), wait_ms);
  }
}
