/** What a pair says when it is none, or not yet one. */

import type { PairingView } from "../../model/node.ts";
import { ProblemError } from "../../model/problem.ts";
import { explained } from "../../model/problem_english.ts";

export function notPaired(): ProblemError {
  return new ProblemError("not_paired", explained("pair.unpaired"));
}

/** It was confirmed, and then the two lost each other. */
export function interrupted(name: string): PairingView {
  return {
    step: "failed",
    code: "interrupted",
    ...explained("pair.interrupted", { node: name }),
  };
}
