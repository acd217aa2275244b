/** `iservft-edge lab-client`: counts over one TCP connection to the demo guest. The demo and the tests start it inside the
 * lab; its standard input takes `stop` and `mark`. */

import { parseArgs } from "node:util";
import { type ClientOptions, runCountingClient } from "../lab/counting_client.ts";
import { GUEST_PORT } from "../lab/guest_connection.ts";
import { monotonicClock } from "../lab/monotonic.ts";
import type { CommandIo } from "./command.ts";

const USAGE = `usage: iservft-edge lab-client --hostname ADDRESS [OPTIONS]

Counts over one TCP connection to the demo guest, one request at a time, and prints lines of JSON; the last is the
summary. Lines on standard input: stop, mark (gaps are counted apart from here on).

  --hostname ADDRESS   the guest
  --port N             its port (${GUEST_PORT})
  --dirty PAGES        pages that each request changes (10)
  --write BYTES        bytes that each request writes to disk and flushes (0)
  --fill small|random  what is written into them (small)
  --think-ms MS        pause after each reply (0)
  --requests N         ends after so many replies (0: never)
  --patience-ms MS     a reply that takes longer means a broken connection (10000)
  --connect-ms MS      how long to try to connect (20000)
  --progress-ms MS     time between progress lines (100; 0: none)
  --verify             has the guest check its memory and disk at the end

Exit code 0 when the connection survived and nothing acknowledged was lost.`;

const NUMBERS = {
  port: { otherwise: GUEST_PORT, most: 65535 },
  dirty: { otherwise: 10, most: 1e9 },
  write: { otherwise: 0, most: 65536 },
  "think-ms": { otherwise: 0, most: 60_000 },
  requests: { otherwise: 0, most: 1e12 },
  "patience-ms": { otherwise: 10_000, most: 600_000 },
  "connect-ms": { otherwise: 20_000, most: 600_000 },
  "progress-ms": { otherwise: 100, most: 60_000 },
} as const;

/** The options, or what is wrong with them. */
export function readOptions(args: string[]): ClientOptions | string {
  const text = { type: "string" } as const;
  let values: Record<string, string | boolean | undefined>;
  try {
    const options = {
      hostname: text,
      fill: text,
      verify: { type: "boolean" } as const,
      ...Object.fromEntries(Object.keys(NUMBERS).map((name) => [name, text])),
    };
    values = parseArgs({ args, options, allowPositionals: false }).values;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  const wrong: string[] = [];
  const number = (name: keyof typeof NUMBERS): number => {
    const { otherwise, most } = NUMBERS[name];
    const value = values[name];
    if (value === undefined) return otherwise;
    if (/^\d+$/.test(`${value}`) && Number(value) <= most) return Number(value);
    wrong.push(`--${name} is "${value}", not a number of 0 to ${most}`);
    return otherwise;
  };
  const { hostname, fill = "small" } = values;
  if (typeof hostname !== "string" || hostname === "") wrong.push("--hostname is missing");
  if (fill !== "small" && fill !== "random") wrong.push(`--fill is "${fill}", neither small nor random`);
  const options: ClientOptions = {
    hostname: `${hostname}`,
    port: number("port"),
    dirty: number("dirty"),
    write: number("write"),
    fill: fill === "random" ? "random" : "small",
    think_ms: number("think-ms"),
    requests: number("requests"),
    patience_ms: number("patience-ms"),
    connect_ms: number("connect-ms"),
    progress_ms: number("progress-ms"),
    verify: values.verify === true,
  };
  return wrong.length > 0 ? wrong.join("; ") : options;
}

/** Runs the client until it is told to stop, has its replies, or the connection breaks. */
export async function run(args: string[], io: CommandIo): Promise<number> {
  if (args.includes("--help")) {
    io.out(USAGE);
    return 0;
  }
  const options = readOptions(args);
  if (typeof options === "string") {
    io.err(`error: ${options}`);
    io.err(USAGE);
    return 2;
  }
  const stop = new AbortController();
  const orders = new AbortController();
  let mark: (() => void) | undefined;
  // What comes before the connection stands is not lost: a mark is set as soon as it can be.
  let marked = false;
  const listening = readLines(Deno.stdin.readable, orders.signal, (line) => {
    if (line === "stop") stop.abort();
    else if (line === "mark") mark === undefined ? marked = true : mark();
    else io.err(`error: "${line}" is neither stop nor mark`);
  });
  try {
    const summary = await runCountingClient(options, {
      clock: monotonicClock(),
      emit: (event) => io.out(JSON.stringify(event)),
      stop: stop.signal,
      onMark: (set) => {
        mark = set;
        if (marked) set();
      },
    });
    io.out(JSON.stringify(summary));
    const verified = summary.memory?.ok !== false && summary.disk?.ok !== false;
    return summary.connection === "survived" && summary.lost === 0 && summary.skipped === 0 && verified
      ? 0
      : 1;
  } finally {
    orders.abort();
    await listening;
  }
}

/** Calls back for each line until the input ends or the signal comes. */
export async function readLines(
  input: ReadableStream<Uint8Array>,
  signal: AbortSignal,
  onLine: (line: string) => void,
): Promise<void> {
  let rest = "";
  try {
    for await (const text of input.pipeThrough(new TextDecoderStream(), { signal })) {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) if (line.trim() !== "") onLine(line.trim());
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
