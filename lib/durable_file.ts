/** Small files that are there, whole, after a power cut. A leaf. */

import { dirname } from "node:path/posix";

function syncDirectory(path: string): void {
  using directory = Deno.openSync(path);
  directory.syncSync();
}

/** Replaces `path` by `content`, durably. What was there stays until the new one is on stable storage. */
export function writeDurableFile(path: string, content: string | Uint8Array, mode: number): void {
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  const fresh = `${path}.new`;
  {
    using file = Deno.openSync(fresh, { write: true, create: true, truncate: true, mode });
    for (let rest = bytes; rest.length > 0;) rest = rest.subarray(file.writeSync(rest));
    file.syncSync();
  }
  Deno.chmodSync(fresh, mode); // one that was left over may have another
  Deno.renameSync(fresh, path);
  syncDirectory(dirname(path));
}

/** Replaces a text file's contents: afterwards it holds these for good, or, when power is lost on the way, either the old ones or these. */
export function replaceFile(path: string, { text, mode }: { text: string; mode: number }): void {
  writeDurableFile(path, text, mode);
}

/** Gives a file another's name, for good. */
export function moveFile(from: string, to: string): void {
  Deno.renameSync(from, to);
  syncDirectory(dirname(to));
  if (dirname(from) !== dirname(to)) syncDirectory(dirname(from));
}

/** Removes a file that may not be there, for good. */
export function removeFile(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  syncDirectory(dirname(path));
}

/** What a file holds; null: there is no such file. */
export function readTextFile(path: string): string | null {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}
