/** The witness's end of the network: who is connected, one connection per host and VM. */

import { EdgeError } from "../errors.ts";
import type { AdmissionLimits } from "../admission.ts";
import type { Identity } from "../node/identity.ts";
import { PinnedServer, type Visitor } from "../pinned_server.ts";
import type { Members } from "./members.ts";
import { type Member, Refused, Session } from "./session.ts";
import type { GrantStore } from "./store.ts";

/** Members connected at a time. */
const SESSIONS_MAX = 512;
/** A member that says nothing for this long is gone, ms: ten times the time in which it says something. */
const IDLE_MS = 10_000;

/** What a server is made of. */
export interface ServerOptions {
  identity: Identity;
  store: GrantStore;
  members: Members;
  /** This program's version, for the other end. */
  version: string;
  listen: { host: string; port: number };
  limits?: Partial<AdmissionLimits>;
  report(event: Record<string, unknown>): void;
}

/** A member that is connected. */
export interface Connected extends Member {
  address: string;
  /** Since when, by nowMs of this process. */
  sinceMs: number;
}

function keyOf({ pair, vm, node }: Member): string {
  return `${pair}/${vm}/${node}`;
}

export class WitnessServer implements AsyncDisposable {
  readonly #options: ServerOptions;
  readonly #server: PinnedServer;
  readonly #sessions = new Map<string, { session: Session; connected: Connected }>();
  readonly #running = new Set<Promise<void>>();
  readonly #nowMs = () => performance.now();

  private constructor(options: ServerOptions) {
    this.#options = options;
    this.#server = new PinnedServer({
      credentials: options.identity,
      limits: options.limits,
      visited: (visitor) => this.#visited(visitor),
      failed: (error) => options.report({ event: "problem", error: error.message, hint: "" }),
    });
  }

  /** Listens. Throws EdgeError when it cannot. */
  static async start(options: ServerOptions): Promise<WitnessServer> {
    const server = new WitnessServer(options);
    const { host, port } = options.listen;
    try {
      await server.#server.listen(options.listen);
    } catch (cause) {
      throw new EdgeError(`Cannot listen on ${host}:${port}`, {
        op: "start the witness",
        hint: "Is the address this machine's, and the port free? Choose others with --listen ADDRESS:PORT.",
        cause,
      });
    }
    return server;
  }

  /** The port that it listens on. */
  get port(): number {
    return this.#server.port;
  }

  /** Connections whose other end is not known yet. */
  get unproven(): number {
    return this.#server.unproven;
  }

  /** The members that are connected now. */
  get connected(): Connected[] {
    return [...this.#sessions.values()].map(({ connected }) => connected);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server[Symbol.asyncDispose]();
    await Promise.allSettled(this.#running);
  }

  #visited(visitor: Visitor): void {
    const { store, members, version, report } = this.#options;
    const session = new Session(visitor.socket, {
      store,
      members,
      version,
      report,
      nowMs: this.#nowMs,
      idleMs: IDLE_MS,
    });
    const running = session.run((member) => this.#admitted(session, { member, visitor }))
      .catch((error) => report({ event: "problem", ...session.member, error: String(error), hint: "" }))
      .finally(() => {
        this.#running.delete(running);
        this.#left(session);
      });
    this.#running.add(running);
  }

  /** A member is known: from now on it is bounded as a member. A newer connection of the same host for the same VM takes the place of
   * the older one, which may be dead without having been missed. */
  #admitted(session: Session, { member, visitor }: { member: Member; visitor: Visitor }): void {
    visitor.proven();
    const key = keyOf(member);
    const older = this.#sessions.get(key);
    if (older === undefined && this.#sessions.size >= SESSIONS_MAX) {
      throw new Refused("busy", {
        error: `${SESSIONS_MAX} hosts are connected to the witness already`,
        hint: "Use another witness for some of the pairs.",
      });
    }
    const connected = { ...member, address: visitor.address, sinceMs: this.#nowMs() };
    this.#sessions.delete(key);
    this.#sessions.set(key, { session, connected });
    older?.session.bye({
      code: "superseded",
      error: "another connection of this host for the same VM has taken this one's place",
      hint: "If this goes on, two programs use this host's identity: look for a copy of it.",
    });
    this.#options.report({ event: "connected", ...member, address: connected.address });
  }

  #left(session: Session): void {
    const { member } = session;
    if (member === null || this.#sessions.get(keyOf(member))?.session !== session) return;
    this.#sessions.delete(keyOf(member));
    this.#options.report({ event: "disconnected", ...member });
  }
}
