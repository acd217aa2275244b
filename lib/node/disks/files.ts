/** Files of disks: made, sized and removed so that they are there, or gone, after a power cut; and the space that they need. */

import { statfsSync } from "node:fs";
import { basename, dirname } from "node:path/posix";
import { ProblemError } from "../../model/problem.ts";
import { explained } from "../../model/problem_english.ts";

/** What a disk of a VM may have: the engine's own bounds. */
export const DISK_BYTES_MAX = 16 * 2 ** 40;
const SECTOR = 512;
/** What must be left on the file system beside the disk: for journals, events and logs. */
const SPARE_BYTES = 256 * 2 ** 20;
/** A file that is not whole yet begins with this. */
const PART = ".part-";

/** Bytes that a file system can still take, where `path` is. */
export function freeBytes(path: string): number {
  const found = statfsSync(path);
  return found.bavail * found.bsize;
}

/** 5 GiB as "5.0 GiB". */
export function bytesText(bytes: number): string {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
  const step = bytes < 1024 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(bytes) / 10));
  return step === 0 ? `${bytes} bytes` : `${(bytes / 1024 ** step).toFixed(1)} ${units[step]}`;
}

/** Throws ProblemError unless `bytes` is a size that a disk can have. */
export function checkSize(what: string, bytes: number): void {
  const most = bytesText(DISK_BYTES_MAX);
  if (!Number.isSafeInteger(bytes) || bytes < SECTOR || bytes > DISK_BYTES_MAX) {
    throw new ProblemError("invalid", explained("disk.size", { what, bytes: `${bytes}`, most }));
  }
  if (bytes % SECTOR === 0) return;
  const next = Math.ceil(bytes / SECTOR) * SECTOR;
  throw new ProblemError(
    "invalid",
    explained("disk.sectors", { what, bytes: `${bytes}`, most, next: `${next}` }),
  );
}

/** Throws ProblemError unless a disk of `bytes` fits where `directory` is, in full: a guest that fills a disk that its host cannot hold
 * gets write errors. */
export function checkSpace(directory: string, options: { bytes: number; free?: number }): void {
  const { bytes, free = freeBytes(directory) } = options;
  if (bytes + SPARE_BYTES <= free) return;
  throw new ProblemError(
    "refused",
    explained("disk.space", {
      bytes: bytesText(bytes),
      directory,
      free: bytesText(free),
      spare: bytesText(SPARE_BYTES),
    }),
  );
}

/** Syncs a directory, so that the names in it stay. */
export function syncDirectory(path: string): void {
  using directory = Deno.openSync(path);
  directory.syncSync();
}

/** Whether something is there, a dangling link included. */
export function isThere(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Throws ProblemError exists when something is there already. */
export function refuseExisting(path: string): void {
  if (!isThere(path)) return;
  throw new ProblemError("exists", explained("disk.there", { path }));
}

/** A name beside `path` for a file that is not whole yet. */
export function partOf(path: string): string {
  return `${dirname(path)}/${PART}${basename(path)}-${crypto.randomUUID()}`;
}

/** Removes what an import that was killed left in a directory. */
export function removeParts(directory: string): void {
  for (const entry of Deno.readDirSync(directory)) {
    if (entry.isFile && entry.name.startsWith(PART)) Deno.removeSync(`${directory}/${entry.name}`);
  }
}

/** Makes an empty file of this size that only this user may read, and leaves it open. */
export function createSparse(path: string, bytes: number): Deno.FsFile {
  const file = Deno.openSync(path, { read: true, write: true, createNew: true, mode: 0o600 });
  try {
    file.truncateSync(bytes);
    return file;
  } catch (error) {
    file.close();
    Deno.removeSync(path);
    throw error;
  }
}

/** Gives a whole and synced file its name, unless there is something of that name. When it returns the name is on stable storage. */
export function publish(part: string, path: string): void {
  try {
    Deno.linkSync(part, path); // unlike a rename it never replaces what has just come there
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) refuseExisting(path);
    throw error;
  }
  Deno.removeSync(part);
  syncDirectory(dirname(path));
}

/** Makes an empty raw disk, sparse. Throws ProblemError when it is there already, has no possible size, or does not fit. */
export function makeDisk(path: string, bytes: number): void {
  checkSize("The disk", bytes);
  refuseExisting(path);
  checkSpace(dirname(path), { bytes });
  const part = partOf(path);
  try {
    {
      using file = createSparse(part, bytes);
      file.syncSync();
    }
    publish(part, path);
  } finally {
    if (isThere(part)) Deno.removeSync(part);
  }
}

/** Removes a disk's file. One that is not there is fine; a device is left alone. */
export function removeDisk(path: string): void {
  try {
    if (!Deno.lstatSync(path).isFile) return;
    Deno.removeSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  syncDirectory(dirname(path));
}
