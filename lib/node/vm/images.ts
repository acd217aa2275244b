/** The images of a VM, and what is left of one that is deleted. */

import { ProblemError } from "../../model/problem.ts";
import { explained } from "../../model/problem_english.ts";

/** Puts a VM's directory aside, images, journals and notes together, so that the name is free and nothing of it meets another VM of that
 * name; or removes it. Images outside of it are not touched. Returns where it is; null: it is gone. */
export function clearAway(directory: string, options: { disks: boolean; at: string }): string | null {
  if (options.disks) {
    Deno.removeSync(directory, { recursive: true });
    return null;
  }
  const kept = `${directory}.deleted-${options.at.replace(/[^0-9]/g, "").slice(0, 14)}`;
  Deno.renameSync(directory, kept);
  return kept;
}

/** The size of an image or a block device. Throws ProblemError when it is not there. */
export function imageBytes(image: string): number {
  try {
    const { size, isBlockDevice } = Deno.statSync(image);
    if (!isBlockDevice) return size;
    using device = Deno.openSync(image);
    return device.seekSync(0, Deno.SeekMode.End);
  } catch (cause) {
    throw new ProblemError("invalid", {
      ...explained("vm.image", { path: image, said: cause instanceof Error ? cause.message : String(cause) }),
      fields: [{ key: "disk", problem: `${image} is not there` }],
    });
  }
}
