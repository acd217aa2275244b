/** Brings the settings of the VMs to the other node, and its own here: at each change, and when it is heard again. */

import { createHash } from "node:crypto";
import { ProblemError } from "../../model/problem.ts";
import { explained } from "../../model/problem_english.ts";
import type { SwitchoverView } from "../../model/vm.ts";
import type { PeerChannel } from "../contracts.ts";
import { merge } from "./merge.ts";
import {
  type SettingsIndex,
  settingsIndex,
  type SettingsOfOne,
  settingsOfOne,
  settingsQuestion,
  type Tombstone,
  TOMBSTONES_MAX,
  type VmRecord,
  VMS_MAX,
} from "./records.ts";
import { type KeptVm, mergeSwitchovers, type VmStore } from "./store.ts";

const INDEX = "vm.index";
const ONE = "vm.settings";
const ROUNDS = 4;
/** A failed attempt is made again. */
const RETRY_MS = 5000;

export interface SettingsSyncOptions {
  store: VmStore;
  peer: PeerChannel;
  /** This node's ID. */
  id: () => string;
  runsHere(name: string): boolean;
  /** The other node's settings count from now on; false: they are refused. */
  take(record: VmRecord): boolean;
  remove(stone: Tombstone): void;
  /** For the list of events: a warning about a VM. */
  warn(name: string, text: string): void;
  onChange(): void;
}

export class SettingsSync implements AsyncDisposable {
  readonly #options: SettingsSyncOptions;
  readonly #watch: Disposable;
  #running: Promise<void> | null = null;
  #again = false;
  #closed = false;
  #begun = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #clashes = new Set<string>();

  constructor(options: SettingsSyncOptions) {
    this.#options = options;
    const { peer } = options;
    peer.answer(INDEX, (params) => {
      this.#ready();
      this.#compare(settingsIndex.parse(params));
      return Promise.resolve(this.#index());
    });
    peer.answer(ONE, (params) => {
      this.#ready();
      const { name, mine } = settingsQuestion.parse(params);
      this.#merge(name, mine);
      return Promise.resolve(this.#one(name));
    });
    this.#watch = peer.onChange(() => this.changed());
  }

  /** Begins. Before, it is not known here what runs. */
  begin(): void {
    this.#begun = true;
    this.changed();
  }

  /** Something changed, here or with the other node. */
  changed(): void {
    if (this.#closed || !this.#begun) return;
    clearTimeout(this.#timer);
    if (this.#running !== null) {
      this.#again = true;
      return;
    }
    if (this.#options.peer.peer === null || !this.#options.peer.reachable) return;
    this.#running = this.#exchange().finally(() => {
      this.#running = null;
      if (this.#again) {
        this.#again = false;
        this.changed();
      }
    });
  }

  /** Brings what was changed to the other node; resolves when it has it, or cannot be told. */
  async share(): Promise<void> {
    this.changed();
    while (this.#running !== null) await this.#running;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#watch[Symbol.dispose]();
    clearTimeout(this.#timer);
    this.#again = false;
    await this.#running;
  }

  #ready(): void {
    if (this.#begun && !this.#closed) return;
    throw new ProblemError("peer_unreachable", explained("peer.beginning"));
  }

  async #exchange(): Promise<void> {
    try {
      // The last round finds nothing more to do, and both know then that they have the same.
      for (let round = 0; round < ROUNDS && !this.#closed; round++) {
        const { peer } = this.#options;
        const theirs = settingsIndex.parse(await peer.call(INDEX, this.#index()));
        const different = this.#compare(theirs);
        if (different.length === 0) return;
        for (const name of different) {
          const answer = await peer.call(ONE, { name, mine: this.#one(name) });
          if (!this.#closed) this.#merge(name, settingsOfOne.parse(answer));
        }
      }
    } catch {
      // It is not heard, or of another version: the views say that it does not have them.
      if (!this.#closed) this.#timer = setTimeout(() => this.changed(), RETRY_MS);
    }
  }

  #index(): SettingsIndex {
    const { store } = this.#options;
    return {
      vms: store.all().slice(0, VMS_MAX).map((kept) => ({ name: kept.record.name, digest: digestOf(kept) })),
      tombstones: store.tombstones().slice(-TOMBSTONES_MAX),
    };
  }

  /** The VMs of which the nodes have different settings, or only one has any. */
  #compare(theirs: SettingsIndex): string[] {
    const { store } = this.#options;
    const known = new Set(store.tombstones().map(({ uuid }) => uuid));
    for (const stone of theirs.tombstones) if (!known.has(stone.uuid)) this.#options.remove(stone);
    const digests = new Map(theirs.vms.map(({ name, digest }) => [name, digest]));
    for (const { record } of store.all()) if (!digests.has(record.name)) digests.set(record.name, "");
    return [...digests].filter(([name, digest]) => {
      const kept = store.get(name);
      if (kept === undefined || digestOf(kept) !== digest) return !this.#clashes.has(name);
      this.#same(name, kept.record.revision);
      return false;
    }).map(([name]) => name);
  }

  #one(name: string): SettingsOfOne {
    const kept = this.#options.store.get(name);
    if (kept === undefined) return null;
    const { record, local } = kept;
    return { record, runs_here: this.#options.runsHere(name), switchovers: local.switchovers };
  }

  #same(name: string, revision: number): void {
    const { store, onChange } = this.#options;
    const local = store.get(name)?.local;
    const peer_id = this.#options.peer.peer?.id ?? "";
    if (local?.peer_has === revision && local.peer_id === peer_id) return;
    store.note(name, { peer_has: revision, peer_id });
    onChange();
  }

  #merge(name: string, theirs: SettingsOfOne): void {
    const { store, peer, warn } = this.#options;
    // Else what is kept of the VM that it is of would be passed over: neither revisions nor another VM of its name would count.
    if (theirs !== null && theirs.record.name !== name) {
      throw new ProblemError("invalid", {
        detail: `The settings of ${name} are of ${theirs.record.name}`,
        hint: "Upgrade the older of the two nodes.",
      });
    }
    const kept = store.get(name);
    const own = this.#one(name);
    // What an earlier other node had says nothing of this one.
    const peer_has = kept?.local.peer_id === peer.peer?.id ? kept?.local.peer_has ?? 0 : 0;
    const merged = merge({
      mine: own === null ? [] : [{ ...own, peer_has }],
      myTombstones: store.tombstones(),
      theirs: theirs === null ? [] : [theirs],
      theirTombstones: [],
      me: this.#options.id(),
      other: peer.peer?.id ?? "",
    });
    for (const { won, revision } of merged.conflicts) {
      const who = won === "mine" ? "those of this node" : "those of the other node";
      warn(
        name,
        `Its settings were changed on both nodes while they were apart; ${who} count (revision ${revision}).`,
      );
    }
    for (const record of merged.take) this.#take(record);
    for (const { revision } of merged.same) this.#same(name, revision);
    if (merged.clashes.length > 0) this.#clash(name);
    else if (theirs !== null) this.#takeSwitchovers(name, theirs.switchovers);
    this.#options.onChange();
  }

  #take(record: VmRecord): void {
    const { store, take, warn } = this.#options;
    if (store.get(record.name) === undefined && store.all().length >= VMS_MAX) {
      return warn(record.name, `There are ${VMS_MAX} VMs here already: this one is on the other node alone.`);
    }
    if (!take(record)) return;
    // What was made of it here, if anything was, goes back.
    store.note(record.name, { peer_has: record.revision, peer_id: this.#options.peer.peer?.id ?? "" });
  }

  /** Two VMs of one name. It is said once, and looked at again when the service begins anew or one of them is deleted. */
  #clash(name: string): void {
    if (this.#clashes.has(name)) return;
    this.#clashes.add(name);
    this.#options.warn(
      name,
      "The other node has another VM of this name: delete one of the two, neither is replicated.",
    );
  }

  #takeSwitchovers(name: string, theirs: readonly SwitchoverView[]): void {
    const { store } = this.#options;
    const mine = store.get(name)?.local.switchovers ?? [];
    const all = mergeSwitchovers(mine, theirs);
    if (JSON.stringify(all) !== JSON.stringify(mine)) store.note(name, { switchovers: all });
  }
}

/** The same on both nodes when all that is replicated of a VM is. */
function digestOf({ record, local }: KeptVm): string {
  const { wanted, ...rest } = record;
  const all = [Object.entries(rest).sort(([a], [b]) => a < b ? -1 : 1), wanted.running, wanted.protected];
  const moves = local.switchovers.map(({ at, from, to }) => [at, from, to]);
  return createHash("sha256").update(JSON.stringify([all, moves])).digest("hex");
}
