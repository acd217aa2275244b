/** The witness's end of the network: TLS 1.3 only, both ends known by the hash of their certificates, no authority in between. That the
 * other end HAS the key of the certificate that it shows is proved by the TLS handshake; `rejectUnauthorized: false` only leaves out who
 * signed it, which is itself. */

import { type AddressInfo, createServer as createNetServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type Server as TlsServer, type TLSSocket } from "node:tls";
import { EdgeError } from "../errors.ts";
import type { Identity } from "../node/identity.ts";
import { ADMISSION, Admission, type AdmissionLimits } from "../admission.ts";
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
  readonly #net: Server;
  readonly #tls: TlsServer;
  readonly #admission: Admission;
  /** The raw socket of each connection, by its remote end: TLS sockets do not tell theirs. */
  readonly #raw = new Map<string, Socket>();
  readonly #sessions = new Map<string, { session: Session; connected: Connected }>();
  readonly #running = new Set<Promise<void>>();
  readonly #nowMs = () => performance.now();

  private constructor(options: ServerOptions) {
    this.#options = options;
    this.#admission = new Admission({ ...ADMISSION, ...options.limits }, this.#nowMs);
    const { key, certificate } = options.identity;
    this.#tls = createTlsServer({
      key,
      cert: certificate,
      requestCert: true,
      rejectUnauthorized: false,
      minVersion: "TLSv1.3",
    }, (socket) => this.#secured(socket));
    this.#tls.on("tlsClientError", (_error, socket) => socket.destroy());
    this.#net = createNetServer((socket) => this.#connected(socket));
  }

  /** Listens. Throws EdgeError when it cannot. */
  static async start(options: ServerOptions): Promise<WitnessServer> {
    const server = new WitnessServer(options);
    const { host, port } = options.listen;
    try {
      await new Promise<void>((resolve, reject) => {
        server.#net.once("error", reject);
        server.#net.listen({ host, port }, () => resolve());
      });
    } catch (cause) {
      throw new EdgeError(`Cannot listen on ${host}:${port}`, {
        op: "start the witness",
        hint: "Is the address this machine's, and the port free? Choose others with --listen ADDRESS:PORT.",
        cause,
      });
    }
    server.#net.on("error", (error) => options.report({ event: "problem", error: error.message, hint: "" }));
    return server;
  }

  /** The port that it listens on. */
  get port(): number {
    return (this.#net.address() as AddressInfo).port;
  }

  /** Connections whose other end is not known yet. */
  get unproven(): number {
    return this.#admission.unproven;
  }

  /** The members that are connected now. */
  get connected(): Connected[] {
    return [...this.#sessions.values()].map(({ connected }) => connected);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#net.close(() => resolve()));
    for (const socket of this.#raw.values()) socket.destroy();
    await closed;
    await Promise.allSettled(this.#running);
  }

  #connected(socket: Socket): void {
    const { remoteAddress, remotePort } = socket;
    socket.on("error", () => {}); // its end follows
    if (remoteAddress === undefined) return void socket.destroy();
    if (!this.#admission.admit(socket, remoteAddress)) return;
    const end = `${remoteAddress} ${remotePort}`;
    this.#raw.set(end, socket);
    socket.once("close", () => {
      this.#admission.leave(socket);
      if (this.#raw.get(end) === socket) this.#raw.delete(end);
    });
    socket.setNoDelay(true);
    this.#tls.emit("connection", socket);
  }

  #secured(socket: TLSSocket): void {
    socket.on("error", () => {});
    const { store, members, version, report } = this.#options;
    const session = new Session(socket, {
      store,
      members,
      version,
      report,
      nowMs: this.#nowMs,
      idleMs: IDLE_MS,
    });
    const running = session.run((member) => this.#admitted(session, { member, socket }))
      .catch((error) => report({ event: "problem", ...session.member, error: String(error), hint: "" }))
      .finally(() => {
        this.#running.delete(running);
        this.#left(session);
      });
    this.#running.add(running);
  }

  /** A member is known: from now on it is bounded as a member. A newer connection of the same host for the same VM takes the place of
   * the older one, which may be dead without having been missed. */
  #admitted(session: Session, { member, socket }: { member: Member; socket: TLSSocket }): void {
    const raw = this.#raw.get(`${socket.remoteAddress} ${socket.remotePort}`);
    if (raw !== undefined) this.#admission.leave(raw);
    const key = keyOf(member);
    const older = this.#sessions.get(key);
    if (older === undefined && this.#sessions.size >= SESSIONS_MAX) {
      throw new Refused("busy", {
        error: `${SESSIONS_MAX} hosts are connected to the witness already`,
        hint: "Use another witness for some of the pairs.",
      });
    }
    const connected = { ...member, address: socket.remoteAddress ?? "?", sinceMs: this.#nowMs() };
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
