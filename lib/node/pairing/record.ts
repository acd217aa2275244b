/** What this node knows of the other one, in memory and on disk: the two change together. */

import { Buffer } from "node:buffer";
import type { PairSettings } from "../../model/node.ts";
import type { KnownPeer, Target } from "../peer/greeting.ts";
import type { SessionPeer } from "../peer/session.ts";
import type { Compared } from "./handshake.ts";
import type { KeptSettings } from "./replacing.ts";
import { keyId } from "./secrets.ts";
import type { PairStore, StoredPair } from "./store.ts";

/** Addresses of the other node that are remembered. */
const ADDRESSES_MAX = 17;

/** A name from outside, as it may be shown. */
function shownName(name: string): string {
  return name.replace(/[^A-Za-z0-9-]/g, "").replace(/^-+/, "").slice(0, 32) || "node";
}

function unique(addresses: readonly string[]): string[] {
  return [...new Set(addresses)].slice(0, ADDRESSES_MAX);
}

export class PairRecord {
  readonly #store: PairStore;
  #held: { pair: StoredPair; key: string } | null;

  /** Reads it. Throws EdgeError when it is damaged. */
  constructor(store: PairStore) {
    this.#store = store;
    this.#held = store.read();
  }

  /** The pair, pending or not; null: there is none. */
  get pair(): StoredPair | null {
    return this.#held?.pair ?? null;
  }

  get paired(): boolean {
    return this.#held?.pair.state === "paired";
  }

  get pending(): boolean {
    return this.#held?.pair.state === "pending";
  }

  /** The pair's secret. */
  get key(): Uint8Array | null {
    return this.#held === null ? null : Buffer.from(this.#held.key, "hex");
  }

  /** IDs that are the other node's. */
  get ids(): string[] {
    if (this.#held === null) return [];
    const { id, next_id } = this.#held.pair.peer;
    return next_id === null ? [id] : [id, next_id];
  }

  /** Both persons have confirmed. */
  create(
    { peer, key, address, at }: { peer: Compared["peer"]; key: string; address: string; at: number },
  ): void {
    const { name, port, addresses } = peer.introduction;
    const pair: StoredPair = {
      version: 1,
      state: "pending",
      peer: {
        id: peer.id,
        next_id: null,
        name: shownName(name),
        port,
        addresses: unique([address, ...addresses]),
      },
      key_id: keyId(key),
      paired_at: new Date(at).toISOString(),
    };
    this.#store.create(pair, key);
    this.#held = { pair, key };
  }

  /** The other node was met: it has stored the pair too, and this is what it is called and where it is. Whether something is new. */
  met({ id, introduction, address }: SessionPeer): boolean {
    const next = this.#held?.pair.peer.next_id ?? null;
    const { name, port, addresses } = introduction;
    return this.#update("paired", {
      id,
      next_id: id === next ? null : next,
      name: shownName(name),
      port,
      addresses: unique([address, ...addresses]),
    });
  }

  /** The other node will come with this ID. */
  expect(id: string): boolean {
    return this.#update(this.#held?.pair.state ?? "paired", { next_id: id });
  }

  /** `kept`: VMs run on. */
  forget(kept: KeptSettings | null): void {
    this.#store.remove(kept);
    this.#held = null;
  }

  /** For the channel. `own`: where this node listens itself, which machines with the same inner networks (containers) may share. */
  known(settings: PairSettings | null, own: { hosts: readonly string[]; port: number }): KnownPeer | null {
    const key = this.key;
    if (this.#held === null || key === null) return null;
    const { peer, state } = this.#held.pair;
    const paths = [settings?.link_a, settings?.link_b, settings?.lan].flatMap((path): Target[] =>
      path === null || path === undefined ? [] : [{ host: path.peer, port: peer.port, local: path.local }]
    );
    const isOwn = (host: string) => peer.port === own.port && own.hosts.includes(host);
    const others = peer.addresses.filter((host) => !paths.some((path) => path.host === host) && !isOwn(host));
    const targets = [...paths, ...others.map((host) => ({ host, port: peer.port }))];
    return { ids: this.ids, name: peer.name, key, targets, settled: state === "paired" };
  }

  #update(state: StoredPair["state"], peer: Partial<StoredPair["peer"]>): boolean {
    if (this.#held === null) return false;
    const pair = { ...this.#held.pair, state, peer: { ...this.#held.pair.peer, ...peer } };
    if (JSON.stringify(pair) === JSON.stringify(this.#held.pair)) return false;
    this.#store.update(pair);
    this.#held.pair = pair;
    return true;
  }
}
