/** Who may ask a witness: pairs of two hosts, each host known by its ID, in one file that the `pair` commands write. The server looks at the
 * file again whenever it has changed, so a pair is added and removed while it runs. */

import { z } from "zod";
import { EdgeError } from "../errors.ts";
import { readNodeId } from "../node_id.ts";
import { type Disk, replaceDurably } from "./disk.ts";

/** A pair: its name, and the IDs of its two hosts. */
export interface Pair {
  name: string;
  hosts: [string, string];
}

/** What names of pairs and VMs may be; they are also names of files. */
export const NAME = /^[a-z0-9][a-z0-9-]{0,31}$/;

const hostId = z.string().refine((text) => "id" in readNodeId(text));
const fileSchema = z.strictObject({
  format: z.literal(1),
  pairs: z.array(z.strictObject({ name: z.string().regex(NAME), hosts: z.tuple([hostId, hostId]) })),
});

/** Where a witness keeps its pairs. */
export function pairsFile(directory: string): string {
  return `${directory}/pairs.json`;
}

function parse(file: string, bytes: Uint8Array): Pair[] {
  try {
    return fileSchema.parse(JSON.parse(new TextDecoder().decode(bytes))).pairs;
  } catch (cause) {
    throw new EdgeError(`${file} is not what \`pair add\` writes`, {
      op: "read the witness's pairs",
      hint: "Remove it and add the pairs anew; what was granted is kept elsewhere.",
      cause,
    });
  }
}

/** The pairs of a witness; none when there is no file yet. Throws EdgeError when it is damaged. */
export async function readPairs(disk: Pick<Disk, "read">, directory: string): Promise<Pair[]> {
  const file = pairsFile(directory);
  const bytes = await disk.read(file);
  return bytes === null ? [] : parse(file, bytes);
}

/** Changes the pairs; one change at a time, also among processes. Returns what they are then. */
export async function changePairs(
  disk: Disk,
  options: { directory: string; change(pairs: Pair[]): Pair[] },
): Promise<Pair[]> {
  const { directory, change } = options;
  using lock = Deno.openSync(`${directory}/pairs.lock`, { write: true, create: true, mode: 0o600 });
  await lock.lock(true);
  const pairs = change(await readPairs(disk, directory));
  const text = `${JSON.stringify({ format: 1, pairs }, null, 2)}\n`;
  await replaceDurably(disk, pairsFile(directory), new TextEncoder().encode(text));
  return pairs;
}

/** The pairs as a running server sees them. */
export class Members {
  readonly #directory: string;
  readonly #disk: Pick<Disk, "read">;
  #seen = "never";
  #pairs: Pair[] = [];

  constructor(disk: Pick<Disk, "read">, directory: string) {
    this.#disk = disk;
    this.#directory = directory;
  }

  /** The pairs now. Throws EdgeError when the file is damaged: then nobody is served. */
  async pairs(): Promise<readonly Pair[]> {
    const info = await Deno.stat(pairsFile(this.#directory)).catch((error) => {
      if (error instanceof Deno.errors.NotFound) return null;
      throw error;
    });
    // A new file each time: the number changes with every change.
    const seen = info === null ? "none" : `${info.ino} ${info.mtime?.getTime()} ${info.size}`;
    if (seen !== this.#seen) {
      this.#pairs = await readPairs(this.#disk, this.#directory);
      this.#seen = seen;
    }
    return this.#pairs;
  }

  /** Whether this host may ask about VMs of this pair; else, why not. */
  async refusal(id: string, pair: string): Promise<"unknown" | "pair" | null> {
    const pairs = await this.pairs();
    if (pairs.some(({ name, hosts }) => name === pair && hosts.includes(id))) return null;
    return pairs.some(({ hosts }) => hosts.includes(id)) ? "pair" : "unknown";
  }
}
