/** Plays rows, each so many times, and says what came of it: a line for each repetition, and a table at the end. */

import { errorText } from "../../errors.ts";
import type { Program } from "../scene.ts";
import { repetition } from "./judge.ts";
import type { MissingRow, Outcome, Row } from "./row.ts";
import { Stage } from "./stage.ts";

/** How rows are played. */
export interface PlayOptions {
  rows: readonly Row[];
  times: number;
  /** Numbers of 0 to below 1, for the choices that rows make. */
  random: () => number;
  /** Called after each repetition. */
  onOutcome(row: Row, outcome: Outcome): void;
  stop?: AbortSignal;
}

/** A row with all that came of it. */
export interface RowResult {
  row: Row;
  outcomes: Outcome[];
}

/** Plays the rows, those of one kind of pair on one pair; a fresh one after each repetition that did not go as promised. */
export async function playRows(program: Program, options: PlayOptions): Promise<RowResult[]> {
  const results = options.rows.map((row): RowResult => ({ row, outcomes: [] }));
  for (const kind of new Set(options.rows.map((row) => row.kind))) {
    let stage: Stage | undefined;
    try {
      for (const result of results.filter(({ row }) => row.kind === kind)) {
        for (let time = 0; time < options.times && options.stop?.aborted !== true; time++) {
          stage ??= await Stage.open(program, { kind, random: options.random });
          const outcome = await once(stage, result.row);
          result.outcomes.push(outcome);
          options.onOutcome(result.row, outcome);
          if (outcome.broken.length === 0) continue;
          await stage[Symbol.asyncDispose]();
          stage = undefined;
        }
      }
      await stage?.finish();
    } finally {
      await stage?.[Symbol.asyncDispose]();
    }
  }
  return results;
}

async function once(stage: Stage, row: Row): Promise<Outcome> {
  try {
    return await repetition(stage, row);
  } catch (error) {
    const { term } = stage.standing;
    return {
      broken: [errorText(error)],
      lost: 0,
      gap_ms: 0,
      term: { before: term, after: term },
      detection_ms: null,
      takeover_ms: null,
      note: "",
    };
  }
}

/** The value below which a share of the values is; null of none. */
export function quantile(values: readonly number[], share: number): number | null {
  const sorted = values.toSorted((x, y) => x - y);
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? null;
}

/** A row's figures. */
export interface RowSummary {
  number: number;
  fault: string;
  outcome: string;
  successes: number;
  times: number;
  lost: number;
  gap_ms: { p50: number | null; max: number | null };
  term: { before: number; after: number } | null;
  detection_ms: { p50: number | null; p99: number | null };
  takeover_ms: { p50: number | null; p99: number | null };
  note: string;
  broken: string[];
}

export function summaryOf({ row, outcomes }: RowResult): RowSummary {
  const values = (of: (outcome: Outcome) => number | null) =>
    outcomes.map(of).filter((value): value is number => value !== null);
  const spread = (of: (outcome: Outcome) => number | null) => ({
    p50: quantile(values(of), 0.5),
    p99: quantile(values(of), 0.99),
  });
  const gaps = values((outcome) => outcome.broken.length === 0 ? outcome.gap_ms : null);
  const first = outcomes[0];
  const last = outcomes.at(-1);
  return {
    number: row.number,
    fault: row.fault,
    outcome: row.outcome,
    successes: outcomes.filter(({ broken }) => broken.length === 0).length,
    times: outcomes.length,
    lost: outcomes.reduce((sum, { lost }) => sum + lost, 0),
    gap_ms: { p50: quantile(gaps, 0.5), max: quantile(gaps, 1) },
    term: first && last ? { before: first.term.before, after: last.term.after } : null,
    detection_ms: spread((outcome) => outcome.detection_ms),
    takeover_ms: spread((outcome) => outcome.takeover_ms),
    note: [...new Set(outcomes.map(({ note }) => note).filter((note) => note !== ""))].slice(0, 3).join(", "),
    broken: [...new Set(outcomes.flatMap(({ broken }) => broken))],
  };
}

function ms(value: number | null): string {
  return value === null ? "-" : value.toFixed(0);
}

/** The table, as lines of text. */
export function tableOf(results: readonly RowResult[], missing: readonly MissingRow[]): string[] {
  const head = ["row", "fault", "ok", "lost", "gap ms", "term", "detect ms", "takeover ms", "outcome"];
  const body = results.map(summaryOf).filter(({ times }) => times > 0).map((row) => [
    `${row.number}`,
    row.fault,
    `${row.successes}/${row.times}`,
    `${row.lost}`,
    row.times > 1 ? `${ms(row.gap_ms.p50)} (${ms(row.gap_ms.max)})` : ms(row.gap_ms.p50),
    row.term === null ? "-" : `${row.term.before}→${row.term.after}`,
    row.times > 1 ? `${ms(row.detection_ms.p50)} (${ms(row.detection_ms.p99)})` : ms(row.detection_ms.p50),
    row.times > 1 ? `${ms(row.takeover_ms.p50)} (${ms(row.takeover_ms.p99)})` : ms(row.takeover_ms.p50),
    row.successes === row.times
      ? [row.outcome, row.note].filter((text) => text !== "").join("; ")
      : `NOT: ${row.broken.join("; ")}`,
  ]);
  const rows = [
    ...body,
    ...missing.map(({ number, fault, missing }) => [
      `${number}`,
      fault,
      ...["-", "-", "-", "-", "-", "-"],
      `not run: ${missing}`,
    ]),
  ].toSorted((x, y) => Number(x[0]) - Number(y[0]));
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  return all.map((row) =>
    row.map((cell, column) => column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)).join("  ")
  );
}
