/** Histories for the tests of the checker: made in order, spoilt, or recorded from a simulated register that has a defect;
 * and an oracle that tries every order. It shares no code with the checker. */

import type { Operation, Value } from "../../lib/lab/linearizability.ts";

type Random = () => number;

/** Whether some order explains the history: tries them all. One key, few operations. */
export function oracle(history: readonly Operation[], state: Value = null): boolean {
  if (history.every(({ returned_us }) => returned_us === null)) return true;
  return history.some((next, i) => {
    const rest = history.filter((_, j) => j !== i);
    // Whoever was answered before the call of `next` had to happen first.
    const tooEarly = rest.some(({ returned_us }) => returned_us !== null && returned_us < next.invoked_us);
    return !tooEarly && after(next, state).some((left) => oracle(rest, left));
  });
}

/** The states in which an operation can leave the key; none if it cannot have ended so. */
function after(operation: Operation, state: Value): Value[] {
  const answered = operation.returned_us !== null;
  switch (operation.op) {
    case "read":
      return !answered || operation.result === state ? [state] : [];
    case "write":
      return answered ? [operation.value] : [operation.value, state];
    case "cas": {
      const swaps = state === operation.expected;
      if (!answered) return swaps ? [operation.value, state] : [state];
      if (operation.result === null) return [];
      if (operation.result.swapped) return swaps ? [operation.value] : [];
      return !swaps && operation.result.seen === state ? [state] : [];
    }
  }
}

function whole(random: Random, below: number): number {
  return Math.floor(random() * below);
}

/** Up to `most` operations on one key, each at one instant in order, with calls and answers about it. */
export function orderlyHistory(random: Random, options: { most: number; values: number }): Operation[] {
  const history: Operation[] = [];
  const count = 1 + whole(random, options.most);
  const reach = 1 + whole(random, 40);
  let state: Value = null;
  const value = () => `${whole(random, options.values)}`;
  for (let client = 0; client < count; client++) {
    const instant_us = client * 10;
    const lost = random() < 0.25;
    const times = {
      client,
      key: "k",
      invoked_us: instant_us - whole(random, reach),
      returned_us: lost ? null : instant_us + whole(random, reach),
    };
    const happens = !lost || random() < 0.5;
    const kind = random();
    if (kind < 0.4) history.push({ ...times, op: "read", result: state });
    else if (kind < 0.7) {
      const written = value();
      history.push({ ...times, op: "write", value: written });
      if (happens) state = written;
    } else {
      const expected = random() < 0.7 ? state : value();
      const written = value();
      const swapped = expected === state;
      const result = swapped ? { swapped } as const : { swapped, seen: state } as const;
      history.push({ ...times, op: "cas", expected, value: written, result: lost ? null : result });
      if (happens && swapped) state = written;
    }
  }
  return history;
}

/** One to three changes that may make a history impossible, or not. */
export function spoil(history: readonly Operation[], random: Random): Operation[] {
  let spoilt = [...history];
  for (let times = 1 + whole(random, 3); times > 0; times--) {
    const at = whole(random, spoilt.length);
    const other = spoilt[whole(random, spoilt.length)];
    spoilt = spoilt.map((operation, i) => i === at ? spoilOne(operation, { random, other }) : operation);
  }
  return spoilt;
}

function spoilOne(operation: Operation, from: { random: Random; other: Operation | undefined }): Operation {
  const { random, other } = from;
  const value = other?.op === "write" || other?.op === "cas" ? other.value : null;
  const kind = random();
  if (kind < 0.2) {
    const moved_us = whole(random, 60) - 30;
    const { invoked_us, returned_us } = operation;
    return {
      ...operation,
      invoked_us: invoked_us + moved_us,
      returned_us: returned_us === null ? null : returned_us + moved_us,
    };
  }
  if (kind < 0.3) return { ...operation, returned_us: null };
  switch (operation.op) {
    case "read":
      return { ...operation, result: value };
    case "write":
      return { ...operation, value: value ?? "other" };
    case "cas":
      if (operation.result === null) return { ...operation, expected: value };
      if (operation.result.swapped) return { ...operation, result: { swapped: false, seen: value } };
      return { ...operation, result: random() < 0.5 ? { swapped: true } : { swapped: false, seen: value } };
  }
}

/** What is wrong with a register. */
export const defects = [
  "forgets what it acknowledged after a takeover",
  "answers reads from an old copy",
  "acknowledges writes before they happen",
  "lets two compare-and-set win",
  "does a write twice when its answer was lost",
  "returns a refused compare-and-set's value",
] as const;

export type Defect = (typeof defects)[number];

interface Register {
  state: Value;
  /** What it held some time ago. */
  old: Value;
}

/** A history of several clients of a simulated register: each operation happens at one instant, unless the defect has it otherwise. */
export function registerHistory(
  random: Random,
  options: { operations: number; clients?: number; lost?: number; defect?: Defect },
): Operation[] {
  const { operations, clients = 3, lost = 0.03, defect } = options;
  const history: Operation[] = [];
  const free_us = new Array(clients).fill(0);
  const plans = [];
  for (let n = 0; n < operations; n++) {
    const client = whole(random, clients);
    const invoked_us = free_us[client] + whole(random, 20);
    const happens_us = invoked_us + 1 + whole(random, 30);
    const returned_us = happens_us + 1 + whole(random, 30);
    free_us[client] = returned_us + 1;
    plans.push({ client, n, invoked_us, happens_us, returned_us, lost: random() < lost });
  }
  plans.sort((a, b) => a.happens_us - b.happens_us);
  const register: Register = { state: null, old: null };
  const later: { at_us: number; value: string }[] = [];
  plans.forEach((plan, i) => {
    for (const write of later.splice(0)) {
      if (write.at_us <= plan.happens_us) register.state = write.value;
      else later.push(write);
    }
    if (i % 25 === 0) {
      if (defect === "forgets what it acknowledged after a takeover" && i > 0) register.state = register.old;
      register.old = register.state;
    }
    const { client, invoked_us } = plan;
    const times = { client, key: "k", invoked_us, returned_us: plan.lost ? null : plan.returned_us };
    history.push({ ...times, ...operate(register, { random, value: `v${plan.n}`, plan, later, defect }) });
  });
  return history;
}

type What = Operation extends infer Each
  ? Each extends Operation ? Pick<Each, Exclude<keyof Each, Timing>> : never
  : never;
type Timing = "client" | "key" | "invoked_us" | "returned_us";

interface Work {
  random: Random;
  value: string;
  plan: { happens_us: number; returned_us: number; lost: boolean };
  /** Writes that are still to happen. */
  later: { at_us: number; value: string }[];
  defect: Defect | undefined;
}

function operate(register: Register, work: Work): What {
  const { random, value, plan, later, defect } = work;
  const kind = random();
  if (kind < 0.45) {
    const stale = defect === "answers reads from an old copy" && random() < 0.3;
    return { op: "read", result: stale ? register.old : register.state };
  }
  if (plan.lost && random() < 0.5) return { op: "write", value }; // it never happens
  if (kind < 0.7) {
    if (defect === "does a write twice when its answer was lost" && plan.lost) {
      later.push({ at_us: plan.happens_us + 300, value });
    }
    if (defect === "acknowledges writes before they happen" && random() < 0.3) {
      later.push({ at_us: plan.returned_us + 200, value });
    } else register.state = value;
    return { op: "write", value };
  }
  const expected = random() < 0.8 ? register.state : "v-1";
  const swapped = expected === register.state ||
    (defect === "lets two compare-and-set win" && random() < 0.5);
  const seen = register.state;
  const wrongly = defect === "returns a refused compare-and-set's value" && random() < 0.5;
  if (swapped || wrongly) register.state = value;
  return { op: "cas", expected, value, result: plan.lost ? null : swapped ? { swapped } : { swapped, seen } };
}
