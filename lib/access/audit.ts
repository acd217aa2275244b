/** The audit log: who did what, one JSON line each, each with the hash of the line before. The hash of the last line is in the accounts'
 * database as well, so that lines cut off at the end are missed. It finds what was changed by hand or by a bad disk; who may write both
 * files as root can make a new history (SECURITY.md).
 *
 *   audit.log     line: {"seq":8,"at":…,"actor":…,"action":…,"subject":…,"address":…,"detail":…,"prev":"9f2c…"}
 *   audit.N.log   older files, N smaller: newer; the oldest one is removed when there are KEEP of them
 *   audit.torn    what was left of a line that was being written when the machine died */

import { AsyncLocalStorage } from "node:async_hooks";
import { createHash } from "node:crypto";
import { z } from "zod";
import { EdgeError } from "../errors.ts";
import { instantOf, type Store } from "./store.ts";
import type { Audit, AuditEntry, AuditVerdict } from "./types.ts";

/** Bounds of the log. */
export interface AuditLimits {
  /** Bytes of a file before the next one is begun. */
  fileBytes: number;
  /** Older files that are kept. */
  keep: number;
  /** Entries that wait for the disk. */
  waiting: number;
}

export const AUDIT_LIMITS: AuditLimits = { fileBytes: 8 << 20, keep: 7, waiting: 1024 };

const START = "0".repeat(64);
const TEXT_MAX = 500;

const line = z.strictObject({
  seq: z.number().int().min(1),
  at: z.string(),
  actor: z.string(),
  action: z.string(),
  subject: z.string(),
  address: z.string(),
  detail: z.string(),
  prev: z.string().regex(/^[0-9a-f]{64}$/),
});

interface Head {
  /** Of the last line. */
  seq: number;
  hash: string;
  /** Of the last line that was removed with an old file. */
  kept_seq: number;
  kept_hash: string;
}

function hashOfLine(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

function parse(text: string): AuditEntry | null {
  try {
    const result = line.safeParse(JSON.parse(text));
    return result.success ? result.data : null;
  } catch {
    return null;
  }
}

/** Where the log is, and what it needs. */
export interface AuditPlace {
  directory: string;
  store: Store;
  nowMs(): number;
  limits?: AuditLimits;
}

export class AuditLog implements Audit, AsyncDisposable {
  readonly #place: AuditPlace;
  readonly #limits: AuditLimits;
  readonly #address = new AsyncLocalStorage<string>();
  #waiting: { text: string; done: PromiseWithResolvers<void> }[] = [];
  #writing: Promise<void> | null = null;
  #head: Head;
  #last: { seq: number; hash: string };
  #bytes: number;

  private constructor(
    place: AuditPlace,
    found: { head: Head; last: { seq: number; hash: string }; bytes: number },
  ) {
    this.#place = place;
    this.#limits = place.limits ?? AUDIT_LIMITS;
    this.#head = found.head;
    this.#last = found.last;
    this.#bytes = found.bytes;
  }

  /** Opens it, and mends what a crash left: a line that is not whole is put aside, and that is the next entry. */
  static async open(place: AuditPlace): Promise<AuditLog> {
    const file = `${place.directory}/audit.log`;
    const text = await Deno.readTextFile(file).catch((error) => {
      if (error instanceof Deno.errors.NotFound) return "";
      throw error;
    });
    const end = text.lastIndexOf("\n") + 1;
    const torn = text.slice(end);
    const bytes = new TextEncoder().encode(text.slice(0, end)).length;
    if (torn !== "") {
      await Deno.writeTextFile(`${place.directory}/audit.torn`, `${torn}\n`, { append: true, mode: 0o600 });
      await Deno.truncate(file, bytes);
    }
    const head = place.store.get<Head>("select seq, hash, kept_seq, kept_hash from audit") ??
      { seq: 0, hash: START, kept_seq: 0, kept_hash: START };
    const tail = text.slice(0, end).trimEnd().split("\n").at(-1) ?? "";
    const entry = parse(tail);
    // After a crash the file may be ahead of the database, never behind.
    const last = entry !== null && entry.seq > head.seq ? { seq: entry.seq, hash: hashOfLine(tail) } : head;
    const log = new AuditLog(place, { head, last, bytes });
    const say = (action: string, detail: string) =>
      log.append({ actor: "node", action, subject: "audit.log", detail });
    const found = await log.verify();
    if (!found.ok) await say("audit.damaged", `${found.file}, line ${found.line}: ${found.problem}`);
    if (torn !== "") {
      await say(
        "audit.torn",
        `${torn.length} characters of a line that was not whole were put aside in audit.torn`,
      );
    }
    return log;
  }

  from<T>(address: string, work: () => T): T {
    return this.#address.run(address, work);
  }

  append(entry: Pick<AuditEntry, "actor" | "action" | "subject"> & { address?: string; detail?: string }) {
    const done = Promise.withResolvers<void>();
    if (this.#waiting.length >= this.#limits.waiting) {
      done.reject(
        new EdgeError(`${this.#waiting.length} entries wait for the audit log's disk`, {
          op: "write the audit log",
          hint: "Look at the disk that holds the data directory.",
        }),
      );
      return done.promise;
    }
    const { actor, action, subject, detail = "" } = entry;
    const address = entry.address ?? this.#address.getStore() ?? "";
    const whole: AuditEntry = {
      seq: this.#last.seq + 1,
      at: instantOf(this.#place.nowMs()),
      actor: actor.slice(0, TEXT_MAX),
      action: action.slice(0, TEXT_MAX),
      subject: subject.slice(0, TEXT_MAX),
      address: address === "unix" ? "local" : address.slice(0, TEXT_MAX),
      detail: detail.slice(0, TEXT_MAX),
      prev: this.#last.hash,
    };
    const text = JSON.stringify(whole);
    this.#last = { seq: whole.seq, hash: hashOfLine(text) };
    this.#waiting.push({ text, done });
    this.#writing ??= this.#write();
    return done.promise;
  }

  /** Writes what waits, together, until nothing does. */
  async #write(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting;
      this.#waiting = [];
      try {
        await this.#writeBatch(batch.map(({ text }) => text));
        for (const { done } of batch) done.resolve();
      } catch (cause) {
        const error = new EdgeError("The audit log cannot be written", {
          op: "write the audit log",
          hint: "Look at the disk that holds the data directory: is it full?",
          cause,
        });
        for (const { done } of [...batch, ...this.#waiting]) done.reject(error);
        this.#waiting = [];
        this.#last = { seq: this.#head.seq, hash: this.#head.hash };
        await Deno.truncate(`${this.#place.directory}/audit.log`, this.#bytes).catch(() => {});
      }
    }
    // In the same turn as the last look: what is appended from now on begins anew.
    this.#writing = null;
  }

  async #writeBatch(lines: string[]): Promise<void> {
    if (this.#bytes >= this.#limits.fileBytes) await this.#rotate();
    const bytes = new TextEncoder().encode(lines.map((text) => `${text}\n`).join(""));
    using file = await Deno.open(`${this.#place.directory}/audit.log`, {
      append: true,
      create: true,
      mode: 0o600,
    });
    for (let sent = 0; sent < bytes.length;) sent += await file.write(bytes.subarray(sent));
    await file.syncData();
    this.#bytes += bytes.length;
    const last = lines.at(-1)!;
    this.#keepHead({ ...this.#head, seq: parse(last)!.seq, hash: hashOfLine(last) });
  }

  #keepHead(head: Head): void {
    const { seq, hash, kept_seq, kept_hash } = head;
    this.#place.store.run(
      "insert or replace into audit values (1, ?, ?, ?, ?)",
      seq,
      hash,
      kept_seq,
      kept_hash,
    );
    this.#head = head;
  }

  /** audit.log becomes audit.1.log, and so on; the oldest goes, and where the chain begins then is written down first. */
  async #rotate(): Promise<void> {
    const { directory } = this.#place;
    const name = (n: number) => n === 0 ? `${directory}/audit.log` : `${directory}/audit.${n}.log`;
    const oldest = await this.#lines(name(this.#limits.keep));
    if (oldest.length > 0) {
      const entry = parse(oldest.at(-1)!);
      this.#keepHead({
        ...this.#head,
        kept_seq: entry?.seq ?? this.#head.kept_seq,
        kept_hash: hashOfLine(oldest.at(-1)!),
      });
      await Deno.remove(name(this.#limits.keep));
    }
    for (let n = this.#limits.keep - 1; n >= 0; n--) {
      await Deno.rename(name(n), name(n + 1)).catch((error) => {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      });
    }
    using handle = await Deno.open(directory);
    await handle.sync();
    this.#bytes = 0;
  }

  async #lines(file: string): Promise<string[]> {
    try {
      return (await Deno.readTextFile(file)).split("\n").filter((text) => text !== "");
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return [];
      throw error;
    }
  }

  /** Newest file last. */
  #files(): string[] {
    const old = Array.from({ length: this.#limits.keep }, (_, i) => `audit.${this.#limits.keep - i}.log`);
    return [...old, "audit.log"];
  }

  async query(options: { before?: number; limit: number }): Promise<AuditEntry[]> {
    const before = options.before ?? Infinity;
    const limit = Math.max(1, Math.min(options.limit, 1000));
    const found: AuditEntry[] = [];
    for (const name of this.#files().reverse()) {
      for (const text of (await this.#lines(`${this.#place.directory}/${name}`)).reverse()) {
        const entry = parse(text);
        if (entry === null || entry.seq >= before) continue;
        found.push(entry);
        if (found.length >= limit) return found;
      }
    }
    return found;
  }

  async verify(): Promise<AuditVerdict> {
    await this.#writing;
    const head = this.#head;
    let [seq, hash] = [head.kept_seq, head.kept_hash];
    let first: string | null = null;
    let at = { file: "audit.log", line: 0 };
    for (const file of this.#files()) {
      for (const [index, text] of (await this.#lines(`${this.#place.directory}/${file}`)).entries()) {
        at = { file, line: index + 1 };
        const entry = parse(text);
        if (entry === null) return { ok: false, ...at, problem: "is not an entry" };
        if (entry.seq !== seq + 1) {
          return { ok: false, ...at, problem: `has number ${entry.seq} where ${seq + 1} was to come` };
        }
        if (entry.prev !== hash) {
          return { ok: false, ...at, problem: "does not follow from the line before it" };
        }
        [seq, hash] = [entry.seq, hashOfLine(text)];
        if (seq === head.seq && hash !== head.hash) return { ok: false, ...at, problem: "was changed" };
        first ??= entry.at;
      }
    }
    if (seq < head.seq) {
      return {
        ok: false,
        ...at,
        problem: `is the last one, but ${head.seq - seq} more were written after it`,
      };
    }
    return { ok: true, entries: seq - head.kept_seq, from: first };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writing;
  }
}
