/** Requests that no client of ours makes: refused before anything looks at them. */

import { ProblemError } from "../../lib/model/problem.ts";

const METHODS = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]);
const URL_MAX = 4096;
// Segments "." and "..", empty ones, and separators or control characters however they are written.
const TRICKS = /\/\.{1,2}(?:\/|$)|\/\/|\\|%(?:0[0-9a-f]|1[0-9a-f]|7f|2e|2f|5c|25)|[^\x21-\x7e]/i;

/** The path as it was sent: no parser has touched it. */
export function rawPath(url: string): string {
  const start = url.indexOf("/", url.indexOf("://") + 3);
  if (start < 0) return "/";
  const rest = url.slice(start);
  const end = rest.search(/[?#]/);
  return end < 0 ? rest : rest.slice(0, end);
}

function invalid(detail: string, hint: string): ProblemError {
  return new ProblemError("invalid", { detail, hint });
}

/** Throws for unknown methods, paths with more than one reading, and headers that would have another method done. */
export function checkRequestLine(request: Request): void {
  if (!METHODS.has(request.method)) {
    throw invalid(
      `The method ${request.method.slice(0, 20)} is not known here.`,
      "Use GET, POST, PATCH or DELETE.",
    );
  }
  if (request.url.length > URL_MAX) {
    throw new ProblemError("too_large", {
      detail: `The address has ${request.url.length} characters.`,
      hint: `Keep it within ${URL_MAX}.`,
    });
  }
  if (TRICKS.test(rawPath(request.url))) {
    throw invalid(
      "The path has empty or dotted segments, or characters that can be read in two ways.",
      "Send the path as the links of this page have it.",
    );
  }
  for (const name of ["x-http-method-override", "x-http-method", "x-method-override"]) {
    if (request.headers.has(name)) {
      throw invalid(`The header ${name} is not heeded here.`, "Send the method itself.");
    }
  }
}
