/** What goes wrong, with codes that programs may rely on. Sent as application/problem+json (RFC 9457). */

import { z } from "zod";
import type { Sentence } from "./sentence.ts";

/** Each code with the HTTP status and the CLI's exit code that belong to it. */
export const PROBLEMS = {
  invalid: { status: 400, exit: 2 },
  unauthenticated: { status: 401, exit: 1 },
  reauthenticate: { status: 401, exit: 1 },
  forbidden: { status: 403, exit: 1 },
  origin: { status: 403, exit: 1 },
  not_found: { status: 404, exit: 1 },
  exists: { status: 409, exit: 1 },
  conflict: { status: 409, exit: 1 },
  refused: { status: 409, exit: 5 }, // nothing is broken, but it would not be safe now
  too_large: { status: 413, exit: 2 },
  host: { status: 421, exit: 1 },
  too_many: { status: 429, exit: 1 },
  failed: { status: 500, exit: 1 },
  unprivileged: { status: 503, exit: 1 }, // this node may look, but not act
  not_paired: { status: 409, exit: 5 },
  peer_unreachable: { status: 503, exit: 4 },
} as const;
export type ProblemCode = keyof typeof PROBLEMS;

/** A code of problem_english.ts and its values, as it travels: bounded. */
export const reasonView = z.object({
  code: z.string().max(100),
  params: z.record(z.string().max(100), z.union([z.string().max(4000), z.number()])),
});

/** What was wrong and what to do, in English; `reason` is the same as a code and its values, for other languages. */
export interface Explained {
  detail: string;
  hint: string;
  reason?: Sentence | undefined;
}

/** How a problem travels. `type` names the kind for programs, `title` for people; `code` is the short form of `type`. */
export const problemView = z.object({
  type: z.string(),
  title: z.string(),
  status: z.number().int(),
  code: z.string(),
  detail: z.string(),
  hint: z.string(),
  /** What `detail` and `hint` say, as a code and its values: for programs, and other languages. Left out where there is none. */
  reason: reasonView.optional(),
  /** Keys of the body that are wrong. */
  fields: z.array(z.object({ key: z.string(), problem: z.string() })).optional(),
});
export type ProblemView = z.infer<typeof problemView>;

/** An error of the API. `detail`: what was wrong, with the value seen. `hint`: what to do. */
export class ProblemError extends Error {
  readonly code: ProblemCode;
  readonly hint: string;
  /** What it says as a code and its values; null: it has none. */
  readonly reason: Sentence | null;
  /** Keys of the body that are wrong, with why. */
  readonly fields: readonly { key: string; problem: string }[];

  constructor(
    code: ProblemCode,
    said: Explained & { fields?: readonly { key: string; problem: string }[] },
  ) {
    super(said.detail);
    this.name = "ProblemError";
    this.code = code;
    this.hint = said.hint;
    this.reason = said.reason ?? null;
    this.fields = said.fields ?? [];
  }
}
