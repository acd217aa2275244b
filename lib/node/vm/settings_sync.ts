/** Brings the settings of the VMs to the other node, and its own here: at each change, and when it is heard again. */

import type { PeerChannel } from "../contracts.ts";
import { merge } from "./merge.ts";
import {
  type SettingsMessage,
  settingsMessage,
  type Tombstone,
  TOMBSTONES_MAX,
  type VmRecord,
  VMS_MAX,
} from "./records.ts";
import { mergeSwitchovers, type VmStore } from "./store.ts";

const METHOD = "vm.settings";
/** A failed attempt is made again. */
const RETRY_MS = 5000;

export interface SettingsSyncOptions {
  store: VmStore;
  peer: PeerChannel;
  /** This node's ID. */
  id: () => string;
  runsHere(name: string): boolean;
  /** The other node's settings count from now on. */
  take(record: VmRecord): void;
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
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #clashes = new Set<string>();

  constructor(options: SettingsSyncOptions) {
    this.#options = options;
    const { peer } = options;
    peer.answer(METHOD, (params) => {
      this.#apply(settingsMessage.parse(params));
      return Promise.resolve(this.#message());
    });
    this.#watch = peer.onChange(() => this.changed());
    this.changed();
  }

  /** Something changed, here or with the other node. */
  changed(): void {
    if (this.#closed) return;
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

  async #exchange(): Promise<void> {
    try {
      const answer = await this.#options.peer.call(METHOD, this.#message());
      if (!this.#closed) this.#apply(settingsMessage.parse(answer));
    } catch {
      // It is not heard, or of another version: the views say that it does not have them.
      if (!this.#closed) this.#timer = setTimeout(() => this.changed(), RETRY_MS);
    }
  }

  #message(): SettingsMessage {
    const { store, runsHere } = this.#options;
    const vms = store.all().slice(0, VMS_MAX);
    return {
      vms: vms.map(({ record }) => ({ record, runs_here: runsHere(record.name) })),
      tombstones: store.tombstones().slice(-TOMBSTONES_MAX),
      switchovers: Object.fromEntries(vms.map(({ record, local }) => [record.uuid, local.switchovers])),
    };
  }

  #apply(message: SettingsMessage): void {
    const { store, peer, warn, runsHere } = this.#options;
    const all = store.all();
    const merged = merge({
      mine: all.map(({ record, local }) => ({
        record,
        runs_here: runsHere(record.name),
        peer_has: local.peer_has,
      })),
      myTombstones: store.tombstones(),
      theirs: message.vms,
      theirTombstones: message.tombstones,
      me: this.#options.id(),
      other: peer.peer?.id ?? "",
    });
    for (const stone of merged.remove) this.#options.remove(stone);
    for (const { name, won, revision } of merged.conflicts) {
      const who = won === "mine" ? "those of this node" : "those of the other node";
      warn(
        name,
        `Its settings were changed on both nodes while they were apart; ${who} count (revision ${revision}).`,
      );
    }
    for (const record of merged.take) {
      if (store.get(record.name) === undefined && store.all().length >= VMS_MAX) {
        warn(record.name, `There are ${VMS_MAX} VMs here already: this one is on the other node alone.`);
        continue;
      }
      this.#options.take(record);
      store.note(record.name, { peer_has: record.revision });
    }
    for (const { name, revision } of merged.same) {
      if (store.get(name)?.local.peer_has !== revision) store.note(name, { peer_has: revision });
    }
    this.#warnOfClashes(merged.clashes);
    this.#takeSwitchovers(message);
    this.#options.onChange();
  }

  #warnOfClashes(names: readonly string[]): void {
    for (const name of names) {
      if (this.#clashes.has(name)) continue;
      this.#options.warn(
        name,
        "The other node has another VM of this name: delete one of the two, neither is replicated.",
      );
    }
    this.#clashes.clear();
    for (const name of names) this.#clashes.add(name);
  }

  #takeSwitchovers(message: SettingsMessage): void {
    const { store } = this.#options;
    for (const { record, local } of store.all()) {
      const theirs = message.switchovers[record.uuid] ?? [];
      const all = mergeSwitchovers(local.switchovers, theirs);
      if (all.length !== local.switchovers.length) store.note(record.name, { switchovers: all });
    }
  }
}
