/** Files that are whole and there after a power cut: the old content or the new one. A leaf. */

import { dirname } from "node:path/posix";

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
  using directory = Deno.openSync(dirname(path));
  directory.syncSync();
}
