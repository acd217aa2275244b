/** Whether the machine at an address is the witness that is meant, and lets this host ask: before a VM runs that would find out. */

import type { WitnessAnswer } from "../node/arbiter_watch.ts";
import type { Identity } from "../node/identity.ts";
import { Connection } from "./connection.ts";
import { NO_VM } from "./protocol.ts";

/** Connects, says who is there, and ends. Bounded by the connection's own waits. */
export function askWitness(
  witness: { address: string; port: number; id: string; pair: string },
  host: { identity: Identity; version: string },
): Promise<WitnessAnswer> {
  const { promise, resolve } = Promise.withResolvers<WitnessAnswer>();
  const connection = new Connection({ ...witness, ...host, vm: NO_VM }, {
    opened: () => resolve({ ok: true }),
    answered() {},
    ended: ({ why, refused }) =>
      resolve({ ok: false, why, refused: refused !== null && refused.code !== "busy" }),
  });
  return promise.finally(() => connection.close());
}
