/** `iservft-edge bench`: the product's figures, measured on this machine, beside what they should reach. */

import { availableParallelism, loadavg, release } from "node:os";
import { parseArgs } from "node:util";
import { resolve } from "node:path";
import type { Setting } from "../bench/bed.ts";
import { type Figure, jsonOf, summaryOf, tableOf } from "../bench/figures.ts";
import { choose, type Part, PARTS, runParts } from "../bench/parts.ts";
import { qemuVersion } from "../vm/qemu.ts";
import { assets, guestKernel, selfCommand } from "./assets.ts";
import type { CommandIo } from "./command.ts";

const WIDTH = Math.max(...PARTS.map(({ name }) => name.length));

const USAGE = `usage: iservft-edge bench [all|PART...] [OPTIONS]

Measures on this machine, in the lab's two hosts, and prints each figure beside what it should reach. Needs root. Run it with nothing
else on the machine: all of it takes some 20 minutes, --quick some 6.

${PARTS.map(({ name, what }) => `  ${name.padEnd(WIDTH)}   ${what}`).join("\n")}

  --quick        fewer samples
  --times N      power-offs in takeover (10) and power-offs (50)
  --seed N       the moments of the power-offs (random, and printed)
  --memory MB    the guest's memory (512)
  --json         one figure per line, as it is measured

Exit code 0 when everything was measured, whatever the figures are.`;

interface Arguments {
  parts: readonly Part[];
  quick: boolean;
  json: boolean;
  times: number | undefined;
  seed: number;
  memory: number;
}

function whole(text: string, option: { name: string; least: number; most: number }): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= option.least && value <= option.most) return value;
  throw new Error(`--${option.name} is "${text}"; allowed: ${option.least} to ${option.most}`);
}

function parse(args: string[]): Arguments | "help" {
  const text = { type: "string" } as const;
  const flag = { type: "boolean", default: false } as const;
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { quick: flag, json: flag, help: flag, times: text, seed: text, memory: text },
  });
  if (values.help) return "help";
  const { quick, json, times, seed, memory = "512" } = values;
  return {
    parts: choose(positionals),
    quick,
    json,
    times: times === undefined ? undefined : whole(times, { name: "times", least: 1, most: 10_000 }),
    seed: seed === undefined
      ? Math.floor(Math.random() * 2 ** 31)
      : whole(seed, { name: "seed", least: 0, most: 2 ** 32 - 1 }),
    memory: whole(memory, { name: "memory", least: 128, most: 16_384 }),
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

/** What the figures are of: they mean little without it. */
async function machine() {
  const [major, minor] = await qemuVersion("qemu-system-x86_64");
  return {
    event: "machine",
    cpus: availableParallelism(),
    kernel: release(),
    qemu: `${major}.${minor}`,
    load: Math.round((loadavg()[0] ?? 0) * 100) / 100,
  };
}

/** Runs the command. */
export async function run(args: string[], io: CommandIo): Promise<number> {
  const given = read(args, io);
  if (typeof given === "number") return given;
  const found = assets();
  const kernel = guestKernel();
  const on = await machine();
  if (given.json) io.out(JSON.stringify({ ...on, seed: given.seed, quick: given.quick }));
  else io.err(`${on.cpus} CPUs, Linux ${on.kernel}, QEMU ${on.qemu}; load before the start: ${on.load}`);
  const figures: Figure[] = [];
  const interrupted = new AbortController();
  const stop = () => interrupted.abort(new Error("interrupted"));
  const setting: Setting = {
    self: selfCommand(),
    kernel,
    guestInit: found.guestInit,
    library: found.library,
    sources: found.mode === "source" ? resolve(import.meta.dirname ?? ".", "../..") : undefined,
    ...{ quick: given.quick, times: given.times, seed: given.seed, memory: given.memory },
    interrupted: interrupted.signal,
    say: (text) => io.err(text),
    report: (figure) => {
      figures.push(figure);
      if (given.json) io.out(jsonOf(figure));
    },
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, stop);
  try {
    const failed = await runParts(given.parts, setting);
    if (!given.json) io.out(`\n${tableOf(figures)}\n\n${summaryOf(figures)}`);
    return failed === 0 ? 0 : 1;
  } catch (error) {
    if (interrupted.signal.aborted) return 130;
    throw error;
  } finally {
    for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.removeSignalListener(signal, stop);
  }
}
