/** What doctor works with. */

import { z } from "zod";
import type { CheckView } from "../../model/doctor.ts";
import {
  DOCTOR_ENGLISH,
  type DoctorCode,
  type DoctorPlaces,
  doctorTexts,
} from "../../model/doctor_english.ts";
import type { PairSettings, PairView } from "../../model/node.ts";

/** What two nodes compare of themselves. What is not known is null. */
export const doctorFacts = z.object({
  node: z.string().max(100),
  program: z.string().max(40),
  kernel: z.string().max(100),
  tracker: z.enum(["userfaultfd", "soft-dirty", "comparing"]),
  qemu: z.string().max(40).nullable(),
  machines: z.array(z.string().max(60)).max(200),
  kvm: z.boolean().nullable(),
  cpu_vendor: z.string().max(60),
  cpu_model: z.string().max(200),
  cpu_flags: z.array(z.string().max(40)).max(400),
  memory_bytes: z.number(),
  data_bytes: z.number().nullable(),
  /** Path and SHA-256 of the UEFI code; null: none. */
  firmware: z.object({ path: z.string().max(300), digest: z.string().max(64) }).nullable(),
  bridge: z.string().max(20).nullable(),
});
export type DoctorFacts = z.infer<typeof doctorFacts>;

/** A check before it has its node. */
export type Finding = Omit<CheckView, "node">;

/** What doctor is told of the node that it looks at. */
export interface Subject {
  /** This node's name. */
  node: string;
  version: string;
  /** QEMU's name or path, and its user; undefined: root. */
  qemu: string;
  qemuUser?: string | undefined;
  /** The CPU model that VMs have unless their files say another one. */
  cpu: string;
  data: string;
  /** TCP ports that this program listens on itself, with what for. */
  listens: readonly { port: number; what: string }[];
  /** First ports of the VMs that are here: 7820 + 4n. */
  vmPorts: readonly number[];
  /** Null: not set up. */
  settings: PairSettings | null;
  arbiter: PairView["arbiter"];
  /** The other node's clock minus this one's, ms; null: not known. */
  clockOffsetMs: number | null;
  /** "off", "auto" or a device. */
  watchdog: string;
  kernelLease: boolean;
}

/** Longest text that is said of a finding. */
const TEXT_MAX = 1000;

/** What was found: a code of doctor_english.ts, and its values. */
export function found<Code extends DoctorCode>(
  code: Code,
  ...[params]: [DoctorPlaces<Code>] extends [never] ? []
    : [Record<DoctorPlaces<Code>, string | number>]
): { code: Code; params: Record<string, string | number> } {
  return { code, params: params ?? {} };
}

/** Puts a finding together: `fix` is dropped when all is well. */
export function finding(
  id: string,
  state: CheckView["state"],
  said: { code: DoctorCode; params: Record<string, string | number> },
): Finding {
  const texts = doctorTexts(DOCTOR_ENGLISH, said)!;
  const seen = texts.seen.slice(0, TEXT_MAX);
  return { id, state, ...texts, seen, fix: state === "ok" ? "" : texts.fix, ...said };
}

/** The value below which `share` of them are. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}
