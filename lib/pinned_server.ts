/** TLS 1.3 on TCP where both ends are known by the hash of their certificates, with no authority in between. That the other end HAS the key
 * of the certificate that it shows is proved by the handshake; `rejectUnauthorized: false` only leaves out who signed it, which is itself.
 * Who may stay is decided by who uses this; until then a connection is one of a bounded number of strangers. A leaf. */

import { type AddressInfo, createServer as createNetServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type Server as TlsServer, type TLSSocket } from "node:tls";
import { ADMISSION, Admission, type AdmissionLimits } from "./admission.ts";

/** PEM. */
export interface Credentials {
  key: string;
  certificate: string;
}

/** A connection whose TLS stands. */
export interface Visitor {
  socket: TLSSocket;
  /** DER; undefined: it has shown none. */
  certificate: Uint8Array | undefined;
  address: string;
  /** It is known who it is: from now on whoever uses this server bounds it. */
  proven(): void;
}

/** What a server is made of. */
export interface PinnedServerOptions {
  credentials: Credentials;
  limits?: Partial<AdmissionLimits> | undefined;
  /** Takes the visitor, and ends its socket some time. */
  visited(visitor: Visitor): void;
  /** The listening socket failed. */
  failed(error: Error): void;
}

export class PinnedServer implements AsyncDisposable {
  readonly #options: PinnedServerOptions;
  readonly #net: Server;
  #tls: TlsServer;
  #port = 0;
  readonly #admission: Admission;
  /** The raw socket of each connection, by its remote end: TLS sockets do not tell theirs. */
  readonly #raw = new Map<string, Socket>();

  constructor(options: PinnedServerOptions) {
    this.#options = options;
    this.#admission = new Admission({ ...ADMISSION, ...options.limits }, () => performance.now());
    this.#tls = this.#secure(options.credentials);
    this.#net = createNetServer((socket) => this.#connected(socket));
  }

  /** Listens. Rejects with the system's error when it cannot. */
  async listen(at: { host: string; port: number }): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#net.once("error", reject);
      this.#net.listen(at, () => {
        this.#net.off("error", reject);
        resolve();
      });
    });
    this.#port = (this.#net.address() as AddressInfo).port;
    this.#net.on("error", (error) => this.#options.failed(error));
  }

  /** The port that it listens on; 0 before it does. */
  get port(): number {
    return this.#port;
  }

  /** Connections whose other end is not known yet. */
  get unproven(): number {
    return this.#admission.unproven;
  }

  /** What is shown to connections from now on. */
  use(credentials: Credentials): void {
    this.#tls = this.#secure(credentials);
  }

  /** Ends it, and all of its connections. */
  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#net.close(() => resolve()));
    for (const socket of this.#raw.values()) socket.destroy();
    await closed;
  }

  #secure({ key, certificate }: Credentials): TlsServer {
    const tls = createTlsServer({
      key,
      cert: certificate,
      requestCert: true,
      rejectUnauthorized: false,
      minVersion: "TLSv1.3",
    }, (socket) => this.#secured(socket));
    tls.on("tlsClientError", (_error, socket) => socket.destroy());
    return tls;
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
    const raw = this.#raw.get(`${socket.remoteAddress} ${socket.remotePort}`);
    this.#options.visited({
      socket,
      certificate: socket.getPeerCertificate()?.raw,
      address: (socket.remoteAddress ?? "?").replace(/^::ffff:/, ""),
      proven: () => raw !== undefined && this.#admission.leave(raw),
    });
  }
}
