/** What the witness needs of a disk: few steps, so that a test can lose power between any two of them. */

import { EdgeError } from "../errors.ts";

/** A disk, real or a test's. Paths are absolute. */
export interface Disk {
  /** What a file holds; null: there is no such file. */
  read(path: string): Promise<Uint8Array | null>;
  /** Writes a file anew; when it returns, its contents (not its name) are on stable storage. */
  writeSynced(path: string, bytes: Uint8Array): Promise<void>;
  /** Gives a file another's name, in one step. */
  rename(from: string, to: string): Promise<void>;
  /** Makes a directory that may be there already. */
  makeDirectory(path: string): Promise<void>;
  /** The names in a directory, sorted. */
  list(path: string): Promise<string[]>;
  /** When it returns, the names in the directory are on stable storage. */
  syncDirectory(path: string): Promise<void>;
}

/** The directory that a path is in. */
export function parentOf(path: string): string {
  return path.replace(/\/[^/]*$/, "") || "/";
}

/** Replaces a file's contents: afterwards it holds these for good, or, when power is lost on the way, either the old ones or these. */
export async function replaceDurably(disk: Disk, path: string, bytes: Uint8Array): Promise<void> {
  const part = `${path}.new`;
  await disk.writeSynced(part, bytes);
  await disk.rename(part, path);
  await disk.syncDirectory(parentOf(path));
}

async function ignoring<T>(kind: new () => Error, work: () => Promise<T>): Promise<T | null> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof kind) return null;
    throw error;
  }
}

/** The machine's own file system. */
export const realDisk: Disk = {
  read: (path) => ignoring(Deno.errors.NotFound, () => Deno.readFile(path)),
  async writeSynced(path, bytes) {
    using file = await Deno.open(path, { write: true, create: true, truncate: true, mode: 0o600 });
    for (let sent = 0; sent < bytes.length;) sent += await file.write(bytes.subarray(sent));
    await file.sync();
  },
  rename: (from, to) => Deno.rename(from, to),
  async makeDirectory(path) {
    await ignoring(Deno.errors.AlreadyExists, () => Deno.mkdir(path, { mode: 0o700 }));
  },
  list: async (path) => (await Array.fromAsync(Deno.readDir(path))).map(({ name }) => name).sort(),
  async syncDirectory(path) {
    using directory = await Deno.open(path);
    await directory.sync();
  },
};

/** Holds a directory for one process, until it is disposed of or the process ends, however it ends. */
export function holdDirectory(directory: string): Disposable {
  const path = `${directory}/lock`;
  const file = Deno.openSync(path, { write: true, create: true, mode: 0o600 });
  if (file.tryLockSync(true)) return file;
  file.close();
  throw new EdgeError(`Another witness serves ${directory} already`, {
    op: "start the witness",
    hint: "Stop that one first, or give this one a directory of its own.",
  });
}
