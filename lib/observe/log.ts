/** The service's log: one line each on standard error, in the form that its reader wants. journald gets entries with fields, or, when it
 * does not take them, lines that begin with their priority (sd-daemon(3)); a person reads text; programs read JSON. */

import { journalEntry } from "./journal.ts";
import { LOG_LEVELS, type LogFields, type LogLevel } from "../model/log.ts";

/** Who reads it. */
export type LogForm = "journal" | "text" | "json";

const PRIORITY: Record<LogLevel, number> = { debug: 7, info: 6, warning: 4, error: 3, critical: 2 };
/** Lines that wait for a reader that does not read. */
const MOST = 1_000;
const MESSAGE_CHARS = 2_000;
const VALUE_CHARS = 500;
const FIELDS = 30;

/** Names of values that nobody should read. */
const SECRET =
  /passw|secret|token|cookie|authorization|community|credential|private|\bpin\b|totp|session|_key$|^key$/i;
const PEM = /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g;
const BEARER = /\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{6,}/g;
const USERINFO = /(\b[a-z][a-z0-9+.-]*:\/\/)[^\s/@:]*:[^\s/@]*@/gi;
const BREAKS = /[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]+/gu;

/** What of the world decides the form. */
export interface LogWorld {
  env(name: string): string | undefined;
  /** Device and inode of standard error, as "8:3"; null: not known. */
  stderr(): string | null;
}

const world: LogWorld = {
  env: (name) => Deno.env.get(name),
  stderr() {
    try {
      const { dev, ino } = Deno.statSync("/proc/self/fd/2");
      return `${dev}:${ino}`;
    } catch {
      return null;
    }
  },
};

/** The form: as asked for, else journald's when standard error is connected to it (systemd.exec(5), JOURNAL_STREAM), else text. */
export function logForm(asked: "json" | "text" | undefined, seen: LogWorld = world): LogForm {
  if (asked !== undefined) return asked;
  const stream = seen.env("JOURNAL_STREAM");
  return stream !== undefined && stream !== "" && stream === seen.stderr() ? "journal" : "text";
}

function clean(text: string, chars: number): string {
  const shown = text.slice(0, 20 * chars).replace(PEM, "…").replace(BEARER, "$1 …").replace(USERINFO, "$1…@")
    .replace(BREAKS, " ").trim();
  return shown.length <= chars ? shown : `${shown.slice(0, chars - 1)}…`;
}

function plain(value: unknown): string | number | boolean | null {
  if (typeof value === "number" || typeof value === "boolean" || value === null) return value;
  if (value === undefined) return null;
  if (value instanceof Error) return clean(value.message, VALUE_CHARS);
  if (typeof value === "string") return clean(value, VALUE_CHARS);
  // A value in a value may be called anything: what is a secret by its name goes here as well.
  const text = JSON.stringify(value, (key, inner) => SECRET.test(key) ? "…" : inner);
  return clean(text ?? String(value), VALUE_CHARS);
}

function shown(fields: LogFields): Record<string, string | number | boolean | null> {
  return Object.fromEntries(
    Object.entries(fields).slice(0, FIELDS)
      .map(([key, value]) => [clean(key, 60), SECRET.test(key) ? "…" : plain(value)]),
  );
}

/** One line, without its end. */
export function logLine(
  form: LogForm,
  line: { level: LogLevel; message: string; fields?: LogFields; at: string },
): string {
  const message = clean(line.message, MESSAGE_CHARS);
  const fields = shown(line.fields ?? {});
  if (form === "json") return JSON.stringify({ at: line.at, level: line.level, message, ...renamed(fields) });
  const pairs = Object.entries(fields).map(([key, value]) =>
    ` ${key}=${typeof value === "string" && /[\s"=]|^$/.test(value) ? JSON.stringify(value) : value}`
  ).join("");
  return form === "journal"
    ? `<${PRIORITY[line.level]}>${message}${pairs}`
    : `${line.at} ${line.level}: ${message}${pairs}`;
}

/** The same for journald: the text, and its fields once more for whoever looks for them. */
export function logEntry(
  line: { level: LogLevel; message: string; fields?: LogFields; at: string },
): Uint8Array {
  const priority = PRIORITY[line.level];
  const message = logLine("journal", line).slice(`<${priority}>`.length);
  return journalEntry({ message, priority, fields: shown(line.fields ?? {}) });
}

/** A field called as one of ours is not lost, and hides none of ours. */
function renamed<T>(fields: Record<string, T>): Record<string, T> {
  const ours = new Set(["at", "level", "message"]);
  return Object.fromEntries(
    Object.entries(fields).map(([key, value]) => [ours.has(key) ? `${key}_` : key, value]),
  );
}

export interface LoggerOptions {
  form: LogForm;
  /** Less than this is not said. */
  least?: LogLevel;
  nowMs?: () => number;
  /** Standard error unless told otherwise. */
  write?: (bytes: Uint8Array) => Promise<unknown>;
  /** For the form "journal": takes an entry, or says that it does not. */
  journal?: ((entry: Uint8Array) => Promise<boolean>) | null;
}

interface Line {
  text: string;
  entry: Uint8Array | null;
}

/** Writes lines one after the other; a reader that does not read holds up nobody: what finds no room is counted, and said later. */
export class Logger implements AsyncDisposable {
  readonly #options: Required<LoggerOptions>;
  readonly #lines: Line[] = [];
  #lost = 0;
  #writing: Promise<void> | null = null;

  constructor(options: LoggerOptions) {
    this.#options = { least: "info", nowMs: Date.now, write: writeError, journal: null, ...options };
  }

  /** Says one line. A model Log: may be passed on as it is. */
  readonly log = (level: LogLevel, message: string, fields?: LogFields): void => {
    if (LOG_LEVELS.indexOf(level) < LOG_LEVELS.indexOf(this.#options.least)) return;
    try {
      if (this.#lines.length >= MOST) {
        this.#lost++;
        return;
      }
      this.#lines.push(this.#line(level, message, fields));
      this.#writing ??= this.#write().finally(() => this.#writing = null);
    } catch {
      // A value that cannot be shown (a getter that throws, a circle) costs its line, not the caller.
      this.#lost++;
    }
  };

  #line(level: LogLevel, message: string, fields: LogFields = {}): Line {
    const at = new Date(this.#options.nowMs()).toISOString();
    const { form, journal } = this.#options;
    const said = { level, message, fields, at };
    return {
      text: logLine(form, said),
      entry: form === "journal" && journal !== null ? logEntry(said) : null,
    };
  }

  async #write(): Promise<void> {
    // What is said in this turn of the loop goes out in one piece.
    await Promise.resolve();
    while (this.#lines.length > 0) {
      if (this.#lost > 0) {
        const lines = this.#lost;
        this.#lost = 0;
        this.#lines.push(this.#line("warning", "lines of this log were lost", { lines }));
      }
      const text = (await this.#untaken(this.#lines.splice(0))).map((line) => `${line.text}\n`).join("");
      if (text === "") continue;
      try {
        await this.#options.write(new TextEncoder().encode(text));
      } catch {
        // Nobody reads it any more.
      }
    }
  }

  /** The lines that journald has not taken as entries. From the first one on, so that they stay in order. */
  async #untaken(lines: Line[]): Promise<Line[]> {
    const { journal } = this.#options;
    for (const [index, { entry }] of lines.entries()) {
      if (journal === null || entry === null || !await journal(entry)) return lines.slice(index);
    }
    return [];
  }

  /** When all that was said is written. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writing;
  }
}

async function writeError(bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length;) done += await Deno.stderr.write(bytes.subarray(done));
}
