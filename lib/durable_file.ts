/** Small files that are there, whole, after a power cut. A leaf. */

import { dirname } from "node:path/posix";

function syncDirectory(path: string): void {
  using directory = Deno.openSync(path);
  directory.syncSync();
}

/** Replaces a file's contents: afterwards it holds these for good, or, when power is lost on the way, either the old ones or these. */
export function replaceFile(path: string, { text, mode }: { text: string; mode: number }): void {
  const part = `${path}.new`;
  {
    using file = Deno.openSync(part, { write: true, create: true, truncate: true, mode });
    const bytes = new TextEncoder().encode(text);
    for (let sent = 0; sent < bytes.length;) sent += file.writeSync(bytes.subarray(sent));
    file.syncSync();
  }
  Deno.renameSync(part, path);
  syncDirectory(dirname(path));
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
