/** A disk in memory that loses power: at any of its steps, and then with any part of what was not synced. */

import { type Disk, parentOf } from "../../lib/witness/disk.ts";

interface Contents {
  /** What is there for those who read now. */
  now: Uint8Array;
  /** What survives; null: nothing was ever synced. */
  synced: Uint8Array | null;
}

/** A change of names that is not yet on stable storage. */
interface NameChange {
  directory: string;
  remove: string | null;
  add: string;
  contents: Contents | "directory";
}

type Names = Map<string, Contents | "directory">;

export class PowerLost extends Error {}

/** What a test leaves out on purpose. */
export interface Omissions {
  contents?: boolean;
  directory?: (path: string) => boolean;
}

export class PowerDisk implements Disk {
  readonly #names: Names;
  #durable: Names;
  #pending: NameChange[] = [];
  /** Steps until power is lost. */
  left = Infinity;
  steps = 0;
  omit: Omissions = {};

  constructor(names: Names = new Map([["/", "directory"], ["/data", "directory"]])) {
    this.#names = new Map(names);
    this.#durable = new Map(names);
  }

  #step(): void {
    this.steps++;
    if (this.left-- <= 0) throw new PowerLost("the power is gone");
  }

  #change(change: Omit<NameChange, "directory">): void {
    if (change.remove !== null) this.#names.delete(change.remove);
    this.#names.set(change.add, change.contents);
    this.#pending.push({ ...change, directory: parentOf(change.add) });
  }

  read(path: string): Promise<Uint8Array | null> {
    const found = this.#names.get(path);
    return Promise.resolve(found === undefined || found === "directory" ? null : found.now);
  }

  list(path: string): Promise<string[]> {
    const inside = [...this.#names.keys()].filter((name) => parentOf(name) === path && name !== path);
    return Promise.resolve(inside.map((name) => name.slice(path.length + 1)).sort());
  }

  // deno-lint-ignore require-await
  async writeSynced(path: string, bytes: Uint8Array): Promise<void> {
    this.#step();
    let file = this.#names.get(path);
    if (file === undefined || file === "directory") {
      file = { now: new Uint8Array(), synced: null };
      this.#change({ remove: null, add: path, contents: file });
    }
    file.now = new Uint8Array();
    this.#step();
    file.now = bytes.slice(0, bytes.length / 2);
    this.#step();
    file.now = bytes.slice();
    this.#step();
    if (!this.omit.contents) file.synced = file.now;
  }

  // deno-lint-ignore require-await
  async rename(from: string, to: string): Promise<void> {
    this.#step();
    const contents = this.#names.get(from);
    if (contents === undefined) throw new Error(`there is no ${from}`);
    this.#change({ remove: from, add: to, contents });
  }

  // deno-lint-ignore require-await
  async makeDirectory(path: string): Promise<void> {
    this.#step();
    if (!this.#names.has(path)) this.#change({ remove: null, add: path, contents: "directory" });
  }

  // deno-lint-ignore require-await
  async syncDirectory(path: string): Promise<void> {
    this.#step();
    if (this.omit.directory?.(path)) return;
    const synced = this.#pending.filter(({ directory }) => directory === path);
    this.#pending = this.#pending.filter(({ directory }) => directory !== path);
    this.#durable = applied(this.#durable, synced);
  }

  /** Every disk that may be found when the power is back. */
  *after(): Generator<PowerDisk> {
    for (let choice = 0; choice < 2 ** this.#pending.length; choice++) {
      const names = applied(this.#durable, this.#pending.filter((_, index) => (choice >> index & 1) === 1));
      for (const reached of [0, 0.5, 1]) yield new PowerDisk(found(names, reached));
    }
  }
}

function applied(names: Names, changes: readonly NameChange[]): Names {
  const result = new Map(names);
  for (const { remove, add, contents } of changes) {
    if (remove !== null) result.delete(remove);
    result.set(add, contents);
  }
  return result;
}

/** What is in files of which a part had reached the disk without a sync; what is in no directory is lost. */
function found(names: Names, reached: number): Names {
  const kept: Names = new Map();
  for (const [path, contents] of names) {
    let above = path;
    while (above !== "/" && names.get(parentOf(above)) === "directory") above = parentOf(above);
    if (above !== "/") continue;
    if (contents === "directory") kept.set(path, contents);
    else {
      const { now, synced } = contents;
      const bytes = now === synced || reached === 1
        ? now
        : reached === 0
        ? synced ?? new Uint8Array()
        : now.slice(0, now.length * reached);
      kept.set(path, { now: bytes, synced: bytes });
    }
  }
  return kept;
}
