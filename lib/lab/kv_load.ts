/** Clients of the guest's key-value store as a process in the lab, and the verdict on what they saw.
 *
 * @example
 * ```ts
 * await using load = await KvLoad.start(lab, { self, directory });
 * // faults, takeovers, ...
 * const { ok, operations, ambiguous, violation, log } = await load.finish();
 * ```
 */

import { clientArguments, JsonClient } from "./client_process.ts";
import type { KvEvent, KvOptions, KvSummary } from "./kv_client.ts";
import { type Dump, judge, type KvVerdict, readHistory, type Recorded } from "./kv_history.ts";
import type { Lab } from "./lab.ts";
import { ADDRESSES } from "./places.ts";

/** How the clients are started. */
export interface KvLoadOptions {
  /** The command that runs this program. */
  self: readonly string[];
  /** For the history's file. */
  directory: string;
  options?: Partial<KvOptions>;
}

/** A verdict with what was measured. */
export interface KvOutcome extends KvVerdict {
  seconds: number;
  operations_per_s: number;
  reconnects: number;
  p50_us: number;
  longest_us: number;
  /** The guest answered these with an error. */
  errors: string[];
}

const READY_MS = 90_000;

/** Clients that run. */
export class KvLoad implements AsyncDisposable {
  readonly #lab: Lab;
  readonly #start: KvLoadOptions;
  readonly #client: JsonClient<KvEvent, KvSummary>;
  readonly #path: string;
  readonly #waiting = new Set<() => void>();
  #answered = 0;

  private constructor(lab: Lab, start: KvLoadOptions) {
    this.#lab = lab;
    this.#start = start;
    this.#path = `${start.directory}/history-${crypto.randomUUID().slice(0, 8)}.jsonl`;
    const options: Partial<KvOptions> & { history: string } = {
      hostname: ADDRESSES.guest,
      connect_ms: READY_MS,
      progress_ms: 50,
      ...start.options,
      history: this.#path,
    };
    this.#client = new JsonClient(lab, {
      command: [...start.self, "lab-kv", ...clientArguments(options)],
      onEvent: (event) => {
        if (event.event !== "progress") return;
        this.#answered = event.answered;
        for (const look of [...this.#waiting]) look();
      },
    });
  }

  /** Starts the clients; resolves when all of them are connected. */
  static async start(lab: Lab, start: KvLoadOptions): Promise<KvLoad> {
    const load = new KvLoad(lab, start);
    try {
      await load.#client.connected;
      return load;
    } catch (error) {
      await load[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Operations that were answered so far, as the clients said last. */
  get operations(): number {
    return this.#answered;
  }

  /** Resolves with true when the guest has answered `count` more operations, with false when it does not within the bound. */
  async answered(count: number, bound_ms = 30_000): Promise<boolean> {
    const goal = this.#answered + count;
    return await new Promise((resolve) => {
      const end = (met: boolean) => {
        clearTimeout(timer);
        this.#waiting.delete(look);
        resolve(met);
      };
      const look = () => this.#answered >= goal && end(true);
      const timer = setTimeout(() => end(false), bound_ms);
      this.#waiting.add(look);
    });
  }

  /** Ends the clients after the answers that are on their way. Returns what they saw. */
  async stop(): Promise<{ summary: KvSummary; history: Recorded[] }> {
    const summary = await this.#client.stop();
    return { summary, history: await readHistory(this.#path) };
  }

  /** Ends the clients, reads the guest's store, and judges all of it, together with what others saw `before`. */
  async finish(before: readonly Recorded[] = []): Promise<KvOutcome> {
    const { summary, history } = await this.stop();
    const dump = await dumpInLab(this.#lab, this.#start);
    const { seconds, operations_per_s, reconnects, p50_us, longest_us, errors } = summary;
    const measured = { seconds, operations_per_s, reconnects, p50_us, longest_us, errors };
    return { ...judge([...before, ...history], dump), ...measured };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client[Symbol.asyncDispose]();
  }
}

/** What the guest's store holds, asked from inside the lab. */
export async function dumpInLab(lab: Lab, start: Omit<KvLoadOptions, "options">): Promise<Dump> {
  const path = `${start.directory}/dump-${crypto.randomUUID().slice(0, 8)}.json`;
  const options = { hostname: ADDRESSES.guest, connect_ms: READY_MS, dump: path };
  const command = [...start.self, "lab-kv", ...clientArguments(options)];
  await using client = new JsonClient(lab, { command });
  await client.summary;
  return JSON.parse(await Deno.readTextFile(path));
}
