/** What went wrong, as the problem that it is: requests that a schema refuses, and errors of the library. */

import { HTTPException } from "hono/http-exception";
import type { z } from "zod";
import { InputError, RefusedError } from "../../lib/errors.ts";
import { ProblemError } from "../../lib/model/problem.ts";
import { asProblem } from "../security/problem.ts";

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
    detail: `${where === "json" ? "" : `${where}: `}${
      first === undefined ? "it cannot be read" : `${first.key || "all"}: ${first.problem}`
    }`,
    hint: "Correct it; /api/v1/reference of the node says what is allowed.",
    fields,
  });
}

function ofHttp(error: HTTPException): ProblemError {
  if (error.status === 415) {
    return new ProblemError("invalid", {
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
  return asProblem(error);
}
