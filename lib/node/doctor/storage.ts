/** The disk that data and images are on. */

import { bytesText } from "../disks/files.ts";
import type { DoctorProbes } from "./probes.ts";
import { type Finding, finding, found, percentile, type Subject } from "./types.ts";

const SPACE_LEAST = 5 * 2 ** 30;
const SPACE_CRITICAL = 2 ** 29;
const SYNC_MS = 1500;
/** Of the slowest hundredth, us. */
const SYNC_GOOD_US = 20_000;
const SYNC_POOR_US = 200_000;

export function checkSpaceLeft(probes: DoctorProbes, { data }: Subject): Finding[] {
  const space = probes.space(data);
  const free = space?.free ?? 0;
  const state = free < SPACE_CRITICAL ? "failed" : free < SPACE_LEAST ? "warning" : "ok";
  if (space === null) return [finding("disk.space", "unknown", found("space.unknown", { data }))];
  const params = { free: bytesText(free), total: bytesText(space.total), data };
  return [finding("disk.space", state, found("space.free", params))];
}

export async function checkSyncs(probes: DoctorProbes, { data }: Subject): Promise<Finding[]> {
  const took = await probes.syncs(data, SYNC_MS);
  if (took === null || took.length === 0) {
    return [finding("disk.sync", "unknown", found("sync.unknown", { data }))];
  }
  const [half, most] = [percentile(took, 0.5), percentile(took, 0.99)];
  const ms = (us: number) => `${(us / 1000).toFixed(us < 10_000 ? 2 : 0)} ms`;
  const state = most > SYNC_POOR_US ? "warning" : most > SYNC_GOOD_US ? "info" : "ok";
  const params = { count: took.length, half: ms(half), most: ms(most) };
  return [finding("disk.sync", state, found("sync.measured", params))];
}
