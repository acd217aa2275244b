/** The file that events and samples are kept in: opened, brought to this version's schema, and put aside when it is damaged. Used in the
 * worker alone, since SQLite waits for the disk. */

import { DatabaseSync } from "node:sqlite";
import { basename, dirname, join } from "node:path";

/** Each brings the schema one version forward. Those that were released never change. */
export const MIGRATIONS: readonly string[] = [
  `CREATE TABLE events (
     id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, node TEXT NOT NULL, severity INTEGER NOT NULL,
     subject TEXT NOT NULL, name TEXT NOT NULL, code TEXT NOT NULL, params TEXT NOT NULL, text TEXT NOT NULL, actor TEXT
   );
   CREATE INDEX events_at ON events (at_ms);
   CREATE INDEX events_of ON events (subject, name, id);`,
  `CREATE TABLE samples (
     seq INTEGER PRIMARY KEY AUTOINCREMENT, vm TEXT NOT NULL, step_s INTEGER NOT NULL, t_s INTEGER NOT NULL,
     checkpoints_per_s REAL, pause_us REAL, pause_p99_us REAL, latency_us REAL, latency_p99_us REAL,
     out_mbit REAL, dirty_pages REAL, page_bytes REAL,
     UNIQUE (vm, step_s, t_s)
   );
   CREATE INDEX samples_seq ON samples (vm, step_s, seq);`,
];

/** "ISFO": tells this file from other SQLite files. */
const APPLICATION_ID = 0x4953464f;
const PAGE_BYTES = 4096;
/** Files put aside that stay. */
const KEEP_ASIDE = 2;

/** A file that cannot be used as it is: not a matter of the disk or of rights. */
export class DamagedFileError extends Error {
  override name = "DamagedFileError";
}

/** Whether SQLite says that the file is not what it was. */
export function isDamage(error: unknown): boolean {
  return error instanceof DamagedFileError ||
    error instanceof Error &&
      /malformed|not a database|database corruption|unsupported file format|no such table|has no column|no such column/
        .test(error.message);
}

/** Whether there is no room: on the disk, or within the size that the file may have. */
export function isFull(error: unknown): boolean {
  return error instanceof Error && /database or disk is full/.test(error.message);
}

function number(db: DatabaseSync, pragma: string): number {
  const row = db.prepare(`PRAGMA ${pragma}`).get() as Record<string, unknown> | undefined;
  return Number(Object.values(row ?? {})[0]);
}

function migrate(db: DatabaseSync, migrations: readonly string[]): void {
  const version = number(db, "user_version");
  if (version > migrations.length) {
    throw new DamagedFileError(`it is of version ${version}, and this program knows ${migrations.length}`);
  }
  for (let next = version; next < migrations.length; next++) {
    db.exec(
      `BEGIN IMMEDIATE; ${migrations[next]}; PRAGMA user_version = ${next + 1}; COMMIT`,
    );
  }
}

function prepare(db: DatabaseSync, options: { bytes: number; migrations: readonly string[] }): void {
  db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA journal_size_limit = 8388608");
  db.exec("PRAGMA trusted_schema = OFF; PRAGMA cache_size = -4000; PRAGMA busy_timeout = 2000");
  const id = number(db, "application_id");
  const tables = db.prepare("SELECT count(*) AS n FROM sqlite_schema").get() as { n: number };
  if (id !== APPLICATION_ID && tables.n > 0) {
    throw new DamagedFileError("it is another program's SQLite file");
  }
  const checked = db.prepare("PRAGMA quick_check(1)").get() as Record<string, unknown>;
  if (checked.quick_check !== "ok") throw new DamagedFileError(`it is malformed: ${checked.quick_check}`);
  db.exec(`PRAGMA application_id = ${APPLICATION_ID}`);
  migrate(db, options.migrations);
  db.exec(`PRAGMA max_page_count = ${Math.max(64, Math.floor(options.bytes / PAGE_BYTES))}`);
}

function open(path: string, options: { bytes: number; migrations: readonly string[] }): DatabaseSync {
  // SQLite gives the files that it makes beside it the same mode.
  if (path !== ":memory:") Deno.openSync(path, { append: true, create: true, mode: 0o600 }).close();
  const db = new DatabaseSync(path);
  try {
    prepare(db, options);
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

/** Renames the file and what SQLite keeps beside it; of those put aside before, the newest stay. Returns its new path. */
function putAside(path: string, nowMs: number): string {
  const stem = `${basename(path)}.damaged-`;
  const stamp = new Date(nowMs).toISOString().replace(/[:.]/g, "-");
  const aside = join(dirname(path), `${stem}${stamp}`);
  for (const end of ["-wal", "-shm", ""]) {
    try {
      Deno.renameSync(path + end, aside + end);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  const old = [...Deno.readDirSync(dirname(path))].map(({ name }) => name)
    .filter((name) => name.startsWith(stem) && !/-(wal|shm)$/.test(name)).sort().slice(0, -KEEP_ASIDE);
  for (const name of old) {
    for (const end of ["-wal", "-shm", ""]) {
      try {
        Deno.removeSync(join(dirname(path), name + end));
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      }
    }
  }
  return aside;
}

/** Opens the file, or begins one; one that is damaged, or of a newer version, is put aside. Throws what the disk says otherwise. */
export function openDatabase(
  path: string,
  options: { nowMs: number; bytes: number; migrations?: readonly string[] },
): { db: DatabaseSync; aside: string | null } {
  const how = { bytes: options.bytes, migrations: options.migrations ?? MIGRATIONS };
  try {
    return { db: open(path, how), aside: null };
  } catch (error) {
    if (path === ":memory:" || !isDamage(error)) throw error;
    const aside = putAside(path, options.nowMs);
    return { db: open(path, how), aside };
  }
}
