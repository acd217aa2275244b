/** Disks as the controller and the VMs' manager ask for them. */

import { makeDurableDirectory } from "../../durable_directory.ts";
import { ProblemError } from "../../model/problem.ts";
import { explained } from "../../model/problem_english.ts";
import type { VmCreate } from "../../model/vm.ts";
import { userIds } from "../../vm/qemu.ts";
import { checkExisting, diskBytes, refuseBusyDevice, refuseUsed, type UsedDisk } from "./existing.ts";
import { checkSpace, isThere, makeDisk, removeDisk, removeParts } from "./files.ts";
import { findOvmf } from "./firmware.ts";
import { checkSource } from "./import.ts";
import { type PreparedDisk, prepareDisks, type PrepareJob, qemuImgPlace, removePrepared } from "./prepare.ts";

export interface DiskWorkOptions {
  /** The VMs' directory. */
  directory: string;
  /** Disks of the VMs that there are. */
  used(): readonly UsedDisk[];
  /** QEMU's user, as whom images are read; undefined: nobody. */
  user?: string | undefined;
  /** Name or path of qemu-img. */
  qemuImg?: string;
}

/** All that is done with disks on a node. */
export class Disks {
  readonly #options: DiskWorkOptions;

  constructor(options: DiskWorkOptions) {
    this.#options = options;
  }

  /** Removes what imports left that were killed with the node's service: they may be as large as disks. Before any begins. */
  removeLeftovers(): void {
    for (const entry of Deno.readDirSync(this.#options.directory)) {
      if (entry.isDirectory) removeParts(`${this.#options.directory}/${entry.name}`);
    }
  }

  /** Bytes of images that are to be imported. Throws ProblemError at once when a disk is not there or cannot be one. */
  // deno-lint-ignore require-await
  async size(vm: VmCreate): Promise<number> {
    const { directory, used } = this.#options;
    let bytes = 0;
    for (const disk of vm.disks) {
      if (disk.kind === "import") bytes += checkSource(disk).bytes;
      else if (disk.kind === "existing") {
        const path = disk.path.startsWith("/") ? disk.path : `${directory}/${vm.name}/${disk.path}`;
        checkExisting(path, { used: used() });
      } else checkSpace(directory, { bytes: disk.size_mib * 2 ** 20 });
    }
    return bytes;
  }

  /** Makes a new VM's disks and, last, its UEFI variables: all or none. */
  async prepare(vm: VmCreate, directory: string, job: PrepareJob): Promise<PreparedDisk[]> {
    makeDurableDirectory(directory, 0o700);
    removeParts(directory);
    const { user, qemuImg } = this.#options;
    const { disks } = await prepareDisks(vm, {
      directory: this.#options.directory,
      used: this.#options.used(),
      place: qemuImgPlace(user === undefined ? null : userIds(user), qemuImg),
      job,
    });
    return disks;
  }

  /** Removes what `prepare` made, when nothing becomes of the VM. */
  discard(disks: readonly PreparedDisk[]): void {
    removePrepared(disks);
  }

  /** Where this node's UEFI code is, for a VM's file; null: there is none. */
  firmwareCode(): string | null {
    return findOvmf()?.code ?? null;
  }

  /** Makes an empty image at `path` (absolute), unless there is one of that size. Throws ProblemError when there is another one, or no room. */
  // deno-lint-ignore require-await
  async make(path: string, bytes: number): Promise<void> {
    if (!isThere(path)) {
      if (path.startsWith("/dev/")) {
        throw new ProblemError("not_found", explained("disk.device_absent", { path }));
      }
      makeDisk(path, bytes);
      return;
    }
    // This VM's own runner may have it already.
    refuseUsed(path, this.#options.used().filter((disk) => disk.path !== path));
    refuseBusyDevice(path);
    const found = diskBytes(path);
    if (found === bytes) return;
    throw new ProblemError(
      "conflict",
      explained("disk.sizes_differ", { path, found: `${found}`, bytes: `${bytes}` }),
    );
  }

  /** Throws ProblemError when what is at `path` (absolute) cannot be a disk, or something uses it. */
  check(path: string): void {
    checkExisting(path, { used: this.#options.used() });
  }

  /** Removes an image (absolute); a device is left alone. */
  // deno-lint-ignore require-await
  async remove(path: string): Promise<void> {
    removeDisk(path);
  }
}
