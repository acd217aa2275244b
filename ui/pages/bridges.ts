/** Bridges that a VM's network card may be plugged into. */

import { ProblemError } from "../../lib/model/problem.ts";
import type { WebDeps } from "../deps.ts";

/** Bridges of this node; the pair's LAN first. Without an answer there are none to choose from, and the VM can still be made. */
export async function bridgesOf(deps: WebDeps): Promise<{ bridges: string[]; lan: string }> {
  const set = deps.backend.snapshot().pair.settings?.lan?.bridge ?? "";
  try {
    const { interfaces, proposals } = await deps.backend.pair.suggest();
    const found = interfaces.filter(({ bridge }) => bridge).map(({ name }) => name);
    const lan = set !== "" ? set : proposals?.lan?.bridge ?? "";
    return { bridges: [...new Set([...(lan === "" ? [] : [lan]), ...found])], lan };
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error;
    return { bridges: set === "" ? [] : [set], lan: set };
  }
}
