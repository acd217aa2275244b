/** What doctor asks of a machine. Passed in, so that tests answer instead; the real ones are bounded, and nothing fails: what cannot be known is
 * null. */

import { statfsSync } from "node:fs";
import { type KvmFinding, probe } from "../../vm/accel.ts";
import { qemuMachines, qemuVersion } from "../../vm/qemu.ts";

/** How a program ended. */
export interface Ran {
  code: number;
  /** Standard output, then standard error. */
  said: string;
}

/** One machine. */
export interface DoctorProbes {
  root: boolean;
  /** `uname -r`. */
  release: string;
  /** A small text file; null: it is not there or may not be read. */
  read(path: string): string | null;
  /** Names in a directory; null: it is not there. */
  list(path: string): string[] | null;
  /** Whether a device can be opened for reading and writing. */
  opens(path: string): "yes" | "absent" | "denied" | "busy";
  /** Null: there is no such program, or it did not end in time. */
  run(argv: readonly string[], timeoutMs: number): Promise<Ran | null>;
  kvm(binary: string, cpu: string): Promise<KvmFinding>;
  /** Version and machine types; throws when it is absent or too old. */
  qemu(binary: string): Promise<{ version: string; machines: string[] }>;
  space(path: string): { free: number; total: number } | null;
  /** Durations of small synced writes in `directory`, us, for about `ms`; null: it may not be written. */
  syncs(directory: string, ms: number): Promise<number[] | null>;
  /** Names and IPv4 addresses. */
  addresses(): { name: string; address: string }[];
  memory(): { total: number; available: number };
  /** SHA-256 of a file in hex; null: it is not there. */
  digest(path: string): Promise<string | null>;
}

const READ_MAX = 4 * 2 ** 20;
const SAID_MAX = 64 * 1024;
const DIGEST_MAX = 64 * 2 ** 20;
const SYNC_BYTES = 4096;
const SYNCS_MAX = 500;

function readText(path: string): string | null {
  try {
    using file = Deno.openSync(path);
    const buffer = new Uint8Array(READ_MAX);
    let got = 0;
    for (let n = 0; n !== null && got < READ_MAX; got += n ?? 0) {
      const read: number | null = file.readSync(buffer.subarray(got));
      if (read === null) break;
      n = read;
    }
    return new TextDecoder().decode(buffer.subarray(0, got));
  } catch {
    return null;
  }
}

function opens(path: string): "yes" | "absent" | "denied" | "busy" {
  try {
    Deno.openSync(path, { read: true, write: true }).close();
    return "yes";
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "absent";
    if ((error as { code?: unknown }).code === "ENODEV" || (error as { code?: unknown }).code === "ENXIO") {
      return "absent";
    }
    return (error as { code?: unknown }).code === "EBUSY" ? "busy" : "denied";
  }
}

async function runProgram(
  [program = "", ...args]: readonly string[],
  timeoutMs: number,
): Promise<Ran | null> {
  try {
    const { code, stdout, stderr } = await new Deno.Command(program, {
      args,
      env: { LC_ALL: "C" },
      stdin: "null",
      signal: AbortSignal.timeout(timeoutMs),
    }).output();
    const text = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes.subarray(0, SAID_MAX)));
    return code > 128 ? null : { code, said: text.join("") };
  } catch {
    return null;
  }
}

async function measureSyncs(directory: string, ms: number): Promise<number[] | null> {
  const path = `${directory}/.doctor-${crypto.randomUUID()}`;
  try {
    using file = await Deno.open(path, { write: true, createNew: true, mode: 0o600 });
    Deno.removeSync(path);
    const bytes = crypto.getRandomValues(new Uint8Array(SYNC_BYTES));
    const took: number[] = [];
    const end = performance.now() + ms;
    while (performance.now() < end && took.length < SYNCS_MAX) {
      const begin = performance.now();
      await file.write(bytes);
      await file.syncData();
      took.push(Math.round((performance.now() - begin) * 1000));
    }
    return took;
  } catch {
    return null;
  }
}

async function digestOf(path: string): Promise<string | null> {
  try {
    if (Deno.statSync(path).size > DIGEST_MAX) return null;
    const hash = await crypto.subtle.digest("SHA-256", await Deno.readFile(path));
    return new Uint8Array(hash).toHex();
  } catch {
    return null;
  }
}

/** This machine's. */
export const realProbes: DoctorProbes = {
  get root() {
    return Deno.uid() === 0;
  },
  get release() {
    return Deno.osRelease();
  },
  read: readText,
  list(path) {
    try {
      return [...Deno.readDirSync(path)].map((entry) => entry.name);
    } catch {
      return null;
    }
  },
  opens,
  run: runProgram,
  kvm: (binary, cpu) => probe({ binary, cpu, accel: "kvm" }),
  async qemu(binary) {
    const version = (await qemuVersion(binary)).join(".");
    return { version, machines: await qemuMachines(binary) };
  },
  space(path) {
    try {
      const { bsize, bavail, blocks } = statfsSync(path);
      return { free: bsize * bavail, total: bsize * blocks };
    } catch {
      return null;
    }
  },
  syncs: measureSyncs,
  addresses: () =>
    Deno.networkInterfaces().filter((one) => one.family === "IPv4").map(({ name, address }) => ({
      name,
      address,
    })),
  memory: () => Deno.systemMemoryInfo(),
  digest: digestOf,
};
