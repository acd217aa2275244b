/** Goes on trying to reach the other node, by each of its addresses, as long as that is wanted; more and more rarely, within a bound. */

import { connect as connectTcp } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import type { Credentials } from "../../pinned_server.ts";
import type { Target } from "./greeting.ts";

/** TCP and TLS, together, ms. */
const OPEN_MS = 2000;
const FIRST_RETRY_MS = 100;
/** An address that has not answered for so long is tried beside the next one, so that a dead line costs no more than this, ms. */
const STAGGER_MS = 250;

const PLAIN: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nothing listens there",
  EHOSTUNREACH: "no machine answers at this address",
  ENETUNREACH: "there is no way to this address",
  ECONNRESET: "it broke the connection off",
  ETIMEDOUT: "no answer",
  EADDRNOTAVAIL: "this node does not have the address that it should reach it from",
};

/** Opens a TLS connection. Who the other end is, its caller looks at. Rejects with a sentence for people. */
export async function openTls(
  target: Target,
  { credentials, signal }: { credentials: Credentials; signal: AbortSignal },
): Promise<TLSSocket> {
  const { host, port, local } = target;
  const raw = connectTcp({ host, port, ...(local === undefined ? {} : { localAddress: local }) });
  const failure = Promise.withResolvers<never>();
  failure.promise.catch(() => {});
  const fail = (why: string) => failure.reject(new Error(`${host}:${port}: ${why}`));
  const broken = (error: Error & { code?: string }) => fail(PLAIN[error.code ?? ""] ?? error.message);
  const closed = () => fail("it closed the connection");
  const late = setTimeout(() => fail(`no answer within ${OPEN_MS / 1000} s`), OPEN_MS);
  const aborted = () => fail("it is not wanted any more");
  if (signal.aborted) aborted();
  signal.addEventListener("abort", aborted);
  raw.on("error", broken);
  raw.once("close", closed);
  try {
    await Promise.race([
      new Promise<void>((resolve) => raw.once("connect", () => resolve())),
      failure.promise,
    ]);
    const { key, certificate } = credentials;
    const socket = connectTls({
      socket: raw,
      key,
      cert: certificate,
      rejectUnauthorized: false,
      minVersion: "TLSv1.3",
    });
    socket.on("error", broken);
    socket.once("close", closed);
    await Promise.race([
      new Promise<void>((resolve) => socket.once("secureConnect", () => resolve())),
      failure.promise,
    ]);
    return socket;
  } catch (error) {
    raw.destroy();
    throw error;
  } finally {
    clearTimeout(late);
    signal.removeEventListener("abort", aborted);
  }
}

/** What a dialler works with. */
export interface DiallerOptions {
  targets(): readonly Target[];
  /** Whether a connection is wanted now. */
  wanted(): boolean;
  /** Tries one; resolves when it stands or has failed. Never rejects. */
  attempt(target: Target, signal: AbortSignal): Promise<void>;
  /** The longest pause between two rounds, ms. */
  retryMs: number;
  /** The pause after a refusal that only a person can change, ms; null: there was none. */
  refusedMs(): number | null;
  random(): number;
}

export class Dialler implements AsyncDisposable {
  readonly #options: DiallerOptions;
  #running: Promise<void> = Promise.resolve();
  readonly #abort = new AbortController();
  #stopped = false;
  #awake: (() => void) | null = null;
  #woken = false;

  constructor(options: DiallerOptions) {
    this.#options = options;
    this.#running = this.#run();
  }

  /** Looks again, at once, whether a connection is wanted. */
  wake(): void {
    this.#woken = true;
    this.#awake?.();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    this.#abort.abort();
    this.wake();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { targets, wanted, attempt, retryMs, refusedMs, random } = this.#options;
    let pause = FIRST_RETRY_MS;
    while (!this.#stopped) {
      if (!wanted()) {
        pause = FIRST_RETRY_MS;
        await this.#sleep(null);
        continue;
      }
      this.#woken = false;
      const attempts: Promise<void>[] = [];
      for (const target of targets()) {
        if (this.#stopped || !wanted()) break;
        attempts.push(attempt(target, this.#abort.signal));
        await this.#sleep(STAGGER_MS, attempts.at(-1));
      }
      await Promise.all(attempts);
      if (this.#stopped || !wanted()) continue;
      await this.#sleep((refusedMs() ?? pause) * (0.75 + random() / 2));
      pause = Math.min(retryMs, pause * 2);
    }
  }

  /** Until it is woken, or for so long, or until something is done. */
  async #sleep(ms: number | null, done?: Promise<void>): Promise<void> {
    if (!this.#woken) {
      let timer: ReturnType<typeof setTimeout> | undefined;
      await new Promise<void>((resolve) => {
        this.#awake = resolve;
        if (ms !== null) timer = setTimeout(resolve, ms);
        done?.then(resolve);
      });
      clearTimeout(timer);
    }
    this.#awake = null;
    this.#woken = false;
  }
}
