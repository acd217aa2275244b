/** Makes all the files that a new VM needs on this node, or none: new, imported and existing disks, UEFI variables. */

import { ProblemError } from "../../model/problem.ts";
import { explained } from "../../model/problem_english.ts";
import type { VmCreate } from "../../model/vm.ts";
import { checkExisting, type UsedDisk } from "./existing.ts";
import {
  checkSpace,
  createSparse,
  isThere,
  makeDisk,
  partOf,
  publish,
  refuseExisting,
  removeDisk,
} from "./files.ts";
import { freshVariables, needOvmf, type Ovmf } from "./firmware.ts";
import { type ImageFacts, importDisk, inspectImage } from "./import.ts";
import type { QemuImgPlace } from "./qemu_img.ts";

/** One file of a VM that is replicated. */
export interface PreparedDisk {
  role: "disk" | "uefi-vars";
  /** As the VM's file names it: below the VMs' directory, or absolute. The same on both nodes. */
  path: string;
  /** Absolute, on this node. */
  file: string;
  bytes: number;
  /** Made for this VM, and so removed with it; false: it was there before. */
  made: boolean;
}

export interface Prepared {
  /** In the order of the VM's disks, then the UEFI variables. */
  disks: PreparedDisk[];
  /** What the VM's file says of its firmware. */
  firmware: "bios" | { code: string; vars: string };
}

/** How far it is, and whether it is still wanted. */
export interface PrepareJob {
  /** Bytes of imports. */
  progress(done: number, total?: number): void;
  signal: AbortSignal;
}

export interface PrepareOptions {
  /** The VMs' directory; the VM's own is below it, by its name, and is there. */
  directory: string;
  /** Disks of the node's other VMs. */
  used: readonly UsedDisk[];
  place: QemuImgPlace;
  job: PrepareJob;
  /** This node's OVMF; left out: looked for. */
  ovmf?: Ovmf | null;
}

type Wanted = Pick<VmCreate, "name" | "disks" | "firmware">;
type Plan = PreparedDisk & { image?: ImageFacts };

/** Where a disk that is made for a VM is. */
function madePath(vm: Wanted, index: number): string {
  return `${vm.name}/disk${index}.img`;
}

function existingPath(path: string, vm: Wanted): { path: string; relative: boolean } {
  if (path.split("/").includes("..") || path === "") {
    throw new ProblemError("invalid", explained("disk.path", { path: JSON.stringify(path) }));
  }
  return path.startsWith("/") ? { path, relative: false } : { path: `${vm.name}/${path}`, relative: true };
}

/** Looks at everything before anything is made. */
async function plan(vm: Wanted, options: PrepareOptions): Promise<Plan[]> {
  const { directory, place, job } = options;
  const plans: Plan[] = [];
  const used = [...options.used];
  for (const [index, disk] of vm.disks.entries()) {
    job.signal.throwIfAborted();
    if (disk.kind === "existing") {
      const { path, relative } = existingPath(disk.path, vm);
      const found = checkExisting(relative ? `${directory}/${path}` : path, { used });
      plans.push({ role: "disk", path, file: found.path, bytes: found.bytes, made: false });
    } else {
      const path = madePath(vm, index);
      const file = `${directory}/${path}`;
      refuseExisting(file);
      if (disk.kind === "new") {
        plans.push({ role: "disk", path, file, bytes: disk.size_mib * 2 ** 20, made: true });
      } else {
        const image = await inspectImage(disk, { place, signal: job.signal });
        plans.push({ role: "disk", path, file, bytes: image.bytes, made: true, image });
      }
    }
    used.push({ vm: `${vm.name} (disk ${index + 1})`, path: plans.at(-1)!.file });
  }
  const bytes = plans.filter((disk) => disk.made).reduce((sum, disk) => sum + disk.bytes, 0);
  if (bytes > 0) checkSpace(`${directory}/${vm.name}`, { bytes });
  return plans;
}

async function make(
  plans: readonly Plan[],
  options: PrepareOptions & { made: PreparedDisk[] },
): Promise<void> {
  const { place, job, made } = options;
  const total = plans.reduce((sum, disk) => sum + (disk.image?.bytes ?? 0), 0);
  let before = 0;
  if (total > 0) job.progress(0, total);
  for (const disk of plans) {
    job.signal.throwIfAborted();
    if (disk.image !== undefined) {
      const progress = (done: number) => job.progress(before + done, total);
      await importDisk({ image: disk.image, target: disk.file }, { place, progress, signal: job.signal });
      before += disk.bytes;
    } else if (disk.made) {
      makeDisk(disk.file, disk.bytes);
    }
    if (disk.made) made.push(disk);
  }
}

/** Writes a file in full, synced, that must not be there. */
function writeNew(file: string, bytes: Uint8Array<ArrayBuffer>): void {
  refuseExisting(file);
  const part = partOf(file);
  try {
    {
      using handle = createSparse(part, bytes.length);
      for (let sent = 0; sent < bytes.length;) sent += handle.writeSync(bytes.subarray(sent));
      handle.syncSync();
    }
    publish(part, file);
  } finally {
    if (isThere(part)) Deno.removeSync(part);
  }
}

function makeVariables(vm: Wanted, ovmf: Ovmf, directory: string): PreparedDisk {
  const path = `${vm.name}/vars.fd`;
  const file = `${directory}/${path}`;
  const bytes = freshVariables(ovmf);
  writeNew(file, bytes);
  return { role: "uefi-vars", path, file, bytes: bytes.length, made: true };
}

/** Makes what a new VM needs on this node. When it throws, or is aborted by the job, nothing is left of it. */
export async function prepareDisks(vm: Wanted, options: PrepareOptions): Promise<Prepared> {
  const ovmf = vm.firmware === "uefi" ? options.ovmf ?? needOvmf() : null;
  const plans = await plan(vm, options);
  const disks: PreparedDisk[] = plans.map(({ image: _, ...disk }) => disk);
  const made: PreparedDisk[] = [];
  try {
    await make(plans, { ...options, made });
    if (ovmf === null) return { disks, firmware: "bios" };
    const vars = makeVariables(vm, ovmf, options.directory);
    return { disks: [...disks, vars], firmware: { code: ovmf.code, vars: vars.path } };
  } catch (error) {
    removePrepared(made);
    throw error;
  }
}

/** Removes what was made; what was there before is left alone. */
export function removePrepared(disks: readonly PreparedDisk[]): void {
  for (const disk of disks) if (disk.made) removeDisk(disk.file);
}

/** How qemu-img is run on this node: as root in a jail, as QEMU's user or nobody. */
export function qemuImgPlace(user: { uid: number; gid: number } | null, binary = "qemu-img"): QemuImgPlace {
  return { binary, jail: Deno.uid() === 0 ? user ?? { uid: 65534, gid: 65534 } : null };
}
