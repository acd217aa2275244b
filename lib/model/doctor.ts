/** What `doctor` found. */

import { z } from "zod";

export const checkView = z.object({
  /** Stable name, e.g. "kvm" or "link-a.rtt". */
  id: z.string(),
  /** Node that it is about. */
  node: z.string(),
  state: z.enum(["ok", "info", "warning", "failed", "unknown"]),
  /** English. What was seen; why it matters; what to do ("" when nothing). */
  title: z.string(),
  seen: z.string(),
  why: z.string(),
  fix: z.string(),
  /** What those four say, as a code of doctor_english.ts and its values, for other languages. Older nodes do not say it. */
  code: z.string().max(100).optional(),
  params: z.record(z.string(), z.union([z.string(), z.number()])).optional(),
});
export type CheckView = z.infer<typeof checkView>;

export const doctorView = z.object({ at: z.string(), checks: z.array(checkView) });
export type DoctorView = z.infer<typeof doctorView>;
