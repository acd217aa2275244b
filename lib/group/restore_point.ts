/** Keeps disks as they are: of two VMs that both ran, the one that is given up. */

import { EdgeError } from "../errors.ts";

/** What is kept. */
export interface RestorePointOptions {
  /** Directory of all restore points of this VM. */
  directory: string;
  /** Says what it is; the directory's name begins with it. */
  label: string;
  disks: readonly { name: string; image: string }[];
  /** What a person is to know of it later. */
  about: Record<string, unknown>;
}

/** Copies the images (sharing their blocks where the file system can, else leaving holes out), syncs them, and names the result. Returns
 * the directory. Throws EdgeError; nothing is left behind then. */
export async function keepDisks(options: RestorePointOptions): Promise<string> {
  const { directory, label, disks, about } = options;
  await Deno.mkdir(directory, { recursive: true, mode: 0o700 });
  const taken = new Set([...Deno.readDirSync(directory)].map(({ name }) => name));
  let name = label;
  for (let i = 2; taken.has(name); i++) name = `${label}-${i}`;
  const part = `${directory}/.${name}.part`;
  await Deno.remove(part, { recursive: true }).catch(() => {});
  await Deno.mkdir(part, { mode: 0o700 });
  try {
    for (const disk of disks) {
      await run(["cp", "--reflink=auto", "--sparse=always", "--", disk.image, `${part}/${disk.name}.img`]);
    }
    await Deno.writeTextFile(`${part}/about.json`, `${JSON.stringify(about, null, 2)}\n`, { mode: 0o600 });
    await run(["sync", ...disks.map((disk) => `${part}/${disk.name}.img`), `${part}/about.json`, part]);
    await Deno.rename(part, `${directory}/${name}`);
    await run(["sync", directory]);
    return `${directory}/${name}`;
  } catch (error) {
    await Deno.remove(part, { recursive: true }).catch(() => {});
    throw error;
  }
}

async function run(words: string[]): Promise<void> {
  const [program = "", ...args] = words;
  const { success, stderr } = await new Deno.Command(program, { args, stdin: "null" }).output();
  if (success) return;
  throw new EdgeError(new TextDecoder().decode(stderr).trim() || `${program} failed`, {
    op: "keep the disks as a restore point",
    hint: "There must be room for a copy of the disks in the data directory; make room, then discard again.",
  });
}
