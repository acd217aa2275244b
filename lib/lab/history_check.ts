/** A whole history: each key is checked, and a violation is cut down to the operations that alone cannot be put in order. */

import {
  checkKey,
  type KeyOptions,
  leftBehind,
  lookedFor,
  type Operation,
  UndecidedError,
  type Value,
} from "./linearizability.ts";

/** Why a history cannot have happened. */
export interface Violation {
  key: string;
  /** The answer at which no order was left. */
  until_us: number;
  /** Operations of the key that had been called by then: the shortest bad prefix. */
  prefix: number;
  /** Few of these, which alone cannot be put in any order. */
  operations: Operation[];
  /** All of this for a person. */
  text: string;
}

/** What the check found. */
export interface HistoryVerdict {
  ok: boolean;
  operations: number;
  /** Operations that were never answered. */
  ambiguous: number;
  keys: number;
  /** How much was looked at. */
  configurations: number;
  /** One for each bad key, the earliest first. */
  violations: Violation[];
}

/** How a history is checked. */
export interface HistoryOptions extends Omit<KeyOptions, "initial"> {
  /** What a key held at first; by default nothing. */
  initial?: (key: string) => Value;
}

/** Histories that are tried while a violation is cut down. */
const MOST_TRIALS = 3000;

/** Checks a history of any number of keys. Throws UndecidedError when that would cost too much. */
export function checkHistory(
  operations: readonly Operation[],
  options: HistoryOptions = {},
): HistoryVerdict {
  const byKey = Map.groupBy(operations, ({ key }) => key);
  const violations: Violation[] = [];
  let configurations = 0;
  for (const [key, ofKey] of byKey) {
    const { initial, ...rest } = options;
    const keyOptions: KeyOptions = { ...rest, initial: initial?.(key) ?? null };
    const verdict = checkKey(ofKey, keyOptions);
    configurations += verdict.configurations;
    if (verdict.bad !== undefined) violations.push(explain(ofKey, verdict.bad, keyOptions));
  }
  return {
    ok: violations.length === 0,
    operations: operations.length,
    ambiguous: operations.filter(({ returned_us }) => returned_us === null).length,
    keys: byKey.size,
    configurations,
    violations: violations.sort((a, b) => a.until_us - b.until_us),
  };
}

function explain(operations: readonly Operation[], bad: Operation, options: KeyOptions): Violation {
  const until_us = bad.returned_us ?? bad.invoked_us;
  const prefix = operations.filter(({ invoked_us }) => invoked_us <= until_us);
  const few = new Reduction(prefix, options).few();
  const seen = few.map((operation) =>
    `  ${operationText(operation)}${unwritten(operation, prefix, options)}`
  );
  return {
    key: bad.key,
    until_us,
    prefix: prefix.length,
    operations: few,
    text: [
      `key "${bad.key}": its first ${prefix.length} operations, until ${until_us} us, cannot have happened in any order;` +
      " these alone cannot:",
      ...seen,
    ].join("\n"),
  };
}

function unwritten(operation: Operation, prefix: readonly Operation[], options: KeyOptions): string {
  const value = operation.returned_us === null ? undefined : lookedFor(operation);
  if (value === undefined || value === (options.initial ?? null)) return "";
  return prefix.some((other) => leftBehind(other) === value) ? "" : ", which nobody had written";
}

/** Cuts a bad history down. Left out are only operations whose value none of the others looks for, so that what
 * remains would be in order if the whole were. A compare-and-set may count as a mere write: that asks less of the order. */
class Reduction {
  readonly #whole: readonly Operation[];
  readonly #options: KeyOptions;
  readonly #original = new Map<Operation, Operation>();
  #trials = 0;

  constructor(whole: readonly Operation[], options: KeyOptions) {
    this.#whole = whole;
    this.#options = options;
  }

  few(): Operation[] {
    let left = this.#inChunks(this.#recent(), (all, chunk) => {
      const weaker = all.map((operation) => chunk.has(operation) ? this.#weaken(operation) : operation);
      return weaker.every((operation, i) => operation === all[i]) ? undefined : weaker;
    });
    for (let before = Infinity; left.length < before;) {
      before = left.length;
      left = this.#inChunks(left, (all, chunk) => withWriters(all, chunk));
    }
    return left.map((operation) => this.#original.get(operation) ?? operation)
      .sort((a, b) => a.invoked_us - b.invoked_us);
  }

  /** The newest operations that are bad already, which is quickly found: most violations are short. */
  #recent(): Operation[] {
    const all = this.#whole.toSorted((a, b) => a.invoked_us - b.invoked_us);
    for (let count = 16; count < all.length; count *= 4) {
      const newest = withWriters(all, new Set(all.slice(0, -count)));
      if (newest !== undefined && newest.length < all.length / 2 && this.#isBad(newest)) return newest;
    }
    return all;
  }

  /** Applies a change to ever smaller pieces, and keeps each one that leaves the history bad. */
  #inChunks(
    all: Operation[],
    change: (all: Operation[], chunk: ReadonlySet<Operation>) => Operation[] | undefined,
  ): Operation[] {
    for (let size = all.length; size >= 1; size = Math.floor(size / 2)) {
      for (let end = all.length; end > 0; end = Math.min(end, all.length) - size) {
        const changed = change(all, new Set(all.slice(Math.max(0, end - size), end)));
        if (changed !== undefined && this.#isBad(changed)) all = changed;
      }
    }
    return all;
  }

  #isBad(operations: readonly Operation[]): boolean {
    if (++this.#trials > MOST_TRIALS || operations.length === 0) return false;
    try {
      return checkKey(operations, this.#options).bad !== undefined;
    } catch (error) {
      if (error instanceof UndecidedError) return false;
      throw error;
    }
  }

  #weaken(operation: Operation): Operation {
    if (operation.op !== "cas" || leftBehind(operation) === undefined) return operation;
    const { client, key, invoked_us, returned_us, value } = operation;
    const write: Operation = { client, key, invoked_us, returned_us, op: "write", value };
    this.#original.set(write, operation);
    return write;
  }
}

/** All but the chunk, and but for those of it whose values the others look for. Undefined: nothing would be left out. */
function withWriters(all: readonly Operation[], chunk: ReadonlySet<Operation>): Operation[] | undefined {
  const kept = new Set(all.filter((operation) => !chunk.has(operation)));
  const writers = Map.groupBy([...chunk], (operation) => leftBehind(operation));
  const todo = [...kept];
  for (let operation = todo.pop(); operation !== undefined; operation = todo.pop()) {
    const value = lookedFor(operation);
    if (value === undefined || value === null) continue;
    for (const writer of writers.get(value) ?? []) {
      if (kept.has(writer)) continue;
      kept.add(writer);
      todo.push(writer);
    }
  }
  return kept.size === all.length ? undefined : all.filter((operation) => kept.has(operation));
}

/** One operation in a line. */
export function operationText(operation: Operation): string {
  const { client, invoked_us, returned_us } = operation;
  const when = returned_us === null
    ? `called at ${invoked_us}, never answered`
    : `${invoked_us} to ${returned_us}`;
  return `client ${client}: ${whatText(operation)} (${when})`;
}

function whatText(operation: Operation): string {
  const quote = (value: Value) => value === null ? "nothing" : `"${value}"`;
  switch (operation.op) {
    case "write":
      return `writes ${quote(operation.value)}`;
    case "read":
      return operation.returned_us === null ? "reads" : `reads ${quote(operation.result)}`;
    case "cas": {
      const what = `compares with ${quote(operation.expected)} to set ${quote(operation.value)}`;
      if (operation.returned_us === null || operation.result === null) return what;
      return operation.result.swapped
        ? `${what}: done`
        : `${what}: refused, it held ${quote(operation.result.seen)}`;
    }
  }
}
