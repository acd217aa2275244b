/** The file of a VM that FakeBackend has: changed by the same rules as a node's own. */

import { stringify } from "smol-toml";
import type { VmView } from "../../lib/model/vm.ts";
import { settingsOf } from "../../lib/node/vm/view.ts";
import { patchFile } from "../../lib/node/vm/vm_file.ts";

/** The file as it would be. */
export function fakeFile({ name, memory_mib, vcpus, screen, disks, settings }: VmView): string {
  const { cpu, stop_s, nics, degradation } = settings!;
  const nic = nics.map(({ mac, bridge, model, boot }) => ({
    ...{ mac, model },
    ...(bridge === null ? {} : { bridge }),
    ...(boot === null ? {} : { boot }),
  }));
  const disk = disks.map(({ path }) => ({ path }));
  return stringify({ name, memory: memory_mib, vcpus, cpu, vga: screen, stop_s, degradation, disk, nic });
}

/** What a change of keys makes of the view. Throws ProblemError for what a VM's file may not have. */
export function fakePatch(vm: VmView, patch: Readonly<Record<string, unknown>>): Partial<VmView> {
  const { spec } = patchFile(fakeFile(vm), patch);
  return { memory_mib: spec.memory, vcpus: spec.vcpus, screen: spec.vga, settings: settingsOf(spec) };
}
