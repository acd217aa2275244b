/** What stays of a pair whose other node is to be replaced while VMs run on here: nobody has its key any more, not even the old other node, and the
 * VMs keep their arbiter until the new pair is set up. */

import { z } from "zod";
import { type PairSettings, pairSettings } from "../../model/node.ts";
import { ProblemError } from "../../model/problem.ts";
import { explained } from "../../model/problem_english.ts";

/** DATA/pair_kept.json: what a VM that runs cannot change. */
export const keptSettings = pairSettings.pick({ arbiter: true, witness: true, takeover_ms: true })
  .extend({ reference: z.ipv4().nullable() });
export type KeptSettings = z.infer<typeof keptSettings>;

/** Without settings no VM can have run. */
export function keptOf(settings: PairSettings | null): KeptSettings | null {
  if (settings === null) return null;
  const { arbiter, witness, takeover_ms, lan } = settings;
  return { arbiter, witness, takeover_ms, reference: lan?.reference ?? null };
}

/** A proposal for the new pair, with what the VMs that run keep. */
export function withKept(
  proposal: PairSettings | null,
  kept: KeptSettings | null | undefined,
): PairSettings | null {
  if (proposal === null || kept === null || kept === undefined) return proposal;
  const { arbiter, witness, takeover_ms, reference } = kept;
  const lan = proposal.lan === null
    ? null
    : { ...proposal.lan, reference: reference ?? proposal.lan.reference };
  return { ...proposal, lan, arbiter, witness, takeover_ms };
}

/** Throws ProblemError unless the other node may be replaced now. */
export function checkReplace({ reachable, why }: { reachable: boolean; why: string | null }): void {
  if (reachable) {
    throw new ProblemError("refused", explained("pair.not_off"));
  }
  if (why === null) return;
  throw new ProblemError("refused", explained("pair.not_replaced", { why }));
}
