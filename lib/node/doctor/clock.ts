/** The clock. Nothing is decided by it; people compare events of two nodes by it. */

import type { DoctorProbes } from "./probes.ts";
import { type Finding, finding, type Subject } from "./types.ts";

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
  const findings = [finding("clock.sync", synced === true ? "ok" : synced === false ? "info" : "unknown", {
    title: "Clock",
    seen: synced === null
      ? "It is not known whether it follows a time server"
      : synced
      ? "It follows a time server"
      : "It follows no time server",
    why:
      "VMs and takeovers do not depend on it, but times of events, certificates and one-time codes of accounts do.",
    fix:
      "Set up a time server that both nodes use (timedatectl set-ntp true, or chrony with the plant's own).",
  })];
  if (clockOffsetMs === null) return findings;
  const away = Math.abs(clockOffsetMs);
  findings.push(finding("clock.offset", away > OFFSET_GOOD_MS ? "warning" : "ok", {
    title: "Clocks of the two nodes",
    seen: `The other node's is ${(away / 1000).toFixed(3)} s ${clockOffsetMs >= 0 ? "ahead" : "behind"}`,
    why: "Events of the two nodes can only be put in order when their clocks agree.",
    fix: "Let both follow the same time server.",
  }));
  return findings;
}
