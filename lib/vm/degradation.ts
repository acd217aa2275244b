/** `[degradation]` of a VM's file: what may be done when the backup does not keep up with the guest. */

import { z } from "zod";

const LEVELS = ["longer", "slower", "asynchronous"] as const;
const ORDER = {
  error: 'allowed: any of "longer", "slower", "asynchronous", each at most once, in this order; or none',
};

/** By default epochs get longer and the guest is slowed; that output leaves before it is safe has to be asked for. */
export const degradationSchema = z.strictObject({
  order: z.array(z.enum(LEVELS, ORDER)).refine(
    (order) => order.every((level, i) => i === 0 || LEVELS.indexOf(level) > LEVELS.indexOf(order[i - 1]!)),
    ORDER,
  ).default(["longer", "slower"]),
  /** A commit may take this long before something is done. Epochs get no longer than four fifths of it. */
  max_added_ms: z.number().min(20, { error: "allowed: 20 to 10000 (ms)" }).max(10_000, {
    error: "allowed: 20 to 10000 (ms)",
  }).default(500),
  throttle_max_percent: z.int({ error: "allowed: 5 to 95 (percent)" }).min(5, {
    error: "allowed: 5 to 95 (percent)",
  }).max(95, { error: "allowed: 5 to 95 (percent)" }).default(80),
}).prefault({});
