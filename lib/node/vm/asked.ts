/** Who asked for what a runner then says it did: a runner's words have no names in them. Kept by the node that tells the runner, whichever
 * node was asked. */

import type { Actor } from "../../model/backend.ts";
import type { EventCode } from "../../model/english.ts";
import type { VmAction } from "../../model/vm.ts";

/** The events that an action ends in. */
const ENDS: Readonly<Partial<Record<VmAction, readonly EventCode[]>>> = {
  start: ["vm.runs"],
  stop: ["vm.stopped"],
  protect: ["vm.syncing"],
  unprotect: ["vm.unprotected"],
  switchover: ["vm.switchover"],
  verify: ["vm.verified"],
  confirm_peer_off: ["vm.taken_over"],
  promote: ["vm.switchover"],
};

/** The event may come this long after the action was done. */
const AFTER_MS = 10_000;
/** Wishes that are remembered. */
const MOST = 20;

interface Wish {
  actor: Actor;
  codes: EventCode[];
  until_ms: number;
}

export class Asked {
  readonly #now: () => number;
  #wishes: Wish[] = [];

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Somebody wants it from now on. `over`: it was done, and what it ends in comes soon, or has come; `refused`: it is not done. */
  begin(action: VmAction, actor: Actor): { over(): void; refused(): void } {
    return this.#wish(actor, ENDS[action] ?? []);
  }

  /** Somebody has the other node hand the VM over to this one. */
  comes(actor: Actor): void {
    // Not vm.runs: a start whose end nobody heard would make a move of the takeover that follows it.
    this.#wish(actor, ["vm.switchover"]).over();
  }

  #wish(actor: Actor, codes: readonly EventCode[]) {
    const wish: Wish = { actor, codes: [...codes], until_ms: Infinity };
    this.#wishes = [...this.#wishes.filter(({ codes }) => codes.length > 0), wish].slice(-MOST);
    return {
      over: () => void (wish.until_ms = this.#now() + AFTER_MS),
      refused: () => void (wish.codes = []),
    };
  }

  /** Who wanted what has happened now; null: nobody, it happened. Each wish comes true once. */
  whose(code: EventCode): Actor | null {
    const now = this.#now();
    const wish = this.#wishes.findLast(({ codes, until_ms }) => until_ms >= now && codes.includes(code));
    if (wish === undefined) return null;
    wish.codes = wish.codes.filter((one) => one !== code);
    return wish.actor;
  }
}
