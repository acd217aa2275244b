/** Errors as the API sends them: application/problem+json (RFC 9457). */

import { type ProblemCode, ProblemError, PROBLEMS } from "../../lib/model/problem.ts";
import { explained } from "../../lib/model/problem_english.ts";
import type { Sentence } from "../../lib/model/sentence.ts";

/** The body of a problem. */
export interface ProblemBody {
  type: string;
  title: string;
  status: number;
  code: ProblemCode;
  detail: string;
  hint: string;
  /** What `detail` and `hint` say, as a code and its values. */
  reason?: Sentence;
  fields?: readonly { key: string; problem: string }[];
}

const TITLES: Record<ProblemCode, string> = {
  invalid: "The request is not valid",
  unauthenticated: "Not signed in",
  reauthenticate: "The password is wanted again",
  forbidden: "Not allowed",
  origin: "The request comes from another site",
  not_found: "Not found",
  exists: "It exists already",
  conflict: "It was changed meanwhile",
  refused: "Refused for safety",
  too_large: "Too large",
  host: "Not a name of this node",
  too_many: "Too many requests",
  failed: "It did not work",
  unprivileged: "This node may only look",
  not_paired: "Not paired",
  peer_unreachable: "The other node is not heard",
};

/** Any error as a problem. What was not meant to be seen outside is not said: it is a plain `failed`. */
export function asProblem(error: unknown): ProblemError {
  if (error instanceof ProblemError) return error;
  // EdgeError's text is written for people; anything else may hold anything.
  const edge = error instanceof Error && "op" in error && "hint" in error;
  return new ProblemError(
    "failed",
    edge ? { detail: error.message, hint: String(error.hint) } : explained("page.unexpected"),
  );
}

/** The body that says it. */
export function problemBody(problem: ProblemError): ProblemBody {
  const { status } = PROBLEMS[problem.code];
  return {
    type: `urn:iservft:problem:${problem.code}`,
    title: TITLES[problem.code],
    status,
    code: problem.code,
    detail: problem.message,
    hint: problem.hint,
    ...(problem.reason === null ? {} : { reason: problem.reason }),
    ...(problem.fields.length > 0 ? { fields: problem.fields } : {}),
  };
}

/** The response that says it. `more`: what our own page is told beside it. */
export function problemResponse(error: unknown, more: Record<string, unknown> = {}): Response {
  const body = { ...problemBody(asProblem(error)), ...more };
  const headers: Record<string, string> = {
    "content-type": "application/problem+json",
    "cache-control": "no-store",
  };
  if (body.code === "unauthenticated") headers["www-authenticate"] = 'Bearer realm="iservft-edge"';
  return new Response(JSON.stringify(body), { status: body.status, headers });
}
