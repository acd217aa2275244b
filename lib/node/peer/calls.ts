/** Calls between two nodes: JSON there, JSON or an error back, each with a number. Bounded in number both ways. */

import { EdgeError, InputError, RefusedError } from "../../errors.ts";
import { type Explained, ProblemError } from "../../model/problem.ts";
import { explained } from "../../model/problem_english.ts";
import { FRAME_MAX } from "./frames.ts";
import { callSchema, errorSchema, fromBody, resultSchema, toBody, TYPE, type WireError } from "./messages.ts";

/** Calls that wait for their answer, and calls that are being answered. */
export const CALLS_MAX = 64;
/** A call without an answer for this long, unless told otherwise, ms. */
export const CALL_MS = 5000;

/** What answers a call. */
export type Handler = (params: unknown) => Promise<unknown>;

/** How frames leave. */
export type Send = (type: number, body: Uint8Array) => void;

/** The other node cannot be asked. */
export function unreachable(said: Explained): ProblemError {
  return new ProblemError("peer_unreachable", said);
}

/** Nobody answers to this here. A node that has just started may have parts that are not up yet: who asks then asks again. */
export function unknownMethod(method: string, starting: boolean): ProblemError {
  if (starting) return unreachable(explained("peer.starting"));
  return new ProblemError("not_found", explained("peer.method", { method }));
}

/** An error on its way to the other node. */
export function wireError(id: number, error: unknown): WireError {
  const cut = (text: string) => text.slice(0, 4000);
  if (error instanceof ProblemError) {
    const { code, message, hint, reason } = error;
    const fields = error.fields.slice(0, 100).map(({ key, problem }) => ({
      key: key.slice(0, 200),
      problem: problem.slice(0, 1000),
    }));
    return {
      id,
      code,
      detail: cut(message),
      hint: cut(hint),
      fields,
      ...(reason === null ? {} : { reason }),
    };
  }
  const code = error instanceof RefusedError ? "refused" : error instanceof InputError ? "invalid" : "failed";
  const detail = error instanceof Error ? error.message : String(error);
  const hint = error instanceof EdgeError ? error.hint : "Look at the other node's messages.";
  return { id, code, detail: cut(detail), hint: cut(hint), fields: [] };
}

/** An error that came from the other node. */
export function problemOf({ code, detail, hint, fields, reason }: WireError): ProblemError {
  return new ProblemError(code, { detail, hint, fields, ...(reason === undefined ? {} : { reason }) });
}

/** A body within a frame's bounds; throws ProblemError when it is larger. */
function bounded(value: unknown): Uint8Array {
  const body = toBody(value);
  if (body.length < FRAME_MAX.peer) return body;
  throw new ProblemError(
    "too_large",
    explained("peer.too_large", { bytes: body.length, most: FRAME_MAX.peer - 1 }),
  );
}

export class Calls {
  readonly #send: Send;
  readonly #handlers: ReadonlyMap<string, Handler>;
  readonly #starting: () => boolean;
  readonly #waiting = new Map<
    number,
    { resolve(value: unknown): void; reject(error: Error): void; timer: ReturnType<typeof setTimeout> }
  >();
  #next = 1;
  #answering = 0;
  #over: string | null = null;

  constructor(send: Send, context: { handlers: ReadonlyMap<string, Handler>; starting(): boolean }) {
    this.#send = send;
    this.#handlers = context.handlers;
    this.#starting = () => context.starting();
  }

  async call(method: string, { params, ms }: { params: unknown; ms: number }): Promise<unknown> {
    if (this.#over !== null) throw unreachable(explained("peer.over", { why: this.#over }));
    if (this.#waiting.size >= CALLS_MAX) {
      throw new ProblemError("too_many", explained("peer.calls_max", { count: CALLS_MAX }));
    }
    const id = this.#next++;
    const body = bounded({ id, method, params });
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const timer = setTimeout(() => {
      this.#waiting.delete(id);
      reject(unreachable(explained("peer.no_answer", { method, seconds: ms / 1000 })));
    }, ms);
    this.#waiting.set(id, { resolve, reject, timer });
    this.#send(TYPE.CALL, body);
    return await promise;
  }

  /** Nobody here waits for an answer, and no answer is being made. */
  get idle(): boolean {
    return this.#waiting.size === 0 && this.#answering === 0;
  }

  /** Takes a frame of a call; false: it is not one. */
  take(type: number, body: Uint8Array): boolean {
    if (type === TYPE.CALL) {
      const call = fromBody(callSchema, body);
      if (call === undefined) return false;
      this.#answer(call.id, call);
      return true;
    }
    if (type === TYPE.RESULT) {
      const result = fromBody(resultSchema, body);
      if (result === undefined) return false;
      this.#done(result.id)?.resolve(result.result);
      return true;
    }
    const error = type === TYPE.ERROR ? fromBody(errorSchema, body) : undefined;
    if (error === undefined) return false;
    this.#done(error.id)?.reject(problemOf(error));
    return true;
  }

  /** The connection is gone: whoever waits learns it now. */
  end(why: string): void {
    this.#over = why;
    for (const id of [...this.#waiting.keys()]) {
      this.#done(id)?.reject(unreachable(explained("peer.over", { why })));
    }
  }

  #done(id: number) {
    const waiting = this.#waiting.get(id); // an answer that comes too late has nobody waiting
    if (waiting !== undefined) clearTimeout(waiting.timer);
    this.#waiting.delete(id);
    return waiting;
  }

  async #answer(id: number, { method, params }: { method: string; params?: unknown }): Promise<void> {
    try {
      const handler = this.#handlers.get(method);
      if (handler === undefined) throw unknownMethod(method, this.#starting());
      if (this.#answering >= CALLS_MAX) {
        throw new ProblemError("too_many", explained("peer.answers_max", { count: CALLS_MAX }));
      }
      this.#answering++;
      try {
        this.#send(TYPE.RESULT, bounded({ id, result: (await handler(params)) ?? null }));
      } finally {
        this.#answering--;
      }
    } catch (error) {
      this.#send(TYPE.ERROR, toBody(wireError(id, error)));
    }
  }
}
