/** A host's storage that loses at a power cut what was not synced, as real storage does and a killed process alone does not show: the
 * page cache survives it. A file system of its own (build/lab) over a plain directory; its server runs in the host's place, and dies
 * with the host.
 *
 * @example
 * ```ts
 * await using storage = await VolatileStorage.mount({ lab, host: "a", directory });
 * await storage.losePower(7); // a part of what was not synced, picked by this seed, becomes durable, the rest is gone
 * await lab.powerOff("a");
 * await lab.powerOn("a");
 * await storage.remount();
 * ```
 */

import { constants } from "node:os";
import { EdgeError } from "../errors.ts";
import type { Lab } from "./lab.ts";
import { mountSource, removeMounts } from "./mounts.ts";
import { type Host, stateDirectory } from "./places.ts";

/** Where and what is mounted. */
export interface StorageOptions {
  lab: Lab;
  host: Host;
  /** Where programs see it; made, with what it holds, when it is not there. What is durable is beside it. */
  directory: string;
  /** The server; by default the one that build/native.ts builds. */
  program?: string;
}

/** What a power cut left of what was not synced: counts of changes and of names. */
export interface Remains {
  kept: number;
  torn: number;
  dropped: number;
  names: number;
  lostNames: number;
}

/** What is not durable, and how many syncs were answered. */
export interface Pending {
  changes: number;
  bytes: number;
  names: number;
  syncs: number;
}

/** A fault of the files with this name, "*" for all. */
export interface StorageFault {
  on: "read" | "write" | "sync";
  file: string;
  error: "EIO" | "ENOSPC" | "EROFS";
}

const PROGRAM = new URL("../../.cache/native/volatile-storage", import.meta.url).pathname;
const OP = "mount a host's storage";

/** A mounted storage. Disposing of it unmounts it; what was not synced is lost. */
export class VolatileStorage implements AsyncDisposable {
  readonly #options: StorageOptions;
  #server: Deno.ChildProcess | undefined;

  private constructor(options: StorageOptions) {
    this.#options = options;
  }

  /** Mounts it over `directory`. What is there already is durable. */
  static async mount(options: StorageOptions): Promise<VolatileStorage> {
    const storage = new VolatileStorage(options);
    const backing = storage.durableDirectory;
    await Deno.mkdir(options.directory, { recursive: true });
    try {
      await Deno.rename(options.directory, backing);
    } catch (cause) {
      throw new EdgeError(`${backing} is in the way`, { op: OP, hint: "Remove it.", cause });
    }
    await Deno.mkdir(options.directory);
    await storage.remount();
    return storage;
  }

  /** The plain directory with what is durable. */
  get durableDirectory(): string {
    return `${this.#options.directory}.durable`;
  }

  /** Whether its server runs: it does not after the host's power was cut. */
  get mounted(): boolean {
    return this.#server !== undefined;
  }

  /** Mounts what is durable, after a power cut. The host must be on. */
  async remount(): Promise<void> {
    const { lab, host, directory, program = PROGRAM } = this.#options;
    await this.unmount();
    const staging = `${directory}.staging`;
    await Deno.remove(staging, { recursive: true }).catch(() => {});
    const server = lab.exec(host, [
      program,
      ...[directory, this.durableDirectory, staging, this.#control, mountSource(lab.id, host)],
      `/proc/${Deno.pid}/ns/mnt`,
    ], { stdin: "null", stdout: "piped", stderr: "piped" });
    const errors = new Response(server.stderr).text();
    const reader = server.stdout.getReader();
    const { value } = await reader.read();
    if (value === undefined) {
      await server.status;
      throw new EdgeError((await errors).trim() || "its server ended", {
        op: OP,
        hint: "Run build/native.ts; the machine needs /dev/fuse, and root.",
      });
    }
    this.#server = server;
    reader.cancel();
    server.status.then(() => {
      if (this.#server === server) this.#server = undefined;
    });
  }

  /** Cuts the storage off at this moment, as a power cut would; the host's power is to be cut right after. Nothing that was not
   * synced is left, or with a seed a part: any subset of each file's changes, writes torn between sectors of 512 bytes, and any subset
   * of the names. Whoever waits for this storage waits until it is killed. */
  async losePower(seed?: number): Promise<Remains> {
    return JSON.parse(await this.#command(seed === undefined ? "lose" : `lose ${seed}`));
  }

  /** From now on this fails. Faults add up until heal(). A sync that fails loses what it was to make durable. */
  async fail(fault: StorageFault): Promise<void> {
    await this.#command(`fail ${fault.on} ${fault.file} ${constants.errno[fault.error]}`);
  }

  /** From now on syncs of the files with this name take so long, "*" for all. */
  async slowSync(slow: { file: string; ms: number }): Promise<void> {
    await this.#command(`slow ${slow.file} ${slow.ms}`);
  }

  /** No more than so many bytes for all files: what would take more fails with ENOSPC. 0: no bound. */
  async quota(bytes: number): Promise<void> {
    await this.#command(`quota ${bytes}`);
  }

  /** Takes all faults back. */
  async heal(): Promise<void> {
    await this.#command("heal");
  }

  /** Makes everything durable, as a shutdown in order does. */
  async sync(): Promise<void> {
    await this.#command("sync");
  }

  async pending(): Promise<Pending> {
    return JSON.parse(await this.#command("pending"));
  }

  /** Unmounts it, or what a killed server left mounted; what was not synced is lost. */
  async unmount(): Promise<void> {
    const server = this.#server;
    if (server !== undefined) {
      try {
        server.kill("SIGKILL");
      } catch {
        // It has ended.
      }
      await server.status;
      this.#server = undefined;
    }
    await removeMounts(mountSource(this.#options.lab.id, this.#options.host));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.unmount();
  }

  get #control(): string {
    return `${stateDirectory(this.#options.lab.id)}/storage-${this.#options.host}`;
  }

  async #command(line: string): Promise<string> {
    const op = `tell the storage of host ${this.#options.host} "${line}"`;
    let answer: string;
    try {
      using connection = await Deno.connect({ transport: "unix", path: this.#control });
      await connection.write(new TextEncoder().encode(`${line}\n`));
      answer = await new Response(connection.readable).text();
    } catch (cause) {
      throw new EdgeError("it does not answer", { op, hint: "Its host is off, or it was killed.", cause });
    }
    if (answer.startsWith("ok ")) return answer.slice(3);
    throw new EdgeError(answer.trim() || "it ended", {
      op,
      hint: "See build/lab/control.c for its commands.",
    });
  }
}
