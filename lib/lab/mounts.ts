/** The file systems that a lab's hosts have mounted. They are found by their source, which has the lab's id: so also by another
 * process than the one that mounted them, and after that one was killed. */

import { runCommand } from "./command.ts";
import type { Host } from "./places.ts";

/** The source of a host's mounts, as the kernel lists it. */
export function mountSource(id: string, host: Host): string {
  return `isf-storage-${id}-${host}`;
}

/** Where something of this source is mounted, newest first. */
export function mountPoints(source: string): string[] {
  const found: string[] = [];
  for (const line of Deno.readTextFileSync("/proc/self/mountinfo").split("\n")) {
    const [place, rest] = line.split(" - ");
    const point = place?.split(" ")[4];
    if (rest?.split(" ")[1] === source && point !== undefined) found.unshift(unescaped(point));
  }
  return found;
}

/** Takes away all mounts of this source, whether anybody still serves them or not. */
export async function removeMounts(source: string): Promise<void> {
  for (const point of mountPoints(source)) {
    await runCommand(["umount", "-l", point], { op: "unmount a host's storage" });
  }
}

/** Blanks and the like are octal in the kernel's list. */
function unescaped(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, digits) => String.fromCharCode(parseInt(digits, 8)));
}
