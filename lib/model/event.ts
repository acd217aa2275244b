/** Events: what happened to what, in order, kept. */

import { z } from "zod";
import { instant } from "./node.ts";

export const EVENT_SUBJECTS = [
  "node",
  "pair",
  "link",
  "vm",
  "arbiter",
  "user",
  "alert",
  "job",
  "config",
] as const;

/** An event as it is kept. `id` grows. The text is English; pages put `code` and `params` into the reader's language where they know it. */
export const eventView = z.object({
  id: z.number().int(),
  at: instant,
  /** Name of the node that saw it. */
  node: z.string(),
  severity: z.enum(["ok", "info", "warning", "critical"]),
  subject: z.enum(EVENT_SUBJECTS),
  /** Which one, e.g. the VM's name; "" of the pair and the node itself. */
  name: z.string(),
  code: z.string(),
  params: z.record(z.string(), z.union([z.string(), z.number()])),
  text: z.string(),
  /** Who did it: "local", "token:NAME", "user:NAME"; null: nobody, it happened. */
  actor: z.string().nullable(),
});
export type EventView = z.infer<typeof eventView>;

/** An event before it is kept: `code` is one of english.ts's events. */
export type NewEvent = Omit<EventView, "id" | "at" | "node" | "text"> & { text?: string };

/** Which events are wanted; newest first. */
export const eventQuery = z.object({
  /** Only those with a smaller id. */
  before: z.coerce.number().int().optional(),
  /** Only those with a greater id. */
  after: z.coerce.number().int().optional(),
  limit: z.coerce.number().int().min(1).max(1000).default(100),
  /** This one and worse. */
  severity: z.enum(["ok", "info", "warning", "critical"]).optional(),
  subject: z.enum(EVENT_SUBJECTS).optional(),
  name: z.string().max(100).optional(),
  /** In the text or the name; capital or small. */
  search: z.string().max(200).optional(),
  /** Not before, not after: ISO 8601. */
  since: z.string().max(40).optional(),
  until: z.string().max(40).optional(),
});
export type EventQuery = z.infer<typeof eventQuery>;
