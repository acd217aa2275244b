/** Bodies: small, in time, and of the type that is expected. They are read here, so no handler can be kept waiting by one. */

import type { Context, MiddlewareHandler } from "hono";
import { addressKey } from "../../lib/access/rate.ts";
import { ProblemError } from "../../lib/model/problem.ts";
import { explained } from "../../lib/model/problem_english.ts";
import type { Env } from "../deps.ts";

/** Bounds on what a request may bring. */
export interface BodyLimits {
  /** Bytes of a body of somebody who is known, and of anybody else. */
  bytes: number;
  strangerBytes: number;
  /** To be there whole within, ms. */
  ms: number;
  /** Bodies being read at the same time: of those who are known, and of strangers, in all and of one address. */
  atOnce: number;
  strangersAtOnce: number;
  strangersPerAddress: number;
}

export const BODY_LIMITS: BodyLimits = {
  bytes: 1 << 20,
  strangerBytes: 8192,
  ms: 15_000,
  atOnce: 64,
  strangersAtOnce: 64,
  strangersPerAddress: 4,
};

const FORM = "application/x-www-form-urlencoded";
const JSON_TYPE = "application/json";

function tooLarge(limit: number): ProblemError {
  return new ProblemError("too_large", explained("page.too_large", { bytes: limit }));
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

/** Who is sending a body now. Strangers have places of their own, so that slow ones take none of those who are known. */
class Senders {
  readonly #limits: BodyLimits;
  readonly #strangers = new Map<string, number>();
  #strangersInAll = 0;
  #known = 0;

  constructor(limits: BodyLimits) {
    this.#limits = limits;
  }

  /** A place, to be given back; throws when there is none. `address`: of a stranger. */
  take(address: string | null): Disposable {
    const { atOnce, strangersAtOnce, strangersPerAddress } = this.#limits;
    const own = address === null ? 0 : this.#strangers.get(address) ?? 0;
    const full = address === null
      ? this.#known >= atOnce
      : this.#strangersInAll >= strangersAtOnce || own >= strangersPerAddress;
    if (full) {
      throw new ProblemError("too_many", { detail: "Too many bodies are being read.", hint: "Try again." });
    }
    this.#count(address, 1);
    return { [Symbol.dispose]: () => this.#count(address, -1) };
  }

  #count(address: string | null, by: 1 | -1): void {
    if (address === null) {
      this.#known += by;
      return;
    }
    this.#strangersInAll += by;
    const left = (this.#strangers.get(address) ?? 0) + by;
    if (left === 0) this.#strangers.delete(address);
    else this.#strangers.set(address, left);
  }
}

/** The bytes of a body within the limits; null: there is none. */
async function bytesOf(
  c: Context<Env>,
  options: { limits: BodyLimits; senders: Senders },
): Promise<Uint8Array<ArrayBuffer> | null> {
  const { limits, senders } = options;
  const request = c.req.raw;
  const length = request.headers.get("content-length");
  const has = request.headers.has("transfer-encoding") || (length !== null && length !== "0");
  if (request.method === "GET" || request.method === "HEAD") {
    if (has) throw new ProblemError("invalid", { detail: "A GET has no body.", hint: "Leave it out." });
    return null;
  }
  // HTTP/2 needs no length: there may be a body without one.
  if (request.body === null || length === "0") return null;
  if (has) checkType(request, c.req.path);
  const stranger = c.get("principal") === null;
  const bytes = stranger ? limits.strangerBytes : limits.bytes;
  if (length !== null && !(Number(length) <= bytes)) throw tooLarge(bytes);
  using _place = senders.take(stranger ? addressKey(c.get("remote")) : null);
  const body = await readAll(request.body, { bytes, ms: limits.ms });
  if (body.length > 0 && !has) checkType(request, c.req.path);
  return body;
}

/** Reads the body within the limits and hands it on whole. A body where none belongs is refused. */
export function boundedBody(limits: BodyLimits): MiddlewareHandler<Env> {
  const senders = new Senders(limits);
  return async function boundedBody(c, next) {
    const body = await bytesOf(c, { limits, senders });
    if (body !== null) {
      const { url, method, headers, signal } = c.req.raw;
      c.req.raw = new Request(url, { method, headers, signal, body });
    }
    await next();
  };
}
