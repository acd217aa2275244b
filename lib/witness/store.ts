/** The witness's memory: the newest grant of each group, in one file each. A grant is on stable storage, file and name, before it is
 * answered. A file is only ever replaced as a whole, so a witness that is killed or loses power at any point finds the grant before or
 * the one that it was writing, and nothing older. A file that is damaged is never guessed at: its group is refused until a person has
 * looked. No clock decides anything here; the time in the file is for people. */

import { Buffer } from "node:buffer";
import { crc32 } from "node:zlib";
import { EdgeError } from "../errors.ts";
import {
  decideGrant,
  type GrantAnswer,
  type GrantRecord,
  type GrantRequest,
  NO_GRANT,
  TERM_MAX,
} from "../group/grant.ts";
import { type Disk, parentOf, replaceDurably } from "./disk.ts";

/** One VM of one pair. Both names are checked by whoever takes them from outside (members.ts). */
export interface GroupName {
  pair: string;
  vm: string;
}

/** A group as it is shown to people. `since`: when this was granted, by the witness's clock. */
export interface GroupView extends GroupName, GrantRecord {
  since: string | null;
  /** Why this group is refused; null: it is not. */
  problem: string | null;
}

interface Kept {
  record: GrantRecord;
  since: string | null;
}

const FORMAT = 1;
/** VMs that one pair may have. */
const GROUPS_MAX = 256;

/** Where a group's grant is. */
export function grantFile(directory: string, { pair, vm }: GroupName): string {
  return `${directory}/groups/${pair}/${vm}.grant`;
}

/** A grant as its file holds it: a line of JSON, and a line with its checksum. */
export function encodeGrant(name: GroupName, kept: Kept): Uint8Array {
  const { pair, vm } = name;
  const line = `${JSON.stringify({ format: FORMAT, pair, vm, ...kept.record, since: kept.since })}\n`;
  return Buffer.from(`${line}crc32 ${crc32(line).toString(16).padStart(8, "0")}\n`);
}

/** Reads a grant's file; undefined when it is not exactly what encodeGrant wrote for this group. */
export function decodeGrant(name: GroupName, bytes: Uint8Array): Kept | undefined {
  const text = new TextDecoder().decode(bytes);
  const end = text.indexOf("\n") + 1;
  if (text.slice(end) !== `crc32 ${crc32(text.slice(0, end)).toString(16).padStart(8, "0")}\n`) {
    return undefined;
  }
  let value: Record<string, unknown>;
  try {
    value = JSON.parse(text.slice(0, end));
  } catch {
    return undefined;
  }
  const { format, pair, vm, term, holder, since } = value;
  const whole = format === FORMAT && pair === name.pair && vm === name.vm && isTerm(term) &&
    (holder === null || typeof holder === "string") && (since === null || typeof since === "string");
  return whole ? { record: { term, holder }, since } : undefined;
}

/** True of a number that can be a term. */
export function isTerm(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 && value <= TERM_MAX;
}

/** The sentence about a damaged file; the same words for the hosts and for whoever looks at the witness. */
function damaged(file: string): EdgeError {
  return new EdgeError(`the record of this VM's grants is damaged (${file})`, {
    op: "read what was granted",
    hint:
      "While both hosts are up and say that the VM is protected, remove this file on the witness: the hosts know their " +
      "terms. Look at the witness's disk.",
  });
}

function unwritable(path: string, cause: unknown): EdgeError {
  return new EdgeError("the witness cannot write down a grant", {
    op: `write ${path}`,
    hint: "Look at the witness's disk: is it full, or failing?",
    cause,
  });
}

function exhausted({ pair, vm }: GroupName): EdgeError {
  return new EdgeError(`the terms of ${pair}/${vm} have reached the greatest that there is`, {
    op: "grant a term",
    hint: "No pair gets there by itself: look at which host asked for such a term.",
  });
}

/** One group: its newest grant, and the line of questions about it. */
class Group {
  readonly #name: GroupName;
  readonly #options: StoreOptions;
  readonly #file: string;
  #kept: Kept | undefined;
  #line: Promise<unknown> = Promise.resolve();
  /** The last attempt to write failed: what the file holds is still the old grant, or this one. */
  #failed: EdgeError | null = null;

  constructor(name: GroupName, options: StoreOptions) {
    this.#name = name;
    this.#options = options;
    this.#file = grantFile(options.directory, name);
  }

  /** Runs after everything that was asked before. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#line.then(work);
    this.#line = result.catch(() => {});
    return result;
  }

  decide(request: GrantRequest, wanted: () => boolean): Promise<GrantAnswer | null> {
    return this.#inTurn(async () => {
      if (!wanted()) return null;
      const kept = await this.#read();
      const { record, answer } = decideGrant(kept.record, request);
      if (!isTerm(record.term)) throw exhausted(this.#name);
      if (record !== kept.record) await this.#write({ record, since: this.#options.now() });
      else if (this.#failed !== null) await this.#write(kept);
      return answer;
    });
  }

  /** Throws when a grant could not be made now, as far as can be told without making one. */
  check(): Promise<void> {
    return this.#inTurn(async () => {
      const kept = await this.#read();
      if (this.#failed !== null) await this.#write(kept);
    });
  }

  view(): Promise<GroupView> {
    return this.#inTurn(async () => {
      try {
        const { record, since } = await this.#read();
        return { ...this.#name, ...record, since, problem: this.#failed?.message ?? null };
      } catch (error) {
        if (!(error instanceof EdgeError)) throw error;
        return { ...this.#name, ...NO_GRANT, since: null, problem: error.message };
      }
    });
  }

  async #read(): Promise<Kept> {
    if (this.#kept !== undefined) return this.#kept;
    const bytes = await this.#options.disk.read(this.#file).catch((cause) => {
      throw new EdgeError(`${this.#file} cannot be read`, {
        op: "read what was granted",
        hint: "Look at the witness's disk and at whose file this is.",
        cause,
      });
    });
    const kept = bytes === null ? { record: NO_GRANT, since: null } : decodeGrant(this.#name, bytes);
    if (kept === undefined) throw damaged(this.#file);
    return this.#kept = kept;
  }

  async #write(kept: Kept): Promise<void> {
    const { disk } = this.#options;
    const directory = parentOf(this.#file);
    try {
      if (this.#kept?.record.term === 0) {
        await disk.makeDirectory(directory);
        await disk.syncDirectory(parentOf(directory));
      }
      await replaceDurably(disk, this.#file, encodeGrant(this.#name, kept));
      this.#kept = kept;
      this.#failed = null;
    } catch (cause) {
      throw this.#failed = unwritable(this.#file, cause);
    }
  }
}

/** What a store is made of. */
export interface StoreOptions {
  directory: string;
  disk: Disk;
  /** The time, for people. */
  now(): string;
}

/** All groups of a witness. */
export class GrantStore {
  readonly #options: StoreOptions;
  readonly #pairs = new Map<string, Map<string, Group>>();
  #failing: EdgeError | null = null;

  private constructor(options: StoreOptions) {
    this.#options = options;
  }

  /** Opens a witness's directory, which exists. */
  static async open(options: StoreOptions): Promise<GrantStore> {
    const { disk, directory } = options;
    const groups = `${directory}/groups`;
    await disk.makeDirectory(groups);
    await disk.syncDirectory(directory);
    const store = new GrantStore(options);
    for (const pair of await disk.list(groups)) {
      for (const file of await disk.list(`${groups}/${pair}`)) {
        const vm = /^(.*)\.grant$/.exec(file)?.[1];
        if (vm !== undefined) store.#add({ pair, vm });
      }
    }
    return store;
  }

  #add(name: GroupName): Group {
    const groups = this.#pairs.get(name.pair) ?? new Map<string, Group>();
    const group = new Group(name, this.#options);
    this.#pairs.set(name.pair, groups.set(name.vm, group));
    return group;
  }

  #group(name: GroupName): Group {
    const groups = this.#pairs.get(name.pair);
    const group = groups?.get(name.vm);
    if (group === undefined && (groups?.size ?? 0) >= GROUPS_MAX) {
      throw new EdgeError(`the pair ${name.pair} has ${GROUPS_MAX} VMs already`, {
        op: `find the grants of ${name.pair}/${name.vm}`,
        hint: "Remove the records of VMs that are no more, and start the witness again.",
      });
    }
    return group ?? this.#add(name);
  }

  /** Answers a question, durably; null when nobody wants the answer any more by the time that its turn comes. Throws EdgeError when
   * the group's record is damaged or cannot be written. */
  async decide(name: GroupName, request: GrantRequest, wanted = () => true): Promise<GrantAnswer | null> {
    return await this.#group(name).decide(request, wanted);
  }

  /** Throws EdgeError when this group cannot be served now, as far as is known without a grant. */
  async check(name: GroupName): Promise<void> {
    await this.#group(name).check();
    if (this.#failing !== null) throw this.#failing;
  }

  /** Looks whether the disk still takes what is written: called now and then, so that a full or failing disk is known before it is
   * needed. Returns what is wrong. */
  async probe(): Promise<EdgeError | null> {
    const { disk, directory } = this.#options;
    try {
      await replaceDurably(disk, `${directory}/probe`, new Uint8Array(64));
      this.#failing = null;
    } catch (cause) {
      this.#failing = unwritable(directory, cause);
    }
    return this.#failing;
  }

  /** All groups, by pair and VM. */
  async views(): Promise<GroupView[]> {
    const groups = [...this.#pairs.values()].flatMap((pair) => [...pair.values()]);
    const views = await Promise.all(groups.map((group) => group.view()));
    return views.sort((a, b) => `${a.pair}/${a.vm}` < `${b.pair}/${b.vm}` ? -1 : 1);
  }
}

/** Opens the store of a machine, whose clock people go by. */
export function openStore(directory: string, disk: Disk): Promise<GrantStore> {
  return GrantStore.open({ directory, disk, now: () => new Date().toISOString() });
}
