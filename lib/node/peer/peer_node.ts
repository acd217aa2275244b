/** This node's end of the channel to the other one: listens, dials, keeps one connection, and says whether the other node is there.
 *
 * Both nodes dial. The one with the smaller ID decides which connection is kept and says so on it (CHOSEN); the other one believes no
 * connection before that. A newer connection takes the place of the older one, which may be dead without having been missed; but of several
 * that were made at the same time the first one stays. */

import { explained } from "../../model/problem_english.ts";
import { EdgeError } from "../../errors.ts";
import type { Duplex } from "../../model/backend.ts";
import { PinnedServer, type Visitor } from "../../pinned_server.ts";
import type { PeerChannel } from "../contracts.ts";
import type { Identity } from "../identity.ts";
import { CALL_MS, type Handler, unreachable } from "./calls.ts";
import { ClockSamples } from "./clock.ts";
import { Dialler, openTls } from "./dialler.ts";
import {
  greet,
  type Greeter,
  idOf,
  type KnownPeer,
  MALFORMED,
  offerOf,
  Refused,
  type Target,
  welcome,
} from "./greeting.ts";
import { Link } from "./link.ts";
import {
  fromBody,
  type Introduction,
  type Offer,
  openingSchema,
  type Refusal,
  refusalText,
  TYPE,
} from "./messages.ts";
import { Presence } from "./presence.ts";
import { RetiredSessions } from "./retired.ts";
import { Session, type SessionContext, type SessionPeer } from "./session.ts";
import { Strangers } from "./strangers.ts";
import type { StreamHandler } from "./streams.ts";
import type { PeerNodeOptions } from "./types.ts";

/** A node that was turned away comes back this many times more rarely. */
const TURNED_AWAY = 10;
/** The other node says within this which connection it keeps, ms. */
const CHOICE_MS = 5000;

const STOPPING: Refusal = {
  code: "stopping",
  error: "the other node's service was stopped",
  hint: "Start it again.",
};

export class PeerNode implements PeerChannel, AsyncDisposable {
  readonly #options: PeerNodeOptions;
  readonly #server: PinnedServer;
  readonly #dialler: Dialler;
  readonly #context: SessionContext;
  readonly #handlers = new Map<string, Handler>();
  readonly #streams = new Map<string, StreamHandler>();
  readonly #listeners = new Set<() => void>();
  readonly #links = new Set<Link>();
  readonly #work = new Set<Promise<void>>();
  readonly #strangers = new Strangers(() => performance.now());
  #identity: Identity;
  #known: KnownPeer | null = null;
  #active: Session | null = null;
  readonly #retired = new RetiredSessions();
  readonly #presence: Presence;
  readonly #clock = new ClockSamples();
  #stopped = false;
  /** The other node was reached, and will not have this one: a person has to do something. */
  #turnedAway = false;

  private constructor(options: PeerNodeOptions) {
    this.#options = options;
    this.#identity = options.identity;
    this.#presence = new Presence(options.now, (reachable, why) => {
      options.events.reached(reachable, why);
      this.#changed();
    });
    const { heartbeatMs, silentMs, now } = options;
    const began = performance.now();
    const starting = () => performance.now() - began < options.startingMs;
    const [handlers, streams] = [this.#handlers, this.#streams];
    this.#context = { handlers, streams, starting, heartbeatMs, silentMs, now };
    this.#server = new PinnedServer({
      credentials: options.identity,
      limits: options.admission,
      visited: (visitor) => this.#run(this.#visited(visitor)),
      failed: (error) => this.#presence.why = error.message,
    });
    this.#dialler = new Dialler({
      targets: () => this.#known?.targets ?? [],
      wanted: () => this.#wanted(),
      attempt: (target, signal) => this.#dial(target, signal),
      retryMs: options.retryMs,
      refusedMs: () => this.#turnedAway ? TURNED_AWAY * options.retryMs : null,
      random: Math.random,
    });
  }

  /** Listens. Throws EdgeError when it cannot. */
  static async start(options: PeerNodeOptions): Promise<PeerNode> {
    const node = new PeerNode(options);
    const { host, port } = options.listen;
    try {
      await node.#server.listen(options.listen);
    } catch (cause) {
      await node.#dialler[Symbol.asyncDispose]();
      throw new EdgeError(`Cannot listen on ${host}:${port} for the other node`, {
        op: "open the channel to the other node",
        hint: "Is another iservft-edge running here, and is the address this machine's?",
        cause,
      });
    }
    return node;
  }

  get port(): number {
    return this.#server.port;
  }

  /** This node's ID now. */
  get id(): string {
    return this.#identity.id;
  }

  get peer(): { id: string; name: string } | null {
    if (this.#known === null || !this.#known.settled) return null;
    return { id: this.#known.ids[0]!, name: this.#known.name };
  }

  get reachable(): boolean {
    return this.#presence.reachable;
  }

  get since_ms(): number {
    return this.#presence.since;
  }

  /** Why it is not reachable. */
  get why(): string {
    return this.#presence.why;
  }

  get rtt_us(): number | null {
    return this.#clock.rtt_us;
  }

  /** The other node's clock minus this one's, ms; null: not known. */
  get clockOffsetMs(): number | null {
    return this.#clock.offset_ms;
  }

  /** Who is at the other end now; null: nobody. */
  get session(): SessionPeer | null {
    return this.#active?.peer ?? null;
  }

  /** Connections whose other end is not known yet. */
  get unproven(): number {
    return this.#server.unproven;
  }

  /** Takes another node for the other one, or the same one by other addresses; null: none. */
  know(known: KnownPeer | null): void {
    const before = this.#known;
    this.#known = known;
    this.#turnedAway = false;
    const active = this.#active;
    const stays = active !== null && known !== null && known.ids.includes(active.peer.id);
    if (!stays && active !== null) {
      this.#run(
        active.bye({ code: "removed", error: "the pair was dissolved", hint: "Pair the nodes anew." }),
      );
      this.#lost(active, { why: "the pair was dissolved", now: true });
    }
    this.#retired.endOthers(known?.ids ?? [], "the pair was dissolved");
    if (known === null || before?.ids[0] !== known.ids[0]) this.#clock.forget();
    if (before?.settled !== known?.settled || before?.name !== known?.name) this.#changed();
    this.#dialler.wake();
  }

  /** Shows another certificate from now on, and connects anew. */
  use(identity: Identity): void {
    this.#identity = identity;
    this.#server.use(identity);
    this.#active?.end("this node shows another certificate from now on");
    this.#dialler.wake();
  }

  async call(method: string, params: unknown, options: { timeout_ms?: number } = {}): Promise<unknown> {
    const ms = options.timeout_ms ?? CALL_MS;
    const session = await this.#session(ms);
    return await session.calls.call(method, { params, ms });
  }

  answer(method: string, handler: Handler): void {
    this.#handlers.set(method, handler);
  }

  async open(method: string, params: unknown): Promise<Duplex> {
    return await (await this.#session(CALL_MS)).streams.open(method, params);
  }

  answerStream(method: string, handler: StreamHandler): void {
    this.#streams.set(method, handler);
  }

  onChange(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** Ends it all; tells the other node. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    this.#presence.stop();
    await this.#active?.bye(STOPPING);
    for (const link of this.#links) link.end("this node's service was stopped");
    await this.#dialler[Symbol.asyncDispose]();
    await this.#server[Symbol.asyncDispose]();
    await Promise.allSettled(this.#work);
  }

  /** The session to use; within the grace after one broke it is waited for. */
  async #session(ms: number): Promise<Session> {
    if (this.#known === null) throw unreachable(explained("peer.unpaired"));
    if (this.#active === null) await this.#presence.settled(ms);
    if (this.#active !== null) return this.#active;
    throw unreachable(explained("peer.silent", { node: this.#known.name, why: this.#presence.why }));
  }

  #run(work: Promise<void>): void {
    const running = work.catch(() => {}).finally(() => this.#work.delete(running));
    this.#work.add(running);
  }

  #wanted(): boolean {
    if (this.#known === null || this.#stopped) return false;
    return this.#active === null || this.#active.silentForMs > this.#options.silentMs / 2;
  }

  #offer(): Offer {
    return offerOf(this.#options.version, this.#options.protocols);
  }

  #introduction(): Introduction {
    const { nodeName, addresses } = this.#options;
    return { name: nodeName(), port: this.port, addresses: addresses().slice(0, 16) };
  }

  #greeter(known: KnownPeer, { theirs, address }: { theirs: string; address: string }): Greeter {
    const ids = { own: this.#identity.id, theirs };
    return { ids, address, offer: this.#offer(), introduction: this.#introduction(), known };
  }

  #link(socket: Visitor["socket"]): Link {
    const link = new Link(socket);
    this.#links.add(link);
    link.ended.then(() => this.#links.delete(link));
    return link;
  }

  async #dial(target: Target, signal: AbortSignal): Promise<void> {
    const known = this.#known;
    if (known === null) return;
    let link: Link | null = null;
    let late: ReturnType<typeof setTimeout> | undefined;
    try {
      const socket = await openTls(target, { credentials: this.#identity, signal });
      link = this.#link(socket);
      if (!this.#wanted()) return link.end("another connection stands by now");
      late = setTimeout(() => link?.end("it did not say hello in time"), CHOICE_MS);
      const theirs = idOf(socket.getPeerCertificate()?.raw);
      if (!known.ids.includes(theirs)) {
        throw new Error(`what answers at ${target.host} is another machine: its ID is ${theirs}`);
      }
      const peer = await greet(link, this.#greeter(known, { theirs, address: target.host }));
      await this.#greeted(link, { peer, dialled: true });
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      link?.end(why);
      if (this.#active === null) this.#presence.why = why;
      if (error instanceof Refused) {
        this.#turnedAway = ["not_paired", "version", "key"].includes(error.refusal.code);
        this.#options.events.refused(error.refusal);
      }
    } finally {
      clearTimeout(late);
    }
  }

  async #visited(visitor: Visitor): Promise<void> {
    const { socket, certificate, address } = visitor;
    const theirs = idOf(certificate);
    const link = this.#link(socket);
    const frame = await link.next();
    if (frame === null) return;
    try {
      const opening = frame.type === TYPE.HELLO ? fromBody(openingSchema, frame.body) : undefined;
      if (opening === undefined || theirs === "") throw new Refused(MALFORMED);
      if (opening.kind === "pair") {
        return await this.#options.events.pairing({ link, body: frame.body, visitor, theirs });
      }
      const known = this.#known;
      if (known === null || !known.ids.includes(theirs)) {
        return await this.#stranger(link, { theirs, address });
      }
      const peer = welcome(link, { body: frame.body, greeter: this.#greeter(known, { theirs, address }) });
      visitor.proven();
      await this.#greeted(link, { peer, dialled: false });
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (this.#known?.ids.includes(theirs)) this.#options.events.refused(error.refusal);
      await link.bye(error.refusal, TYPE.REFUSED);
    }
  }

  async #stranger(link: Link, { theirs, address }: { theirs: string; address: string }): Promise<void> {
    if (this.#strangers.tells(theirs)) this.#options.events.stranger({ address, id: theirs });
    const busy = this.#options.events.isPairingWith(theirs);
    await link.bye(
      busy
        ? { code: "busy", ...refusalText(explained("pair.being_paired")) }
        : { code: "not_paired", ...refusalText(explained("pair.not_known_there")) },
      TYPE.REFUSED,
    );
  }

  /** Both have said hello. Resolves when it is kept, or is over. */
  async #greeted(link: Link, { peer, dialled }: { peer: SessionPeer; dialled: boolean }): Promise<void> {
    const decides = this.id < peer.id;
    const chosen = Promise.withResolvers<void>();
    const session: Session = new Session(link, {
      peer,
      dialled,
      context: this.#context,
      events: {
        chosen: () => {
          if (!decides && !session.over) this.#activate(session);
          chosen.resolve();
        },
        measured: (sample) => session === this.#active && this.#clock.add(sample),
        quiet: () => session === this.#active && this.#dialler.wake(),
      },
    });
    session.start();
    if (decides) return await this.#decide(session);
    const late = setTimeout(() => session.end("it did not say which connection it keeps"), CHOICE_MS);
    await Promise.race([chosen.promise, session.ended]);
    clearTimeout(late);
  }

  async #decide(session: Session): Promise<void> {
    const active = this.#active;
    const { silentMs } = this.#options;
    const atOnce = active !== null && active.silentForMs < silentMs / 2 &&
      performance.now() - active.startedMs < silentMs;
    if (atOnce) {
      return await session.bye({
        code: "superseded",
        error: "another connection of the two nodes is kept",
        hint: "Nothing is to be done.",
      });
    }
    session.choose();
    this.#activate(session);
  }

  #activate(session: Session): void {
    if (this.#stopped || session.over || session === this.#active) return;
    const known = this.#known;
    if (known === null || !known.ids.includes(session.peer.id)) return session.end("the pair was dissolved");
    const older = this.#active;
    this.#active = session;
    this.#turnedAway = false;
    session.ended.then((why) => this.#lost(session, { why, now: session.refusal !== null }));
    if (older !== null) this.#retired.add(older);
    this.#options.events.met(session.peer);
    this.#presence.met();
  }

  /** The session is over. Unless the other node said so, another one may take its place before it is called unreachable. */
  #lost(session: Session, { why, now }: { why: string; now: boolean }): void {
    if (session !== this.#active) return;
    this.#active = null;
    this.#presence.lost(why, now ? 0 : this.#options.silentMs - session.silentForMs);
    this.#dialler.wake();
  }

  #changed(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}
