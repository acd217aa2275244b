/** The engine's events: lines of JSON from `events.sock`, bounded, checked, as a discriminated union. */

import { EdgeError } from "../lib/errors.ts";

/** A field's type on the wire. `flag` is true/false or 1/0. */
type FieldType = "number" | "flag" | "text" | "json";

/** Each event with its fields, as iservft.h lists them. */
export const EVENT_FIELDS = {
  path: { path: "number", alive: "flag" },
  peer: { silent: "flag", lan_answers: "flag" },
  own_stall: { gap_us: "number" },
  link: { link: "number", up: "flag", reason: "text" },
  control: { message: "json" },
  active: { link: "number" },
  sync: {
    phase: "text",
    round: "number",
    bytes_done: "number",
    bytes_total: "number",
    bytes_sent: "number",
    bytes_skipped: "number",
    rate_bytes_s: "number",
    eta_s: "number",
  },
  protected: { epoch: "number" },
  whole: { epoch: "number" },
  stalled: { epoch: "number", waited_us: "number" },
  qemu: { name: "text", data: "json" },
  qemu_lost: { reason: "text" },
  handed: { epoch: "number", stopped_us: "number" },
  verified: { epoch: "number", memory: "flag", blocks: "flag", device: "flag", disk: "flag" },
  disk: { disk: "number", error: "number", what: "text" },
  refused: { link: "number", what: "text" },
  word: { generation: "number", term: "number", epoch: "number", role: "number", flags: "number" },
  synchronous: { epoch: "number" },
  sync_failed: { what: "text", code: "number", resumable: "flag", text: "text" },
  protection_failed: { what: "text", code: "number", text: "text" },
  failed: { what: "text", code: "number", text: "text" },
} as const satisfies Record<string, Record<string, FieldType>>;

type EventTable = typeof EVENT_FIELDS;
type ValueOf<T extends FieldType> = T extends "number" ? number
  : T extends "flag" ? boolean
  : T extends "text" ? string
  : unknown;

/** One event. `t_us`: CLOCK_MONOTONIC of the engine. */
export type EngineEvent = {
  [Name in keyof EventTable]:
    & { event: Name; t_us: number }
    & { -readonly [Key in keyof EventTable[Name]]: ValueOf<EventTable[Name][Key] & FieldType> };
}[keyof EventTable];

/** The longest line that is accepted, in bytes: a control message and some room. */
export const EVENT_LINE_MAX = 1 << 20;

function mismatch(message: string): EdgeError {
  return new EdgeError(message, {
    op: "read the engine's events",
    hint: "The library and this program are of different builds: install them together.",
  });
}

function checked(type: FieldType, value: unknown): unknown {
  switch (type) {
    case "number":
      return typeof value === "number" && Number.isSafeInteger(value) ? value : undefined;
    case "flag":
      return value === true || value === 1 ? true : value === false || value === 0 ? false : undefined;
    case "text":
      return typeof value === "string" ? value : undefined;
    case "json":
      return value ?? null;
    default:
      return type satisfies never;
  }
}

/** Reads one line. Throws EdgeError when it is not an event of this build. */
export function parseEvent(line: string): EngineEvent {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (cause) {
    throw new EdgeError(`The engine sent a line that is no JSON: ${line.slice(0, 200)}`, {
      op: "read the engine's events",
      hint: "Report this with the engine's version.",
      cause,
    });
  }
  if (typeof value !== "object" || value === null) {
    throw mismatch(`An event is no object: ${line.slice(0, 200)}`);
  }
  const raw = value as Record<string, unknown>;
  const name = raw["event"];
  if (typeof name !== "string" || !Object.hasOwn(EVENT_FIELDS, name)) {
    throw mismatch(`The engine sent an unknown event ${JSON.stringify(name)?.slice(0, 100)}`);
  }
  const event: Record<string, unknown> = { event: name, t_us: checked("number", raw["t_us"]) };
  if (event["t_us"] === undefined) throw mismatch(`Event ${name} has no time t_us`);
  for (const [field, type] of Object.entries(EVENT_FIELDS[name as keyof EventTable])) {
    const fieldValue = checked(type as FieldType, raw[field]);
    if (fieldValue === undefined) {
      throw mismatch(
        `Event ${name}: ${field} is ${JSON.stringify(raw[field])?.slice(0, 100)}, not a ${type}`,
      );
    }
    event[field] = fieldValue;
  }
  return event as EngineEvent;
}

/** What a connection sends, until its end. Each chunk is valid until the next is asked for. */
export async function* chunks(connection: { read(into: Uint8Array): Promise<number | null> }) {
  const buffer = new Uint8Array(64 * 1024);
  for (let n = await connection.read(buffer); n !== null; n = await connection.read(buffer)) {
    yield buffer.subarray(0, n);
  }
}

/** Cuts a byte stream into lines of at most `max` bytes. */
export async function* boundedLines(stream: AsyncIterable<Uint8Array>, max: number): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let parts: Uint8Array[] = [];
  let held = 0;
  const take = (last: Uint8Array): string => {
    const text = parts.map((part) => decoder.decode(part, { stream: true })).join("") + decoder.decode(last);
    parts = [];
    held = 0;
    return text;
  };
  for await (const chunk of stream) {
    let rest = chunk;
    for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
      if (held + end > max) throw mismatch(`A line is longer than ${max} bytes`);
      yield take(rest.subarray(0, end));
      rest = rest.subarray(end + 1);
    }
    held += rest.length;
    if (held > max) throw mismatch(`A line is longer than ${max} bytes`);
    if (rest.length > 0) parts.push(rest.slice());
  }
}

/** Connects to `runDir`/events.sock and yields events until the engine ends or `signal` aborts (which ends the
 * sequence quietly). */
export async function* engineEvents(runDir: string, signal: AbortSignal): AsyncGenerator<EngineEvent> {
  if (signal.aborted) return;
  const connection = await Deno.connect({ transport: "unix", path: `${runDir}/events.sock` });
  let open = true;
  const close = () => {
    if (open) connection.close();
    open = false;
  };
  signal.addEventListener("abort", close, { once: true });
  try {
    if (signal.aborted) close();
    for await (const line of boundedLines(chunks(connection), EVENT_LINE_MAX)) {
      if (line !== "") yield parseEvent(line);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    signal.removeEventListener("abort", close);
    close();
  }
}
