/** `iservft-edge faults`: what a pair must survive, with real processes, as a table. */

import { parseArgs } from "node:util";
import { quietHours } from "../lab/faults/quiet.ts";
import type { Program } from "../lab/scene.ts";
import { assets, guestKernel, selfCommand } from "./assets.ts";
import type { CommandIo } from "./command.ts";

const USAGE = `usage: iservft-edge faults --quiet-hours H [OPTIONS]

Needs root: builds two hosts on this machine out of network namespaces.

  --quiet-hours H    no fault at all for so many hours while every core is busy: what the pair does then is a mistake
  --takeover-ms MS   silence that is a lost host (100)
  --json             one JSON object per line`;

interface Arguments {
  quiet: number;
  takeover: number;
  json: boolean;
}

function number(text: string, option: { name: string; least: number; most: number }): number {
  const value = Number(text);
  if (text !== "" && value >= option.least && value <= option.most) return value;
  throw new Error(`--${option.name} is "${text}"; allowed: ${option.least} to ${option.most}`);
}

function parse(args: string[]): Arguments | "help" {
  const { values } = parseArgs({
    args,
    options: {
      "quiet-hours": { type: "string", default: "0" },
      "takeover-ms": { type: "string", default: "100" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return "help";
  return {
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

/** Runs the command. */
export async function run(args: string[], io: CommandIo): Promise<number> {
  const given = read(args, io);
  if (typeof given === "number") return given;
  const program: Program = { self: selfCommand(), kernel: guestKernel(), guestInit: assets().guestInit };
  const interrupted = new AbortController();
  const stop = () => interrupted.abort();
  for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, stop);
  try {
    const report = await quietHours(program, {
      hours: given.quiet,
      busy: navigator.hardwareConcurrency,
      takeover: given.takeover,
      onLine: (line) => io.out(JSON.stringify(line)),
      stop: interrupted.signal,
    });
    io.out(JSON.stringify({ event: "summary", ...report }));
    return report.false_takeovers + report.broken.length === 0 ? 0 : 1;
  } finally {
    for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.removeSignalListener(signal, stop);
  }
}
