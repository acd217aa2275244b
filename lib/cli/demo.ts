/** `iservft-edge demo`: the whole product on one machine, with a fault of your choice. */

import { parseArgs } from "node:util";
import {
  demonstrate,
  type DemonstrationOptions,
  type Failure,
  FAILURES,
  faultsOf,
} from "../lab/demonstration.ts";
import { Lab } from "../lab/lab.ts";
import { assets, guestKernel, selfCommand } from "./assets.ts";
import type { CommandIo } from "./command.ts";
import { DemoView, FAILURE_TEXT } from "./demo_view.ts";

const USAGE = `usage: iservft-edge demo [OPTIONS]

Builds two hosts out of network namespaces, joined by two 1 Gbps links and a LAN, protects a Linux guest, lets a client
count over one TCP connection, and makes something fail. Exit code 0 only if nothing acknowledged was lost.

  --fail WHAT    ${FAILURES.join(", ")} (power-off-primary)
  --for SECONDS  length of the load; the fault comes in its middle (10)
  --memory MB    the guest's memory (512)
  --dirty PAGES  pages that each request dirties (10)
  --write BYTES  bytes that each request writes to the disk and flushes (64; 0: none)
  --ui           two whole nodes instead, with a page each to look around in, until Ctrl-C
  --json         one JSON object per line; the last is the summary
  --no-output-commit   the negative control: releases output before it is safe, and so must lose acknowledged counts`;

interface Arguments {
  fail: Failure;
  seconds: number;
  memory: number;
  dirty: number;
  write: number;
  json: boolean;
  unsafe: boolean;
  ui: boolean;
}

function number(text: string, option: { name: string; least: number; most: number }): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= option.least && value <= option.most) return value;
  throw new Error(`--${option.name} is "${text}"; allowed: ${option.least} to ${option.most}`);
}

function parse(args: string[]): Arguments | "help" {
  const { values } = parseArgs({
    args,
    options: {
      fail: { type: "string", default: "power-off-primary" },
      for: { type: "string", default: "10" },
      memory: { type: "string", default: "512" },
      dirty: { type: "string", default: "10" },
      write: { type: "string", default: "64" },
      json: { type: "boolean", default: false },
      "no-output-commit": { type: "boolean", default: false },
      ui: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return "help";
  const fail = FAILURES.find((name) => name === values.fail);
  if (fail === undefined) throw new Error(`--fail is "${values.fail}"; allowed: ${FAILURES.join(", ")}`);
  return {
    fail,
    seconds: number(values.for, { name: "for", least: 2, most: 3600 }),
    memory: number(values.memory, { name: "memory", least: 128, most: 16384 }),
    dirty: number(values.dirty, { name: "dirty", least: 0, most: 8000 }),
    write: number(values.write, { name: "write", least: 0, most: 65536 }),
    json: values.json,
    unsafe: values["no-output-commit"],
    ui: values.ui,
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

function labId(): string {
  return `d${Deno.pid.toString(36)}`.slice(0, 8);
}

/** Runs the command. */
export async function run(args: string[], io: CommandIo): Promise<number> {
  const given = read(args, io);
  if (typeof given === "number") return given;
  if (given.ui) return await showUi(io);
  const live = !given.json && Deno.stdout.isTerminal();
  const view = new DemoView({
    write: (text) => Deno.stdout.writeSync(new TextEncoder().encode(text)),
    live,
    colour: live && !Deno.env.has("NO_COLOR"),
  });
  const kernel = guestKernel();
  if (!given.json) {
    io.out(
      `iservft-edge demo: two hosts, one protected VM of ${given.memory} MiB, and ${
        FAILURE_TEXT[given.fail]
      }\n`,
    );
  }
  const interrupted = new AbortController();
  const stop = () => interrupted.abort();
  for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, stop);
  const directory = await Deno.makeTempDir({ prefix: "iservft-demo-" });
  try {
    await using lab = await Lab.up({ id: labId() });
    const options: DemonstrationOptions = {
      pair: {
        lab,
        directory,
        self: selfCommand(),
        kernel,
        guestInit: assets().guestInit,
        memory: given.memory,
        noOutputCommit: given.unsafe,
      },
      fail: given.fail,
      seconds: given.seconds,
      dirty: given.dirty,
      write: given.write,
      onEvent: (event) => given.json ? io.out(JSON.stringify(event)) : view.take(event),
    };
    const outcome = await Promise.race([demonstrate(lab, options), aborted(interrupted.signal)]);
    if (outcome === undefined) return 130;
    const wrong = faultsOf(outcome);
    if (given.json) io.out(JSON.stringify(outcome));
    else view.finish(outcome, wrong);
    return wrong.length === 0 ? 0 : 1;
  } finally {
    for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.removeSignalListener(signal, stop);
    await Deno.remove(directory, { recursive: true });
  }
}

async function showUi(io: CommandIo): Promise<number> {
  const ended = new AbortController();
  const stop = () => ended.abort();
  for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, stop);
  try {
    const { showPages } = await import("./demo_ui.ts");
    return await showPages(io, { id: labId(), until: ended.signal });
  } finally {
    for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.removeSignalListener(signal, stop);
  }
}

function aborted(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(undefined), { once: true }));
}
