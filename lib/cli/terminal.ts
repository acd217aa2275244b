/** The terminal of this process: colour, questions, progress that is drawn over. */

import { EdgeError } from "../errors.ts";
import type { Severity } from "../model/sentence.ts";
import type { CommandIo, Terminal } from "./command.ts";
import { bytesText, durationText } from "./text.ts";

/** Longest line that is taken as an answer. */
const LONGEST = 4096;

/** Reads a line of standard input, byte by byte, so that nothing of the next one is taken. */
function readLine(): string | null {
  const bytes: number[] = [];
  const one = new Uint8Array(1);
  for (;;) {
    const read = Deno.stdin.readSync(one);
    if (read === null) return bytes.length === 0 ? null : new TextDecoder().decode(new Uint8Array(bytes));
    if (one[0] === 10) return new TextDecoder().decode(new Uint8Array(bytes)).replace(/\r$/, "");
    if (bytes.length >= LONGEST) return null;
    bytes.push(one[0]!);
  }
}

/** Reads a line that is not shown. The terminal makes no lines in raw mode: they are made here. */
function readHidden(question: () => void): string | null {
  // Before the question: what is typed at once is not shown either.
  Deno.stdin.setRaw(true);
  try {
    question();
    const bytes: number[] = [];
    const one = new Uint8Array(1);
    for (;;) {
      if (Deno.stdin.readSync(one) === null) return null;
      const byte = one[0]!;
      if (byte === 13 || byte === 10) return new TextDecoder().decode(new Uint8Array(bytes));
      if (byte === 3 || byte === 4) return null; // Ctrl-C, Ctrl-D
      if (byte === 127 || byte === 8) {
        while (bytes.length > 0 && (bytes.pop()! & 0xc0) === 0x80);
      } else if (bytes.length < LONGEST) bytes.push(byte);
    }
  } finally {
    Deno.stdin.setRaw(false);
  }
}

/** Standard input, output and error of this process. */
export const realTerminal: Terminal = {
  get input() {
    return Deno.stdin.isTerminal();
  },
  get out() {
    return Deno.stdout.isTerminal();
  },
  get err() {
    return Deno.stderr.isTerminal();
  },
  get columns() {
    try {
      return Deno.consoleSize().columns;
    } catch {
      return 80; // not a terminal
    }
  },
  draw(text) {
    Deno.stderr.writeSync(new TextEncoder().encode(text));
  },
  async write(bytes) {
    for (let at = 0; at < bytes.length;) at += await Deno.stdout.write(bytes.subarray(at));
  },
  ask(question, options = {}) {
    if (!Deno.stdin.isTerminal()) return Promise.resolve(null);
    const ask = () => this.draw(question);
    if (options.secret !== true) {
      ask();
      return Promise.resolve(readLine());
    }
    const answer = readHidden(ask);
    this.draw("\n");
    return Promise.resolve(answer);
  },
  env: (name) => Deno.env.get(name),
  onInterrupt(listener) {
    Deno.addSignalListener("SIGINT", listener);
    return { [Symbol.dispose]: () => Deno.removeSignalListener("SIGINT", listener) };
  },
};

const COLOURS: Readonly<Record<Severity, number>> = { ok: 32, info: 36, warning: 33, critical: 31 };
const WORDS: Readonly<Record<Severity, string>> = {
  ok: "OK",
  info: "INFO",
  warning: "WARNING",
  critical: "CRITICAL",
};

/** Whether standard output takes colour (no-color.org). */
function colours(io: CommandIo): boolean {
  const { terminal } = io;
  return terminal !== undefined && terminal.out && (terminal.env("NO_COLOR") ?? "") === "" &&
    terminal.env("TERM") !== "dumb";
}

/** Text in the colour of how bad it is. The colour says nothing that the words do not. */
export function painted(io: CommandIo, severity: Severity, text: string): string {
  return colours(io) ? `\x1b[${COLOURS[severity]}m${text}\x1b[0m` : text;
}

/** How bad it is, as a word. */
export function severityWord(io: CommandIo, severity: Severity): string {
  return painted(io, severity, WORDS[severity]);
}

/** Asks yes or no; without a person it refuses, and names the option that says yes. */
export async function confirmed(io: CommandIo, question: string, option: string): Promise<boolean> {
  const { terminal } = io;
  if (terminal === undefined || !terminal.input) {
    throw new UsageError(`This asks first, and nobody is there to answer: give ${option}`);
  }
  const answer = await terminal.ask(`${question} (yes/no) `);
  return answer?.trim().toLowerCase() === "yes" || answer?.trim().toLowerCase() === "y";
}

/** It was asked for wrongly: exit code 2. */
export class UsageError extends EdgeError {
  override readonly exitCode = 2;

  constructor(message: string, hint = "Correct it and say it again; --help says what there is.") {
    super(message, { op: "read the command", hint });
  }
}

/** How far something is. */
export interface Progress {
  done: number;
  total: number;
  unit: "bytes" | "steps";
  rate_per_s: number | null;
  eta_s: number | null;
}

/** "42 %  1.2 GiB of 2.9 GiB  110 MiB/s  16 s left" */
export function progressText({ done, total, unit, rate_per_s, eta_s }: Progress): string {
  if (total <= 0) return "begins";
  const amount = (value: number) => unit === "bytes" ? bytesText(value) : String(Math.round(value));
  const going = done < total;
  return [
    `${Math.min(100, done / total * 100).toFixed(0).padStart(3)} %`,
    `${amount(done)} of ${amount(total)}`,
    ...(rate_per_s === null || !going ? [] : [`${amount(rate_per_s)}/s`]),
    ...(eta_s === null || !going ? [] : [`${durationText(eta_s)} left`]),
  ].join("  ");
}

/** A bar on a terminal, a line now and then elsewhere. */
export class ProgressBar {
  readonly #io: CommandIo;
  readonly #label: string;
  #said = -1;
  #drawn = false;

  constructor(io: CommandIo, label: string) {
    this.#io = io;
    this.#label = label;
  }

  show(progress: Progress): void {
    const { terminal } = this.#io;
    const text = progressText(progress);
    const part = progress.total <= 0 ? 0 : Math.min(1, progress.done / progress.total);
    if (terminal?.err !== true) {
      // In a log each tenth is enough.
      const tenth = Math.floor(part * 10);
      if (tenth !== this.#said) this.#io.err(`${this.#label}: ${text.trim()}`);
      this.#said = tenth;
      return;
    }
    const width = Math.max(10, Math.min(30, terminal.columns - text.length - this.#label.length - 6));
    const full = Math.round(part * width);
    const line = `${this.#label} [${"#".repeat(full)}${"-".repeat(width - full)}] ${text}`;
    terminal.draw(`\r\x1b[K${line.slice(0, Math.max(20, terminal.columns - 1))}`);
    this.#drawn = true;
  }

  /** Leaves the last state standing. */
  end(): void {
    if (this.#drawn) this.#io.terminal?.draw("\n");
    this.#drawn = false;
  }
}
