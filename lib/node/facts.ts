/** What this machine is: for the page, and for the other node. Read when asked; nothing here is worth failing for. */

import { statfsSync } from "node:fs";
import { z } from "zod";
import { instant, nodeName } from "../model/node.ts";
import { qemuVersion } from "../vm/qemu.ts";

/** What a node says of its machine. What it cannot know is null. */
export const nodeFacts = z.object({
  id: z.string().max(100),
  name: nodeName,
  version: z.string().max(40),
  qemu: z.string().max(40).nullable(),
  kernel: z.string().max(100).nullable(),
  accel: z.enum(["kvm", "tcg"]).nullable(),
  cpu_model: z.string().max(200).nullable(),
  cpus: z.number().int().nullable(),
  memory_mib: z.number().int().nullable(),
  memory_free_mib: z.number().int().nullable(),
  disk_bytes: z.number().nullable(),
  disk_free_bytes: z.number().nullable(),
  privileged: z.boolean(),
  started: instant,
  url: z.string().max(300).nullable(),
});
export type NodeFacts = z.infer<typeof nodeFacts>;

function lineOf(file: string, pattern: RegExp): string | null {
  try {
    return pattern.exec(Deno.readTextFileSync(file))?.[1]?.trim() ?? null;
  } catch {
    return null;
  }
}

/** QEMU's version as text; null: there is none that answers. */
export async function qemuText(binary: string): Promise<string | null> {
  try {
    return (await qemuVersion(binary)).join(".");
  } catch {
    return null;
  }
}

function space(path: string): { disk_bytes: number | null; disk_free_bytes: number | null } {
  try {
    const { bsize, blocks, bavail } = statfsSync(path);
    return { disk_bytes: bsize * blocks, disk_free_bytes: bsize * bavail };
  } catch {
    return { disk_bytes: null, disk_free_bytes: null };
  }
}

/** This machine now. `accel`: what a guest was seen to run under (lib/vm/accel.ts); null: not known yet. */
export function machineFacts(options: { data: string; accel: "kvm" | "tcg" | null }): Omit<
  NodeFacts,
  "id" | "name" | "version" | "qemu" | "started" | "url"
> {
  const { total, available } = Deno.systemMemoryInfo();
  const MIB = 1024 * 1024;
  return {
    kernel: Deno.osRelease(),
    accel: options.accel,
    cpu_model: lineOf("/proc/cpuinfo", /^model name\s*:\s*(.+)$/m),
    cpus: navigator.hardwareConcurrency,
    memory_mib: Math.round(total / MIB),
    memory_free_mib: Math.round(available / MIB),
    ...space(options.data),
    privileged: Deno.uid() === 0,
  };
}
