/** Whether a raw image or a block device that is here already can be a VM's disk: nothing else may use it. */

import { type Explained, ProblemError } from "../../model/problem.ts";
import { explained } from "../../model/problem_english.ts";
import { checkSize } from "./files.ts";
import { beginsAs } from "./magic.ts";

/** A disk that a VM has. */
export interface UsedDisk {
  vm: string;
  /** Absolute. */
  path: string;
}

/** What the kernel says. Passed in, so that tests can have it say anything. */
export interface KernelView {
  /** A file below /proc or /sys as text; null: it is not there. */
  read(path: string): string | null;
  /** Names in a directory below /sys; [] when it is not there. */
  list(path: string): string[];
}

/** This host's. */
export const thisKernel: KernelView = {
  read(path) {
    try {
      return Deno.readTextFileSync(path);
    } catch {
      return null;
    }
  },
  list(path) {
    try {
      return [...Deno.readDirSync(path)].map((entry) => entry.name);
    } catch {
      return [];
    }
  },
};

function major(device: number): number {
  return (device >>> 8) & 0xfff; // as far as the kernel's numbers go today
}

function minor(device: number): number {
  return (device & 0xff) | ((device >>> 12) & 0xfff00);
}

function refused(said: Explained): ProblemError {
  return new ProblemError("conflict", said);
}

/** What uses a device. */
type Use = { kind: "mounted"; place: string } | { kind: "swap" } | { kind: "held"; holders: string };

/** Where a device is mounted or used as swap; undefined: nowhere. */
function deviceUse(device: string, kernel: KernelView): Use | undefined {
  for (const line of (kernel.read("/proc/self/mountinfo") ?? "").split("\n")) {
    const fields = line.split(" ");
    if (fields[2] === device) return { kind: "mounted", place: fields[4] ?? "" };
  }
  const name = /^DEVNAME=(.*)$/m.exec(kernel.read(`/sys/dev/block/${device}/uevent`) ?? "")?.[1];
  const swaps = (kernel.read("/proc/swaps") ?? "").split("\n").map((line) => line.split(/\s+/)[0]);
  if (name !== undefined && swaps.includes(`/dev/${name}`)) return { kind: "swap" };
  const holders = kernel.list(`/sys/dev/block/${device}/holders`);
  if (holders.length > 0) return { kind: "held", holders: holders.join(", ") };
  return undefined;
}

/** `part`: the partition of it that is used; null: itself. */
function useText(path: string, part: string | null, use: Use): Explained {
  switch (use.kind) {
    case "mounted": {
      const { place } = use;
      return part === null
        ? explained("disk.mounted", { path, place })
        : explained("disk.part_mounted", { path, part, place });
    }
    case "swap":
      return part === null ? explained("disk.swap", { path }) : explained("disk.part_swap", { path, part });
    case "held": {
      const { holders } = use;
      return part === null
        ? explained("disk.held", { path, holders })
        : explained("disk.part_held", { path, part, holders });
    }
  }
}

function deviceProblem(path: string, rdev: number, kernel: KernelView): ProblemError | undefined {
  const device = `${major(rdev)}:${minor(rdev)}`;
  const top = `/sys/dev/block/${device}`;
  const parts = kernel.list(top).filter((name) => kernel.read(`${top}/${name}/partition`) !== null);
  for (const name of [null, ...parts]) {
    const which = name === null ? device : kernel.read(`${top}/${name}/dev`)?.trim() ?? "";
    const use = deviceUse(which, kernel);
    if (use === undefined) continue;
    return refused(useText(path, name, use));
  }
  if (kernel.read(`${top}/ro`)?.trim() === "1") {
    return refused(explained("disk.read_only", { path }));
  }
  return undefined;
}

function fileProblem(path: string, found: Deno.FileInfo, kernel: KernelView): ProblemError | undefined {
  for (const name of kernel.list("/sys/block").filter((block) => block.startsWith("loop"))) {
    if (kernel.read(`/sys/block/${name}/loop/backing_file`)?.trim() === path) {
      return refused(explained("disk.loop", { path, name }));
    }
  }
  const device = `${major(found.dev).toString(16).padStart(2, "0")}:${
    minor(found.dev).toString(16).padStart(2, "0")
  }`;
  const inode = `${device}:${found.ino}`;
  const lock = (kernel.read("/proc/locks") ?? "").split("\n").find((line) =>
    line.split(/\s+/).includes(inode)
  );
  if (lock === undefined) return undefined;
  const pid = Number(lock.trim().split(/\s+/)[4]);
  return refused(
    pid > 0 ? explained("disk.locked", { path, pid: `${pid}` }) : explained("disk.locked_unknown", { path }),
  );
}

/** Size of a file or block device that can be written. */
export function diskBytes(path: string): number {
  try {
    using file = Deno.openSync(path, { read: true, write: true });
    return file.seekSync(0, Deno.SeekMode.End);
  } catch (error) {
    const code = (error as { code?: unknown }).code;
    if (code !== "EACCES" && code !== "EPERM" && code !== "EROFS") throw error;
    throw new ProblemError("invalid", explained("disk.not_writable", { path }));
  }
}

/** Checks that `path` (absolute) can be a disk, and says its size. Throws ProblemError when it is not there, is neither a raw image nor a block
 * device, has no possible size, or something else uses it. */
export function checkExisting(
  path: string,
  options: { used: readonly UsedDisk[]; kernel?: KernelView },
): { path: string; bytes: number; device: boolean } {
  const kernel = options.kernel ?? thisKernel;
  let real: string;
  let found: Deno.FileInfo;
  try {
    real = Deno.realPathSync(path);
    found = Deno.statSync(real);
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotFound)) throw cause;
    throw new ProblemError("not_found", explained("disk.absent", { path }));
  }
  const device = found.isBlockDevice === true;
  if (!found.isFile && !device) {
    throw new ProblemError("invalid", explained("disk.kind", { path }));
  }
  refuseUsed(real, options.used);
  const problem = device ? deviceProblem(path, found.rdev ?? 0, kernel) : fileProblem(real, found, kernel);
  if (problem !== undefined) throw problem;
  const bytes = diskBytes(real);
  checkSize(path, bytes);
  const is = device ? undefined : beginsAs(real);
  if (is !== undefined) throw new ProblemError("invalid", explained("disk.not_raw", { path, is }));
  return { path: real, bytes, device };
}

/** Throws ProblemError when `path`, which is there, is a device that is mounted or otherwise in use. */
export function refuseBusyDevice(path: string, kernel: KernelView = thisKernel): void {
  const found = Deno.statSync(path);
  const problem = found.isBlockDevice === true ? deviceProblem(path, found.rdev ?? 0, kernel) : undefined;
  if (problem !== undefined) throw problem;
}

/** Throws ProblemError when `path`, which is there, is one of these disks, by whatever name. */
export function refuseUsed(path: string, used: readonly UsedDisk[]): void {
  const found = Deno.statSync(path);
  const other = used.find((disk) => same(path, { found, other: disk.path }));
  if (other === undefined) return;
  throw refused(explained("disk.of_vm", { path, vm: other.vm }));
}

function same(path: string, { found, other }: { found: Deno.FileInfo; other: string }): boolean {
  try {
    const there = Deno.statSync(other);
    if (found.isBlockDevice && there.isBlockDevice) return found.rdev === there.rdev;
    return found.dev === there.dev && found.ino === there.ino;
  } catch {
    return path === other; // it is not there now, and will be
  }
}
