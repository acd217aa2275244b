/** Wrong passwords cost time: for one account from one address, for an address, and for an account from everywhere. What is counted does
 * not depend on whether there is such an account. */

import { ProblemError } from "../model/problem.ts";
import { explained } from "../model/problem_english.ts";
import { addressKey } from "./rate.ts";

interface Rule {
  /** Failures that cost nothing. */
  free: number;
  /** Longest wait, ms. */
  maxMs: number;
}

/** An account from everywhere waits a minute at most, so nobody can lock its owner out for long; and not at an address where the owner
 * has signed in before. */
const RULES = {
  both: { free: 5, maxMs: 15 * 60_000 },
  address: { free: 15, maxMs: 15 * 60_000 },
  name: { free: 20, maxMs: 60_000 },
} satisfies Record<string, Rule>;
/** A key without a failure for so long begins anew. */
const FORGET_MS = 60 * 60_000;
const KEYS_MAX = 8192;
const KNOWN_MAX = 1024;

interface Count {
  failures: number;
  until_ms: number;
  at_ms: number;
}

/** One try. Until it succeeded it counts as a failure, so that many at once count too. */
export interface Attempt {
  succeeded(): void;
  /** It made the account wait: say so. */
  readonly locked: boolean;
}

export class Backoff {
  readonly #nowMs: () => number;
  /** One table for each rule: many names that nobody has push out no address, and no name that is waiting. */
  readonly #counts: Record<keyof typeof RULES, Map<string, Count>> = {
    both: new Map(),
    address: new Map(),
    name: new Map(),
  };
  readonly #known = new Set<string>();

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  get size(): number {
    return Object.values(this.#counts).reduce((sum, { size }) => sum + size, 0);
  }

  /** Throws too_many while one of the three has to wait. */
  begin(name: string, address: string): Attempt {
    const from = addressKey(address);
    const pair = `${name} ${from}`;
    const keys: [keyof typeof RULES, string][] = [["both", pair], ["address", from]];
    if (!this.#known.has(pair)) keys.push(["name", name]);
    const wait = Math.max(...keys.map((key) => (this.#current(...key)?.until_ms ?? 0) - this.#nowMs()));
    if (wait > 0) {
      throw new ProblemError("too_many", explained("access.backoff", { seconds: Math.ceil(wait / 1000) }));
    }
    const counts = keys.map((key) => this.#failed(...key));
    return {
      locked: counts[0]!.failures === RULES.both.free || counts[2]?.failures === RULES.name.free,
      succeeded: () => {
        for (const count of counts) {
          count.failures = Math.max(0, count.failures - 1);
          count.until_ms = 0;
        }
        this.#counts.both.delete(pair);
        this.#known.delete(pair);
        this.#known.add(pair);
        if (this.#known.size > KNOWN_MAX) this.#known.delete(this.#known.values().next().value!);
      },
    };
  }

  /** Until when an account has to wait wherever it comes from, Unix ms; null: it need not. */
  lockedUntil(name: string): number | null {
    const until = this.#current("name", name)?.until_ms ?? 0;
    return until > this.#nowMs() ? until : null;
  }

  #current(which: keyof typeof RULES, key: string): Count | undefined {
    const count = this.#counts[which].get(key);
    if (count === undefined || this.#nowMs() - count.at_ms < FORGET_MS) return count;
    this.#counts[which].delete(key);
    return undefined;
  }

  #failed(which: keyof typeof RULES, key: string): Count {
    const now = this.#nowMs();
    const table = this.#counts[which];
    const rule: Rule = RULES[which];
    const failures = (this.#current(which, key)?.failures ?? 0) + 1;
    const over = failures - rule.free;
    const wait = over < 0 ? 0 : Math.min(rule.maxMs, 1000 * 2 ** Math.min(over, 20));
    const count = { failures, until_ms: now + wait, at_ms: now };
    table.delete(key); // and in again, at the end: the first failed longest ago
    if (table.size >= KEYS_MAX) forgetOne(table, rule);
    table.set(key, count);
    return count;
  }
}

/** Makes room: one that has not failed often enough to wait, if there is any, else the one that failed longest ago. */
function forgetOne(table: Map<string, Count>, { free }: Rule): void {
  for (const [key, { failures }] of table) if (failures < free) return void table.delete(key);
  table.delete(table.keys().next().value!);
}
