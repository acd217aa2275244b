/** Simulated storage: what is written is in the page cache at once, survives the process, and survives the power only once it was
 * synced; what was not is lost, kept or torn, in any order. */

import type { MetadataFile } from "../../lib/group/metadata.ts";
import type { Chance } from "./clock.ts";

interface Write {
  bytes: Uint8Array;
  offset: number;
}

/** The file under a MetadataStore. */
export class SimFile implements MetadataFile {
  #cached = new Uint8Array(1024);
  #stable = new Uint8Array(1024);
  #unsynced: Write[] = [];
  #waiting: { resolve: () => void; reject: (error: Error) => void } | null = null;

  read(): Uint8Array {
    return this.#cached.slice();
  }

  /** The promise settles by complete() or fail(), in virtual time; never, if the process dies before. */
  write(bytes: Uint8Array, offset: number): Promise<void> {
    const write = { bytes: bytes.slice(), offset };
    this.#cached.set(write.bytes, offset);
    this.#unsynced.push(write);
    return new Promise((resolve, reject) => this.#waiting = { resolve, reject });
  }

  /** The sync ended: everything written is on stable storage, unless it is `told` before that. */
  complete(durable = true): void {
    if (durable) this.sync();
    this.#waiting?.resolve();
    this.#waiting = null;
  }

  fail(): void {
    this.#waiting?.reject(new Error("Input/output error"));
    this.#waiting = null;
  }

  sync(): void {
    for (const write of this.#unsynced) this.#stable.set(write.bytes, write.offset);
    this.#unsynced = [];
  }

  processDied(): void {
    this.#waiting = null;
  }

  /** Of each write that was not synced all, nothing, or the beginning arrived, in any order. */
  powerLost(chance: Chance): void {
    this.#waiting = null;
    const writes = this.#unsynced;
    while (writes.length > 0) {
      const [write] = writes.splice(chance.below(writes.length), 1) as [Write];
      const kept = chance.pick([0, write.bytes.length, chance.below(write.bytes.length)]);
      this.#stable.set(write.bytes.subarray(0, kept), write.offset);
    }
    this.#cached = this.#stable.slice();
  }
}

/** What the VM's disks hold: the three blocks that the guest writes in turn, each with the number of its writing. */
export interface Content {
  generation: number;
  /** The newest epoch with a write in it. */
  epoch: number;
  value: number;
  blocks: readonly [number, number, number];
  /** A copying is at work in it: parts are of one time, parts of another. */
  torn: boolean;
}

export const EMPTY: Content = { generation: 0, epoch: 0, value: 0, blocks: [0, -2, -1], torn: false };

/** The content after the guest wrote `from` + 1 to `value`. */
function written(before: Content, change: Extract<Change, { kind: "epoch" }>): Content {
  const { generation, epoch, value, from } = change;
  const blocks: [number, number, number] = [...before.blocks];
  for (let one = Math.max(from, value - 3) + 1; one <= value; one++) blocks[one % 3] = one;
  return { generation, epoch, value, blocks, torn: before.torn };
}

/** True when all blocks are of the same moment. */
export function whole(content: Content): boolean {
  const { value, blocks, torn } = content;
  for (let back = 0; back < 3; back++) {
    const at = value - back;
    if (blocks[((at % 3) + 3) % 3] !== at) return false;
  }
  return !torn;
}

/** One record of the journal: what one epoch wrote, or a whole new content (a copying). */
type Change =
  | { kind: "epoch"; generation: number; epoch: number; value: number; from: number }
  | { kind: "replace"; content: Content };

function apply(content: Content, change: Change): Content {
  return change.kind === "replace" ? change.content : written(content, change);
}

/** A VM's disks with their journal on one host. */
export class SimDisk {
  #cached: Content = EMPTY;
  #stable: Content = EMPTY;
  #unsynced: Change[] = [];

  get content(): Content {
    return this.#cached;
  }

  get stable(): Content {
    return this.#stable;
  }

  get clean(): boolean {
    return this.#unsynced.length === 0;
  }

  /** The guest's writes of an epoch, up to `value`. */
  write(to: { generation: number; epoch: number; value: number }): void {
    this.#append({ kind: "epoch", ...to, from: this.#cached.value });
  }

  /** All of it is written anew. */
  replace(content: Content): void {
    this.#append({ kind: "replace", content });
  }

  #append(change: Change): void {
    this.#cached = apply(this.#cached, change);
    this.#unsynced.push(change);
  }

  /** Number of the changes that a sync that begins now will cover. */
  get pending(): number {
    return this.#unsynced.length;
  }

  /** The `count` oldest changes are on stable storage. */
  synced(count: number): void {
    for (const change of this.#unsynced.splice(0, count)) this.#stable = apply(this.#stable, change);
  }

  /** Of the changes that were not synced any may be there; recovery takes them up to the first that is missing. */
  powerLost(chance: Chance, inOrder: boolean): void {
    for (const change of this.#unsynced) {
      const there = chance.chance(0.6);
      if (!there && inOrder) break;
      if (there) this.#stable = apply(this.#stable, change);
    }
    this.#unsynced = [];
    this.#cached = this.#stable;
  }
}
