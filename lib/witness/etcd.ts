/** A site's etcd as the arbiter: one key for each VM, which holds what was granted last, and which is changed only by a transaction
 * that compares it first. The rule is the witness's (grant.ts); that a value which etcd confirmed survives is etcd's own promise: it is
 * on the disks of most of its members. */

import { z } from "zod";
import { EdgeError } from "../errors.ts";
import {
  decideGrant,
  type GrantAnswer,
  type GrantRecord,
  type GrantRequest,
  NO_GRANT,
  TERM_MAX,
} from "../group/grant.ts";
import type { RemoteArbiter } from "../group/remote_arbiter.ts";
import { type EtcdAccess, EtcdFailure, EtcdGateway } from "./etcd_gateway.ts";

/** How often it is looked whether etcd is there, ms. */
const LOOK_MS = 1000;
/** How often, in looks, it is asked whether it would take a write: a full etcd still reads. */
const WRITE_LOOKS = 30;
/** Races that may be lost in one question. There are two hosts, so more than a few are no race. */
const RACES_MAX = 16;

/** Where etcd is, and who is asking about what. */
export interface EtcdArbiterOptions extends EtcdAccess {
  /** The key: the same on both hosts, another for each VM. */
  key: string;
  /** This host's name: not the other's. */
  node: string;
  /** Bound of each question, ms. */
  answerMs?: number;
}

const recordSchema = z.strictObject({
  iservft: z.literal(1),
  term: z.number().int().min(0).max(TERM_MAX),
  holder: z.string().min(1).max(100).nullable(),
});

/** What the key held, and the revision by which it is compared; "0": there was no key. */
interface Seen {
  record: GrantRecord;
  revision: string;
}

const decimal = z.string().regex(/^\d{1,20}$/);
const headerSchema = z.object({ cluster_id: decimal });
const rangeSchema = z.object({
  kvs: z.array(z.object({ value: z.string().default(""), mod_revision: decimal })).max(1).default([]),
});
const readSchema = rangeSchema.extend({ header: headerSchema });
const txnSchema = z.object({
  header: headerSchema,
  succeeded: z.boolean().default(false),
  responses: z.array(z.object({ response_range: rangeSchema.optional() })).max(1).default([]),
});

export class EtcdArbiter implements RemoteArbiter {
  readonly name: string;
  readonly #options: EtcdArbiterOptions;
  readonly #answerMs: number;
  readonly #key: string;
  readonly #gateway: EtcdGateway;
  readonly #watchers: ((reachable: boolean, why: string) => void)[] = [];
  #state: { reachable: boolean; why: string } | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #looking: Promise<void>;
  #looks = 0;
  #cluster: string | null = null;
  #closed = false;

  constructor(options: EtcdArbiterOptions) {
    this.#options = options;
    this.#answerMs = options.answerMs ?? 2000;
    this.#key = base64(options.key);
    this.#gateway = new EtcdGateway(options, this.#answerMs);
    this.name = `etcd at ${options.endpoints.join(", ")}`;
    this.#looking = this.#look();
  }

  async ask(question: { known: number; term: number }): Promise<Exclude<GrantAnswer, { kind: "noted" }>> {
    const answer = await this.#decide({ kind: "ask", node: this.#options.node, ...question });
    if (answer.kind === "noted") throw new Error("a question was noted"); // decideGrant() has no such answer to it
    return answer;
  }

  async note(term: number): Promise<void> {
    await this.#decide({ kind: "note", node: this.#options.node, term });
  }

  async release(term: number): Promise<void> {
    await this.#decide({ kind: "release", node: this.#options.node, term });
  }

  watch(onChange: (reachable: boolean, why: string) => void): void {
    this.#watchers.push(onChange);
    const state = this.#state;
    if (state !== null) queueMicrotask(() => !this.#closed && onChange(state.reachable, state.why));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#gateway[Symbol.dispose]();
    await this.#looking;
  }

  /** Takes one question: reads, decides, and changes the key if it is still as it was read; else decides again on what it is now. When it
   * is not known whether a change was made, what comes next sees it: the same question again has the same answer. */
  async #decide(request: GrantRequest): Promise<GrantAnswer> {
    const until = performance.now() + this.#answerMs;
    try {
      let seen = await this.#read({ until });
      for (let race = 0; race < RACES_MAX; race++) {
        const { record, answer } = decideGrant(seen.record, request);
        if (record === seen.record) return answer;
        const now = await this.#swap(seen, { record, until });
        if (now === undefined) return answer;
        seen = now;
      }
      throw new EtcdFailure("the key is changed all the time", {
        final: true,
        hint: "See what else writes below the prefix of [etcd].",
      });
    } catch (error) {
      throw this.#unreachable(error);
    }
  }

  /** Reads the key through the quorum: a member that was cut off from the others does not answer. */
  async #read(bound: { until: number; once?: boolean }): Promise<Seen> {
    const answer = await this.#gateway.post("/v3/kv/range", { key: this.#key, serializable: false }, bound);
    return this.#seen(this.#checked(readSchema, answer));
  }

  /** Undefined when the key was as `seen`, and now holds `record`; else what it holds. */
  async #swap(seen: Seen, next: { record: GrantRecord; until: number }): Promise<Seen | undefined> {
    const { record: { term, holder }, until } = next;
    const value = recordSchema.safeParse({ iservft: 1, term, holder });
    if (!value.success) throw new EtcdFailure(`term ${term} cannot be granted`, { final: true });
    const compare = { target: "MOD", result: "EQUAL", mod_revision: seen.revision };
    return await this.#transaction(compare, JSON.stringify(value.data), { until });
  }

  async #transaction(
    compare: Record<string, string>,
    value: string,
    bound: { until: number; once?: boolean },
  ): Promise<Seen | undefined> {
    const body = {
      compare: [{ key: this.#key, ...compare }],
      success: [{ request_put: { key: this.#key, value: base64(value) } }],
      failure: [{ request_range: { key: this.#key } }],
    };
    const answer = await this.#gateway.post("/v3/kv/txn", body, bound);
    const { succeeded, responses } = this.#checked(txnSchema, answer);
    if (succeeded) return undefined;
    const range = responses[0]?.response_range;
    if (range === undefined) throw new EtcdFailure("it says what no etcd says", { final: true });
    return this.#seen(range);
  }

  /** An answer in its shape, and of the one cluster. */
  #checked<Schema extends z.ZodType<{ header: { cluster_id: string } }>>(schema: Schema, answer: unknown) {
    const read = schema.safeParse(answer);
    if (!read.success) throw new EtcdFailure("it says what no etcd says", { final: true });
    const { cluster_id: cluster } = read.data.header;
    this.#cluster ??= cluster;
    if (cluster !== this.#cluster) {
      throw new EtcdFailure(`this is the cluster ${cluster}, but before it was ${this.#cluster}`, {
        final: true,
        hint:
          "All endpoints of both hosts must be of one cluster. If it was made anew, what was granted is forgotten: " +
          "restart the runners, one after the other, while the VM is protected.",
      });
    }
    return read.data;
  }

  #seen({ kvs: [kv] }: z.infer<typeof rangeSchema>): Seen {
    if (kv === undefined) return { record: NO_GRANT, revision: "0" };
    const record = readRecord(kv.value);
    if (record === undefined) {
      throw new EtcdFailure(`the key ${this.#options.key} holds something that is no grant`, {
        final: true,
        hint: "See who wrote it, and give iservft-edge a prefix of its own in [etcd], on both hosts.",
      });
    }
    return { record, revision: kv.mod_revision };
  }

  #unreachable(error: unknown): EdgeError {
    if (!(error instanceof EtcdFailure)) throw error;
    const hint = error.options.hint ??
      "Look at whether etcd has a quorum (etcdctl endpoint status) and at its network.";
    return new EdgeError(`${this.name} is not reachable: ${error.why}`, { op: "ask etcd", hint });
  }

  #tell(reachable: boolean, why: string): void {
    if (this.#closed || (this.#state?.reachable === reachable && this.#state.why === why)) return;
    this.#state = { reachable, why };
    for (const watcher of this.#watchers) watcher(reachable, why);
  }

  /** Each second: is it still there, and would it take a write? The transaction that asks this is one that never comes true. */
  async #look(): Promise<void> {
    const began = performance.now();
    const bound = { until: began + this.#answerMs, once: true };
    try {
      if (this.#looks++ % WRITE_LOOKS === 0) {
        await this.#transaction({ target: "VERSION", result: "LESS", version: "0" }, "never", bound);
      } else await this.#read(bound);
      this.#tell(true, "");
    } catch (error) {
      if (!(error instanceof EtcdFailure)) throw error;
      this.#looks = 0;
      this.#tell(false, `${this.name}: ${error.why}`);
    }
    if (this.#closed) return;
    const wait = Math.max(0, LOOK_MS - (performance.now() - began));
    this.#timer = setTimeout(() => this.#looking = this.#look(), wait);
  }
}

function base64(text: string): string {
  return new TextEncoder().encode(text).toBase64();
}

/** Undefined when it is none. */
function readRecord(value: string): GrantRecord | undefined {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(Uint8Array.fromBase64(value));
    const read = recordSchema.safeParse(JSON.parse(text));
    return read.success ? { term: read.data.term, holder: read.data.holder } : undefined;
  } catch {
    return undefined;
  }
}
