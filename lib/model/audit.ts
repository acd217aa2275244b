/** What is shown of the audit log. */

import { z } from "zod";

/** A line of it. `prev`: SHA-256 of the line before, in hex. */
export const auditEntry = z.object({
  seq: z.number().int(),
  at: z.string(),
  actor: z.string(),
  action: z.string(),
  subject: z.string(),
  address: z.string(),
  detail: z.string(),
  prev: z.string(),
});

/** What checking it found. */
export const auditVerdict = z.discriminatedUnion("ok", [
  z.object({ ok: z.literal(true), entries: z.number().int(), from: z.string().nullable() }),
  z.object({ ok: z.literal(false), file: z.string(), line: z.number().int(), problem: z.string() }),
]);
