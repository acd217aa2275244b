/** A VM that is being made: what is wrong with it before anything is done, and its first settings. */

import { ProblemError } from "../../model/problem.ts";
import { explained } from "../../model/problem_english.ts";
import type { VmCreate, VmView } from "../../model/vm.ts";
import type { VmSpec } from "../../vm/spec.ts";
import { needOvmf } from "../disks/firmware.ts";
import { type VmRecord, VMS_MAX } from "./records.ts";
import { makeFile } from "./vm_file.ts";

/** A disk that is there: its path as in the VM's file (relative ones are below DATA/vms), and its size. */
export interface FinishedDisk {
  path: string;
  bytes: number;
  /** Left out: a disk. */
  role?: "disk" | "uefi-vars";
}

/** Throws ProblemError with every field that is wrong. `elsewhere`: names of VMs of the other node. */
export function checkNewVm(
  vm: VmCreate,
  { views, elsewhere, isBridge = () => true }: {
    views: readonly VmView[];
    elsewhere: readonly string[];
    isBridge?: ((name: string) => boolean) | undefined;
  },
): void {
  if ([...views.map(({ name }) => name), ...elsewhere].includes(vm.name)) {
    throw new ProblemError("exists", explained("vm.exists", { name: vm.name }));
  }
  if (views.length >= VMS_MAX) {
    throw new ProblemError("too_many", explained("vm.too_many", { count: VMS_MAX }));
  }
  const disks = vm.disks.map((_, index) => `${vm.name}/disk${index}.img`);
  const firmware = vm.firmware === "bios" ? vm.firmware : { code: needOvmf().code, vars: "vars" };
  makeFile(vm, { disks, firmware });
  for (const [index, { bridge }] of vm.nics.entries()) {
    if (bridge === undefined || isBridge(bridge)) continue;
    const problem = `This node has no bridge ${bridge}`;
    throw new ProblemError("invalid", {
      ...explained("vm.no_bridge", { bridge }),
      fields: [{ key: `nics[${index}].bridge`, problem }],
    });
  }
  const taken = views.flatMap(({ name, nics }) => nics.map(({ mac }) => ({ name, mac })));
  for (const [index, { mac }] of vm.nics.entries()) {
    const other = taken.find((one) => one.mac === mac?.toLowerCase());
    if (other === undefined) continue;
    const problem = `${other.name} has a NIC with the address ${mac}`;
    throw new ProblemError("invalid", {
      ...explained("vm.mac", { vm: other.name, mac: mac ?? "" }),
      fields: [{ key: `nics[${index}].mac`, problem }],
    });
  }
}

/** Its settings, and what its file says. */
export function newRecord(
  vm: VmCreate,
  made: readonly FinishedDisk[],
  { by, at }: { by: string; at: string },
): { record: VmRecord; spec: VmSpec } {
  const vars = made.find(({ role }) => role === "uefi-vars");
  const disks = made.filter((disk) => disk !== vars);
  const firmware = vars === undefined ? "bios" : { code: needOvmf().code, vars: vars.path };
  const { text, spec } = makeFile(vm, { disks: disks.map(({ path }) => path), firmware });
  const record = {
    uuid: crypto.randomUUID(),
    name: vm.name,
    revision: 1,
    by,
    at,
    file: text,
    active: text,
    disks: [...disks, ...(vars === undefined ? [] : [vars])].map(({ bytes }) => bytes),
    number: null,
    starts: 0,
    wanted: { running: false, protected: vm.protect },
  };
  return { record, spec };
}
