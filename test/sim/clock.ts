/** Virtual time and chance. */

/** A small seeded generator (mulberry32). */
export function seeded(seed: number): () => number {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), a | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Chance from one seed. Each part of the world has one of its own, so that a fault less changes little elsewhere. */
export class Chance {
  readonly next: () => number;

  constructor(seed: number, part: number) {
    this.next = seeded(Math.imul(seed, 0x9e3779b1) + Math.imul(part, 0x85ebca6b));
  }

  between(low: number, high: number): number {
    return low + this.next() * (high - low);
  }

  /** A whole number from 0 to `count` - 1. */
  below(count: number): number {
    return Math.floor(this.next() * count);
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)] as T;
  }

  /** True in `share` of all cases. */
  chance(share: number): boolean {
    return this.next() < share;
  }
}

interface Entry {
  at: number;
  order: number;
  run: () => void;
}

/** Milliseconds of virtual time, and what is to happen, the earliest first. */
export class Clock {
  now = 0;
  #order = 0;
  #heap: Entry[] = [];

  after(ms: number, run: () => void): void {
    const heap = this.#heap;
    const entry = { at: this.now + ms, order: this.#order++, run };
    let i = heap.length;
    heap.push(entry);
    while (i > 0) {
      const up = (i - 1) >> 1;
      const parent = heap[up] as Entry;
      if (!before(entry, parent)) break;
      heap[i] = parent;
      i = up;
    }
    heap[i] = entry;
  }

  /** Runs the next entry; false: none before `until`. */
  next(until: number): boolean {
    const heap = this.#heap;
    const top = heap[0];
    if (top === undefined || top.at > until) return false;
    const last = heap.pop() as Entry;
    if (heap.length > 0) {
      let i = 0;
      for (;;) {
        let child = 2 * i + 1;
        if (child >= heap.length) break;
        if (child + 1 < heap.length && before(heap[child + 1] as Entry, heap[child] as Entry)) child++;
        if (!before(heap[child] as Entry, last)) break;
        heap[i] = heap[child] as Entry;
        i = child;
      }
      heap[i] = last;
    }
    this.now = top.at;
    top.run();
    return true;
  }
}

function before(a: Entry, b: Entry): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
