/** Clients of the guest's key-value store: each on a TCP connection of its own, one operation at a time, with a record of all that
 * they asked and were told. Nothing is tried twice: an operation whose connection breaks stays unanswered. */

import { EdgeError } from "../errors.ts";
import { GuestConnection } from "./guest_connection.ts";
import type { Dump, Recorded } from "./kv_history.ts";
import type { CasResult, Value } from "./linearizability.ts";
import type { MonotonicClock } from "./monotonic.ts";
import { seeded } from "./random.ts";

/** What the clients do. */
export interface KvOptions {
  hostname: string;
  port?: number;
  clients: number;
  /** Keys whose changes the guest has on stable storage before it answers. */
  durable_keys: number;
  /** Keys that are in the guest's memory only. */
  memory_keys: number;
  /** Pause of each client after each answer, in milliseconds. */
  think_ms: number;
  /** Ends by itself after so many operations; 0 for never. */
  operations: number;
  /** An answer that takes longer means that the connection is broken. */
  patience_ms: number;
  /** How long to try to connect at first. */
  connect_ms: number;
  /** Of what is asked, and part of each value: no two runs against one guest may have the same. */
  seed: number;
  progress_ms: number;
}

/** What the clients say while they run. */
export type KvEvent =
  | { event: "connected"; t_us: number }
  | { event: "progress"; t_us: number; answered: number; ambiguous: number };

/** What they say last. */
export interface KvSummary {
  event: "summary";
  t_us: number;
  /** With an answer or without. */
  operations: number;
  /** Without an answer. */
  ambiguous: number;
  reconnects: number;
  /** How long they ran. */
  seconds: number;
  operations_per_s: number;
  /** Of all answers, in microseconds. */
  p50_us: number;
  longest_us: number;
  /** What the guest refused as an error; empty when nothing. */
  errors: string[];
}

/** What the clients run with. */
export interface KvEnvironment {
  clock: MonotonicClock;
  emit: (event: KvEvent) => void;
  /** Aborted to end the run after the answers that are on their way. */
  stop: AbortSignal;
}

const RECONNECT_MS = 1000;
const MOST_ERRORS = 5;
/** Of what is asked: the rest are compare-and-sets. */
const READS = 0.45;
const WRITES = 0.3;

/** Runs the clients to their end. Throws only when the guest cannot be reached at first. */
export async function runKvClients(
  options: KvOptions,
  env: KvEnvironment,
): Promise<{ summary: KvSummary; history: Recorded[] }> {
  const run = new Run(options, env);
  const began_us = env.clock();
  const { progress_ms } = options;
  const clients = await Promise.all(
    Array.from({ length: options.clients }, (_, number) => KvClient.open(run, number)),
  );
  env.emit({ event: "connected", t_us: env.clock() });
  const say = () => env.emit({ event: "progress", t_us: env.clock(), ...run.counts() });
  const timer = progress_ms === 0 ? undefined : setInterval(say, progress_ms);
  try {
    await Promise.all(clients.map((client) => client.work()));
  } finally {
    clearInterval(timer);
    for (const client of clients) client.close();
  }
  return { summary: run.summary(began_us), history: run.history };
}

/** What all clients share. */
class Run {
  readonly history: Recorded[] = [];
  readonly errors: string[] = [];
  readonly keys: readonly { key: string; durable: boolean }[];
  started = 0;
  reconnects = 0;
  #ambiguous = 0;
  readonly #took_us: number[] = [];

  constructor(readonly options: KvOptions, readonly env: KvEnvironment) {
    const named = (count: number, kind: { letter: string; durable: boolean }) =>
      Array.from({ length: count }, (_, i) => ({ key: `${kind.letter}${i}`, durable: kind.durable }));
    this.keys = [
      ...named(options.durable_keys, { letter: "d", durable: true }),
      ...named(options.memory_keys, { letter: "m", durable: false }),
    ];
  }

  /** Whether there is more to do, and one operation less of it. */
  another(): boolean {
    const { operations } = this.options;
    if (this.env.stop.aborted || (operations !== 0 && this.started >= operations)) return false;
    this.started++;
    return true;
  }

  record(operation: Recorded): void {
    this.history.push(operation);
    if (operation.returned_us === null) this.#ambiguous++;
    else this.#took_us.push(operation.returned_us - operation.invoked_us);
  }

  counts(): { answered: number; ambiguous: number } {
    return { answered: this.#took_us.length, ambiguous: this.#ambiguous };
  }

  summary(began_us: number): KvSummary {
    const t_us = this.env.clock();
    const took_us = this.#took_us.toSorted((a, b) => a - b);
    const seconds = (t_us - began_us) / 1e6;
    return {
      event: "summary",
      t_us,
      operations: this.history.length,
      ambiguous: this.#ambiguous,
      reconnects: this.reconnects,
      seconds: Math.round(seconds),
      operations_per_s: Math.round(took_us.length / seconds),
      p50_us: took_us[took_us.length >> 1] ?? 0,
      longest_us: took_us.at(-1) ?? 0,
      errors: this.errors,
    };
  }
}

class KvClient {
  readonly #run: Run;
  readonly #number: number;
  readonly #random: () => number;
  /** What it saw last of each key. */
  readonly #seen = new Map<string, Value>();
  #connection: GuestConnection;
  #values = 0;

  private constructor(run: Run, start: { number: number; connection: GuestConnection }) {
    this.#run = run;
    this.#number = start.number;
    this.#connection = start.connection;
    this.#random = seeded(run.options.seed + start.number * 7919);
  }

  static async open(run: Run, number: number): Promise<KvClient> {
    const connection = await connect(run.options, run.options.connect_ms);
    return new KvClient(run, { number, connection });
  }

  close(): void {
    this.#connection.close();
  }

  async work(): Promise<void> {
    const { think_ms } = this.#run.options;
    while (this.#run.another()) {
      if (!(await this.#operate()) && !(await this.#reconnect())) return;
      if (think_ms > 0) await pause(think_ms);
    }
  }

  /** One operation. False: the connection is broken. */
  async #operate(): Promise<boolean> {
    const { clock } = this.#run.env;
    const asked = this.#choose(clock());
    let line: string;
    try {
      line = await this.#ask(requestLine(asked));
    } catch {
      this.#run.record(asked);
      return false;
    }
    const answered = withAnswer(asked, { line, returned_us: clock() });
    if (answered === undefined) {
      // The guest's disk may have it even so.
      if (this.#run.errors.length < MOST_ERRORS) this.#run.errors.push(`${requestLine(asked)}: ${line}`);
      this.#run.record(asked);
      return true;
    }
    this.#run.record(answered);
    this.#remember(answered);
    return true;
  }

  #choose(invoked_us: number): Recorded {
    const { keys, options } = this.#run;
    const { key, durable } = keys[Math.floor(this.#random() * keys.length)] ?? { key: "d0", durable: true };
    const kind = this.#random();
    const common = { client: this.#number, key, invoked_us, returned_us: null, durable, number: 0 };
    if (kind < READS) return { ...common, op: "read", result: null };
    const value = `${options.seed.toString(36)}.${this.#number}.${++this.#values}`;
    if (kind < READS + WRITES) return { ...common, op: "write", value };
    return { ...common, op: "cas", expected: this.#seen.get(key) ?? null, value, result: null };
  }

  #remember(answered: Recorded): void {
    const { key } = answered;
    if (answered.op === "read") this.#seen.set(key, answered.result);
    else if (answered.op === "write" || answered.result?.swapped === true) {
      this.#seen.set(key, answered.value);
    } else if (answered.result?.swapped === false) this.#seen.set(key, answered.result.seen);
  }

  async #ask(line: string): Promise<string> {
    const connection = this.#connection;
    const bound = setTimeout(() => connection.close(), this.#run.options.patience_ms);
    try {
      return await connection.ask(line);
    } finally {
      clearTimeout(bound);
    }
  }

  /** False: the run is over. */
  async #reconnect(): Promise<boolean> {
    this.#connection.close();
    while (!this.#run.env.stop.aborted) {
      try {
        this.#connection = await connect(this.#run.options, RECONNECT_MS);
        this.#run.reconnects++;
        return true;
      } catch (error) {
        if (!(error instanceof EdgeError)) throw error; // else: not yet
      }
    }
    return false;
  }
}

async function connect(
  options: Pick<KvOptions, "hostname" | "port">,
  bound_ms: number,
): Promise<GuestConnection> {
  const { hostname, port } = options;
  return await GuestConnection.open({ hostname, ...(port === undefined ? {} : { port }), bound_ms });
}

/** What is asked, in the guest's words (build/guest/service.h). */
function requestLine(operation: Recorded): string {
  const { key } = operation;
  const how = operation.durable ? " durable" : "";
  switch (operation.op) {
    case "read":
      return `get ${key}`;
    case "write":
      return `put ${key} ${operation.value}${how}`;
    case "cas":
      return `cas ${key} ${operation.expected ?? "-"} ${operation.value}${how}`;
  }
}

/** The operation with its answer; undefined when the guest said an error. */
function withAnswer(asked: Recorded, answer: { line: string; returned_us: number }): Recorded | undefined {
  const { line, returned_us } = answer;
  const done = /^ok (\d+)$/.exec(line);
  const held = line === "none" ? null : /^value (\S+)$/.exec(line)?.[1];
  if (asked.op === "read") return held === undefined ? undefined : { ...asked, returned_us, result: held };
  if (done !== null) {
    const number = Number(done[1]);
    if (asked.op === "write") return { ...asked, returned_us, number };
    return { ...asked, returned_us, number, result: { swapped: true } };
  }
  if (asked.op === "write" || held === undefined) return undefined;
  const result: CasResult = { swapped: false, seen: held };
  return { ...asked, returned_us, result };
}

/** Reads the guest's store: its log from its disk, and what it holds. */
export async function dumpStore(options: Pick<KvOptions, "hostname" | "port" | "connect_ms">): Promise<Dump> {
  using connection = await connect(options, options.connect_ms);
  const dump: Dump = { records: [], keys: {}, damaged: 0 };
  for (let line = await connection.ask("dump");; line = await connection.line()) {
    const [what = "", key = "", value = ""] = line.split(" ");
    if (what === "end") return dump;
    if (what === "damaged") dump.damaged = Number(key);
    else if (what === "key") dump.keys[key] = value;
    else if (Number(what) === dump.records.length + 1) dump.records.push({ key, value });
    else {
      throw new EdgeError(`the guest said "${line}" after ${dump.records.length} records`, {
        op: "read the guest's store",
        hint: "See the guest's console.",
      });
    }
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
