/** Which strangers at the port are told of: each one once in a while, and few in all. */

import { Allowance } from "../../admission.ts";

/** The same one is not told of again for this long, ms. */
const AGAIN_MS = 24 * 3600 * 1000;
/** Strangers that are remembered. */
const REMEMBERED = 64;

export class Strangers {
  readonly #nowMs: () => number;
  readonly #allowance: Allowance;
  readonly #told = new Map<string, number>();

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
    this.#allowance = new Allowance({ burst: 5, perSecond: 1 / 600, nowMs });
  }

  /** Whether this one, who came just now, is to be told of. */
  tells(id: string): boolean {
    const before = this.#told.get(id);
    const now = this.#nowMs();
    if (before !== undefined && now - before < AGAIN_MS) return false;
    if (this.#allowance.take() > 0) return false;
    this.#told.delete(id);
    if (this.#told.size >= REMEMBERED) this.#told.delete(this.#told.keys().next().value!);
    this.#told.set(id, now);
    return true;
  }
}
