/** Directories that are there after a power cut. */

import { dirname } from "node:path/posix";

/** Makes a directory, and those above it that are missing, and returns when all of their names are on stable storage: what is synced
 * in a directory is lost with it when its own name was not. Also for one that is there, since whoever made it may have died before. */
export function makeDurableDirectory(path: string, mode: number): void {
  const parent = dirname(path);
  try {
    Deno.mkdirSync(path, { mode });
  } catch (error) {
    if (error instanceof Deno.errors.NotFound && parent !== path) {
      makeDurableDirectory(parent, mode);
      return makeDurableDirectory(path, mode);
    }
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  }
  using directory = Deno.openSync(parent);
  directory.syncSync();
}
