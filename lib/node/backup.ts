/** A backup of a node: identity, pair, settings, accounts, the VMs' settings. Not their disks: the other node has those.
 *
 * It is a tar.gz (archive/tar.ts), perhaps encrypted (archive/sealed.ts): manifest.json, then the files as they are below the data directory. */

import { createHash } from "node:crypto";
import { DatabaseSync } from "node:sqlite";
import { z } from "zod";
import { makeDurableDirectory } from "../durable_directory.ts";
import { EdgeError, RefusedError } from "../errors.ts";
import { collect, type Entry, gunzip, readTar, tarGzip } from "./archive/tar.ts";
import { isSealed, seal, type SealCost, unseal } from "./archive/sealed.ts";
import { MIGRATIONS } from "./data_directory.ts";
import { readIdentity } from "./identity.ts";

const FORMAT = 1;
const FILE_MAX = 256 * 2 ** 20;
/** What is kept of a data directory. */
const KEPT: readonly RegExp[] = [
  /^(layout|pair|pair_settings|pair_kept)\.json$/,
  /^(pair\.key|settings\.toml)$/,
  /^identity\/identity\.pem$/,
  /^access\/(access\.db|audit(\.\d+)?\.log)$/,
  /^observe\/alerts\.json$/,
  /^tls\/[A-Za-z0-9._-]+$/,
  /^vms\/tombstones\.json$/,
  /^vms\/[a-z0-9][a-z0-9-]{0,31}\/(vm\.toml|host\.toml|state\.json)$/,
];
/** Directories that are looked into. */
const INTO = /^(identity|access|observe|tls|vms|vms\/[a-z0-9][a-z0-9-]{0,31})$/;
const DATABASE = "access/access.db";
/** The node's own file, which is not in the data directory. */
const CONFIG = "serve.toml";

const manifestSchema = z.strictObject({
  format: z.number().int(),
  program: z.string().max(40),
  layout: z.number().int(),
  node: z.string().max(100),
  /** The node's ID; "": it had none yet. */
  id: z.string().max(200),
  created: z.string().max(40),
  files: z.array(
    z.strictObject({ path: z.string().max(200), bytes: z.number().int(), sha256: z.string().length(64) }),
  ).max(5000),
});
/** What a backup says of itself. */
export type Manifest = z.infer<typeof manifestSchema>;

function problem(message: string, hint: string, cause?: unknown): EdgeError {
  return new EdgeError(message, { op: "restore a backup", hint, ...(cause === undefined ? {} : { cause }) });
}

function walk(data: string, below = ""): string[] {
  const found: string[] = [];
  for (const entry of Deno.readDirSync(`${data}/${below}`)) {
    const path = below === "" ? entry.name : `${below}/${entry.name}`;
    if (entry.isDirectory && INTO.test(path)) found.push(...walk(data, path));
    else if (entry.isFile && KEPT.some((kept) => kept.test(path))) found.push(path);
  }
  return found.toSorted();
}

/** A database as one file, as it is at this moment, also while it is written to; without sessions, which a restore must not bring back. */
function databaseBytes(file: string): Uint8Array<ArrayBuffer> {
  const directory = Deno.makeTempDirSync({ prefix: "iservft-backup-" });
  const copy = `${directory}/copy.db`;
  try {
    const from = new DatabaseSync(file);
    try {
      from.exec("pragma busy_timeout = 5000");
      from.prepare("vacuum into ?").run(copy);
    } finally {
      from.close();
    }
    const db = new DatabaseSync(copy);
    try {
      const sessions = db.prepare("select 1 from sqlite_master where type = 'table' and name = 'sessions'")
        .get();
      if (sessions !== undefined) db.exec("pragma secure_delete = on; delete from sessions; vacuum");
    } finally {
      db.close();
    }
    return Deno.readFileSync(copy);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function layoutOf(data: string): number {
  try {
    return z.object({ layout: z.number().int() }).parse(
      JSON.parse(Deno.readTextFileSync(`${data}/layout.json`)),
    ).layout;
  } catch (cause) {
    throw new EdgeError(`${data} is no data directory of a node`, {
      op: "make a backup",
      hint: "Give the node's: --data DIR.",
      cause,
    });
  }
}

function durableNew(file: string, bytes: Uint8Array): void {
  using handle = Deno.openSync(file, { write: true, createNew: true, mode: 0o600 });
  for (let at = 0; at < bytes.length;) at += handle.writeSync(bytes.subarray(at));
  handle.syncSync();
}

/** What a backup is made of and by. */
export interface BackupOptions {
  data: string;
  /** This program's version. */
  program: string;
  node: string;
  /** Text of the node's own file; null: there is none. */
  config: string | null;
  /** Undefined: it is not encrypted. */
  passphrase?: string | undefined;
  cost?: SealCost;
  now?: () => number;
}

/** Makes a backup into a new file that only this user may read; `serve` may run. Throws EdgeError. */
export async function createBackup(file: string, options: BackupOptions): Promise<Manifest> {
  const { data, program, node, config } = options;
  const now = (options.now ?? Date.now)();
  const layout = layoutOf(data);
  const entries: Entry[] = walk(data).map((path) => ({
    path: `data/${path}`,
    bytes: path === DATABASE ? databaseBytes(`${data}/${path}`) : Deno.readFileSync(`${data}/${path}`),
  }));
  if (config !== null) entries.push({ path: CONFIG, bytes: new TextEncoder().encode(config) });
  const manifest: Manifest = {
    format: FORMAT,
    program,
    layout,
    node,
    id: readIdentity(`${data}/identity`)?.id ?? "",
    created: new Date(now).toISOString(),
    files: entries.map(({ path, bytes }) => ({ path, bytes: bytes.length, sha256: sha256(bytes) })),
  };
  const first = {
    path: "manifest.json",
    bytes: new TextEncoder().encode(`${JSON.stringify(manifest, null, 1)}\n`),
  };
  async function* all(): AsyncGenerator<Entry> {
    yield first;
    yield* entries;
  }
  const packed = await collect(tarGzip(all(), Math.floor(now / 1000)), FILE_MAX);
  const { passphrase } = options;
  const bytes = passphrase === undefined ? packed : await seal(packed, passphrase, options.cost);
  try {
    durableNew(file, bytes);
  } catch (cause) {
    if (!(cause instanceof Deno.errors.AlreadyExists)) throw cause;
    throw new EdgeError(`${file} is there already`, { op: "make a backup", hint: "Name another file." });
  }
  return manifest;
}

/** A backup that was read and is whole. */
export interface Backup {
  manifest: Manifest;
  files: Entry[];
}

/** Whether a backup is encrypted. */
export function isEncrypted(file: string): boolean {
  using handle = Deno.openSync(file);
  const head = new Uint8Array(64);
  return isSealed(head.subarray(0, handle.readSync(head) ?? 0));
}

/** Reads a backup, and compares each file with its checksum. Throws EdgeError when anything is wrong with it. */
export async function readBackup(
  file: string,
  options: { passphrase?: string | undefined } = {},
): Promise<Backup> {
  if (Deno.statSync(file).size > FILE_MAX) {
    throw problem(`${file} is larger than any backup`, "Name a backup.");
  }
  let bytes = Deno.readFileSync(file);
  if (isSealed(bytes)) {
    if (options.passphrase === undefined) {
      throw problem(`${file} is encrypted`, "Give its passphrase: --passphrase-file FILE.");
    }
    bytes = await unseal(bytes, options.passphrase);
  }
  const [first, ...files] = readTar(await gunzip(bytes));
  const said = first?.path === "manifest.json" ? tryJson(first.bytes) : undefined;
  const format = (said as { format?: unknown } | undefined)?.format;
  if (typeof format === "number" && format > FORMAT) {
    throw problem(
      `${file} is a backup of format ${format}, and this program knows ${FORMAT}`,
      "Use the newer program.",
    );
  }
  const manifest = manifestSchema.safeParse(said);
  if (!manifest.success) {
    throw problem(`${file} is no backup of a node`, "Name a file that `backup create` made.");
  }
  const { data } = manifest;
  for (const [index, listed] of data.files.entries()) {
    const entry = files[index];
    if (entry?.path !== listed.path || sha256(entry.bytes) !== listed.sha256) {
      throw problem(`${file} is damaged: ${listed.path} is not what it was`, "Use another backup.");
    }
  }
  const known = (path: string) =>
    path === CONFIG || (path.startsWith("data/") && KEPT.some((kept) => kept.test(path.slice(5))));
  const odd = files.find((entry, index) => index >= data.files.length || !known(entry.path));
  if (odd !== undefined) {
    throw problem(`${file} holds ${odd.path}, which no backup has`, "Use another backup.");
  }
  return { manifest: data, files };
}

function tryJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
}

/** What this node alone knew of a VM was of disks that are not in the backup: it has none of them now, and gets them from the other node. */
function withoutDisks(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const state = tryJson(bytes);
  if (typeof state !== "object" || state === null) return new Uint8Array(bytes);
  const { local: _, ...rest } = state as Record<string, unknown>;
  return new TextEncoder().encode(`${JSON.stringify(rest, null, 1)}\n`);
}

/** How a restore went. */
export interface Restored {
  /** Where what was there before is now; null: there was nothing. */
  movedTo: string | null;
  /** The node's file as it was in the backup; null: it had none. */
  config: string | null;
}

function entriesOf(directory: string): string[] {
  try {
    return [...Deno.readDirSync(directory)].map((entry) => entry.name).filter((name) =>
      !["lock", "lost+found"].includes(name)
    );
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

function refuseUsed(data: string, force: boolean): void {
  const names = entriesOf(data);
  if (names.length === 0) return;
  try {
    using lock = Deno.openSync(`${data}/lock`, { create: true, write: true, mode: 0o600 });
    if (!lock.tryLockSync(true)) {
      throw new RefusedError(`iservft-edge serve runs with ${data}`, {
        op: "restore a backup",
        hint: "End it first: systemctl stop iservft-edge.",
      });
    }
  } catch (error) {
    if (error instanceof EdgeError) throw error;
    throw problem(`${data} cannot be used`, "Run this as the user that owns it.", error);
  }
  if (force) return;
  throw new RefusedError(`${data} is not empty: it has ${names.slice(0, 5).join(", ")}`, {
    op: "restore a backup",
    hint:
      "If this node is to become what the backup is, say --force: what is there is moved aside, disks included, and nothing is removed.",
  });
}

/** Restores a backup into a data directory: whole, or nothing of it. Throws RefusedError when something is there and `force` is not set, or `serve`
 * runs; EdgeError when the backup is of a newer program. */
export function restoreBackup(
  backup: Backup,
  options: { data: string; force: boolean; now?: () => number },
): Restored {
  const { data, force } = options;
  const newest = MIGRATIONS.length + 1;
  const { layout, program } = backup.manifest;
  if (layout > newest) {
    throw problem(
      `The backup was made by a newer iservft-edge (${program}): layout ${layout}, this one knows ${newest}`,
      "Use that version.",
    );
  }
  refuseUsed(data, force);
  const stamp = new Date((options.now ?? Date.now)()).toISOString().replace(/[-:]/g, "").slice(0, 15);
  const made = `${data}.restoring-${crypto.randomUUID()}`;
  let config: string | null = null;
  try {
    makeDurableDirectory(made, 0o700);
    for (const { path, bytes } of backup.files) {
      if (path === CONFIG) {
        config = new TextDecoder().decode(bytes);
        continue;
      }
      const to = `${made}/${path.slice("data/".length)}`;
      makeDurableDirectory(to.slice(0, to.lastIndexOf("/")), 0o700);
      durableNew(to, /\/state\.json$/.test(to) ? withoutDisks(bytes) : bytes);
    }
    syncTree(made);
    const movedTo = exchange({ made, data, aside: `${data}.before-restore-${stamp}` });
    return { movedTo, config };
  } catch (error) {
    if (exists(made)) Deno.removeSync(made, { recursive: true });
    throw error;
  }
}

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Puts `made` where `data` is; returns where that went, null when nothing was in it. */
function exchange({ made, data, aside }: { made: string; data: string; aside: string }): string | null {
  const empty = entriesOf(data).length === 0;
  try {
    if (empty && exists(data)) Deno.removeSync(data, { recursive: true });
    if (!empty) Deno.renameSync(data, aside);
    Deno.renameSync(made, data);
  } catch (cause) {
    if (!empty && exists(aside) && !exists(data)) Deno.renameSync(aside, data);
    throw problem(
      `${data} cannot be replaced`,
      "If it is a mount point, restore into a directory on it, and name that as the node's data.",
      cause,
    );
  }
  syncDirectory(data.slice(0, data.lastIndexOf("/")) || "/");
  return empty ? null : aside;
}

function syncDirectory(path: string): void {
  using directory = Deno.openSync(path);
  directory.syncSync();
}

function syncTree(path: string): void {
  for (const entry of Deno.readDirSync(path)) if (entry.isDirectory) syncTree(`${path}/${entry.name}`);
  syncDirectory(path);
}
