/** A way to another node over TLS that trusts one certificate and nothing else, by its fingerprint. Deno's fetch can be given authorities,
 * but not one certificate whatever name it has: so fetch talks to a unix socket in a private directory, and what passes goes over TLS. */

import { X509Certificate } from "node:crypto";
import { connect, type TLSSocket } from "node:tls";
import { EdgeError } from "../errors.ts";

/** Connections at once: a command has one or two. */
const MOST = 16;
const CONNECT_MS = 10_000;

/** "ab:cd…" or "ABCD…" as 64 small hex digits; null: it is neither. */
export function readFingerprint(text: string): string | null {
  const hex = text.replace(/^sha-?256[:= ]/i, "").replaceAll(/[:\s]/g, "").toLowerCase();
  return /^[0-9a-f]{64}$/.test(hex) ? hex : null;
}

/** Who answered is not who was meant: exit code 5, since going on would not be safe. */
export class StrangerError extends EdgeError {
  override readonly exitCode = 5;
}

/** Not reached: exit code 4. */
export class UnreachableError extends EdgeError {
  override readonly exitCode = 4;
}

function fingerprintOf(socket: TLSSocket): string | null {
  const raw = socket.getPeerCertificate()?.raw;
  return raw === undefined ? null : new X509Certificate(raw).fingerprint256.replaceAll(":", "").toLowerCase();
}

/** Connects, and looks at the certificate before a byte of ours is sent. */
function pinnedSocket(to: { host: string; port: number; fingerprint: string }): Promise<TLSSocket> {
  const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>();
  const socket = connect({
    host: to.host,
    port: to.port,
    minVersion: "TLSv1.3",
    // Not by an authority: by the fingerprint below.
    rejectUnauthorized: false,
    ALPNProtocols: ["http/1.1"],
  });
  const timer = setTimeout(
    () => socket.destroy(new Error(`no answer within ${CONNECT_MS / 1000} s`)),
    CONNECT_MS,
  );
  socket.once("error", (error: Error) => {
    clearTimeout(timer);
    reject(
      new UnreachableError(`${to.host}:${to.port} cannot be reached: ${error.message}`, {
        op: "connect",
        hint: "Check the address, and that serve runs there.",
      }),
    );
  });
  socket.once("secureConnect", () => {
    clearTimeout(timer);
    const seen = fingerprintOf(socket);
    if (seen === to.fingerprint) return resolve(socket);
    socket.destroy();
    reject(
      new StrangerError(
        `${to.host}:${to.port} has the certificate ${seen ?? "(none)"}, not ${to.fingerprint}`,
        {
          op: "connect",
          hint:
            "If the node's certificate was renewed, look at the new fingerprint on the node itself; else somebody is in between.",
        },
      ),
    );
  });
  return promise;
}

/** What fetch is given, until it is closed. */
export class PinnedWay {
  readonly path: string;
  readonly #directory: string;
  readonly #listener: Deno.UnixListener;
  readonly #open = new Set<{ close(): void }>();
  readonly #done: Promise<void>;
  /** Why a connection was refused, which fetch does not say. */
  problem: EdgeError | null = null;

  private constructor(directory: string, to: { host: string; port: number; fingerprint: string }) {
    this.#directory = directory;
    this.path = `${directory}/way.sock`;
    this.#listener = Deno.listen({ transport: "unix", path: this.path });
    this.#done = this.#serve(to);
  }

  /** Opens it; the first connection is made at once, so that a stranger is found before anything is asked. */
  static async open(to: { host: string; port: number; fingerprint: string }): Promise<PinnedWay> {
    (await pinnedSocket(to)).destroy();
    return new PinnedWay(await Deno.makeTempDir({ prefix: "iservft-" }), to);
  }

  async #serve(to: { host: string; port: number; fingerprint: string }): Promise<void> {
    for await (const connection of this.#listener) {
      if (this.#open.size >= MOST) connection.close();
      else this.#join(connection, to).catch(() => {});
    }
  }

  async #join(local: Deno.UnixConn, to: { host: string; port: number; fingerprint: string }): Promise<void> {
    let remote: TLSSocket;
    try {
      remote = await pinnedSocket(to);
    } catch (error) {
      if (error instanceof EdgeError) this.problem = error;
      local.close();
      return;
    }
    const end = {
      close: () => {
        if (!this.#open.delete(end)) return;
        remote.destroy();
        try {
          local.close();
        } catch {
          // It is closed already.
        }
      },
    };
    this.#open.add(end);
    remote.on("error", end.close).on("close", end.close);
    this.#pump(local, remote).finally(end.close);
    try {
      for await (const chunk of remote) await writeAll(local, chunk as Uint8Array);
    } finally {
      end.close();
    }
  }

  async #pump(local: Deno.UnixConn, remote: TLSSocket): Promise<void> {
    const buffer = new Uint8Array(65_536);
    for (;;) {
      const read = await local.read(buffer).catch(() => null);
      if (read === null) return;
      await new Promise<void>((resolve, reject) =>
        remote.write(buffer.slice(0, read), (error) => error ? reject(error) : resolve())
      );
    }
  }

  async close(): Promise<void> {
    this.#listener.close();
    for (const end of [...this.#open]) end.close();
    await this.#done.catch(() => {});
    await Deno.remove(this.#directory, { recursive: true });
  }
}

async function writeAll(connection: Deno.UnixConn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
}
