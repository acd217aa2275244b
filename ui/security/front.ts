/** What stands at the port: takes connections within bounds (connections.ts) and passes their bytes, TLS as it is, to Deno.serve, which
 * listens on loopback for this front alone: a connection that did not come through here is refused there.
 *
 * It does not end TLS itself: a TLS connection of Deno's that is closed before its handshake is done stays open. */

import { type ConnectionLimits, Connections, type Tracked } from "./connections.ts";

/** Where the server behind listens, and this front comes from. */
const BACKEND = "127.0.0.1";
const COPY_BYTES = 16_384;
const SWEEP_MS = 500;

/** A request's way back to its connection. */
export interface Through {
  address: string;
  /** Called when the answer was sent, or not. */
  ended(): void;
}

/** A listening port. */
export interface FrontDoor extends AsyncDisposable {
  readonly address: Deno.NetAddr;
}

/** What the front needs. */
export interface FrontOptions {
  /** Port of the server behind it. */
  backend(): number;
  limits: ConnectionLimits;
  nowMs(): number;
  log(message: string): void;
}

function closeQuietly(conn: Deno.Conn | null): void {
  try {
    conn?.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
}

export class Front implements AsyncDisposable {
  readonly #options: FrontOptions;
  readonly #connections: Connections;
  /** By the local port that the server behind sees. */
  readonly #through = new Map<number, Tracked>();
  readonly #open = new Set<{ done: Promise<void>; close(): void }>();
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(options: FrontOptions) {
    this.#options = options;
    this.#connections = new Connections(options.limits, options.nowMs);
    this.#timer = setInterval(() => this.#connections.sweep(), SWEEP_MS);
    Deno.unrefTimer(this.#timer);
  }

  /** Connections now. */
  get size(): number {
    return this.#connections.size;
  }

  /** Whose request this is that came to the server behind, from this end; null: not ours. The port alone would not tell: another user of
   * this machine may have the same one at 127.0.0.2. */
  through({ hostname, port }: { hostname: string; port: number }): Through | null {
    const tracked = hostname === BACKEND ? this.#through.get(port) : undefined;
    if (tracked === undefined) return null;
    tracked.began();
    let ended = false;
    return {
      address: tracked.address,
      ended() {
        if (!ended) tracked.ended();
        ended = true;
      },
    };
  }

  /** Listens. Throws what the system says. */
  listen(options: { hostname: string; port: number }): FrontDoor {
    const listener = Deno.listen(options);
    const accepting = this.#accept(listener);
    return {
      address: listener.addr,
      async [Symbol.asyncDispose]() {
        try {
          listener.close();
        } catch (error) {
          if (!(error instanceof Deno.errors.BadResource)) throw error;
        }
        await accepting;
      },
    };
  }

  async #accept(listener: Deno.TcpListener): Promise<void> {
    for (;;) {
      let conn: Deno.TcpConn;
      try {
        conn = await listener.accept();
      } catch (error) {
        if (error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted) return;
        // Out of descriptors, or a client that was gone at once: neither ends the listener.
        this.#options.log(`a connection could not be taken: ${(error as Error).message}`);
        await new Promise((resolve) => setTimeout(resolve, 50));
        continue;
      }
      this.#take(conn);
    }
  }

  #take(conn: Deno.TcpConn): void {
    const held: { backend: Deno.TcpConn | null; closed: boolean } = { backend: null, closed: false };
    const close = () => {
      held.closed = true;
      closeQuietly(conn);
      closeQuietly(held.backend);
    };
    const tracked = this.#connections.admit(conn.remoteAddr.hostname, close);
    if (tracked === null) return closeQuietly(conn);
    const entry = { close, done: Promise.resolve() };
    entry.done = this.#carry({ conn, held, tracked })
      .catch(() => {}) // the other end went away, or was sent away: nobody is left to be told
      .finally(() => {
        close();
        tracked.left();
        this.#open.delete(entry);
      });
    this.#open.add(entry);
  }

  async #carry(
    { conn, held, tracked }: {
      conn: Deno.TcpConn;
      held: { backend: Deno.TcpConn | null; closed: boolean };
      tracked: Tracked;
    },
  ): Promise<void> {
    const first = new Uint8Array(COPY_BYTES);
    const count = await conn.read(first);
    if (count === null) return;
    const backend = await Deno.connect({ hostname: BACKEND, port: this.#options.backend() });
    held.backend = backend;
    if (held.closed) return;
    const { port } = backend.localAddr;
    this.#through.set(port, tracked);
    try {
      await writeAll(backend, first.subarray(0, count));
      const up = copy(conn, { to: backend, moved: () => tracked.moved() })
        .then(() => backend.closeWrite());
      const down = copy(backend, {
        to: conn,
        moved: () => tracked.moved(),
        writing: (on) => tracked.writing(on),
      });
      // When the server is done, all is; a client that is done may still be waiting for its answer.
      await Promise.race([down, up.then(() => down)]);
      held.closed = true;
      closeQuietly(conn);
      await up.catch(() => {});
    } finally {
      this.#through.delete(port);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    const open = [...this.#open];
    for (const { close } of open) close();
    await Promise.all(open.map(({ done }) => done));
  }
}

async function writeAll(conn: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let sent = 0; sent < bytes.length;) sent += await conn.write(bytes.subarray(sent));
}

async function copy(
  from: Deno.Conn,
  options: { to: Deno.Conn; moved(): void; writing?(on: boolean): void },
): Promise<void> {
  const buffer = new Uint8Array(COPY_BYTES);
  for (;;) {
    const count = await from.read(buffer);
    if (count === null) return;
    options.moved();
    options.writing?.(true);
    await writeAll(options.to, buffer.subarray(0, count));
    options.writing?.(false);
    options.moved();
  }
}
