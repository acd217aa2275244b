/** What a host and a witness say to each other: lines of JSON over TLS 1.3, both ends known by the hash of their certificates.
 *
 *   → {"protocol":1,"newest":1,"version":"0.1.0","pair":"press","vm":"scada"}
 *   ← {"protocol":1,"version":"0.1.0"}                              or {"refused":…}, and the end
 *   → {"id":1,"op":"ask","known":5,"term":6}                        or "note", "release" with a term, or "ping"
 *   ← {"id":1,"answer":{"kind":"granted","term":6}}                 or {"id":1,"refused":…}
 *
 * A refusal is {"code":…,"error":…,"hint":…}; a line without "id" is about the whole connection. */

import { z } from "zod";
import { TERM_MAX } from "../group/grant.ts";
import { NAME } from "./members.ts";

/** Where a witness listens, unless told otherwise. */
export const DEFAULT_PORT = 7810;
/** What this build speaks. A host says the oldest as `protocol`, and the newest; the witness answers with the newest that both know, or
 * refuses with both versions named. */
export const PROTOCOLS = { oldest: 1, newest: 1 } as const;
/** The longest line, in bytes, from a host and from a witness. */
export const LINE_MAX = { host: 1024, witness: 4096 } as const;
/** A host says something at least this often, ms. */
export const PING_MS = 1000;

/** The name that a host says which asks for no VM, only whether it may. */
export const NO_VM = "iservft-edge-asks-whether-it-may";

const text = z.string().max(400);
const term = z.number().int().min(1).max(TERM_MAX);
const id = z.number().int().min(1).max(Number.MAX_SAFE_INTEGER);

/** Why something is refused. "busy" may go by itself; the others need a person. */
export const CODES = ["version", "unknown", "pair", "storage", "superseded", "malformed", "busy"] as const;

const refusal = z.object({ code: z.enum(CODES), error: text, hint: text });
/** What a refusal says. */
export type Refusal = z.infer<typeof refusal>;

/** The part of a hello that every version has. */
export const versionSchema = z.object({ protocol: z.number().int(), version: z.string().max(40) });
/** What every version says of its protocols: those up to `newest`, or the one alone. */
export const offerSchema = versionSchema.extend({ newest: z.number().int().optional() });
/** What comes first, from a host. */
export const helloSchema = offerSchema.extend({
  pair: z.string().regex(NAME),
  vm: z.string().regex(NAME),
});

/** What a host asks then. */
export const requestSchema = z.discriminatedUnion("op", [
  z.object({ id, op: z.literal("ask"), known: z.number().int().min(0).max(TERM_MAX), term }),
  z.object({ id, op: z.literal("note"), term }),
  z.object({ id, op: z.literal("release"), term }),
  z.object({ id, op: z.literal("ping") }),
]);
export type Request = z.infer<typeof requestSchema>;
/** A question, before it has its number. */
export type Question = Request extends infer R ? R extends Request ? Omit<R, "id"> : never : never;

const answerSchema = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("granted"), term }),
  z.object({ kind: z.literal("refused"), term, holder: text }),
  z.object({ kind: z.literal("noted") }),
  z.object({ kind: z.literal("pong") }),
]);
export type Answer = z.infer<typeof answerSchema>;

/** What a witness says. */
export const replySchema = z.union([
  versionSchema,
  z.object({ id, answer: answerSchema }),
  z.object({ id: id.optional(), refused: refusal }),
]);
export type Reply = z.infer<typeof replySchema>;

/** The protocol to speak with who offers this; undefined: there is none. */
export function chooseProtocol(
  offer: z.infer<typeof offerSchema>,
  ours: { oldest: number; newest: number } = PROTOCOLS,
): number | undefined {
  const newest = Math.min(offer.newest ?? offer.protocol, ours.newest);
  return newest >= Math.max(offer.protocol, ours.oldest) ? newest : undefined;
}

/** Protocols for people. */
export function protocolText(oldest: number, newest = oldest): string {
  return oldest === newest ? `protocol ${oldest}` : `protocols ${oldest} to ${newest}`;
}

/** A line as it is sent. */
export function line(message: Reply | Request | z.infer<typeof helloSchema>): string {
  return `${JSON.stringify(message)}\n`;
}

/** A line that came, checked; undefined when it is not what was expected. */
export function read<Schema extends z.ZodType>(schema: Schema, text: string): z.infer<Schema> | undefined {
  try {
    const parsed = schema.safeParse(JSON.parse(text));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined;
  }
}
