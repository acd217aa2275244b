/** What a pair says when it is none, or not yet one. */

import type { PairingView } from "../../model/node.ts";
import { ProblemError } from "../../model/problem.ts";

export function notPaired(): ProblemError {
  return new ProblemError("not_paired", { detail: "this node is not paired", hint: "Pair it first." });
}

/** It was confirmed, and then the two lost each other. */
export function interrupted(name: string): PairingView {
  return {
    step: "failed",
    code: "interrupted",
    detail:
      `the pairing with ${name} was interrupted after it had been confirmed; it is not known whether ${name} has stored it`,
    hint: "It is finished by itself when the two reach each other. Or pair the two anew.",
  };
}
