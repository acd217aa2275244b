/** The worker as the node's thread sees it: a bounded queue towards it, one batch on its way at a time, and a new worker when it died. */

import type { EventQuery, EventView } from "../model/event.ts";
import type { VmSample } from "../model/vm.ts";
import type { ObserverState } from "./contracts.ts";
import type { Taken } from "./keeper.ts";
import type { FromWorker, ToWorker } from "./store_messages.ts";

export interface StoreThreadOptions {
  path: string;
  node: string;
  warn: (text: string) => void;
  /** The worker's code, unless it is ours: for tests. */
  worker?: URL;
  /** Told of events as they are kept. */
  taken: (events: readonly EventView[]) => void;
}

type Question =
  | { kind: "query"; query: EventQuery }
  | { kind: "history"; vm: string; range: { from_ms: number; to_ms: number; points: number } };
type Answer = EventView[] | VmSample[];

const EVENTS = 5_000;
const SAMPLES = 2_000;
const CALLS = 200;
const READY_MS = 10_000;
const ANSWER_MS = 10_000;
const CLOSE_MS = 5_000;
const RESTART_MS = [100, 1_000, 10_000, 60_000];

/** Where the worker's code is: beside this file in the sources; in the packed program a bundle beside the one that this is in. */
export function workerUrl(here: string = import.meta.url): URL {
  return new URL(here.endsWith(".ts") ? "./store_worker.ts" : "./store_worker.js", here);
}

/** See above. */
export class StoreThread {
  readonly #options: StoreThreadOptions;
  #worker: Worker | null = null;
  #events: Taken[] = [];
  #samples: { vm: string; sample: VmSample }[] = [];
  /** What is on its way: more than one batch only when somebody asks, so that the answer knows all that was told before. */
  #sent: { events: number; samples: number }[] = [];
  #lostNow = 0;
  #state: ObserverState = { events_kept: 0, events_lost: 0, samples_lost: 0, problem: "it is being opened" };
  readonly #calls = new Map<number, { done: (answer: Answer) => void; failed: (why: Error) => void }>();
  #call = 0;
  #failures = 0;
  #restart: ReturnType<typeof setTimeout> | undefined;
  #closing = false;
  #ready = Promise.withResolvers<void>();
  #closed = Promise.withResolvers<void>();

  constructor(options: StoreThreadOptions) {
    this.#options = options;
    this.#start();
  }

  /** When the file is open, or after a bounded while. */
  async ready(): Promise<void> {
    await within(this.#ready.promise, READY_MS);
  }

  state(): ObserverState {
    return { ...this.#state };
  }

  event(event: Taken): void {
    if (this.#closing) return;
    if (this.#events.length >= EVENTS) {
      this.#state.events_lost++;
      this.#lostNow++;
      return;
    }
    this.#events.push(event);
    this.#send();
  }

  sample(vm: string, sample: VmSample): void {
    if (this.#closing) return;
    if (this.#samples.length >= SAMPLES) this.#state.samples_lost++;
    else this.#samples.push({ vm, sample });
    this.#send();
  }

  /** Asks the worker. Throws when it does not answer in time. */
  async ask(question: Question): Promise<Answer> {
    if (this.#worker === null || this.#closing) throw new Error("the worker that keeps it does not run");
    if (this.#calls.size >= CALLS) throw new Error(`${CALLS} others wait for an answer`);
    const call = ++this.#call;
    const answer = Promise.withResolvers<Answer>();
    const timer = setTimeout(
      () => answer.reject(new Error(`there was no answer within ${ANSWER_MS / 1000} s`)),
      ANSWER_MS,
    );
    this.#calls.set(call, { done: answer.resolve, failed: answer.reject });
    try {
      this.#handOver(this.#worker);
      this.#worker.postMessage({ ...question, call } satisfies ToWorker);
      return await answer.promise;
    } finally {
      clearTimeout(timer);
      this.#calls.delete(call);
    }
  }

  #start(): void {
    const worker = new Worker(this.#options.worker ?? workerUrl(), { type: "module", name: "observe" });
    this.#worker = worker;
    // The first answer says how opening went.
    this.#sent = [{ events: 0, samples: 0 }];
    worker.onmessage = ({ data }: MessageEvent<FromWorker>) => this.#heard(data);
    worker.onerror = (event) => {
      event.preventDefault();
      this.#died(event.message);
    };
    worker.postMessage(
      { kind: "open", path: this.#options.path, node: this.#options.node } satisfies ToWorker,
    );
  }

  #died(why: string): void {
    this.#options.warn(`the worker that keeps events died: ${why}`);
    this.#worker?.terminate();
    this.#worker = null;
    this.#state.problem = why;
    for (const batch of this.#sent.splice(0)) this.#lose(batch);
    for (const { failed } of this.#calls.values()) failed(new Error(`the worker that keeps it died: ${why}`));
    if (this.#closing) return this.#closed.resolve();
    const wait = RESTART_MS[Math.min(this.#failures++, RESTART_MS.length - 1)]!;
    this.#restart = setTimeout(() => this.#start(), wait);
  }

  #lose(what: { events: number; samples: number }): void {
    this.#state.events_lost += what.events;
    this.#lostNow += what.events;
    this.#state.samples_lost += what.samples;
  }

  #heard(message: FromWorker): void {
    switch (message.kind) {
      case "taken":
        this.#sent.shift();
        this.#ready.resolve();
        this.#state.events_kept = message.kept;
        this.#state.samples_lost += message.samples_lost;
        this.#state.problem = message.problem;
        for (const { code, params } of message.events) {
          if (code === "node.events_begun_anew") {
            this.#options.warn(`the events' file was damaged: ${params.file}`);
          }
        }
        this.#options.taken(message.events);
        return this.#send();
      case "answer":
        this.#calls.get(message.call)?.done(message.value);
        return;
      case "failed":
        this.#calls.get(message.call)?.failed(new Error(message.why));
        return;
      case "closed":
        return this.#closed.resolve();
      default:
        message satisfies never;
    }
  }

  #send(): void {
    if (this.#worker === null || this.#sent.length > 0) return;
    this.#handOver(this.#worker);
    if (this.#sent.length === 0 && this.#closing) {
      this.#worker.postMessage({ kind: "close" } satisfies ToWorker);
    }
  }

  #handOver(worker: Worker): void {
    if (this.#events.length === 0 && this.#samples.length === 0) return;
    const events = this.#events, samples = this.#samples;
    this.#events = [];
    this.#samples = [];
    this.#sent.push({ events: events.length, samples: samples.length });
    worker.postMessage({ kind: "take", events, samples, lost: this.#lostNow } satisfies ToWorker);
    this.#lostNow = 0;
  }

  /** Hands over what waits, for a bounded while, and ends the worker. */
  async close(): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    clearTimeout(this.#restart);
    if (this.#worker !== null) {
      this.#send();
      await within(this.#closed.promise, CLOSE_MS);
      this.#worker?.terminate();
      this.#worker = null;
    }
    for (const { failed } of this.#calls.values()) failed(new Error("the node's service ends"));
  }
}

/** Waits for it, but not longer than this. */
async function within(what: Promise<void>, ms: number): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<void>((resolve) => timer = setTimeout(resolve, ms));
  await Promise.race([what, late]);
  clearTimeout(timer);
}
