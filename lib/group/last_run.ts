/** What this host did with the VM, for a person who compares two hosts that both ran it. Nothing is decided by it. */

import type { GroupState, Phase } from "./types.ts";

/** One host's side of the comparison. Times are by its own wall clock; null: not known. */
export interface Side {
  /** Whether the VM is on that host now. */
  runs: boolean;
  term: number;
  /** The newest whole epoch that it knows. */
  epoch: number;
  since: string | null;
  until: string | null;
  /** When its disks were written last. */
  last_write: string | null;
}

/** When the VM ran here last. */
interface Run {
  term: number;
  since: string;
  until: string | null;
}

/** What it is made of. */
export interface LastRunOptions {
  /** Remembers it over a restart. */
  file: string;
  disks: readonly { image: string }[];
  problem(text: string): void;
}

const WITH_VM: ReadonlySet<Phase["kind"]> = new Set<Phase["kind"]>([
  "solo",
  "syncing",
  "protected",
  "deciding",
  "going_solo",
  "handing",
  "asynchronous",
]);

/** Follows one host's state. */
export class LastRun {
  readonly #options: LastRunOptions;
  #run: Run | null;
  #lastWrite: string | null = null;

  constructor(options: LastRunOptions) {
    this.#options = options;
    this.#run = readRun(options.file);
  }

  /** To be told of each change. */
  changed(phase: Phase): void {
    this.#look();
    if (phase.kind === "solo" && (this.#run?.term !== phase.term || this.#run.until !== null)) {
      this.#note({ term: phase.term, since: new Date().toISOString(), until: null });
    } else if (this.#run?.until === null && (phase.kind === "fencing" || phase.kind === "stopping")) {
      this.#note({ ...this.#run, until: new Date().toISOString() });
    }
  }

  side(state: GroupState, engine: { committed: number }): Side {
    const { phase, disk, durable } = state;
    const run = this.#run;
    this.#look();
    return {
      runs: WITH_VM.has(phase.kind),
      term: run?.term ?? disk?.term ?? 0,
      epoch: Math.max(engine.committed, disk?.epoch ?? 0, durable?.epoch ?? 0),
      since: run?.since ?? null,
      until: run?.until ?? null,
      last_write: this.#lastWrite,
    };
  }

  #note(run: Run): void {
    this.#run = run;
    Deno.writeTextFile(this.#options.file, `${JSON.stringify(run)}\n`, { mode: 0o600 }).catch((error) =>
      this.#options.problem(`what this host did last could not be noted: ${error}`)
    );
  }

  /** Never waited for: storage may hang. */
  #look(): void {
    Promise.all(this.#options.disks.map(({ image }) => Deno.stat(image))).then((found) => {
      const newest = Math.max(...found.map(({ mtime }) => mtime?.getTime() ?? 0));
      if (newest > 0) this.#lastWrite = new Date(newest).toISOString();
    }).catch(() => {}); // a disk that cannot be asked has an alarm of its own
  }
}

function readRun(file: string): Run | null {
  try {
    const { term, since, until } = JSON.parse(Deno.readTextFileSync(file));
    return Number.isSafeInteger(term) ? { term, since: text(since) ?? "", until: text(until) } : null;
  } catch {
    return null; // it is for people only
  }
}

/** What the other host says of itself; null: it says nothing that can be read. */
export function readSide(value: unknown): Side | null {
  if (typeof value !== "object" || value === null) return null;
  const side = value as Record<string, unknown>;
  const number = (name: string) => Number.isSafeInteger(side[name]) ? side[name] as number : 0;
  return {
    runs: side["runs"] === true,
    term: number("term"),
    epoch: number("epoch"),
    since: text(side["since"]),
    until: text(side["until"]),
    last_write: text(side["last_write"]),
  };
}

function text(value: unknown): string | null {
  return typeof value === "string" ? value.slice(0, 40) : null;
}

/** One side in words. */
export function sideText(side: Side): string {
  const at = (time: string | null) => time === null ? "" : time.replace("T", " ").replace(/\.\d+Z$/, " UTC");
  const span = side.runs
    ? `runs the VM${side.since === null ? "" : ` since ${at(side.since)}`}`
    : side.since === null
    ? "does not run the VM"
    : `ran the VM from ${at(side.since)}${
      side.until === null ? " until its host failed" : ` to ${at(side.until)}`
    }`;
  const written = side.last_write === null ? "" : `, disks last written ${at(side.last_write)}`;
  return `${span} in term ${side.term}, epoch ${side.epoch}${written}`;
}
