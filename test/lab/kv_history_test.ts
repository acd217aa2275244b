import { deepEqual, equal, match, ok } from "node:assert/strict";
import { type Dump, judge, logProblems, type Recorded, verdictText } from "../../lib/lab/kv_history.ts";

function put(value: string, how: { at_us: number; number?: number; lost?: boolean; key?: string }): Recorded {
  const { at_us, number = 0, lost = false, key = "d0" } = how;
  const returned_us = lost ? null : at_us + 5;
  return {
    client: 0,
    key,
    invoked_us: at_us,
    returned_us,
    durable: key[0] === "d",
    number,
    op: "write",
    value,
  };
}

function dump(values: string[], more: Partial<Dump> = {}): Dump {
  const records = values.map((value) => ({ key: "d0", value }));
  return { records, keys: { d0: values.at(-1) ?? "" }, damaged: 0, ...more };
}

const A = put("a", { at_us: 0, number: 1 });
const B = put("b", { at_us: 10, number: 2 });
const LOST = put("x", { at_us: 20, lost: true });

Deno.test("a log with every acknowledged change, and with or without an unanswered one, is in order", () => {
  deepEqual(logProblems([A, B, LOST], dump(["a", "b"])), []);
  deepEqual(logProblems([A, B, LOST], dump(["a", "b", "x"])), []);
  deepEqual(logProblems([A, put("y", { at_us: 2, key: "m0" })], dump(["a"])), []);
  equal(
    verdictText(judge([A, B, LOST], dump(["a", "b"]))),
    "3 operations, 1 without an answer: all in order",
  );
});

Deno.test("a log that lacks an acknowledged change, or has another in its place, is reported", () => {
  match(
    logProblems([A, B], dump(["a"]))[0] ?? "",
    /acknowledged as record 2, which is not there: client 0: writes "b"/,
  );
  match(
    logProblems([A, B, LOST], dump(["a", "x"]))[0] ?? "",
    /acknowledged as record 2, which has "x" for "d0"/,
  );
  const verdict = judge([A, B], dump(["a"]));
  ok(!verdict.ok && verdict.violation === null);
  match(verdictText(verdict), /record 2/);
});

Deno.test("a log with a change that nobody asked for, or twice, is reported", () => {
  match(logProblems([A], dump(["a", "z"]))[0] ?? "", /record 2 has "z" for "d0", which no client asked for/);
  match(
    logProblems([A], dump(["a", "a"]))[0] ?? "",
    /record 2 has "a" for "d0", which no client asked for that often/,
  );
});

Deno.test("a log whose order is not that of time is reported", () => {
  const first = put("a", { at_us: 0, number: 2 });
  const second = put("b", { at_us: 10, number: 1 });
  match(
    logProblems([first, second], dump(["b", "a"]))[0] ?? "",
    /record 1 was called after record 2 had been/,
  );
  const beside = put("b", { at_us: 4, number: 1 });
  deepEqual(logProblems([first, beside], dump(["b", "a"])), []);
});

Deno.test("a store that is not what its log says, and a record that cannot be read back, are reported", () => {
  match(
    logProblems([A, B], dump(["a", "b"], { keys: { d0: "a" } }))[0] ?? "",
    /holds "a" for "d0", its log says "b"/,
  );
  match(logProblems([A, B], dump(["a", "b"], { keys: {} }))[0] ?? "", /holds "undefined"/);
  match(
    logProblems([A], dump(["a"], { damaged: 2 }))[0] ?? "",
    /record 2 of the guest's log cannot be read back/,
  );
});
