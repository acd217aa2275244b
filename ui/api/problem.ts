/** Errors as application/problem+json (RFC 9457). */

import type { Context } from "hono";
import { HTTPException } from "hono/http-exception";
import type { z } from "zod";
import { EdgeError, InputError, RefusedError } from "../../lib/errors.ts";
import { ProblemError, PROBLEMS, problemType, type ProblemView } from "../../lib/model/problem.ts";

/** Media type of every error. */
export const PROBLEM_TYPE = "application/problem+json";

const TITLES: Readonly<Record<keyof typeof PROBLEMS, string>> = {
  invalid: "What was sent is not right",
  unauthenticated: "Not logged in",
  reauthenticate: "The password is needed again",
  forbidden: "Not allowed for this role",
  origin: "The request came from another site",
  not_found: "There is no such thing",
  exists: "It exists already",
  conflict: "It was changed meanwhile",
  refused: "It would not be safe now",
  too_large: "Too large",
  media_type: "Not JSON",
  host: "Not a name of this node",
  too_many: "Too many",
  failed: "It did not work",
  unprivileged: "This node may look, but not act",
  not_paired: "There is no second node",
  peer_unreachable: "The other node is not heard",
};

/** "disks.0.path" as people write it: "disks[0].path". */
function dotted(path: readonly PropertyKey[]): string {
  return path.reduce<string>(
    (text, part) =>
      typeof part === "number" ? `${text}[${part}]` : text === "" ? String(part) : `${text}.${String(part)}`,
    "",
  );
}

/** What a schema said about a request. */
export function invalidRequest(error: z.core.$ZodError, where: string): ProblemError {
  const fields = error.issues.slice(0, 20).flatMap((issue) =>
    issue.code === "unrecognized_keys"
      ? issue.keys.slice(0, 20).map((key) => ({
        key: dotted([...issue.path, key]),
        problem: "unknown key; remove it or correct its spelling",
      }))
      : [{ key: dotted(issue.path), problem: issue.message }]
  );
  const first = fields[0];
  return new ProblemError("invalid", {
    detail: `${where}: ${
      first === undefined ? "it cannot be read" : `${first.key || "all"}: ${first.problem}`
    }`,
    hint: "Correct what `fields` names; /api/v1/reference says what is allowed.",
    fields,
  });
}

function ofHttp(error: HTTPException): ProblemError {
  if (error.status === 415) {
    return new ProblemError("media_type", {
      detail: "The body is not application/json",
      hint: "Send JSON, with the header Content-Type: application/json.",
    });
  }
  if (error.status === 413) {
    return new ProblemError("too_large", { detail: "The body is too large", hint: "Send less." });
  }
  const code = error.status === 404 ? "not_found" : error.status < 500 ? "invalid" : "failed";
  return new ProblemError(code, {
    detail: error.message === "" ? "The request cannot be read" : error.message,
    hint: "Look at what was sent; /api/v1/reference says what is allowed.",
  });
}

/** Any error as a problem. What was not meant for the caller stays out of it. */
export function problemOf(error: unknown): ProblemError {
  if (error instanceof ProblemError) return error;
  if (error instanceof HTTPException) return ofHttp(error);
  if (error instanceof InputError) {
    return new ProblemError("invalid", {
      detail: error.message,
      hint: error.hint,
      fields: error.problems.slice(0, 20).map(({ key, problem }) => ({ key, problem })),
    });
  }
  if (error instanceof RefusedError) {
    return new ProblemError("refused", { detail: error.message, hint: error.hint });
  }
  if (error instanceof EdgeError) {
    return new ProblemError("failed", { detail: `${error.op}: ${error.message}`, hint: error.hint });
  }
  return new ProblemError("failed", {
    detail: "The node made a mistake of its own",
    hint: "Look into the node's log, and send a support bundle with your report.",
  });
}

/** A problem as it is sent. */
export function problemBody(error: ProblemError): ProblemView {
  return {
    type: problemType(error.code),
    title: TITLES[error.code],
    status: PROBLEMS[error.code].status,
    code: error.code,
    detail: error.message,
    hint: error.hint,
    fields: error.fields.map((field) => ({ ...field })),
  };
}

/** The answer to a request that ended in `error`. */
export function problemResponse(context: Context, error: unknown): Response {
  const problem = problemOf(error);
  const { status } = PROBLEMS[problem.code];
  return context.body(JSON.stringify(problemBody(problem)), status, {
    "Content-Type": PROBLEM_TYPE,
    "Cache-Control": "no-store",
  });
}
