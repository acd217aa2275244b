/** What the fault tests share: scenes of this very program (lib/lab/scene.ts), and damage to a guest's memory. */

import { assets, guestKernel, selfCommand } from "../../lib/cli/assets.ts";
import type { ClientOptions } from "../../lib/lab/counting_client.ts";
import { type Counting, type Program, Scene as LabScene, type SceneOptions } from "../../lib/lab/scene.ts";

export {
  brokenPromises,
  type Counting,
  type CountingClient,
  differences,
  MEMORY,
  next,
  pause,
  reached,
  type SceneOptions,
  type Wanted,
} from "../../lib/lab/scene.ts";

/** This program from its source, and the demo's guest. */
export function program(): Program {
  return { self: selfCommand(), kernel: guestKernel(), guestInit: assets().guestInit };
}

/** Scenes in which this program's runners are. */
export const Scene = {
  /** Builds one. Nothing runs yet. */
  open(options: SceneOptions = {}): Promise<LabScene> {
    return LabScene.open(program(), options);
  },

  /** Builds one, with a protected guest that answers, and a client that counts over one connection. */
  async counting(options: SceneOptions = {}, load: Partial<ClientOptions> = {}): Promise<Counting> {
    return await (await Scene.open(options)).counting(load);
  },
};
export type Scene = LabScene;

/** The guest's main memory on a host, through the descriptor of the runner that owns it: for damage behind its back. */
export class GuestMemory implements Disposable {
  readonly #file: Deno.FsFile;

  constructor(file: Deno.FsFile) {
    this.#file = file;
  }

  /** Overwrites 64 KiB of every MiB: no guest goes on from there. */
  async damage(): Promise<void> {
    const { size } = await this.#file.stat();
    const noise = crypto.getRandomValues(new Uint8Array(64 * 1024));
    for (let at = 1 << 20; at < size; at += 1 << 20) {
      await this.#file.seek(at, Deno.SeekMode.Start);
      await this.#file.write(noise);
    }
  }

  [Symbol.dispose](): void {
    this.#file.close();
  }
}

/** Opens the memory object that a runner made for its guest. */
export async function guestMemory(pid: number): Promise<GuestMemory> {
  for (const { name } of Deno.readDirSync(`/proc/${pid}/fd`)) {
    const path = `/proc/${pid}/fd/${name}`;
    try {
      if (Deno.readLinkSync(path).startsWith("/memfd:")) {
        return new GuestMemory(await Deno.open(path, { read: true, write: true }));
      }
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error; // the descriptor was closed meanwhile
    }
  }
  throw new Error(`process ${pid} has no memory object`);
}
