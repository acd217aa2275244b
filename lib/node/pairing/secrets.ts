/** What pairing computes. What it protects from, and what not: docs/pairing.md. Pure but for randomness. */

import { Buffer } from "node:buffer";
import { createHash, createHmac, hkdfSync, randomBytes, scrypt, timingSafeEqual } from "node:crypto";
import { readCode, writeCode } from "../../node_id.ts";

/** 40 bits and a check character: nine characters. */
const CODE_BYTES = 5;
const CODE_CHARACTERS = 9;
/** Bytes of a nonce, a salt, a part of the pair's key. */
const RANDOM_BYTES = 32;
/** One guess at a code costs 32 MiB and about a tenth of a second. */
const SCRYPT = { N: 2 ** 15, r: 8, p: 1, maxmem: 2 ** 26 };

/** Which of the two nodes: the one that shows the code, or the one where it is typed. */
export type Side = "inviter" | "joiner";

/** What both have said before either shows its nonce. The IDs are those of the certificates that this node sees: its own, and that of
 * whoever holds the other end of this very connection. */
export interface Exchanged {
  ids: Record<Side, string>;
  commitments: Record<Side, string>;
}

/** A one-time code, as it is shown. */
export function makeCode(): string {
  return writeCode(randomBytes(CODE_BYTES));
}

/** A code that a person typed; null: it is mistyped. */
export function typedCode(text: string): string | null {
  return readCode(text, { characters: CODE_CHARACTERS });
}

/** What is wrong with a code that `typedCode` does not take. */
export function mistyped(text: string): string {
  const count = text.replaceAll(/[\s-]/g, "").length;
  return count === CODE_CHARACTERS
    ? "it is mistyped: its nine characters do not fit each other"
    : `it is mistyped: a code has nine characters, this has ${count}`;
}

/** Random bytes, hex. */
export function random(): string {
  return randomBytes(RANDOM_BYTES).toString("hex");
}

/** The key that a code stands for. Slow on purpose: whoever plays the inviter can try codes against the joiner's answer, one scrypt each. */
export function codeKey(code: string, salt: string): Promise<Uint8Array> {
  return new Promise((resolve, reject) =>
    scrypt(code, Buffer.from(salt, "hex"), 32, SCRYPT, (error, key) => error ? reject(error) : resolve(key))
  );
}

function hash(what: string, ...parts: string[]): Buffer {
  return createHash("sha256").update(JSON.stringify([`iservft-edge pairing ${what}`, ...parts])).digest();
}

/** Binds a node to its nonce before it has seen the other's. */
export function commitment(
  nonce: string,
  { side, own, theirs }: { side: Side; own: string; theirs: string },
): string {
  return hash("commitment", nonce, side, own, theirs).toString("hex");
}

/** That a side knows the code, for this connection and no other. */
export function codeProof(
  key: Uint8Array,
  { side, exchanged }: { side: Side; exchanged: Exchanged },
): string {
  const { ids, commitments } = exchanged;
  const said = hash("code", side, ids.inviter, ids.joiner, commitments.inviter, commitments.joiner);
  return createHmac("sha256", key).update(said).digest("hex");
}

/** Compares two hex strings in a time that tells nothing. */
export function same(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}

/** The six digits that a person compares. */
export function digitsOf({ ids }: Exchanged, nonces: Record<Side, string>): string {
  const bytes = hash("digits", ids.inviter, ids.joiner, nonces.inviter, nonces.joiner);
  return String(bytes.readBigUInt64BE(0) % 1_000_000n).padStart(6, "0");
}

/** The pair's secret, 64 hex digits, of one part from each side. */
export function pairKey(parts: Record<Side, string>, exchanged: Exchanged): string {
  const { ids, commitments } = exchanged;
  const salt = hash("salt", ids.inviter, ids.joiner, commitments.inviter, commitments.joiner);
  const both = Buffer.from(parts.inviter + parts.joiner, "hex");
  return Buffer.from(hkdfSync("sha256", both, salt, "iservft-edge pair key", 32)).toString("hex");
}

/** Tells keys apart without telling them. */
export function keyId(key: string): string {
  return hash("key id", key).toString("hex").slice(0, 16);
}
