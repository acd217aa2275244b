import { deepEqual, equal, match, ok, throws } from "node:assert/strict";
import { checkHistory } from "../../lib/lab/history_check.ts";
import { checkKey, type Operation, UndecidedError, type Value } from "../../lib/lab/linearizability.ts";
import { seeded } from "../../lib/lab/random.ts";
import { defects, oracle, orderlyHistory, registerHistory, spoil } from "./histories.ts";

type Times = readonly [from: number, to: number | null];

function timed([invoked_us, returned_us]: Times, key: string) {
  return { client: invoked_us, key, invoked_us, returned_us };
}

function read(result: Value, times: Times, key = "k"): Operation {
  return { ...timed(times, key), op: "read", result };
}

function write(value: string, times: Times, key = "k"): Operation {
  return { ...timed(times, key), op: "write", value };
}

function cas(change: readonly [Value, string], how: { seen?: Value; times: Times }): Operation {
  const [expected, value] = change;
  const result = how.times[1] === null
    ? null
    : how.seen === undefined
    ? { swapped: true } as const
    : { swapped: false, seen: how.seen } as const;
  return { ...timed(how.times, "k"), op: "cas", expected, value, result };
}

const GOOD: Record<string, Operation[]> = {
  "nothing at all": [],
  "a key that was never written": [read(null, [0, 1])],
  "one after the other": [write("a", [0, 1]), read("a", [2, 3]), write("b", [4, 5]), read("b", [6, 7])],
  "a read beside a write sees the old value": [write("a", [0, 1]), write("b", [2, 9]), read("a", [3, 4])],
  "a read beside a write sees the new value": [write("a", [0, 1]), write("b", [2, 9]), read("b", [3, 4])],
  "two reads beside a write see the old, then the new": [
    ...[write("a", [0, 1]), write("b", [2, 9]), read("a", [3, 4]), read("b", [5, 6])],
  ],
  "two writes at a time, in either order": [write("a", [0, 9]), write("b", [0, 9]), read("a", [10, 11])],
  "calls and answers at the same instant overlap": [write("a", [0, 5]), read(null, [5, 6])],
  "a write without an answer that is seen later": [
    ...[write("a", [0, 1]), write("b", [2, null]), read("a", [3, 4]), read("b", [50, 51])],
  ],
  "a write without an answer that is never seen": [
    ...[write("a", [0, 1]), write("b", [2, null]), read("a", [3, 4]), read("a", [50, 51])],
  ],
  "a write without an answer that happens between two others": [
    ...[write("b", [0, null]), write("a", [1, 2]), read("a", [3, 4]), read("b", [5, 6]), write("c", [7, 8])],
    read("c", [9, 10]),
  ],
  "a read without an answer says nothing": [write("a", [0, 1]), read("never", [2, null]), read("a", [3, 4])],
  "a cas that finds what it expects": [
    write("a", [0, 1]),
    cas(["a", "b"], { times: [2, 3] }),
    read("b", [4, 5]),
  ],
  "a cas that makes the key": [cas([null, "a"], { times: [0, 1] }), read("a", [2, 3])],
  "a cas that is refused": [
    ...[write("a", [0, 1]), cas(["x", "b"], { seen: "a", times: [2, 3] }), read("a", [4, 5])],
  ],
  "of two cas at a time one is refused": [
    ...[
      write("a", [0, 1]),
      cas(["a", "b"], { times: [2, 9] }),
      cas(["a", "c"], { seen: "b", times: [2, 9] }),
    ],
  ],
  "a cas without an answer that another one builds on": [
    ...[cas([null, "a"], { times: [0, null] }), cas(["a", "b"], { times: [5, 6] }), read("b", [7, 8])],
  ],
  "a chain of cas without answers, only its end seen": [
    ...[cas([null, "a"], { times: [0, null] }), cas(["a", "b"], { times: [1, null] }), read("b", [7, 8])],
  ],
  "a longer chain of cas without answers": [
    ...[cas([null, "a"], { times: [0, null] }), cas(["a", "b"], { times: [1, null] })],
    ...[cas(["b", "c"], { times: [2, null] }), cas(["c", "d"], { times: [3, null] }), read("d", [7, 8])],
  ],
  "other keys do not matter": [write("a", [0, 1]), write("b", [2, 3], "j"), read("a", [4, 5])],
};

const BAD: Record<string, { operations: Operation[]; left: number }> = {
  "a stale read": {
    operations: [write("a", [0, 1]), write("b", [2, 3]), read("b", [4, 5]), read("a", [6, 7])],
    left: 3,
  },
  "a lost write": { operations: [write("a", [0, 1]), read(null, [2, 3])], left: 2 },
  "a lost write that another client had seen": {
    operations: [write("a", [0, 1]), write("b", [2, null]), read("b", [4, 5]), read("a", [6, 7])],
    left: 4,
  },
  "a cas that succeeds twice": {
    operations: [
      ...[write("a", [0, 1]), cas(["a", "b"], { times: [2, 9] }), cas(["a", "c"], { times: [2, 9] })],
    ],
    left: 3,
  },
  "a cas that succeeds on a value that is gone": {
    operations: [write("a", [0, 1]), write("b", [2, 3]), cas(["a", "c"], { times: [4, 5] })],
    left: 3,
  },
  "a cas that is refused although it found what it expects": {
    operations: [write("a", [0, 1]), cas(["a", "b"], { seen: "a", times: [2, 3] })],
    left: 2,
  },
  "a refused cas that changed the key": {
    operations: [
      ...[write("a", [0, 1]), cas(["x", "b"], { seen: "a", times: [2, 3] }), read("b", [4, 5])],
    ],
    left: 1,
  },
  "a value that nobody wrote": { operations: [write("a", [0, 1]), read("z", [2, 3])], left: 1 },
  "a value from the future": { operations: [read("a", [0, 1]), write("a", [2, 3])], left: 1 },
  "a write without an answer, seen before its call": {
    operations: [read("a", [0, 1]), write("a", [2, null])],
    left: 1,
  },
  "a write without an answer, seen and then unseen": {
    operations: [write("a", [0, 1]), write("b", [2, null]), read("b", [3, 4]), read("a", [5, 6])],
    left: 4,
  },
  "a write without an answer that happens twice": {
    operations: [
      ...[write("b", [0, null]), read("b", [1, 2]), write("a", [3, 4]), read("a", [5, 6]), read("b", [7, 8])],
    ],
    left: 4,
  },
  "two readers who see two writes in opposite orders": {
    operations: [
      ...[write("a", [0, 99]), write("b", [0, 99]), read("a", [1, 2]), read("b", [3, 4]), read("a", [5, 6])],
    ],
    left: 5,
  },
};

for (const [name, operations] of Object.entries(GOOD)) {
  Deno.test(`a history that can have happened: ${name}`, () => {
    ok(oracle(operations.filter(({ key }) => key === "k")), "the oracle says otherwise");
    const verdict = checkHistory(operations);
    deepEqual(verdict.violations, []);
    ok(verdict.ok);
  });
}

for (const [name, { operations, left }] of Object.entries(BAD)) {
  Deno.test(`a history that cannot have happened: ${name}`, () => {
    ok(!oracle(operations), "the oracle says otherwise");
    const [violation, ...more] = checkHistory(operations).violations;
    ok(violation !== undefined && more.length === 0);
    equal(violation.key, "k");
    equal(violation.operations.length, left, violation.text);
    ok(!oracle(violation.operations), `these can be put in order: ${violation.text}`);
    for (const operation of violation.operations) ok(operations.includes(operation));
  });
}

Deno.test("the checker agrees with every order tried by hand, for thousands of small histories, good and spoilt", () => {
  const found = { good: 0, bad: 0 };
  for (let seed = 1; seed <= 6000; seed++) {
    const random = seeded(seed);
    const whole = orderlyHistory(random, { most: 7, values: seed % 2 === 0 ? 3 : 100 });
    const history = seed % 5 === 0 ? whole : spoil(whole, random);
    const expected = oracle(history);
    equal(checkKey(history).bad === undefined, expected, `seed ${seed}: ${JSON.stringify(history, null, 1)}`);
    if (seed % 5 === 0) ok(expected, `seed ${seed}: what was made in order is not in order`);
    found[expected ? "good" : "bad"]++;
  }
  ok(found.good > 1000 && found.bad > 1000, JSON.stringify(found));
});

Deno.test("what is left of a violation is bad by itself, and its prefix is the shortest", () => {
  let looked = 0;
  for (let seed = 1; seed <= 400; seed++) {
    const random = seeded(seed);
    const history = spoil(orderlyHistory(random, { most: 7, values: 100 }), random);
    const [violation] = checkHistory(history).violations;
    if (violation === undefined) continue;
    looked++;
    ok(!oracle(violation.operations), `seed ${seed}: ${violation.text}`);
    const before = history.filter(({ invoked_us }) => invoked_us <= violation.until_us);
    equal(violation.prefix, before.length);
    ok(!oracle(before), `seed ${seed}: the prefix can be put in order`);
    // One answer earlier nothing was wrong yet: whatever is unanswered by then may still end in any way.
    const earlier = before.map((operation) =>
      operation.returned_us !== null && operation.returned_us >= violation.until_us
        ? { ...operation, returned_us: null }
        : operation
    );
    ok(oracle(earlier), `seed ${seed}: it was wrong before ${violation.until_us}: ${violation.text}`);
  }
  ok(looked > 100, `${looked}`);
});

Deno.test("a register that works is never reported, with several clients and lost answers", () => {
  for (let seed = 1; seed <= 60; seed++) {
    const history = registerHistory(seeded(seed), { operations: 400 });
    const { ok: fine, violations, ambiguous } = checkHistory(history);
    ok(fine, `seed ${seed}: ${violations[0]?.text}`);
    ok(ambiguous > 0);
  }
});

for (const defect of defects) {
  Deno.test(`control: a register that ${defect} is reported, each time`, () => {
    for (let seed = 1; seed <= 60; seed++) {
      const history = registerHistory(seeded(seed), { operations: 600, lost: 0.1, defect });
      const [violation] = checkHistory(history).violations;
      ok(violation !== undefined, `seed ${seed}: nothing was noticed`);
      ok(violation.operations.length <= 8, `seed ${seed}: ${violation.text}`);
    }
  });
}

Deno.test("a long history with many clients and lost answers is decided, and its one bad answer found", () => {
  const random = seeded(7);
  const history = registerHistory(random, { operations: 20_000, clients: 8, lost: 0.05 });
  const verdict = checkHistory(history);
  ok(verdict.ok, verdict.violations[0]?.text);
  ok(verdict.ambiguous > 500);
  const reads = history.filter((operation) => operation.op === "read" && operation.returned_us !== null);
  const late = reads.at(-10);
  const early = reads.at(10);
  ok(late?.op === "read" && early?.op === "read" && late.result !== early.result);
  const [violation, ...more] = checkHistory(
    history.map((operation) => operation === late ? { ...late, result: early.result } : operation),
  ).violations;
  ok(violation !== undefined && more.length === 0);
  equal(violation.until_us, late.returned_us);
  ok(violation.operations.length <= 6, violation.text);
});

Deno.test("a history that would cost too much is not decided, instead of guessed", () => {
  const crowd = Array.from({ length: 31 }, (_, i) => write(`${i}`, [i, 100]));
  throws(() => checkHistory(crowd), UndecidedError);
  throws(() => checkHistory(crowd), /not decided for key "k": more than 30 operations/);
  const wide = [...crowd.slice(0, 20), read("7", [101, 102]), read("8", [103, 104])];
  throws(() => checkHistory(wide, { most_configurations: 1000 }), /it took more than 1000 configurations/);
});

Deno.test("times that cannot be are refused", () => {
  throws(() => checkHistory([write("a", [5, 4])]), /was called at 5 and answered at 4/);
  throws(() => checkHistory([write("a", [Number.NaN, 4])]), /called at NaN/);
});

Deno.test("each key is judged by itself, from what it held at first", () => {
  const history = [read("x", [0, 1], "j"), read("y", [0, 1], "k")];
  const { violations } = checkHistory(history, { initial: (key) => key === "j" ? "x" : null });
  deepEqual(violations.map(({ key }) => key), ["k"]);
  match(violations[0]?.text ?? "", /client 0: reads "y" \(0 to 1\), which nobody had written/);
});
