/** Small files of ours: private, whole or not at all. */

import { dirname } from "node:path";

/** Writes JSON with mode 0600; after a power cut the old or the new content is there. */
export async function writePrivateJson(path: string, value: unknown): Promise<void> {
  const made = `${path}.new`;
  {
    using file = await Deno.open(made, { write: true, create: true, truncate: true, mode: 0o600 });
    await Deno.chmod(made, 0o600);
    const bytes = new TextEncoder().encode(`${JSON.stringify(value, null, 2)}\n`);
    for (let done = 0; done < bytes.length;) done += await file.write(bytes.subarray(done));
    await file.sync();
  }
  await Deno.rename(made, path);
  using directory = await Deno.open(dirname(path));
  await directory.sync();
}

/** What a file has; undefined: there is none. Throws when it is no JSON. */
export function readJson(path: string): unknown {
  try {
    return JSON.parse(Deno.readTextFileSync(path));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
