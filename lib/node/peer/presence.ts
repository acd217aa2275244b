/** Whether the other node is there: not each connection that breaks means that it is gone. */

import { CALLS_MAX } from "./calls.ts";

export class Presence {
  readonly #now: () => number;
  readonly #told: (reachable: boolean, why: string) => void;
  #reachable = false;
  #since: number;
  #grace: ReturnType<typeof setTimeout> | undefined;
  #waiting: (() => void)[] = [];
  #stopped = false;
  /** Why it is not reachable, as far as is known. */
  why = "it has not been heard since this node's service started";

  /** `told`: called at each change. */
  constructor(now: () => number, told: (reachable: boolean, why: string) => void) {
    this.#now = now;
    this.#told = told;
    this.#since = now();
  }

  get reachable(): boolean {
    return this.#reachable;
  }

  /** Since when it is, or is not, Unix ms. */
  get since(): number {
    return this.#since;
  }

  /** A connection stands. */
  met(): void {
    clearTimeout(this.#grace);
    this.#wake();
    this.#become(true);
  }

  /** The connection is gone. Another one may take its place for so long, before the other node is called unreachable. */
  lost(why: string, graceMs: number): void {
    this.why = why;
    clearTimeout(this.#grace);
    if (graceMs <= 0) this.#gone();
    else if (!this.#stopped) this.#grace = setTimeout(() => this.#gone(), graceMs);
  }

  /** Waits until a connection stands again, or is not expected any more, or for so long. */
  async settled(ms: number): Promise<void> {
    if (!this.#reachable || this.#stopped || this.#waiting.length >= CALLS_MAX) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    await new Promise<void>((resolve) => {
      this.#waiting.push(resolve);
      timer = setTimeout(resolve, ms);
    });
    clearTimeout(timer);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#grace);
    this.#wake();
  }

  #gone(): void {
    this.#become(false);
    this.#wake();
  }

  #become(reachable: boolean): void {
    if (reachable === this.#reachable) return;
    this.#reachable = reachable;
    this.#since = this.#now();
    this.#told(reachable, reachable ? "" : this.why);
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }
}
