/** What two nodes say to each other. First one hello each way; nothing is believed before the other side's has come, for a TLS 1.3 client
 * believes that it is connected before the server has looked at its certificate.
 *
 *   dials → HELLO    ← WELCOME or REFUSED     then CHOSEN from the node with the smaller ID, on the one connection that is kept
 *   PING/PONG each second; CALL → RESULT or ERROR; OPEN → OPENED or ERROR, then DATA, CREDIT, END, RESET; BYE
 *
 * Bodies are JSON but for DATA (u32 stream, bytes), CREDIT (u32 stream, u32 bytes), both little-endian. */

import { z } from "zod";
import { type Explained, type ProblemCode, PROBLEMS, reasonView } from "../../model/problem.ts";
import { explained } from "../../model/problem_english.ts";

/** Where a node listens for the other one. */
export const PEER_PORT = 7811;
/** What this build speaks: both sides say theirs, the newest that both know is spoken. */
export const PROTOCOLS = { oldest: 1, newest: 1 } as const;

/** Types of frames. Zero is none. */
export const TYPE = {
  HELLO: 1,
  WELCOME: 2,
  REFUSED: 3,
  CHOSEN: 4,
  PING: 5,
  PONG: 6,
  CALL: 7,
  RESULT: 8,
  ERROR: 9,
  OPEN: 10,
  OPENED: 11,
  DATA: 12,
  CREDIT: 13,
  END: 14,
  RESET: 15,
  BYE: 16,
  /** A step of pairing: lib/node/pairing/handshake.ts. */
  PAIRING: 32,
} as const;

const text = z.string().max(1000);
const id = z.number().int().min(1).max(0xffffffff);
const method = z.string().regex(/^[a-z][a-z0-9_.]{0,63}$/);

/** Protocols of a program, and its version, for people. */
export const offerSchema = z.object({
  oldest: z.number().int().min(1).max(1e6),
  newest: z.number().int().min(1).max(1e6),
  version: z.string().max(40),
});
export type Offer = z.infer<typeof offerSchema>;

/** What every version says first: enough to name both versions in a refusal. */
export const openingSchema = offerSchema.extend({ kind: z.enum(["peer", "pair"]) });

/** Who somebody is, beside its certificate. */
export const introductionSchema = z.object({
  name: z.string().max(32),
  /** Where it listens. */
  port: z.number().int().min(1).max(65535),
  /** IPv4 addresses by which it may be reached. */
  addresses: z.array(z.ipv4()).max(16),
});
export type Introduction = z.infer<typeof introductionSchema>;

/** HELLO and WELCOME between the nodes of a pair. */
export const helloSchema = openingSchema.extend({
  kind: z.literal("peer"),
  introduction: introductionSchema,
  /** That it has the pair's key: HMAC, hex. */
  proof: z.string().regex(/^[0-9a-f]{64}$/),
});
export type Hello = z.infer<typeof helloSchema>;

/** Why a connection was not wanted, or is not any more. */
export const REFUSALS = [
  "version",
  "not_paired",
  "key",
  "busy",
  "superseded",
  "stopping",
  "removed",
  "malformed",
  "no_invite",
  "wrong_code",
  "void",
  "mismatch",
  "cancelled",
  "storage",
] as const;
export const refusalSchema = z.object({
  code: z.enum(REFUSALS),
  error: text,
  hint: text,
  reason: reasonView.optional(),
});
export type Refusal = z.infer<typeof refusalSchema>;

/** What a refusal says, as it is sent. */
export function refusalText({ detail, hint, reason }: Explained): Omit<Refusal, "code"> {
  return { error: detail, hint, ...(reason === undefined ? {} : { reason }) };
}

/** What a refusal says, as it is shown. */
export function refusalSaid({ error, hint, reason }: Refusal): Explained {
  return { detail: error, hint, ...(reason === undefined ? {} : { reason }) };
}

export const pingSchema = z.object({ seq: id });
/** With the clock of the one who answers, Unix ms. */
export const pongSchema = z.object({ seq: id, at: z.number() });
export const callSchema = z.object({ id, method, params: z.unknown() });
export const resultSchema = z.object({ id, result: z.unknown() });
const problemCode = z.enum(Object.keys(PROBLEMS) as [ProblemCode, ...ProblemCode[]]).catch("failed");
export const errorSchema = z.object({
  id,
  code: problemCode,
  detail: z.string().max(4000),
  hint: z.string().max(4000),
  reason: reasonView.optional(),
  fields: z.array(z.object({ key: z.string().max(200), problem: z.string().max(1000) })).max(100),
});
export type WireError = z.infer<typeof errorSchema>;
/** `id` is the stream's: odd of the side that dialled, even of the other. */
export const openSchema = z.object({ id, method, params: z.unknown() });
export const streamSchema = z.object({ id });

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

/** A body of JSON. */
export function toBody(value: unknown): Uint8Array {
  return encoder.encode(JSON.stringify(value));
}

/** A body that came, checked; undefined when it is not what was expected. */
export function fromBody<Schema extends z.ZodType>(
  schema: Schema,
  body: Uint8Array,
): z.infer<Schema> | undefined {
  try {
    const parsed = schema.safeParse(JSON.parse(decoder.decode(body)));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined;
  }
}

function range({ oldest, newest }: { oldest: number; newest: number }): string {
  return oldest === newest ? `protocol ${newest}` : `protocols ${oldest} to ${newest}`;
}

/** Why two programs cannot speak with each other, with both versions; null: they can. */
export function versionRefusal(own: Offer, theirs: Offer): Refusal | null {
  if (Math.min(own.newest, theirs.newest) >= Math.max(own.oldest, theirs.oldest)) return null;
  const behind = theirs.newest < own.newest ? theirs.version : own.version;
  const params = {
    own: own.version,
    own_range: range(own),
    other: theirs.version,
    other_range: range(theirs),
    behind,
  };
  return { code: "version", ...refusalText(explained("pair.version", params)) };
}
