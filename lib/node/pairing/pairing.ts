/** The pair: how it comes to be, what is kept of it, how it changes, and how it ends. What is known of the other node lives here and in its
 * files; the channel (lib/node/peer) is told whom to accept. */

import type { EventCode } from "../../model/english.ts";
import type { Severity } from "../../model/sentence.ts";
import type { PairingView, PairSettings, PairView } from "../../model/node.ts";
import { type Explained, ProblemError } from "../../model/problem.ts";
import { explained } from "../../model/problem_english.ts";
import type { PeerChannel } from "../contracts.ts";
import type { Identity } from "../identity.ts";
import { offerOf } from "../peer/greeting.ts";
import { PEER_PORT, type Refusal, refusalSaid } from "../peer/messages.ts";
import { PeerNode } from "../peer/peer_node.ts";
import type { SessionPeer } from "../peer/session.ts";
import { readAddress } from "./address.ts";
import { Attempt } from "./attempt.ts";
import { interfacesSchema, propose, readGateway, readInterfaces } from "./interfaces.ts";
import { Paths } from "./paths.ts";
import { PairRecord } from "./record.ts";
import { Rotation } from "./rotate.ts";
import { checkReplace, keptOf, withKept } from "./replacing.ts";
import { interrupted, notPaired } from "./says.ts";
import { SettingsSync } from "./settings.ts";
import { PairStore } from "./store.ts";
import {
  type NodeInterface,
  type PairControl,
  PAIRING_LIMITS,
  type PairingLimits,
  type PairingOptions,
} from "./types.ts";

/** This node's addresses that the other one is told. */
const ADDRESSES_MAX = 16;
/** Stored here: the channel has this long to show that it is stored there too, before that is called interrupted, ms. */
const SETTLE_MS = 10_000;
/** How long the other node may take to agree to the end of the pair, ms. */
const REMOVE_MS = 3000;

/** Opens what this node knows of its pair, and the channel. Throws EdgeError: the port is taken, or a file is damaged. */
export async function openPairing(options: PairingOptions): Promise<PairControl> {
  return await Pairing.open(options);
}

class Pairing implements PairControl {
  readonly #options: PairingOptions;
  readonly #limits: PairingLimits;
  readonly #store: PairStore;
  readonly #listeners = new Set<() => void>();
  readonly #running = new Set<Promise<unknown>>();
  #identity: Identity;
  #node!: PeerNode;
  #attempt!: Attempt;
  #settings!: SettingsSync;
  #rotation!: Rotation;
  #paths: Paths | null = null;
  readonly #record: PairRecord;
  /** Until when a pair that is stored here is expected to be there too, by performance.now(). */
  #settling = 0;
  #settled: ReturnType<typeof setTimeout> | undefined;
  /** Paired, and refused by the other node. */
  #problem: { code: string } & Explained | null = null;

  private constructor(options: PairingOptions) {
    this.#options = options;
    this.#identity = options.identity;
    this.#limits = { ...PAIRING_LIMITS, ...options.limits };
    this.#store = new PairStore(options.places.data);
    this.#record = new PairRecord(this.#store);
  }

  static async open(options: PairingOptions): Promise<Pairing> {
    const pairing = new Pairing(options);
    await pairing.#start();
    return pairing;
  }

  async #start(): Promise<void> {
    const options = this.#options;
    const { version, listen, nodeName, now, places } = options;
    const { heartbeatMs, silentMs, retryMs, startingMs, admission } = this.#limits;
    const addresses = () => this.#interfaces().map(({ address }) => address).slice(0, ADDRESSES_MAX);
    const told = (why: string) =>
      this.#event("pair.attempt_refused", { severity: "warning", params: { why } });
    this.#node = await PeerNode.start({
      ...{ identity: this.#identity, version, listen, nodeName, now },
      ...{ heartbeatMs, silentMs, retryMs, startingMs, admission },
      addresses,
      events: {
        pairing: (visitor) => this.#attempt.visited(visitor),
        isPairingWith: (id) => this.#attempt.comparingWith === id,
        met: (peer) => this.#met(peer),
        refused: (refusal) => this.#refused(refusal),
        stranger: ({ address }) => this.#event("pair.stranger", { severity: "warning", params: { address } }),
        reached: (reachable, why) => this.#reached(reachable, why),
      },
    });
    const channel = this.#node;
    this.#attempt = new Attempt({
      identity: () => this.#identity,
      offer: offerOf(version),
      introduction: () => ({ name: nodeName(), port: this.port, addresses: addresses() }),
      limits: this.#limits,
      now,
      addresses: () => addresses().map((host) => this.port === PEER_PORT ? host : `${host}:${this.port}`),
      changed: () => this.#changed(),
      refused: told,
      store: (pair) => this.#record.create({ ...pair, at: now() }),
      begin: () => this.#begin(),
    });
    this.#settings = new SettingsSync({
      store: this.#store,
      channel,
      interfaces: () => this.#interfaces(),
      bridge: (name) => this.#interfaces().some((card) => card.name === name && card.bridge),
      id: () => this.id,
      unfit: (settings) => options.unfit?.(settings, { all: this.#store.kept() !== null }) ?? null,
      changed: (byOther) => {
        this.#store.replaced();
        if (byOther) this.#event("pair.configured", { severity: "info", params: {} });
        this.#know();
      },
    });
    this.#rotation = new Rotation({
      directory: `${places.data}/identity`,
      channel,
      identity: () => this.#identity,
      use: (identity) => {
        this.#identity = identity;
        this.#node.use(identity);
        this.#changed();
      },
      expect: (id) => this.#record.expect(id) && this.#know(),
    });
    const shared = () => ({ interfaces: this.#interfaces(), kept: this.#store.kept() });
    channel.answer("pair.interfaces", () => Promise.resolve(shared()));
    channel.answer("pair.remove", () => Promise.resolve(this.#toldToRemove()));
    this.#know();
  }

  get channel(): PeerChannel {
    return this.#node;
  }

  get id(): string {
    return this.#identity.id;
  }

  get port(): number {
    return this.#node.port;
  }

  view(): PairView {
    const [settings, paths] = [this.settings(), this.#paths?.views() ?? []];
    return { pairing: this.#pairing(), settings, paths, arbiter: null, problem: this.#problem };
  }

  settings(): PairSettings | null {
    return this.#record.paired ? this.#settings.settings : null;
  }

  keyFile(): string | null {
    return this.#record.paired ? this.#store.keyFile : null;
  }

  keyId(): string | null {
    return this.#store.keyId();
  }

  clockOffsetMs(): number | null {
    return this.#node.reachable ? this.#node.clockOffsetMs : null;
  }

  peerVersion(): string | null {
    return this.#node.session?.version ?? null;
  }

  onChange(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  async invite(): Promise<PairView> {
    this.#unpaired();
    this.#attempt.invite();
    return await Promise.resolve(this.view());
  }

  async join({ address, code }: { address: string; code: string }): Promise<PairView> {
    this.#unpaired();
    await this.#attempt.join({ ...readAddress(address), code });
    return this.view();
  }

  async confirm(): Promise<PairView> {
    await this.#attempt.confirm();
    return this.view();
  }

  async cancel(): Promise<PairView> {
    this.#attempt.cancel();
    if (this.#record.pending) this.#forget();
    return await Promise.resolve(this.view());
  }

  async remove(actor: string): Promise<PairView> {
    const name = this.#removable();
    if (this.#node.reachable) {
      // A node that refuses has a reason; one that does not answer is dissolved from here, and told when it comes back.
      await this.#node.call("pair.remove", {}, { timeout_ms: REMOVE_MS }).catch((error) => {
        if (!(error instanceof ProblemError) || error.code !== "peer_unreachable") throw error;
      });
    }
    this.#forget(null);
    this.#event("pair.removed", { severity: "info", params: { node: name }, actor });
    return this.view();
  }

  async replace(actor: string): Promise<PairView> {
    const { pair } = this.#record;
    if (pair === null) throw notPaired();
    checkReplace({ reachable: this.#node.reachable, why: this.#options.mayReplace?.() ?? null });
    this.#forget(keptOf(this.settings()));
    this.#event("pair.replaced", { severity: "warning", params: { node: pair.peer.name }, actor });
    return await Promise.resolve(this.view());
  }

  async configure(settings: PairSettings, actor: string): Promise<PairView> {
    if (!this.#record.paired) throw notPaired();
    await this.#settings.configure(settings);
    this.#event("pair.configured", { severity: "info", params: {}, actor });
    return this.view();
  }

  async suggest(): Promise<{ interfaces: NodeInterface[]; proposals: PairSettings | null }> {
    const interfaces = this.#interfaces();
    if (!this.#record.paired || !this.#node.reachable) return { interfaces, proposals: null };
    const { data } = interfacesSchema.safeParse(await this.#node.call("pair.interfaces", {}));
    const proposals = propose(interfaces, { theirs: data?.interfaces ?? [], gateway: readGateway });
    return { interfaces, proposals: withKept(proposals, this.#store.kept() ?? data?.kept) };
  }

  async rotate(actor: string): Promise<PairView> {
    await this.#rotation.rotate();
    const params = { keys: `this node's identity is now ${this.id}` };
    this.#event("config.changed", { severity: "info", params, actor });
    return this.view();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#settled);
    this.#paths?.[Symbol.dispose]();
    await this.#attempt[Symbol.asyncDispose]();
    await this.#node[Symbol.asyncDispose]();
    await Promise.allSettled(this.#running);
  }

  #pairing(): PairingView {
    const { pair, pending } = this.#record;
    const attempt = this.#attempt.view();
    if (pair === null || (pending && attempt !== null)) return attempt ?? { step: "none" };
    const { name, id } = pair.peer;
    if (!pending) return { step: "paired", peer_name: name, peer_id: id, since: pair.paired_at };
    if (performance.now() < this.#settling) return { step: "joining", address: name };
    return interrupted(name);
  }

  #unpaired(): void {
    if (!this.#record.paired) return;
    throw new ProblemError(
      "conflict",
      explained("pair.paired", { node: this.#record.pair?.peer.name ?? "" }),
    );
  }

  /** The other node's name, if the pair may be dissolved. Throws ProblemError. */
  #removable(): string {
    if (this.#record.pair === null) throw notPaired();
    const names = this.#options.mayRemove();
    if (names === null) return this.#record.pair.peer.name;
    throw new ProblemError("refused", explained("pair.in_use", { names }));
  }

  #interfaces(): NodeInterface[] {
    return (this.#options.interfaces ?? readInterfaces)();
  }

  /** It is stored here, and most likely there. */
  #begin(): void {
    this.#settling = performance.now() + SETTLE_MS;
    this.#settled = setTimeout(() => this.#changed(), SETTLE_MS + 1);
    this.#know();
  }

  /** Tells the channel whom to accept, and where to look. */
  #know(): void {
    const hosts = this.#interfaces().map(({ address }) => address);
    this.#node.know(this.#record.known(this.settings(), { hosts, port: this.port }));
    const { key } = this.#record;
    if (key === null) {
      this.#paths?.[Symbol.dispose]();
      this.#paths = null;
    } else {
      this.#paths ??= this.#newPaths(key);
      this.#paths.set(this.settings());
    }
    this.#changed();
  }

  #newPaths(key: Uint8Array): Paths {
    const { now, recorder } = this.#options;
    return new Paths({
      probes: {
        key,
        ids: { own: () => this.id, theirs: () => this.#record.ids },
        port: this.port,
        everyMs: this.#limits.heartbeatMs,
      },
      peerPort: () => this.#record.pair?.peer.port ?? PEER_PORT,
      reachable: () => this.#node.reachable,
      interfaces: () => this.#interfaces(),
      now,
      recorder,
      changed: () => this.#changed(),
    });
  }

  #met(peer: SessionPeer): void {
    const { pending } = this.#record;
    this.#problem = null;
    clearTimeout(this.#settled);
    if (this.#record.met(peer)) this.#know();
    const node = this.#record.pair?.peer.name ?? "";
    if (pending) this.#event("pair.paired", { severity: "ok", params: { node } });
    this.#later(async () => {
      await this.#settings.reconcile();
      await this.#rotation.resume();
    });
  }

  #refused(refusal: Refusal): void {
    const { code } = refusal;
    if (this.#record.pair === null || !["not_paired", "version", "key"].includes(code)) return;
    if (code === "not_paired" && this.#record.pending) {
      this.#forget();
      return this.#attempt.fail({ code: "interrupted", ...explained("pair.not_kept") });
    }
    if (this.#problem?.code === code) return;
    this.#problem = { code, ...refusalSaid(refusal) };
    this.#changed();
  }

  #reached(reachable: boolean, why: string): void {
    const node = this.#record.pair?.peer.name;
    if (reachable && node !== undefined) {
      this.#event("node.peer_up", { severity: "ok", params: { node }, subject: "node" });
    } else if (node !== undefined) {
      this.#event("node.peer_lost", { severity: "critical", params: { node, why }, subject: "node" });
    }
    this.#changed();
  }

  #toldToRemove(): Record<string, never> {
    const node = this.#removable();
    // The answer leaves first: forgetting ends the connection.
    this.#later(async () => {
      await new Promise((resolve) => setTimeout(resolve, 0));
      this.#forget(null);
      this.#event("pair.removed", { severity: "info", params: { node } });
    });
    return {};
  }

  /** `kept`: VMs run on; also when an attempt to pair with the new node comes to nothing. */
  #forget(kept = this.#store.kept()): void {
    this.#record.forget(kept);
    this.#rotation.drop();
    this.#problem = null;
    this.#settling = 0;
    this.#settings.forget();
    this.#know();
  }

  #later(work: () => Promise<void>): void {
    const running: Promise<void> = work().catch(() => {}).finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  #event(
    code: EventCode,
    event: { severity: Severity; params: Record<string, string>; actor?: string; subject?: "node" | "pair" },
  ): void {
    const { severity, params, actor = null, subject = "pair" } = event;
    this.#options.recorder.event({ severity, subject, name: "", code, params, actor });
  }

  #changed(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}
