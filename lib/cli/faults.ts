/** `iservft-edge faults`: what a pair must survive, with real processes, as a table. */

import { parseArgs } from "node:util";
import { leaks } from "../lab/faults/leaks.ts";
import { quietHours } from "../lab/faults/quiet.ts";
import { playRun } from "../lab/faults/random.ts";
import type { Outcome, Row } from "../lab/faults/row.ts";
import { MISSING, ROWS, rowsOf } from "../lab/faults/rows.ts";
import { playRows, summaryOf, tableOf } from "../lab/faults/table.ts";
import type { Program } from "../lab/scene.ts";
import { assets, guestKernel, selfCommand } from "./assets.ts";
import type { CommandIo } from "./command.ts";

const USAGE = `usage: iservft-edge faults [--row N[,N]] [--times T] [--seed S] [--json]
       iservft-edge faults --random N | --leaks N [--seed S] [--json]
       iservft-edge faults --quiet-hours H [--takeover-ms MS]

Plays everything that a pair must survive, with real QEMU, disks and lines, two hosts out of network namespaces, and prints a
table. Each repetition is judged from outside: by a client that counts over one TCP connection, by what is heard on the
LAN, by both runners' terms, and by a comparison of everything once the pair is protected again. Needs root.

  --row N[,N]        only these rows
  --times T          each row so many times (1)
  --random N         N faults drawn at random, one after the other, on one pair, under one client's one connection
  --leaks N          N takeovers back and forth in the same way; no runner ends, and what the runners hold is compared
  --seed S           for what is chosen at random; it is printed
  --quiet-hours H    no fault at all for so many hours while every core is busy: what the pair does then is a mistake
  --takeover-ms MS   silence that is a lost host, in quiet hours (100)
  --json             one JSON object per line`;

interface Arguments {
  rows: number[];
  times: number;
  seed: number;
  random: number;
  leaks: number;
  quiet: number;
  takeover: number;
  json: boolean;
}

function number(text: string, option: { name: string; least: number; most: number }): number {
  const value = Number(text);
  if (text !== "" && value >= option.least && value <= option.most) return value;
  throw new Error(`--${option.name} is "${text}"; allowed: ${option.least} to ${option.most}`);
}

function rowNumbers(text: string): number[] {
  if (text === "") return [];
  const known = new Set([...ROWS, ...MISSING].map((row) => row.number));
  return text.split(",").map((word) => {
    const row = Number(word);
    if (known.has(row)) return row;
    throw new Error(`--row has "${word}"; there are ${[...known].sort((x, y) => x - y).join(", ")}`);
  });
}

function parse(args: string[]): Arguments | "help" {
  const { values } = parseArgs({
    args,
    options: {
      row: { type: "string", default: "" },
      times: { type: "string", default: "1" },
      seed: { type: "string", default: `${crypto.getRandomValues(new Uint32Array(1))[0]}` },
      random: { type: "string", default: "0" },
      leaks: { type: "string", default: "0" },
      "quiet-hours": { type: "string", default: "0" },
      "takeover-ms": { type: "string", default: "100" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return "help";
  return {
    rows: rowNumbers(values.row),
    times: number(values.times, { name: "times", least: 1, most: 100_000 }),
    seed: number(values.seed, { name: "seed", least: 0, most: 2 ** 32 - 1 }),
    random: number(values.random, { name: "random", least: 0, most: 1e6 }),
    leaks: number(values.leaks, { name: "leaks", least: 0, most: 1e6 }),
    quiet: number(values["quiet-hours"], { name: "quiet-hours", least: 0, most: 1000 }),
    takeover: number(values["takeover-ms"], { name: "takeover-ms", least: 30, most: 60_000 }),
    json: values.json,
  };
}

function read(args: string[], io: CommandIo): Arguments | number {
  try {
    const given = parse(args);
    if (given !== "help") return given;
    io.out(USAGE);
    return 0;
  } catch (error) {
    io.err(`error: ${error instanceof Error ? error.message : error}`);
    io.err(USAGE);
    return 2;
  }
}

interface Work {
  given: Arguments;
  io: CommandIo;
  program: Program;
  stop: AbortSignal;
}

/** Runs the command. */
export async function run(args: string[], io: CommandIo): Promise<number> {
  const given = read(args, io);
  if (typeof given === "number") return given;
  const program: Program = { self: selfCommand(), kernel: guestKernel(), guestInit: assets().guestInit };
  const interrupted = new AbortController();
  const stop = () => interrupted.abort();
  for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, stop);
  try {
    const work = { given, io, program, stop: interrupted.signal };
    if (given.quiet > 0) return await quiet(work);
    return await (given.random > 0 || given.leaks > 0 ? long(work) : table(work));
  } finally {
    for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.removeSignalListener(signal, stop);
  }
}

async function quiet({ given, io, program, stop }: Work): Promise<number> {
  const report = await quietHours(program, {
    hours: given.quiet,
    busy: navigator.hardwareConcurrency,
    takeover: given.takeover,
    onLine: (line) => io.out(JSON.stringify(line)),
    stop,
  });
  io.out(JSON.stringify({ event: "summary", ...report }));
  return report.false_takeovers + report.broken.length === 0 ? 0 : 1;
}

function outcomeLine(row: Row, outcome: Outcome): string {
  const { broken, gap_ms, detection_ms, takeover_ms, note } = outcome;
  const ms = (value: number | null) => value === null ? "-" : `${value.toFixed(0)} ms`;
  const times = `gap ${ms(gap_ms)}, detected ${ms(detection_ms)}, taken over ${ms(takeover_ms)}`;
  const verdict = broken.length === 0 ? "ok  " : "FAIL";
  return `${verdict} ${row.number} ${row.fault}${note === "" ? "" : ` (${note})`}: ${
    broken.length === 0 ? times : broken.join("; ")
  }`;
}

async function table({ given, io, program, stop }: Work): Promise<number> {
  if (!given.json) io.out(`seed ${given.seed}`);
  const results = await playRows(program, {
    rows: rowsOf(ROWS, given.rows),
    times: given.times,
    random: seeded(given.seed),
    onOutcome: (row, outcome) =>
      io.out(
        given.json
          ? JSON.stringify({ event: "repetition", row: row.number, fault: row.fault, ...outcome })
          : outcomeLine(row, outcome),
      ),
    stop,
  });
  const missing = rowsOf(MISSING, given.rows);
  if (given.json) {
    for (const result of results) {
      io.out(JSON.stringify({ event: "row", seed: given.seed, ...summaryOf(result) }));
    }
    for (const row of missing) io.out(JSON.stringify({ event: "missing", ...row }));
  } else for (const line of ["", ...tableOf(results, missing)]) io.out(line);
  return results.every(({ outcomes }) => outcomes.every(({ broken }) => broken.length === 0)) ? 0 : 1;
}

/** Many faults on one pair. */
async function long({ given, io, program, stop }: Work): Promise<number> {
  const rows = given.leaks > 0
    ? ROWS.filter(({ takesTurns }) => takesTurns === true)
    : ROWS.filter(({ random }) => random);
  if (!given.json) io.out(`seed ${given.seed}`);
  let played = 0;
  const report = await playRun(program, {
    rows,
    times: given.leaks > 0 ? given.leaks : given.random,
    inTurn: given.leaks > 0,
    random: seeded(given.seed),
    onOutcome: (row, outcome) => {
      played++;
      io.out(
        given.json
          ? JSON.stringify({ event: "repetition", played, row: row.number, fault: row.fault, ...outcome })
          : `${`${played}`.padStart(4)} ${outcomeLine(row, outcome)}`,
      );
    },
    stop,
  });
  const leaked = leaks(report.start, report.end);
  io.out(JSON.stringify({ ...report, leaked }));
  return report.broken.length + leaked.length === 0 ? 0 : 1;
}

/** Numbers of 0 to below 1, the same for the same seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
