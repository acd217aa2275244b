/** The command `faults` plays every row of FAULTS.md. Here: those that no other test of this folder covers, and whether its judgement
 * notices what is wrong. */

import assert from "node:assert/strict";
import { lostOutput, parted, zombie } from "../../lib/lab/faults/controls.ts";
import { type Outcome, type Row, STANDARD } from "../../lib/lab/faults/row.ts";
import { ROWS, rowsOf } from "../../lib/lab/faults/rows.ts";
import { playRows } from "../../lib/lab/faults/table.ts";
import { program } from "./kit.ts";

/** Plays each row once. */
async function played(rows: readonly Row[]): Promise<{ row: Row; outcome: Outcome }[]> {
  const all: { row: Row; outcome: Outcome }[] = [];
  await playRows(program(), {
    rows,
    times: 1,
    random: () => 0.3,
    onOutcome: (row, outcome) => all.push({ row, outcome }),
  });
  return all;
}

/** Plays a control, and returns what was wrong. */
async function brokenBy(row: Row): Promise<Outcome> {
  const [only] = await played([row]);
  assert.ok(only !== undefined, "it was not played");
  return only.outcome;
}

Deno.test("cut links, an isolated host, a one-way line, a frozen backup, an empty host: each as promised, and whole again", async () => {
  const rows = rowsOf(ROWS, [6, 7, 8, 18, 24]).filter(({ kind }) => kind === STANDARD);
  const all = await played(rows);
  assert.equal(all.length, rows.length);
  for (const { row, outcome } of all) {
    assert.deepEqual([row.fault, outcome.broken, outcome.lost], [row.fault, [], 0]);
  }
});

Deno.test("control: without output commit the judgement says how much was lost", async () => {
  const { lost, broken } = await brokenBy(lostOutput);
  assert.ok(lost > 0, broken.join("; "));
});

Deno.test("control: without the term check a thawed primary speaks on, and is heard", async () => {
  const { broken } = await brokenBy(zombie);
  assert.ok(broken.some((text) => /frames were heard from host a while/.test(text)), broken.join("; "));
});

Deno.test("control: without a witness two hosts that are parted both speak, and are heard", async () => {
  const { broken } = await brokenBy(parted);
  assert.ok(broken.some((text) => /frames were heard from host [ab] while/.test(text)), broken.join("; "));
});
