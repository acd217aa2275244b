/** The conditions that last, and what is to be told of each: pure but for what it remembers; time is given.
 *
 *     (seen) → pending ── lasted its hold ──► raised ── away for CLEAR_MS ──► gone
 *                 └─ away for CLEAR_MS ─► gone     └─ told, told again after `repeat_ms`, and told when it is over
 */

import { z } from "zod";
import type { Condition } from "./conditions.ts";

/** A condition is over when it was away for this long: so flapping is one alert. */
export const CLEAR_MS = 15_000;
/** Raised again soon after its end it must last longer each time: at first this, then twice that ... */
const AGAIN_MS = 60_000;
/** How much later the second node tells of what the first one should have told of. */
const SECOND_MS = 10_000;
const MOST = 1_000;

interface Entry {
  condition: Condition;
  seen_ms: number;
  /** Wall clock, for people. */
  since: string;
  away_ms: number | null;
  raised_ms: number | null;
  /** When it was told of last, and with which severity; null: not by this node. */
  told: { at_ms: number; severity: Condition["severity"] } | null;
}

const severity = z.enum(["warning", "critical"]);
const dumps = z.array(z.object({
  condition: z.object({
    key: z.string(),
    severity,
    code: z.string(),
    params: z.record(z.string(), z.union([z.string(), z.number()])),
    text: z.string(),
    hold_ms: z.number(),
    shared: z.boolean(),
    quiet: z.boolean(),
  }),
  since: z.string(),
  severity,
})).max(MOST);

/** What is to be done. */
export interface Turn {
  /** For the log of events. */
  raised: Lasting[];
  cleared: Lasting[];
  /** For people. */
  tell: { kind: "raised" | "repeated" | "cleared"; lasting: Lasting }[];
}

/** A condition with its begin. */
export interface Lasting {
  condition: Condition;
  since: string;
}

export interface BookRules {
  /** From this on people are told. */
  threshold: "warning" | "critical";
  repeat_ms: number;
  /** This node tells of what both see. */
  first: boolean;
  /** There is a channel to tell by: what is raised before there is one is told when there is. */
  able: boolean;
  /** Keys that the other node tells of; null: not known, so this node tells of all. */
  peer_telling: ReadonlySet<string> | null;
}

/** See above. `now_ms` never goes back: not the wall clock. */
export class AlertBook {
  readonly #entries = new Map<string, Entry>();
  /** Of those that ended: how often in a row, and when. */
  readonly #ended = new Map<string, { times: number; at_ms: number }>();

  /** Takes what holds now. */
  step(conditions: readonly Condition[], now: { now_ms: number; at: string }, rules: BookRules): Turn {
    const turn: Turn = { raised: [], cleared: [], tell: [] };
    const here = new Set<string>();
    for (const condition of conditions) {
      here.add(condition.key);
      this.#present(condition, now, { rules, turn });
    }
    for (const [key, entry] of this.#entries) {
      if (!here.has(key)) this.#absent(entry, now, { rules, turn });
      else this.#tell(entry, now, { rules, turn });
    }
    for (const [key, { at_ms }] of this.#ended) {
      if (now.now_ms - at_ms > rules.repeat_ms) this.#ended.delete(key);
    }
    return turn;
  }

  #present(
    condition: Condition,
    now: { now_ms: number; at: string },
    { rules, turn }: { rules: BookRules; turn: Turn },
  ): void {
    const known = this.#entries.get(condition.key);
    if (condition.quiet) {
      if (known !== undefined) known.away_ms = null;
      return;
    }
    if (known === undefined && this.#entries.size >= MOST) return;
    const entry = known ??
      { condition, seen_ms: now.now_ms, since: now.at, away_ms: null, raised_ms: null, told: null };
    this.#entries.set(condition.key, entry);
    entry.condition = condition;
    entry.away_ms = null;
    if (entry.raised_ms !== null || now.now_ms - entry.seen_ms < this.#hold(condition, rules)) return;
    entry.raised_ms = now.now_ms;
    turn.raised.push({ condition, since: entry.since });
  }

  #hold(condition: Condition, rules: BookRules): number {
    const times = this.#ended.get(condition.key)?.times ?? 0;
    if (times === 0) return condition.hold_ms;
    return Math.max(condition.hold_ms, Math.min(AGAIN_MS * 2 ** (times - 1), rules.repeat_ms));
  }

  #absent(
    entry: Entry,
    now: { now_ms: number },
    { rules, turn }: { rules: BookRules; turn: Turn },
  ): void {
    entry.away_ms ??= now.now_ms;
    if (now.now_ms - entry.away_ms < CLEAR_MS) return;
    const { condition, since } = entry;
    this.#entries.delete(condition.key);
    if (entry.raised_ms === null) return;
    if (this.#ended.size < MOST) {
      const times = (this.#ended.get(condition.key)?.times ?? 0) + 1;
      this.#ended.set(condition.key, { times, at_ms: now.now_ms });
    }
    turn.cleared.push({ condition, since });
    if (entry.told !== null && worth(entry.told.severity, rules)) {
      turn.tell.push({ kind: "cleared", lasting: { condition, since } });
    }
  }

  #tell(entry: Entry, now: { now_ms: number }, { rules, turn }: { rules: BookRules; turn: Turn }): void {
    if (entry.raised_ms === null || !rules.able || !worth(entry.condition.severity, rules)) return;
    const { told, condition, since } = entry;
    if (told === null && !this.#mine(entry, now.now_ms, rules)) return;
    const worse = told !== null && told.severity === "warning" && condition.severity === "critical";
    if (told !== null && !worse && now.now_ms - told.at_ms < rules.repeat_ms) return;
    entry.told = { at_ms: now.now_ms, severity: condition.severity };
    turn.tell.push({ kind: told === null || worse ? "raised" : "repeated", lasting: { condition, since } });
  }

  /** Two nodes that both see it: one tells. Where it is not sure that the other one does, this one does. */
  #mine(entry: Entry, now_ms: number, rules: BookRules): boolean {
    if (!entry.condition.shared || rules.first || rules.peer_telling === null) return true;
    return now_ms - entry.raised_ms! >= SECOND_MS && !rules.peer_telling.has(entry.condition.key);
  }

  /** Those that are raised, the oldest first. */
  active(): Lasting[] {
    return [...this.#entries.values()].filter(({ raised_ms }) => raised_ms !== null)
      .map(({ condition, since }) => ({ condition, since }));
  }

  /** What was told, to be restored after a restart. */
  dump(): unknown[] {
    return [...this.#entries.values()].filter(({ told, raised_ms }) => told !== null && raised_ms !== null)
      .map(({ condition, since, told }) => ({ condition, since, severity: told!.severity }));
  }

  /** Takes what `dump` gave: it counts as raised and told just now. Throws when it is something else. */
  restore(dumped: unknown, now_ms: number): void {
    for (const { condition, since, severity } of dumps.parse(dumped)) {
      this.#entries.set(condition.key, {
        condition: condition as Condition,
        since,
        seen_ms: now_ms,
        away_ms: null,
        raised_ms: now_ms,
        told: { at_ms: now_ms, severity },
      });
    }
  }

  /** Keys that this node has told people of. */
  told(): string[] {
    return [...this.#entries].filter(([, { told }]) => told !== null).map(([key]) => key);
  }
}

function worth(severity: Condition["severity"], rules: BookRules): boolean {
  return severity === "critical" || rules.threshold === "warning";
}
