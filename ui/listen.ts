/** Where the web of a node listens: TLS always; on loopback only until there is an administrator, then at `listen` too, without a restart;
 * and on a unix socket for whoever administers the machine. */

import type { Hono } from "hono";
import type { Access } from "../lib/access/types.ts";
import { EdgeError } from "../lib/errors.ts";
import type { Env } from "./deps.ts";
import {
  type CertificateSource,
  certificateStamp,
  readCertificate,
  readCertificateAtStart,
  selfCertificate,
  type WebCertificate,
} from "./security/certificate.ts";
import { CONNECTION_LIMITS, type ConnectionLimits } from "./security/connections.ts";
import { Front, type FrontDoor } from "./security/front.ts";

/** Changed certificates, and addresses that were not there yet, are looked at this often. */
const LOOK_MS = 5000;

/** What listenWeb needs. */
export interface ListenOptions {
  app: Hono<Env>;
  access: Access;
  /** Once there is an administrator. `port` 0: any (tests). */
  listen: { hostname: string; port: number };
  certificates: CertificateSource;
  /** Its own API's unix socket; null: none. */
  socket: string | null;
  /** Told when the link for the first administrator is a new one, since the old one was an hour old. */
  onSetupUrl?: (url: string) => void;
  /** Only ever forwards: connections are let go by it. */
  nowMs(): number;
  log(message: string): void;
  limits?: ConnectionLimits;
}

/** The web, listening. */
export interface WebServer extends AsyncDisposable {
  /** "https://127.0.0.1:8443", ... where it listens now. */
  addresses(): string[];
  port(): number;
  /** The link that makes the first administrator; null: there is one. */
  setupUrl(): string | null;
  certificate(): WebCertificate;
  /** Looks at certificate and addresses at once (also done by itself every few seconds). */
  look(): Promise<void>;
  /** Connections now. */
  connections(): number;
}

/** A host's name in a URL. */
function inUrl(hostname: string): string {
  return hostname.includes(":") ? `[${hostname}]` : hostname;
}

/** Hosts to listen at: what `hostname` does not cover of loopback as well, so that the machine itself always gets in. */
export function wantedHosts(hostname: string, options: { administrator: boolean }): string[] {
  if (!options.administrator) return ["127.0.0.1", "::1"];
  if (hostname === "::") return ["::"];
  const others = hostname === "0.0.0.0" ? ["::1"] : ["127.0.0.1", "::1"];
  return [hostname, ...others.filter((host) => host !== hostname)];
}

/** A socket of a service that died is removed; one that answers is another service's. */
async function freeSocket(path: string): Promise<void> {
  try {
    (await Deno.connect({ transport: "unix", path })).close();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    if (!(error instanceof Deno.errors.ConnectionRefused)) throw error;
    Deno.removeSync(path);
    return;
  }
  throw new EdgeError(`${path} is in use`, {
    op: "listen",
    hint: "Another iservft-edge serve runs with this directory; stop it first.",
  });
}

class Web implements WebServer {
  readonly #options: ListenOptions;
  readonly #front: Front;
  /** The one of the certificate that is used now. */
  #server: Deno.HttpServer<Deno.NetAddr>;
  /** Those of certificates before, until their connections end. */
  readonly #retired = new Set<Promise<void>>();
  #socket: Deno.HttpServer | null = null;
  readonly #doors = new Map<string, FrontDoor>();
  #certificate: WebCertificate;
  #stamp: string;
  #port: number;
  #turn: Promise<void> = Promise.resolve();
  #timer: ReturnType<typeof setInterval>;
  #closed = false;
  #setupUrl: string | null = null;
  readonly #said = new Set<string>();
  readonly #listening: Disposable;

  constructor(options: ListenOptions) {
    const { nowMs, log } = options;
    this.#options = options;
    this.#port = options.listen.port;
    this.#stamp = certificateStamp(options.certificates);
    this.#certificate = readCertificateAtStart(options.certificates, log);
    try {
      this.#server = this.#serve(this.#certificate);
    } catch (error) {
      if (this.#certificate.kind === "self") throw error;
      log(`${(error as Error).message}: the certificate is of no use, and the node's own is used.`);
      this.#certificate = selfCertificate(options.certificates);
      this.#server = this.#serve(this.#certificate);
    }
    this.#front = new Front({
      backend: () => this.#server.addr.port,
      limits: options.limits ?? CONNECTION_LIMITS,
      nowMs,
      log,
    });
    this.#timer = setInterval(() => void this.look(), LOOK_MS);
    Deno.unrefTimer(this.#timer);
    this.#listening = options.access.setup.onDone(() => void this.look());
  }

  /** Answers what comes through the front. */
  #serve({ key, certificate: cert }: WebCertificate): Deno.HttpServer<Deno.NetAddr> {
    const server = Deno.serve({
      ...{ hostname: "127.0.0.1", port: 0, key, cert },
      onListen() {},
      onError: (error) => this.#failed(error),
    }, async (request, info) => {
      const through = this.#front.through(info.remoteAddr);
      if (through === null) return new Response("Not by this door.\n", { status: 421 });
      // HTTP/1 without a Host: Deno puts this server's own place there, which nobody asked for.
      if (!request.headers.has("host") && new URL(request.url).host === `localhost:${server.addr.port}`) {
        info.completed.then(through.ended, through.ended);
        return new Response("Which host?\n", { status: 400 });
      }
      let channel = false;
      try {
        const answer = await this.#options.app.fetch(request, {
          peer: { kind: "tcp", address: through.address },
        });
        channel = answer.status === 101;
        return answer;
      } finally {
        // A channel (WebSocket) is in use until its connection ends: it is not one that waits for its next request.
        if (!channel) info.completed.then(through.ended, through.ended);
      }
    });
    return server;
  }

  #failed(error: unknown): Response {
    this.#options.log(`a request failed: ${error instanceof Error ? error.message : String(error)}`);
    return new Response("It did not work.\n", { status: 500 });
  }

  async start(): Promise<void> {
    const { socket, app } = this.#options;
    if (socket !== null) {
      await freeSocket(socket);
      const before = Deno.umask(0o177);
      try {
        this.#socket = Deno.serve(
          { path: socket, onListen() {}, onError: (error) => this.#failed(error) },
          (request) => app.fetch(request, { peer: { kind: "unix" } }),
        );
      } finally {
        Deno.umask(before);
      }
    }
    await this.#apply({ first: true });
  }

  look(): Promise<void> {
    this.#turn = this.#turn.then(() => this.#apply({ first: false })).catch((error) =>
      this.#once(String(error))
    );
    return this.#turn;
  }

  /** Says a thing once, until it is over. */
  #once(message: string): void {
    if (this.#said.has(message) || this.#said.size > 100) return;
    this.#said.add(message);
    this.#options.log(message);
  }

  async #apply({ first }: { first: boolean }): Promise<void> {
    if (this.#closed) return;
    const { listen, access } = this.#options;
    this.#renew();
    const wanted = wantedHosts(listen.hostname, { administrator: !access.setup.needed() });
    for (const [host, door] of this.#doors) {
      if (wanted.includes(host)) continue;
      // First, since the wide address and the narrow one cannot both be had.
      await door[Symbol.asyncDispose]();
      this.#doors.delete(host);
    }
    for (const host of wanted) {
      if (!this.#doors.has(host)) this.#openDoor(host, { must: first && host === wanted[0] });
    }
    this.#tellSetup();
  }

  #openDoor(hostname: string, options: { must: boolean }): void {
    try {
      const door = this.#front.listen({ hostname, port: this.#port });
      this.#port = door.address.port;
      this.#doors.set(hostname, door);
    } catch (cause) {
      const message = `${inUrl(hostname)}:${this.#port} cannot be listened at: ${(cause as Error).message}`;
      if (options.must) {
        throw new EdgeError(message, {
          op: "listen",
          hint: "See what else uses that address (ss -ltnp), or give another one by --listen.",
          cause,
        });
      }
      // A machine without IPv6 has no ::1.
      if (hostname !== "::1") this.#once(`${message}; it is tried again.`);
    }
  }

  #tellSetup(): void {
    const before = this.#setupUrl;
    const url = this.setupUrl();
    this.#setupUrl = url;
    if (before !== null && url !== null && url !== before) this.#options.onSetupUrl?.(url);
  }

  /** Takes up a certificate that was changed; one that is no good is said, and the last good one stays. */
  #renew(): void {
    const stamp = certificateStamp(this.#options.certificates);
    if (stamp === this.#stamp) return;
    this.#stamp = stamp;
    let found: WebCertificate;
    try {
      found = readCertificate(this.#options.certificates);
    } catch (error) {
      if (!(error instanceof EdgeError)) throw error;
      return this.#options.log(`${error.message}; the certificate stays as it is. ${error.hint}`);
    }
    if (found.fingerprint === this.#certificate.fingerprint) return;
    let server: Deno.HttpServer<Deno.NetAddr>;
    try {
      server = this.#serve(found);
    } catch (error) {
      return this.#options.log(
        `${(error as Error).message}: the new certificate is of no use, and the old one stays.`,
      );
    }
    this.#certificate = found;
    const retired = this.#server.shutdown().finally(() => this.#retired.delete(retired));
    this.#retired.add(retired);
    this.#server = server;
    this.#options.log(`the web's certificate is now ${found.fingerprint}`);
  }

  addresses(): string[] {
    return [...this.#doors.keys()].map((host) => `https://${inUrl(host)}:${this.#port}`);
  }

  port(): number {
    return this.#port;
  }

  setupUrl(): string | null {
    const token = this.#options.access.setup.token();
    return token === null ? null : `https://127.0.0.1:${this.#port}/setup?token=${token}`;
  }

  certificate(): WebCertificate {
    return this.#certificate;
  }

  connections(): number {
    return this.#front.size;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    this.#listening[Symbol.dispose]();
    await this.#turn;
    for (const door of this.#doors.values()) await door[Symbol.asyncDispose]();
    await this.#front[Symbol.asyncDispose]();
    await Promise.all([this.#server.shutdown(), this.#socket?.shutdown(), ...this.#retired]);
  }
}

/** Listens. Throws EdgeError when not even the first address, or the socket, can be had. */
export async function listenWeb(options: ListenOptions): Promise<WebServer> {
  const web = new Web(options);
  try {
    await web.start();
  } catch (error) {
    await web[Symbol.asyncDispose]();
    throw error;
  }
  return web;
}
