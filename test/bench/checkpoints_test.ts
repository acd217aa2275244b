import assert from "node:assert/strict";
import { type Status, STATUS_FIELDS } from "../../ffi/status.ts";
import {
  type Checkpoint,
  CheckpointReader,
  commitShares,
  pauseShares,
  sharesText,
} from "../../lib/bench/checkpoints.ts";

const ZERO = Object.fromEntries(
  STATUS_FIELDS.map(([name, count]) => [name, count === 1 ? 0 : Array(count).fill(0)]),
);

function status(changes: Partial<Status>): Status {
  return { ...ZERO, ...changes } as Status;
}

function taken(readings: readonly Partial<Status>[]): (number | undefined)[] {
  const reader = new CheckpointReader();
  return readings.map((reading) => reader.read(status(reading))?.number);
}

Deno.test("a checkpoint is taken once, when two readings in a row show the same of it", () => {
  const seven = { checkpoints: 7, pause_us_last: 900 };
  const eight = { checkpoints: 8, pause_us_last: 1000 };
  assert.deepEqual(taken([seven, eight, eight, eight]), [undefined, undefined, 8, undefined]);
});

Deno.test("what was there before the first reading is not taken", () => {
  const old = { checkpoints: 7, pause_us_last: 900 };
  assert.deepEqual(taken([old, old, old]), [undefined, undefined, undefined]);
});

Deno.test("a reading that mixes two checkpoints is not taken", () => {
  // The next one's pause is there already, its commit is not.
  const old = { checkpoints: 7, pause_us_last: 900, commit_us_last: 2000 };
  const eight = { checkpoints: 8, pause_us_last: 1000, commit_us_last: 2100 };
  const mixed = { ...eight, pause_us_last: 5000 };
  const nine = { checkpoints: 9, pause_us_last: 5000, commit_us_last: 7000 };
  assert.deepEqual(taken([old, eight, mixed, nine, nine]), [undefined, undefined, undefined, undefined, 9]);
});

function checkpoint(changes: Partial<Checkpoint>): Checkpoint {
  return {
    number: 1,
    pause: 0,
    stop: 0,
    scan: 0,
    copy: 0,
    finish: 0,
    encode: 0,
    commit: 0,
    dirty: 0,
    ...changes,
  };
}

Deno.test("the shares of pause and commit add up to what a checkpoint took, and the largest is named", () => {
  const one = checkpoint({ stop: 700, scan: 400, copy: 1900, finish: 500, encode: 1000, commit: 6500 });
  const sum = (shares: { us: number }[]) => shares.reduce((total, { us }) => total + us, 0);
  assert.equal(sum(pauseShares([one])), 3500);
  assert.equal(sum(commitShares([one])), 6500);
  assert.equal(
    sharesText(pauseShares([one])),
    "stop 0.70 + scan 0.40 + copy 1.90 + finish 0.50 ms; most of it: copy, 54 %",
  );
});

Deno.test("a commit that overtakes its own parts has no negative share", () => {
  const shares = commitShares([checkpoint({ stop: 700, finish: 500, commit: 1000 })]);
  assert.ok(shares.every(({ us }) => us >= 0));
  assert.equal(sharesText([]), " ms; most of it: -, 0 %");
});
