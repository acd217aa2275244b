/** The lab's client: one TCP connection, one request at a time, and an exact record of what was acknowledged. */

import { errorText } from "../errors.ts";
import { type CountSummary, CountTracker, type Progress } from "./counting.ts";
import { type DiskReport, GuestConnection, type GuestStats, type MemoryReport } from "./guest_connection.ts";
import type { MonotonicClock } from "./monotonic.ts";

/** What the client does. */
export interface ClientOptions {
  hostname: string;
  port?: number;
  /** Pages that each request changes. */
  dirty: number;
  /** Bytes that each request writes to disk and flushes; 0 for none. */
  write: number;
  fill: "small" | "random";
  /** Pause after each reply, in milliseconds. */
  think_ms: number;
  /** Ends by itself after this many replies; 0 for never. */
  requests: number;
  /** A reply that takes longer means that the connection is broken. */
  patience_ms: number;
  /** How long to try to connect. */
  connect_ms: number;
  /** Whether to have the guest check its memory and disk at the end. */
  verify: boolean;
  /** Time between progress lines; 0 for none. */
  progress_ms: number;
}

/** What the client says while it runs. `gap` is said when 50 ms or more without a reply are over. */
export type ClientEvent =
  | { event: "connected"; t_us: number }
  | { event: "progress" } & Progress
  | { event: "gap"; from_us: number; to_us: number; ms: number }
  | { event: "mark"; t_us: number; acknowledged: number };

/** What the client says last. */
export interface ClientSummary extends CountSummary {
  event: "summary";
  t_us: number;
  connection: "survived" | "broken";
  /** Why the connection broke, or why the guest could not be asked at the end. */
  reason: string | null;
  /** What the guest's counter was at the end; null if it could not be asked. */
  counter: number | null;
  memory: MemoryReport | null;
  disk: DiskReport | null;
}

/** What the client runs with. */
export interface ClientEnvironment {
  clock: MonotonicClock;
  emit: (event: ClientEvent) => void;
  /** Aborted to end the run after the reply that is on its way. */
  stop: AbortSignal;
  /** Called once, with the function that sets the mark. */
  onMark?: (mark: () => void) => void;
}

const GAP_US = 50_000;

/** Runs the client to its end. Throws only when the guest cannot be reached at all. */
export async function runCountingClient(
  options: ClientOptions,
  env: ClientEnvironment,
): Promise<ClientSummary> {
  const { clock, emit } = env;
  const address = {
    hostname: options.hostname,
    ...(options.port === undefined ? {} : { port: options.port }),
  };
  using connection = await GuestConnection.open({ ...address, bound_ms: options.connect_ms });
  const tracker = new CountTracker(clock());
  emit({ event: "connected", t_us: clock() });
  env.onMark?.(() => {
    tracker.mark();
    emit({ event: "mark", t_us: clock(), acknowledged: tracker.acknowledged });
  });
  const timer = options.progress_ms === 0
    ? undefined
    : setInterval(() => emit({ event: "progress", ...tracker.progress(clock()) }), options.progress_ms);
  let reason: string | null = null;
  try {
    await countUntilStopped(connection, { options, env, tracker });
  } catch (error) {
    reason = errorText(error).split("\n")[0] ?? "unknown";
  } finally {
    clearInterval(timer);
  }
  const counted = tracker.summary({ at_us: clock(), waiting: reason !== null });
  const found = await askAtEnd(reason === null ? connection : undefined, { options, address });
  if (found.counter !== null) tracker.verify(found.counter);
  const { lost } = tracker.summary({ at_us: clock(), waiting: false });
  return {
    event: "summary",
    t_us: clock(),
    connection: reason === null ? "survived" : "broken",
    ...counted,
    ...found,
    lost,
    reason: reason ?? found.reason,
  };
}

interface Loop {
  options: ClientOptions;
  env: ClientEnvironment;
  tracker: CountTracker;
}

async function countUntilStopped(connection: GuestConnection, loop: Loop): Promise<void> {
  const { options, env, tracker } = loop;
  const { clock } = env;
  const request = new TextEncoder().encode(`${requestLine(options)}\n`);
  // One watch for all requests: a timer for each would cost more than the request.
  let sent_us = clock();
  let waiting = false;
  let tooLong = false;
  const watch = setInterval(() => {
    if (!waiting || clock() - sent_us < options.patience_ms * 1000) return;
    tooLong = true;
    connection.close();
  }, Math.max(10, options.patience_ms / 20));
  try {
    for (let done = 0; !env.stop.aborted && (options.requests === 0 || done < options.requests); done++) {
      sent_us = clock();
      waiting = true;
      const line = await connection.ask(request);
      waiting = false;
      const at_us = clock();
      const number = Number(line);
      if (!Number.isSafeInteger(number)) throw new Error(`the guest answered "${line}"`);
      const gap_us = tracker.reply(number, { sent_us, at_us });
      if (gap_us >= GAP_US && options.think_ms * 1000 < GAP_US) {
        env.emit({ event: "gap", from_us: at_us - gap_us, to_us: at_us, ms: gap_us / 1000 });
      }
      if (options.think_ms > 0) await pause(options.think_ms);
    }
  } catch (error) {
    if (tooLong) throw new Error(`no reply within ${options.patience_ms} ms`);
    throw error;
  } finally {
    clearInterval(watch);
  }
}

function requestLine(options: ClientOptions): string {
  const words = ["count"];
  if (options.dirty > 0) words.push(`dirty=${options.dirty}`);
  if (options.write > 0) words.push(`write=${options.write}`);
  if (options.fill === "random") words.push("fill=random");
  return words.join(" ");
}

interface AtEnd {
  options: ClientOptions;
  address: { hostname: string; port?: number };
}

/** Asks the guest where it stands: on the connection that survived, or on a new one. */
async function askAtEnd(survivor: GuestConnection | undefined, at: AtEnd) {
  const found = {
    counter: null as number | null,
    memory: null as MemoryReport | null,
    disk: null as DiskReport | null,
    reason: null as string | null,
  };
  let own: GuestConnection | undefined;
  let bound: ReturnType<typeof setTimeout> | undefined;
  try {
    const connection = survivor ??
      (own = await GuestConnection.open({ ...at.address, bound_ms: at.options.patience_ms }));
    bound = setTimeout(() => connection.close(), at.options.patience_ms + 10_000);
    found.counter = (await connection.report<GuestStats>("stats")).counter;
    if (at.options.verify) found.memory = await connection.report<MemoryReport>("memsum");
    if (at.options.verify && at.options.write > 0) {
      found.disk = await connection.report<DiskReport>("disksum");
    }
  } catch (error) {
    found.reason = errorText(error).split("\n")[0] ?? "unknown";
  } finally {
    clearTimeout(bound);
    own?.close();
  }
  return found;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
