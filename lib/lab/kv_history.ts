/** What clients of the guest's key-value store saw, as a file, and what it is compared with: an order that explains it, and the
 * guest's own log on its disk. */

import { checkHistory, operationText, type Violation } from "./history_check.ts";
import type { Operation } from "./linearizability.ts";

/** An operation of a client. */
export type Recorded = Operation & {
  /** A change that the guest was to have on stable storage before it answered. */
  durable: boolean;
  /** The record of the store's log that the guest said it is; 0: none. */
  number: number;
};

/** What the guest's disk and memory hold. */
export interface Dump {
  /** The log's records, from number 1 on. */
  records: { key: string; value: string }[];
  keys: Record<string, string>;
  /** The record that could not be read back; 0: none. */
  damaged: number;
}

/** The outcome for a person or a table. */
export interface KvVerdict {
  ok: boolean;
  operations: number;
  ambiguous: number;
  /** Why no order explains the history; null: one does. */
  violation: Violation | null;
  /** What the guest's log lacks or has too much, at most a few. Empty too when there was no dump to compare with. */
  log: string[];
  /** How long the checks took. */
  checked_ms: number;
}

const MOST_PROBLEMS = 5;

/** Writes a history, one operation a line. */
export async function writeHistory(path: string, history: readonly Recorded[]): Promise<void> {
  await Deno.writeTextFile(path, history.map((operation) => `${JSON.stringify(operation)}\n`).join(""));
}

/** Reads a history back. */
export async function readHistory(path: string): Promise<Recorded[]> {
  const text = await Deno.readTextFile(path);
  return text.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
}

/** All checks. `dump`: of the guest after the last operation. Throws UndecidedError when the history is too much for the checker. */
export function judge(history: readonly Recorded[], dump?: Dump): KvVerdict {
  const began_ms = performance.now();
  const { ok, operations, ambiguous, violations } = checkHistory(history);
  const log = dump === undefined ? [] : logProblems(history, dump);
  return {
    ok: ok && log.length === 0,
    operations,
    ambiguous,
    violation: violations[0] ?? null,
    log,
    checked_ms: performance.now() - began_ms,
  };
}

/** What is wrong with the guest's log: it must have each acknowledged durable change under its number and in the order of time, nothing
 * that no client asked for, nothing twice; and replayed it must give what the store holds. */
export function logProblems(history: readonly Recorded[], dump: Dump): string[] {
  const changes = history.filter(({ op, durable }) => op !== "read" && durable);
  const problems = [
    ...(dump.damaged > 0 ? [`record ${dump.damaged} of the guest's log cannot be read back`] : []),
    ...missing(changes, dump),
    ...disordered(changes),
    ...unasked(changes, dump),
    ...replayed(changes, dump),
  ];
  return problems.slice(0, MOST_PROBLEMS);
}

function missing(changes: readonly Recorded[], dump: Dump): string[] {
  return changes.flatMap((change) => {
    if (change.number === 0 || change.op === "read") return [];
    const record = dump.records[change.number - 1];
    if (record?.key === change.key && record.value === change.value) return [];
    const there = record === undefined ? "is not there" : `has "${record.value}" for "${record.key}"`;
    return [`acknowledged as record ${change.number}, which ${there}: ${operationText(change)}`];
  });
}

/** Whoever was called after another's answer has a greater number. */
function disordered(changes: readonly Recorded[]): string[] {
  const acknowledged = changes.filter(({ number }) => number > 0);
  const byAnswer = acknowledged.toSorted((a, b) => (a.returned_us ?? 0) - (b.returned_us ?? 0));
  const problems: string[] = [];
  let answered = 0;
  let newest: Recorded | undefined;
  for (const change of acknowledged.toSorted((a, b) => a.invoked_us - b.invoked_us)) {
    for (; answered < byAnswer.length; answered++) {
      const before = byAnswer[answered];
      if (before === undefined || (before.returned_us ?? 0) >= change.invoked_us) break;
      if (before.number > (newest?.number ?? 0)) newest = before;
    }
    if (newest === undefined || newest.number < change.number) continue;
    problems.push(
      `record ${change.number} was called after record ${newest.number} had been acknowledged: ${
        operationText(change)
      }`,
    );
  }
  return problems;
}

function unasked(changes: readonly Recorded[], dump: Dump): string[] {
  const left = new Map<string, number>();
  const name = (key: string, value: string) => `"${value}" for "${key}"`;
  for (const change of changes) {
    if (change.op === "read") continue;
    const key = name(change.key, change.value);
    left.set(key, (left.get(key) ?? 0) + 1);
  }
  return dump.records.flatMap(({ key, value }, i) => {
    const count = left.get(name(key, value)) ?? 0;
    left.set(name(key, value), count - 1);
    return count > 0 ? [] : [`record ${i + 1} has ${name(key, value)}, which no client asked for that often`];
  });
}

function replayed(changes: readonly Recorded[], dump: Dump): string[] {
  const store = new Map(dump.records.map(({ key, value }) => [key, value]));
  const durable = new Set(changes.map(({ key }) => key));
  return [...durable].flatMap((key) => {
    const held = dump.keys[key];
    const logged = store.get(key);
    if (held === logged) return [];
    return [`the store holds "${held}" for "${key}", its log says "${logged}"`];
  });
}

/** The verdict in a line or a few. */
export function verdictText(verdict: KvVerdict): string {
  const { operations, ambiguous, violation, log } = verdict;
  const counted = `${operations} operations, ${ambiguous} without an answer`;
  if (verdict.ok) return `${counted}: all in order`;
  return [counted, ...(violation === null ? [] : [violation.text]), ...log].join("\n");
}
