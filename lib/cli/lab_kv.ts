/** `iservft-edge lab-kv`: several clients of the demo guest's key-value store, which record what they saw. The fault tests start it
 * inside the lab; its standard input takes `stop`. */

import { parseArgs } from "node:util";
import { GUEST_PORT } from "../lab/guest_connection.ts";
import { dumpStore, type KvOptions, runKvClients } from "../lab/kv_client.ts";
import { writeHistory } from "../lab/kv_history.ts";
import { monotonicClock } from "../lab/monotonic.ts";
import type { CommandIo } from "./command.ts";
import { readLines } from "./lab_client.ts";

const USAGE = `usage: iservft-edge lab-kv --hostname ADDRESS --history FILE [OPTIONS]
       iservft-edge lab-kv --hostname ADDRESS --dump FILE

Reads, writes, and compares and sets keys of the demo guest over several TCP connections, and writes what was asked and
answered to FILE. Prints lines of JSON; the last is the summary. \`stop\` on standard input ends it. With --dump: writes
what the guest's store holds, and its log, to FILE.

  --hostname ADDRESS   the guest
  --port N             its port (${GUEST_PORT})
  --clients N          connections (4)
  --durable-keys N     keys that the guest has on stable storage before it answers (4)
  --memory-keys N      keys that are in the guest's memory only (2)
  --think-ms MS        pause of each client after each answer (0)
  --operations N       ends after so many (0: never)
  --patience-ms MS     an answer that takes longer means a broken connection (10000)
  --connect-ms MS      how long to try to connect at first (20000)
  --seed N             of what is asked (random); no two runs against one guest may have the same
  --progress-ms MS     time between progress lines (100; 0: none)`;

const NUMBERS = {
  port: { otherwise: GUEST_PORT, least: 1, most: 65535 },
  clients: { otherwise: 4, least: 1, most: 30 },
  "durable-keys": { otherwise: 4, least: 0, most: 60 },
  "memory-keys": { otherwise: 2, least: 0, most: 60 },
  "think-ms": { otherwise: 0, least: 0, most: 60_000 },
  operations: { otherwise: 0, least: 0, most: 1e7 },
  "patience-ms": { otherwise: 10_000, least: 1, most: 600_000 },
  "connect-ms": { otherwise: 20_000, least: 1, most: 600_000 },
  "progress-ms": { otherwise: 100, least: 0, most: 60_000 },
  seed: { otherwise: -1, least: 0, most: 2 ** 32 - 1 },
} as const;

interface Arguments extends KvOptions {
  history: string | undefined;
  dump: string | undefined;
}

/** The options, or what is wrong with them. */
export function readKvOptions(args: string[]): Arguments | string {
  const text = { type: "string" } as const;
  let values: Record<string, string | undefined>;
  try {
    const names = ["hostname", "history", "dump", ...Object.keys(NUMBERS)];
    const options = Object.fromEntries(names.map((name) => [name, text]));
    values = parseArgs({ args, options, allowPositionals: false }).values as typeof values;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  const wrong: string[] = [];
  const number = (name: keyof typeof NUMBERS): number => {
    const { otherwise, least, most } = NUMBERS[name];
    const value = values[name];
    if (value === undefined) return otherwise;
    if (/^\d+$/.test(value) && Number(value) >= least && Number(value) <= most) return Number(value);
    wrong.push(`--${name} is "${value}", not a number of ${least} to ${most}`);
    return otherwise;
  };
  const { hostname = "", history, dump } = values;
  if (hostname === "") wrong.push("--hostname is missing");
  if ((history === undefined) === (dump === undefined)) wrong.push("either --history or --dump is needed");
  const seed = number("seed");
  const options: Arguments = {
    ...{ hostname, history, dump },
    port: number("port"),
    clients: number("clients"),
    durable_keys: number("durable-keys"),
    memory_keys: number("memory-keys"),
    think_ms: number("think-ms"),
    operations: number("operations"),
    patience_ms: number("patience-ms"),
    connect_ms: number("connect-ms"),
    progress_ms: number("progress-ms"),
    seed: seed < 0 ? crypto.getRandomValues(new Uint32Array(1))[0] ?? 0 : seed,
  };
  if (options.durable_keys + options.memory_keys === 0) wrong.push("there is no key");
  return wrong.length > 0 ? wrong.join("; ") : options;
}

/** Runs the clients until they are told to stop or have done enough. Exit code 0 unless the guest could not be reached at first. */
export async function run(args: string[], io: CommandIo): Promise<number> {
  if (args.includes("--help")) {
    io.out(USAGE);
    return 0;
  }
  const options = readKvOptions(args);
  if (typeof options === "string") {
    io.err(`error: ${options}`);
    io.err(USAGE);
    return 2;
  }
  const clock = monotonicClock();
  if (options.dump !== undefined) {
    await Deno.writeTextFile(options.dump, JSON.stringify(await dumpStore(options)));
    io.out(JSON.stringify({ event: "summary", t_us: clock() }));
    return 0;
  }
  const stop = new AbortController();
  const orders = new AbortController();
  const listening = readLines(Deno.stdin.readable, orders.signal, (line) => {
    if (line === "stop") stop.abort();
    else io.err(`error: "${line}" is not stop`);
  });
  try {
    const emit = (event: unknown) => io.out(JSON.stringify(event));
    const { summary, history } = await runKvClients(options, { clock, emit, stop: stop.signal });
    await writeHistory(options.history ?? "", history);
    emit(summary);
    return 0;
  } finally {
    orders.abort();
    await listening;
  }
}
