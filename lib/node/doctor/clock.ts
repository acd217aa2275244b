/** The clock. Nothing is decided by it; people compare events of two nodes by it. */

import type { DoctorProbes } from "./probes.ts";
import { type Finding, finding, found, type Subject } from "./types.ts";

const OFFSET_GOOD_MS = 1000;
const RUN_MS = 2500;

async function synchronized(probes: DoctorProbes): Promise<boolean | null> {
  const told = await probes.run(["timedatectl", "show", "--property=NTPSynchronized", "--value"], RUN_MS);
  if (told?.code === 0 && /^(yes|no)\s*$/.test(told.said)) return told.said.startsWith("yes");
  const chrony = await probes.run(["chronyc", "-n", "tracking"], RUN_MS);
  if (chrony?.code === 0) return !/Not synchronised/.test(chrony.said);
  return probes.list("/run/systemd/timesync")?.includes("synchronized") === true ? true : null;
}

export async function checkClock(probes: DoctorProbes, { clockOffsetMs }: Subject): Promise<Finding[]> {
  const synced = await synchronized(probes);
  const findings = [
    synced === null
      ? finding("clock.sync", "unknown", found("clock.unknown"))
      : synced
      ? finding("clock.sync", "ok", found("clock.follows"))
      : finding("clock.sync", "info", found("clock.free")),
  ];
  if (clockOffsetMs === null) return findings;
  const away = Math.abs(clockOffsetMs);
  const params = { seconds: (away / 1000).toFixed(3) };
  findings.push(finding(
    "clock.offset",
    away > OFFSET_GOOD_MS ? "warning" : "ok",
    clockOffsetMs >= 0 ? found("offset.ahead", params) : found("offset.behind", params),
  ));
  return findings;
}
