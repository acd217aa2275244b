/** A TCP connection to the demo guest's service: one line out, one line back. */

import { EdgeError } from "../errors.ts";

/** Port of the demo guest's service. */
export const GUEST_PORT = 7777;
const LINE_BOUND = 4096;

/** Where the guest is, and how long it is waited for. */
export interface GuestAddress {
  hostname: string;
  port?: number;
  /** How long to try, and how long one attempt may take. */
  bound_ms: number;
}

/** What the guest says of its memory. */
export interface MemoryReport {
  digest: string;
  expected: string;
  ok: boolean;
  pages: number;
  counter: number;
}

/** What the guest read back from its disk. */
export interface DiskReport {
  digest: string;
  records: number;
  first: number;
  last: number;
  expected_last: number;
  contiguous: boolean;
  bytes: number;
  ok: boolean;
}

/** What the guest says of itself. */
export interface GuestStats {
  counter: number;
  connections: number;
  uptime_ms: number;
  pool_pages: number;
  disk: boolean;
  records: number;
}

/** One connection. Requests are strictly one after the other. */
export class GuestConnection implements Disposable {
  readonly #connection: Deno.TcpConn;
  readonly #input = new Uint8Array(LINE_BOUND);
  readonly #encoder = new TextEncoder();
  readonly #decoder = new TextDecoder();
  #have = 0;
  #closed = false;

  private constructor(connection: Deno.TcpConn) {
    this.#connection = connection;
  }

  /** Connects, trying again until the bound: the guest may still be booting. */
  static async open(address: GuestAddress): Promise<GuestConnection> {
    const { hostname, port = GUEST_PORT, bound_ms } = address;
    const end_ms = performance.now() + bound_ms;
    for (;;) {
      try {
        const left_ms = Math.max(1, end_ms - performance.now());
        const connection = await Deno.connect({ hostname, port, signal: AbortSignal.timeout(left_ms) });
        connection.setNoDelay(true);
        return new GuestConnection(connection);
      } catch (cause) {
        if (performance.now() >= end_ms) {
          throw new EdgeError(`${hostname}:${port} does not answer within ${bound_ms} ms`, {
            op: "connect to the guest",
            hint: "Check that the guest runs, and that its address is this one.",
            cause,
          });
        }
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
  }

  /** Sends a line and returns the line that comes back. A closed connection throws. */
  async ask(line: string | Uint8Array): Promise<string> {
    await this.#send(typeof line === "string" ? this.#encoder.encode(`${line}\n`) : line);
    return await this.line();
  }

  /** The next line that comes back: some answers are several. */
  async line(): Promise<string> {
    for (;;) {
      const end = this.#input.subarray(0, this.#have).indexOf(10);
      if (end >= 0) return this.#take(end);
      if (this.#have === LINE_BOUND) throw this.#broken("a reply has no end");
      const got = await this.#connection.read(this.#input.subarray(this.#have));
      if (got === null) throw this.#broken("it was closed by the guest");
      this.#have += got;
    }
  }

  /** Asks for something that is answered in JSON. */
  async report<T extends MemoryReport | DiskReport | GuestStats>(
    what: "memsum" | "disksum" | "stats",
  ): Promise<T> {
    const line = await this.ask(what);
    if (!line.startsWith("{")) throw this.#broken(`the guest answered ${what} with "${line}"`);
    return JSON.parse(line);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#connection.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #send(bytes: Uint8Array): Promise<void> {
    for (let sent = 0; sent < bytes.length;) sent += await this.#connection.write(bytes.subarray(sent));
  }

  #take(end: number): string {
    const line = this.#decoder.decode(this.#input.subarray(0, end));
    this.#input.copyWithin(0, end + 1, this.#have);
    this.#have -= end + 1;
    return line;
  }

  #broken(why: string): EdgeError {
    return new EdgeError(why, { op: "use the connection to the guest", hint: "See the guest's console." });
  }
}
