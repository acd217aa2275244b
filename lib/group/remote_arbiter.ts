/** An arbiter that is elsewhere: what the runner needs of it. The witness's client and etcd's implement this. */

import type { GrantAnswer } from "./grant.ts";

/** An arbiter on a third machine, for one group. */
export interface RemoteArbiter extends AsyncDisposable {
  /** For people: "the witness at 10.0.0.9:7810". */
  readonly name: string;
  /** Asks for a term of at least `term`, having taken part in `known`. Asked again, it is the same question. Throws EdgeError when no
   * answer came within its bound (2 s): the term may then have been granted all the same. */
  ask(question: { known: number; term: number }): Promise<Exclude<GrantAnswer, { kind: "noted" }>>;
  /** Says that this host holds `term` by other means. Throws EdgeError when it was not heard. */
  note(term: number): Promise<void>;
  /** Gives a granted term back that will not be used. Throws EdgeError when it was not heard. */
  release(term: number): Promise<void>;
  /** Tells whether it can be reached: soon after the start, and at each change. `why`: one sentence, when it cannot. */
  watch(onChange: (reachable: boolean, why: string) => void): void;
}
