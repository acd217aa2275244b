/** Virtual time, chance and the network between two simulated hosts. All from one seed. */

import { lossProblem, type Release, releaseProblem } from "../../lib/group/invariants.ts";
import type { SimHost } from "./sim_host.ts";

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

interface Entry {
  at: number;
  order: number;
  run: () => void;
}

/** Milliseconds of virtual time, and what is to happen. */
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

/** Raised when an invariant does not hold. */
export class Violation extends Error {}

export class World {
  readonly clock = new Clock();
  readonly random: () => number;
  readonly hosts: SimHost[] = [];
  /** linkCut[link][from]: datagrams and data from host `from` are lost on this link. */
  readonly linkCut = [[false, false], [false, false]];
  /** lanCut[host]: this host is cut from the LAN: from the peer on it, and from the reference. */
  readonly lanCut = [false, false];
  /** Since when each host's LAN is as it is. */
  readonly lanSince = [0, 0];
  loss = 0;
  readonly log: string[] = [];
  newest = 0;
  #last: Release | null = null;

  constructor(seed: number) {
    this.random = seeded(seed);
  }

  between(low: number, high: number): number {
    return low + this.random() * (high - low);
  }

  note(text: string): void {
    this.log.push(`${this.clock.now.toFixed(1)} ${text}`);
    if (this.log.length > 400) this.log.shift();
  }

  fail(text: string | null): void {
    if (text !== null) throw new Violation(text);
  }

  /** Whether `path` (0, 1 links; 2 LAN) carries from host `from` now. */
  carries(path: number, from: number): boolean {
    if (path === 2) return !this.lanCut[0] && !this.lanCut[1];
    return !this.linkCut[path]?.[from];
  }

  /** A connection over a link needs both ways. */
  linkUp(link: number): boolean {
    const both = this.hosts.every((host) => host.powered && host.running);
    return both && this.carries(link, 0) && this.carries(link, 1);
  }

  release(release: Release): void {
    this.fail(releaseProblem(this.#last, release));
    this.#last = release;
    this.newest = Math.max(this.newest, release.value);
  }

  started(host: string, value: number): void {
    this.note(`${host} has the VM from ${value}`);
    this.fail(lossProblem(this.newest, { host, value }));
  }
}
