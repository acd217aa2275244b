/** Bodies: small, in time, and of the type that is expected. They are read here, so no handler can be kept waiting by one. */

import type { MiddlewareHandler } from "hono";
import { ProblemError } from "../../lib/model/problem.ts";
import type { Env } from "../deps.ts";

/** Bounds on what a request may bring. */
export interface BodyLimits {
  /** Bytes of a body of somebody who is known, and of anybody else. */
  bytes: number;
  strangerBytes: number;
  /** To be there whole within, ms. */
  ms: number;
  /** Bodies being read at the same time. */
  atOnce: number;
}

export const BODY_LIMITS: BodyLimits = { bytes: 1 << 20, strangerBytes: 8192, ms: 15_000, atOnce: 64 };

const FORM = "application/x-www-form-urlencoded";
const JSON_TYPE = "application/json";

function tooLarge(limit: number): ProblemError {
  return new ProblemError("too_large", {
    detail: `The body has more than ${limit} bytes.`,
    hint: "Send less.",
  });
}

function checkType(request: Request, path: string): void {
  const type = (request.headers.get("content-type") ?? "").split(";")[0]!.trim().toLowerCase();
  const wanted = path.startsWith("/api/") ? JSON_TYPE : FORM;
  if (type === wanted) return;
  throw new ProblemError("invalid", {
    detail: `The body's Content-Type is ${JSON.stringify(type.slice(0, 100))}.`,
    hint: `Send ${wanted}.`,
  });
}

async function readAll(stream: ReadableStream<Uint8Array>, limits: { bytes: number; ms: number }) {
  const parts: Uint8Array[] = [];
  let size = 0;
  let late = false;
  const reader = stream.getReader();
  const timer = setTimeout(() => {
    late = true;
    reader.cancel().catch(() => {});
  }, limits.ms);
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (late) {
        throw new ProblemError("invalid", {
          detail: `The body was not there after ${limits.ms} ms.`,
          hint: "Send it at once.",
        });
      }
      if (done) break;
      size += value.length;
      if (size > limits.bytes) throw tooLarge(limits.bytes);
      parts.push(value);
    }
  } catch (error) {
    reader.cancel().catch(() => {});
    throw error;
  } finally {
    clearTimeout(timer);
  }
  const whole = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Reads the body within the limits and hands it on whole. A body where none belongs is refused. */
export function boundedBody(limits: BodyLimits): MiddlewareHandler<Env> {
  let reading = 0;
  return async function boundedBody(c, next) {
    const request = c.req.raw;
    const length = request.headers.get("content-length");
    const has = request.headers.has("transfer-encoding") || (length !== null && length !== "0");
    if (request.method === "GET" || request.method === "HEAD") {
      if (has) throw new ProblemError("invalid", { detail: "A GET has no body.", hint: "Leave it out." });
      return await next();
    }
    if (request.body === null || !has) return await next();
    checkType(request, c.req.path);
    const bytes = c.get("principal") === null ? limits.strangerBytes : limits.bytes;
    if (length !== null && !(Number(length) <= bytes)) throw tooLarge(bytes);
    if (reading >= limits.atOnce) {
      throw new ProblemError("too_many", { detail: "Too many bodies are being read.", hint: "Try again." });
    }
    reading++;
    let body: Uint8Array<ArrayBuffer>;
    try {
      body = await readAll(request.body, { bytes, ms: limits.ms });
    } finally {
      reading--;
    }
    c.req.raw = new Request(request.url, {
      method: request.method,
      headers: request.headers,
      body,
    });
    await next();
  };
}
