/** What the schedules reached: each event in each phase, and each change of phase. */

import type { GroupEvent, Phase } from "../../lib/group/types.ts";

/** Counts that can be added up over workers: plain data. */
export interface Counts {
  /** "phase event". */
  pairs: Record<string, number>;
  /** "from -> to". */
  changes: Record<string, number>;
}

export class Coverage {
  readonly #pairs = new Map<Phase["kind"], Map<GroupEvent["kind"], number>>();
  readonly #changes = new Map<string, number>();

  step(from: Phase["kind"], event: GroupEvent["kind"], to: Phase["kind"]): void {
    let events = this.#pairs.get(from);
    if (events === undefined) this.#pairs.set(from, events = new Map());
    events.set(event, (events.get(event) ?? 0) + 1);
    if (from === to) return;
    const change = `${from} -> ${to}`;
    this.#changes.set(change, (this.#changes.get(change) ?? 0) + 1);
  }

  counts(): Counts {
    const pairs: Counts["pairs"] = {};
    for (const [phase, events] of this.#pairs) {
      for (const [event, count] of events) pairs[`${phase} ${event}`] = count;
    }
    return { pairs, changes: Object.fromEntries(this.#changes) };
  }
}

/** Sums counts. */
export function addCounts(to: Counts, more: Counts): Counts {
  for (const key of ["pairs", "changes"] as const) {
    for (const [name, count] of Object.entries(more[key])) to[key][name] = (to[key][name] ?? 0) + count;
  }
  return to;
}
