/** One fault after the other, drawn at random, on one pair, while one client counts over one connection all the time; and takeovers
 * back and forth without end, with what they cost in memory, descriptors, processes, namespaces and files. */

import type { Program } from "../scene.ts";
import { play, withClient } from "./judge.ts";
import { type Inventory, inventory } from "./leaks.ts";
import { type Outcome, type Row, STANDARD } from "./row.ts";
import { Stage } from "./stage.ts";

/** How a run goes. */
export interface RunOptions {
  rows: readonly Row[];
  times: number;
  random: () => number;
  /** Rows in their order, again and again, instead of by chance. */
  inTurn?: boolean;
  onOutcome(row: Row, outcome: Outcome): void;
  stop?: AbortSignal;
}

/** What came of a run. */
export interface RunReport {
  event: "run";
  faults: number;
  successes: number;
  /** Counts that the guest had acknowledged to the client, of all that happened. */
  acknowledged: number;
  lost: number;
  /** Repetitions in which frames were heard of a host while the other one had the voice. */
  two_voices: number;
  longest_gap_ms: number;
  term: { before: number; after: number };
  /** What was wrong, each with the fault at which it was seen. */
  broken: string[];
  /** What the two runners hold, at the start and at the end, both of them protected. */
  start: Inventory;
  end: Inventory;
}

/** Plays faults on one pair until so many were played, or one did not go as promised. */
export async function playRun(program: Program, options: RunOptions): Promise<RunReport> {
  await using stage = await Stage.open(program, { kind: STANDARD, random: options.random });
  await using client = await stage.scene.client({
    dirty: 20,
    write: 256,
    progress_ms: 20,
    patience_ms: 30_000,
  });
  stage.client = client;
  const start = await inventory(stage);
  const term = { before: stage.standing.term, after: 0 };
  const outcomes: Outcome[] = [];
  const broken: string[] = [];
  while (outcomes.length < options.times && options.stop?.aborted !== true && broken.length === 0) {
    const row = pick(options, outcomes.length);
    const outcome = await play(stage, row);
    outcomes.push(outcome);
    options.onOutcome(row, outcome);
    broken.push(...outcome.broken.map((text) => `at fault ${outcomes.length} (${row.fault}): ${text}`));
  }
  const end = await inventory(stage);
  term.after = stage.standing.term;
  const summary = await client.stop();
  const whole = withClient({ ...outcomes[0]!, broken: [] }, summary);
  await stage.finish();
  return {
    event: "run",
    faults: outcomes.length,
    successes: outcomes.filter((outcome) => outcome.broken.length === 0).length,
    acknowledged: summary.acknowledged,
    lost: summary.lost,
    two_voices:
      outcomes.filter((outcome) => outcome.broken.some((text) => /had the voice/.test(text))).length,
    longest_gap_ms: Math.round(summary.longest_gap_ms),
    term,
    broken: [...broken, ...whole.broken],
    start,
    end,
  };
}

function pick({ rows, random, inTurn }: RunOptions, index: number): Row {
  const row = rows[inTurn ? index % rows.length : Math.floor(random() * rows.length)];
  if (row === undefined) throw new RangeError("there is no row to play");
  return row;
}
