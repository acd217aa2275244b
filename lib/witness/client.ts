/** A host's end: one kept connection to the witness for one VM. It is connected anew, with growing pauses, whenever it is lost, and a
 * question that has no answer yet is asked again on the new one: asked twice, it is the same question (grant.ts). */

import { EdgeError } from "../errors.ts";
import type { GrantAnswer } from "../group/grant.ts";
import type { RemoteArbiter } from "../group/remote_arbiter.ts";
import type { Identity } from "../node/identity.ts";
import { Connection, type ConnectionEnd } from "./connection.ts";
import { type Answer, PING_MS, type Question, type Refusal } from "./protocol.ts";

/** Pauses before connecting anew, ms. The first is none: a witness that was restarted is back at once. */
const PAUSES_MS = [0, 100, 200, 400, 800, 1600, 2000];
/** The longest pause while a question waits, ms. */
const ASKED_PAUSE_MS = 200;
/** A connection that lasted this long begins the pauses anew, ms. */
const LASTED_MS = 1000;

/** Where the witness is, and who is asking about what. */
export interface WitnessClientOptions {
  address: string;
  port: number;
  /** The witness's ID: whoever has another is not it. */
  id: string;
  /** This host's. */
  identity: Identity;
  pair: string;
  vm: string;
  /** This program's version. */
  version: string;
  /** Bound of each question, ms. */
  answerMs?: number;
}

interface Waiting {
  question: Question;
  resolve(answer: Answer): void;
  reject(error: EdgeError): void;
}

export class WitnessClient implements RemoteArbiter {
  readonly name: string;
  readonly #options: WitnessClientOptions;
  readonly #answerMs: number;
  readonly #waiting = new Map<number, Waiting>();
  readonly #watchers: ((reachable: boolean, why: string) => void)[] = [];
  #connection: Connection | null = null;
  #open = false;
  #next = 1;
  #attempts = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #ping: ReturnType<typeof setInterval>;
  #state: { reachable: boolean; why: string } | null = null;
  #closed = false;

  constructor(options: WitnessClientOptions) {
    this.#options = options;
    this.#answerMs = options.answerMs ?? 2000;
    this.name = `the witness at ${options.address}:${options.port}`;
    this.#ping = setInterval(() => this.#keep(), PING_MS);
    this.#connect();
  }

  async ask(question: { known: number; term: number }): Promise<Exclude<GrantAnswer, { kind: "noted" }>> {
    const answer = await this.#question({ op: "ask", ...question });
    if (answer.kind === "refused" || (answer.kind === "granted" && answer.term >= question.term)) {
      return answer;
    }
    throw this.#unreachable("it gave an answer that is none to this question");
  }

  async note(term: number): Promise<void> {
    await this.#question({ op: "note", term });
  }

  async release(term: number): Promise<void> {
    await this.#question({ op: "release", term });
  }

  watch(onChange: (reachable: boolean, why: string) => void): void {
    this.#watchers.push(onChange);
    const state = this.#state;
    if (state !== null) queueMicrotask(() => !this.#closed && onChange(state.reachable, state.why));
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    clearInterval(this.#ping);
    clearTimeout(this.#timer);
    this.#connection?.close();
    for (const { reject } of this.#waiting.values()) reject(this.#unreachable("this host is ending"));
    this.#waiting.clear();
    return Promise.resolve();
  }

  #unreachable(
    why: string,
    hint = "Look at whether it runs (iservft-edge witness serve) and at its network.",
  ): EdgeError {
    return new EdgeError(`${this.name} is not reachable: ${why}`, { op: "ask the witness", hint });
  }

  async #question(question: Question): Promise<Answer> {
    if (this.#closed) throw this.#unreachable("this host is ending");
    const id = this.#next++;
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    this.#waiting.set(id, { question, resolve, reject });
    const bound = setTimeout(
      () => reject(this.#unreachable(this.#whyNot() ?? `no answer within ${this.#answerMs} ms`)),
      this.#answerMs,
    );
    // The connection may be dead without having been missed: on a new one the same question is asked again.
    const again = setTimeout(
      () => this.#open && this.#connection?.end("it does not answer"),
      this.#answerMs / 3,
    );
    try {
      if (this.#open) this.#connection?.send({ id, ...question });
      else this.#connectNow();
      return await promise;
    } finally {
      clearTimeout(bound);
      clearTimeout(again);
      this.#waiting.delete(id);
    }
  }

  #whyNot(): string | undefined {
    return this.#state?.reachable === false ? this.#state.why : undefined;
  }

  #tell(reachable: boolean, why: string): void {
    if (this.#closed || (this.#state?.reachable === reachable && this.#state.why === why)) return;
    this.#state = { reachable, why };
    for (const watcher of this.#watchers) watcher(reachable, why);
  }

  /** Connects without waiting for the end of a pause: somebody needs it now. */
  #connectNow(): void {
    if (this.#connection === null) this.#connect();
  }

  #connect(): void {
    clearTimeout(this.#timer);
    this.#attempts++;
    const { address, port, id, identity, pair, vm, version } = this.#options;
    let openedAt: number | null = null;
    const connection = new Connection({ address, port, id, identity, pair, vm, version }, {
      opened: () => {
        openedAt = performance.now();
        this.#open = true;
        this.#tell(true, "");
        for (const [number, { question }] of this.#waiting) connection.send({ id: number, ...question });
      },
      answered: (number, answer) => this.#answered(number, answer),
      ended: (end) => {
        this.#connection = null;
        this.#open = false;
        if (openedAt !== null && performance.now() - openedAt >= LASTED_MS) this.#attempts = 0;
        this.#ended(end, openedAt !== null);
      },
    });
    this.#connection = connection;
  }

  /** The connection is gone. One that the other end closed may be back at once; all else is said now. */
  #ended({ why, refused, silent }: ConnectionEnd, wasOpen: boolean): void {
    if (this.#closed) return;
    if (!wasOpen || silent || refused !== null) this.#tell(false, why);
    if (refused !== null && refused.code !== "busy") {
      for (const { reject } of this.#waiting.values()) reject(this.#unreachable(why, refused.hint));
    }
    const pause = PAUSES_MS[Math.min(this.#attempts, PAUSES_MS.length - 1)] ?? 0;
    const most = this.#waiting.size > 0 ? ASKED_PAUSE_MS : pause;
    this.#timer = setTimeout(() => this.#connect(), Math.min(pause, most));
  }

  #answered(number: number, answer: Answer | { refused: Refusal }): void {
    if ("refused" in answer) {
      const { error, hint } = answer.refused;
      this.#tell(false, error);
      this.#waiting.get(number)?.reject(this.#unreachable(error, hint));
    } else {
      this.#tell(true, "");
      this.#waiting.get(number)?.resolve(answer);
    }
  }

  /** Each second: is it still there? */
  #keep(): void {
    if (this.#open) this.#connection?.ping(this.#next++);
  }
}
