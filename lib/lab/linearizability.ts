/** Whether a history of a key-value store can have happened one operation after the other, each at some instant between its
 * call and its answer: linearizability, as its clients saw it.
 *
 * Each key is checked by itself, which decides the whole (Herlihy and Wing: linearizability is local). The search is Wing and Gong's
 * with memory of what was tried, in the order that Lowe calls just-in-time: answers are taken by time, and for each one all
 * states are found that the key can be in, with the operations under way that must already have happened for that. When no state
 * is left, the history ends in a violation, and what came before that answer is its shortest bad prefix.
 *
 * An operation without an answer may have happened at any time after its call, or never. */

import { EdgeError } from "../errors.ts";

/** What a key holds; null: nothing. */
export type Value = string | null;

/** How a compare-and-set ended. A refusal says what was there instead. */
export type CasResult = { swapped: true } | { swapped: false; seen: Value };

interface Timed {
  client: number;
  key: string;
  invoked_us: number;
  /** null: never answered. */
  returned_us: number | null;
}

/** Results of operations that were never answered are not looked at. */
export type Operation =
  & Timed
  & (
    | { op: "read"; result: Value }
    | { op: "write"; value: string }
    | { op: "cas"; expected: Value; value: string; result: CasResult | null }
  );

/** One key's answer. */
export interface KeyVerdict {
  /** The operation at whose answer no order was left; undefined: there is one. */
  bad: Operation | undefined;
  /** Pairs of a state and a set of operations that were looked at. */
  configurations: number;
}

/** How a key is checked. */
export interface KeyOptions {
  /** What the key held at first. */
  initial?: Value;
  /** More work than this ends in an error. */
  most_configurations?: number;
}

/** The search would have cost too much: nothing is known of the history. */
export class UndecidedError extends EdgeError {
  constructor(key: string, why: string) {
    super(`not decided for key "${key}": ${why}`, {
      op: "check a history",
      hint: "Record a shorter history, with fewer clients on one key.",
    });
  }
}

const MOST_CONFIGURATIONS = 5_000_000;
/** Operations on one key that can be under way at a time: a set of them is the low bits of one number. */
const SLOTS = 30;
const SET_BITS = 2 ** SLOTS;
const MOST_VALUES = 2 ** (53 - SLOTS);

/** An operation as a condition and a change. */
interface Move {
  operation: Operation;
  /** The state that it needs, or ANY, or IMPOSSIBLE. */
  needs: number;
  /** The state that it leaves, or NONE for one that changes nothing. */
  leaves: number;
  slot: number;
}

const ANY = -1;
const NONE = -1;
const IMPOSSIBLE = -2;

const CALL = 0;
const ANSWER = 1;
/** From here on it makes no difference whether an operation without an answer happened. */
const FORGET = 2;

interface Event {
  at_us: number;
  kind: typeof CALL | typeof ANSWER | typeof FORGET;
  move: Move;
}

/** Checks the operations of one key. Throws UndecidedError rather than guess. */
export function checkKey(operations: readonly Operation[], options: KeyOptions = {}): KeyVerdict {
  for (const operation of operations) checkTimes(operation);
  return new Search(operations, options).run();
}

function checkTimes({ key, client, invoked_us, returned_us }: Operation): void {
  const answered = returned_us === null ? invoked_us : returned_us;
  if (Number.isFinite(invoked_us) && Number.isFinite(answered) && answered >= invoked_us) return;
  throw new EdgeError(
    `client ${client}'s operation on "${key}" was called at ${invoked_us} and answered at ${returned_us}`,
    { op: "check a history", hint: "Take both times from one monotonic clock." },
  );
}

class Search {
  readonly #key: string;
  readonly #ids = new Map<Value, number>();
  readonly #events: readonly Event[];
  readonly #most: number;
  /** Under way, by slot. */
  readonly #open: (Move | undefined)[] = new Array(SLOTS).fill(undefined);
  /** Slots of the operations under way that only look, by the state that they need. */
  readonly #lookers = new Map<number, number>();
  /** State × SET_BITS + set of the open operations that have happened. */
  #reached: Set<number>;
  #looked = 0;

  constructor(operations: readonly Operation[], options: KeyOptions) {
    this.#key = operations[0]?.key ?? "";
    this.#most = options.most_configurations ?? MOST_CONFIGURATIONS;
    this.#reached = new Set([this.#id(options.initial ?? null) * SET_BITS]);
    this.#events = this.#order(operations);
    if (this.#ids.size >= MOST_VALUES) throw this.#undecided(`it had ${this.#ids.size} values`);
  }

  run(): KeyVerdict {
    for (const { kind, move } of this.#events) {
      if (kind === CALL) this.#call(move);
      else if (kind === ANSWER) this.#answer(move);
      else this.#drop(move);
      if (this.#reached.size === 0) return { bad: move.operation, configurations: this.#looked };
    }
    return { bad: undefined, configurations: this.#looked };
  }

  #id(value: Value): number {
    let id = this.#ids.get(value);
    if (id === undefined) this.#ids.set(value, id = this.#ids.size);
    return id;
  }

  /** Calls come before answers of the same instant: what may overlap, overlaps. */
  #order(operations: readonly Operation[]): Event[] {
    const needed = lastLooks(operations);
    const events: Event[] = [];
    for (const operation of operations) {
      const until_us = operation.returned_us ?? unansweredUntil(operation, needed);
      if (until_us < operation.invoked_us) continue; // whether it happened makes no difference
      const move = this.#move(operation);
      events.push({ at_us: operation.invoked_us, kind: CALL, move });
      events.push({ at_us: until_us, kind: operation.returned_us === null ? FORGET : ANSWER, move });
    }
    return events.sort((a, b) => a.at_us - b.at_us || a.kind - b.kind);
  }

  #move(operation: Operation): Move {
    const move = { operation, needs: ANY, leaves: NONE, slot: 0 };
    if (operation.op === "read") return { ...move, needs: this.#id(operation.result) };
    const leaves = this.#id(operation.value);
    if (operation.op === "write") return { ...move, leaves };
    const { expected, result, returned_us } = operation;
    // Without an answer: a refusal would have changed nothing, which is the same as never.
    if (returned_us === null || result?.swapped) return { ...move, needs: this.#id(expected), leaves };
    const seen = result?.seen ?? null;
    return { ...move, needs: seen === expected ? IMPOSSIBLE : this.#id(seen) };
  }

  #call(move: Move): void {
    move.slot = this.#open.indexOf(undefined);
    if (move.slot < 0) throw this.#undecided(`more than ${SLOTS} operations were under way at a time`);
    this.#open[move.slot] = move;
    if (move.leaves !== NONE || move.needs === IMPOSSIBLE) return;
    const bit = 2 ** move.slot;
    this.#lookers.set(move.needs, (this.#lookers.get(move.needs) ?? 0) | bit);
    const reached = new Set<number>();
    for (const at of this.#reached) reached.add(stateOf(at) === move.needs ? at + bit : at);
    this.#reached = reached;
  }

  /** Keeps the states in which `move` has happened, and finds those that need it to happen now, after any of the others. */
  #answer(move: Move): void {
    const bit = 2 ** move.slot;
    const kept = new Set<number>();
    const tried = new Set<number>();
    const todo: number[] = [];
    for (const at of this.#reached) {
      if (setOf(at) & bit) kept.add(at);
      else todo.push(at);
    }
    for (let at = todo.pop(); at !== undefined; at = todo.pop()) {
      if (tried.has(at)) continue;
      tried.add(at);
      if (++this.#looked > this.#most) {
        throw this.#undecided(`it took more than ${this.#most} configurations`);
      }
      for (const other of this.#open) {
        if (other === undefined || other.leaves === NONE) continue;
        const next = this.#happen(at, other);
        if (next === undefined) continue;
        if (setOf(next) & bit) kept.add(next);
        else todo.push(next);
      }
    }
    this.#reached = kept;
    this.#drop(move);
  }

  /** A change, and at once all who look for the new state: to have looked early is never worse than to look later. */
  #happen(at: number, move: Move): number | undefined {
    const set = setOf(at), bit = 2 ** move.slot;
    if (set & bit || (move.needs !== ANY && move.needs !== stateOf(at))) return undefined;
    return move.leaves * SET_BITS + (set | bit | (this.#lookers.get(move.leaves) ?? 0));
  }

  /** It is no longer under way. */
  #drop(move: Move): void {
    const bit = 2 ** move.slot;
    this.#open[move.slot] = undefined;
    if (move.leaves === NONE) this.#lookers.set(move.needs, (this.#lookers.get(move.needs) ?? 0) & ~bit);
    const reached = new Set<number>();
    for (const at of this.#reached) reached.add(setOf(at) & bit ? at - bit : at);
    this.#reached = reached;
  }

  #undecided(why: string): UndecidedError {
    return new UndecidedError(this.#key, why);
  }
}

function stateOf(configuration: number): number {
  return Math.floor(configuration / SET_BITS);
}

function setOf(configuration: number): number {
  return configuration % SET_BITS;
}

/** The value that must be there for an operation to end as it did; undefined: any will do. */
export function lookedFor(operation: Operation): Value | undefined {
  if (operation.op === "write") return undefined;
  if (operation.op === "read") return operation.returned_us === null ? undefined : operation.result;
  if (operation.returned_us === null || operation.result === null || operation.result.swapped) {
    return operation.expected;
  }
  return operation.result.seen;
}

/** The value that an operation leaves, or may have left; undefined: it changes nothing. */
export function leftBehind(operation: Operation): string | undefined {
  if (operation.op === "read") return undefined;
  if (operation.op === "cas" && operation.returned_us !== null && operation.result?.swapped === false) {
    return undefined;
  }
  return operation.value;
}

/** When each value was last seen in an answer. A change that nobody sees before the next one can be left out of any order,
 * so that one without an answer needs to be kept in mind only while its value may still be seen. */
function lastLooks(operations: readonly Operation[]): Map<Value, number> {
  const last = new Map<Value, number>();
  const see = (value: Value, at_us: number): boolean => {
    if (at_us <= (last.get(value) ?? -Infinity)) return false;
    last.set(value, at_us);
    return true;
  };
  for (const operation of operations) {
    const value = lookedFor(operation);
    if (value !== undefined && operation.returned_us !== null) see(value, operation.returned_us);
  }
  // A compare-and-set without an answer looks for as long as anybody may see what it leaves.
  const unanswered = operations.filter(({ op, returned_us }) => op === "cas" && returned_us === null);
  for (let changed = true; changed;) {
    changed = false;
    for (const operation of unanswered) {
      if (operation.op !== "cas") continue;
      const until_us = last.get(operation.value);
      if (until_us !== undefined && until_us >= operation.invoked_us) {
        changed = see(operation.expected, until_us) || changed;
      }
    }
  }
  return last;
}

function unansweredUntil(operation: Operation, last: ReadonlyMap<Value, number>): number {
  return operation.op === "read" ? -Infinity : last.get(operation.value) ?? -Infinity;
}
