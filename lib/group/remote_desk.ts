/** The runner's dealings with an arbiter elsewhere: a question at a time, and what it is to be told, until it has heard it. */

import { errorText } from "../errors.ts";
import type { RemoteArbiter } from "./remote_arbiter.ts";
import type { GroupEvent } from "./types.ts";

const RETRY_MS = 1000;
/** Terms to be given back that wait; beyond it the oldest is forgotten (a newer grant makes it void). */
const RELEASES_MAX = 8;

/** What a desk is made of. */
export interface DeskOptions {
  arbiter: RemoteArbiter | undefined;
  dispatch(event: GroupEvent): void;
}

export class RemoteDesk implements AsyncDisposable {
  readonly #options: DeskOptions;
  readonly #releases: number[] = [];
  #note = 0;
  #telling: Promise<void> | undefined;
  #ended = false;
  #wake: () => void = () => {};

  constructor(options: DeskOptions) {
    this.#options = options;
  }

  /** Begins to tell whether the arbiter can be reached. */
  begin(): void {
    this.#options.arbiter?.watch((reachable, why) => {
      if (!this.#ended) this.#options.dispatch({ kind: "witness", reachable, why });
    });
  }

  /** Asks for a term; the answer is an event. */
  ask(question: { known: number; term: number }): void {
    const { arbiter, dispatch } = this.#options;
    const answer = arbiter === undefined
      ? Promise.reject(new Error("no arbiter elsewhere is configured"))
      : arbiter.ask(question);
    answer.then(
      (answer): GroupEvent =>
        answer.kind === "granted"
          ? { kind: "granted", term: answer.term, known: question.known }
          : { kind: "refused", term: answer.term, why: `term ${answer.term} was granted to the other host` },
      (error): GroupEvent => ({ kind: "refused", term: 0, why: errorText(error) }),
    ).then((event) => !this.#ended && dispatch(event));
  }

  /** Tells the arbiter that this host holds `term`. */
  note(term: number): void {
    this.#note = Math.max(this.#note, term);
    this.#tell();
  }

  /** Gives a granted term back. */
  release(term: number): void {
    this.#releases.push(term);
    if (this.#releases.length > RELEASES_MAX) this.#releases.shift();
    this.#tell();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended = true;
    this.#wake();
    await this.#telling;
    await this.#options.arbiter?.[Symbol.asyncDispose]();
  }

  #tell(): void {
    const { arbiter } = this.#options;
    if (arbiter === undefined || this.#telling !== undefined) return;
    this.#telling = this.#tellAll(arbiter).finally(() => this.#telling = undefined);
  }

  async #tellAll(arbiter: RemoteArbiter): Promise<void> {
    while (!this.#ended && (this.#note > 0 || this.#releases.length > 0)) {
      try {
        const term = this.#note;
        if (term > 0) await arbiter.note(term);
        if (this.#note === term) this.#note = 0;
        const released = this.#releases[0];
        if (released !== undefined) {
          await arbiter.release(released);
          this.#releases.shift();
        }
      } catch {
        await this.#pause(); // it is told again; that it cannot be reached is an event of its own
      }
    }
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, RETRY_MS);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
