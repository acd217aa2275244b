/** The disk that data and images are on. */

import { bytesText } from "../disks/files.ts";
import type { DoctorProbes } from "./probes.ts";
import { type Finding, finding, percentile, type Subject } from "./types.ts";

const SPACE_LEAST = 5 * 2 ** 30;
const SPACE_CRITICAL = 2 ** 29;
const SYNC_MS = 1500;
/** Of the slowest hundredth, us. */
const SYNC_GOOD_US = 20_000;
const SYNC_POOR_US = 200_000;

export function checkSpaceLeft(probes: DoctorProbes, { data }: Subject): Finding[] {
  const space = probes.space(data);
  const free = space?.free ?? 0;
  const state = space === null
    ? "unknown"
    : free < SPACE_CRITICAL
    ? "failed"
    : free < SPACE_LEAST
    ? "warning"
    : "ok";
  return [finding("disk.space", state, {
    title: "Free space",
    seen: space === null
      ? `${data} cannot be looked at`
      : `${bytesText(free)} of ${bytesText(space.total)} are free in ${data}`,
    why:
      "Disks grow as guests write, and journals must always have room: a VM on a full disk gets write errors.",
    fix: space === null
      ? "Run this as the user that owns it."
      : "Remove what is not needed, or put the data directory on a larger disk.",
  })];
}

export async function checkSyncs(probes: DoctorProbes, { data }: Subject): Promise<Finding[]> {
  const took = await probes.syncs(data, SYNC_MS);
  const about = {
    title: "Disk's sync",
    why:
      "What a guest has flushed must be on stable storage on one node before an answer leaves: a slow disk is a slow guest.",
  };
  if (took === null || took.length === 0) {
    return [
      finding("disk.sync", "unknown", {
        ...about,
        seen: `${data} may not be written`,
        fix: "Run this as the user that owns it.",
      }),
    ];
  }
  const [half, most] = [percentile(took, 0.5), percentile(took, 0.99)];
  const ms = (us: number) => `${(us / 1000).toFixed(us < 10_000 ? 2 : 0)} ms`;
  return [finding("disk.sync", most > SYNC_POOR_US ? "warning" : most > SYNC_GOOD_US ? "info" : "ok", {
    ...about,
    seen: `${took.length} writes of 4 KiB with fdatasync: half within ${ms(half)}, 99 % within ${ms(most)}`,
    fix: "Use an SSD with power-loss protection; put nothing else that writes much on it.",
  })];
}
