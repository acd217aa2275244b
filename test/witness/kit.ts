/** A witness and its hosts for tests: in this process, or as a process of its own that can be killed. */

import type { Socket } from "node:net";
import { connect, type TLSSocket } from "node:tls";
import { boundedLines } from "../../ffi/events.ts";
import { makeCertifiedKey } from "../../lib/node/certificate.ts";
import { type Identity, openIdentity } from "../../lib/node/identity.ts";
import { nodeIdOf } from "../../lib/node_id.ts";
import type { AdmissionLimits } from "../../lib/admission.ts";
import { WitnessClient } from "../../lib/witness/client.ts";
import { type Disk, realDisk } from "../../lib/witness/disk.ts";
import { changePairs, Members, type Pair } from "../../lib/witness/members.ts";
import { WitnessServer } from "../../lib/witness/server.ts";
import { type GrantStore, openStore } from "../../lib/witness/store.ts";

export const HOST = "127.0.0.1";
/** Time after which a test's wait has failed, ms: far beyond what it takes. */
export const PATIENCE_MS = 20_000;

/** An identity that is nowhere on disk. */
export function newIdentity(): Identity {
  const { key, certificate, der } = makeCertifiedKey();
  return { id: nodeIdOf(der), key, certificate };
}

export async function setPairs(directory: string, pairs: Pair[]): Promise<void> {
  await changePairs(realDisk, { directory, change: () => pairs });
}

/** A promise that fails instead of waiting for ever. */
export function soon<T>(promise: Promise<T>, what: string): Promise<T> {
  let timer: ReturnType<typeof setTimeout>;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`it never came: ${what}`)), PATIENCE_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Waits until something is so. */
export async function until(what: string, so: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = performance.now() + PATIENCE_MS; !await so();) {
    if (performance.now() > end) throw new Error(`it never came to be: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** A witness in this process. */
export class InProcess implements AsyncDisposable {
  readonly events: Record<string, unknown>[] = [];

  private constructor(
    readonly directory: string,
    readonly identity: Identity,
    readonly store: GrantStore,
    readonly server: WitnessServer,
    events: Record<string, unknown>[],
  ) {
    this.events = events;
  }

  static async start(
    options: { pairs?: Pair[]; disk?: Disk; limits?: Partial<AdmissionLimits>; version?: string } = {},
  ): Promise<InProcess> {
    const directory = await Deno.makeTempDir({ prefix: "witness-" });
    const identity = openIdentity(directory);
    const store = await openStore(directory, options.disk ?? realDisk);
    await setPairs(directory, options.pairs ?? []);
    const events: Record<string, unknown>[] = [];
    const server = await WitnessServer.start({
      identity,
      store,
      members: new Members(realDisk, directory),
      version: options.version ?? "1.0.0",
      listen: { host: "0.0.0.0", port: 0 },
      ...(options.limits === undefined ? {} : { limits: options.limits }),
      report: (event) => events.push(event),
    });
    return new InProcess(directory, identity, store, server, events);
  }

  get port(): number {
    return this.server.port;
  }

  get id(): string {
    return this.identity.id;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]();
    await Deno.remove(this.directory, { recursive: true });
  }
}

/** A witness as a process of its own, by the program's own command or by another file. */
export class OwnProcess {
  readonly #child: Deno.ChildProcess;
  readonly #reading: Promise<void>;
  readonly events: Record<string, unknown>[] = [];
  port = 0;

  private constructor(child: Deno.ChildProcess) {
    this.#child = child;
    this.#reading = this.#read();
  }

  static async start(options: { data: string; port?: number; program?: string[] }): Promise<OwnProcess> {
    const { data, port = 0, program = [`${import.meta.dirname}/../../main.ts`, "witness", "serve"] } =
      options;
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--quiet", ...program, "--data", data, "--listen", `${HOST}:${port}`, "--json"],
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    const witness = new OwnProcess(child);
    await soon(
      Promise.race([
        until("the witness listens", () => witness.port !== 0),
        child.status.then(({ code }) => Promise.reject(new Error(`the witness ended with ${code}`))),
      ]),
      "the witness listens",
    ).catch(async (error) => {
      await witness.kill();
      throw error;
    });
    return witness;
  }

  async #read(): Promise<void> {
    for await (const text of boundedLines(this.#child.stdout, 1 << 16)) {
      const event = JSON.parse(text);
      this.events.push(event);
      if (event.event === "listening") this.port = Number(String(event.listen).split(":").at(-1));
    }
  }

  signal(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  /** Ends it as a power cut would, but for the disk. */
  async kill(signal: Deno.Signal = "SIGKILL"): Promise<Deno.CommandStatus> {
    try {
      this.#child.kill(signal);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // it has ended already
    }
    await this.#reading;
    return await this.#child.status;
  }
}

/** A host's client. */
export function clientOf(
  witness: { port: number; id: string },
  options: { identity: Identity; pair?: string; vm?: string; version?: string; answerMs?: number },
): WitnessClient {
  const { pair = "press", vm = "scada", version = "1.0.0", ...rest } = options;
  return new WitnessClient({ address: HOST, port: witness.port, id: witness.id, pair, vm, version, ...rest });
}

/** A connection that a test writes to by hand. */
export class Raw implements Disposable {
  readonly socket: TLSSocket;
  readonly #lines: AsyncGenerator<string>;
  readonly secured: Promise<void>;
  readonly closed: Promise<void>;

  constructor(
    witness: { port: number },
    options: { identity?: Identity | undefined; maxVersion?: "TLSv1.2"; socket?: Socket } = {},
  ) {
    const { identity, ...rest } = options;
    this.socket = connect({
      host: HOST,
      port: witness.port,
      rejectUnauthorized: false,
      ...(identity === undefined ? {} : { key: identity.key, cert: identity.certificate }),
      ...rest,
    });
    this.secured = new Promise((resolve, reject) => {
      this.socket.once("secureConnect", () => resolve());
      this.socket.once("error", reject);
    });
    this.secured.catch(() => {});
    this.closed = new Promise((resolve) => this.socket.once("close", () => resolve()));
    this.socket.on("error", () => {});
    this.#lines = boundedLines(this.socket, 1 << 16);
  }

  say(value: unknown): void {
    this.socket.write(typeof value === "string" ? value : `${JSON.stringify(value)}\n`);
  }

  /** The next line as it was said; null at the end. */
  async next(): Promise<Record<string, unknown> | null> {
    const { value, done } = await soon(this.#lines.next(), "a line").catch(() => ({ done: true, value: "" }));
    return done ? null : JSON.parse(value);
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}
