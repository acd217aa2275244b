/** Encrypts a whole file under a passphrase: AES-256-GCM with a key made by scrypt (RFC 7914). What it is and how it is made stands at its
 * beginning, authenticated with the rest.
 *
 *   16 bytes  "iservft-sealed1\n"
 *    4 bytes  log2 N, r, p of scrypt, and 0
 *   16 bytes  salt
 *   12 bytes  nonce
 *   ...       ciphertext
 *   16 bytes  tag
 */

import { Buffer } from "node:buffer";
import { createCipheriv, createDecipheriv, randomBytes, scrypt } from "node:crypto";
import { EdgeError } from "../../errors.ts";

const MAGIC = Buffer.from("iservft-sealed1\n");
const HEAD = MAGIC.length + 4 + 16 + 12;
const TAG = 16;
/** 64 MiB and about half a second; and what a file may ask for at most. */
const COST = { n: 16, r: 8, p: 1 };
const COST_MAX = { n: 18, r: 8, p: 4 };
const LEAST = 8;
const MEMORY_MAX = 2 ** 29;

/** What a passphrase costs to try. Tests take less. */
export type SealCost = typeof COST;

function problem(what: string, hint: string): EdgeError {
  return new EdgeError(what, { op: "open an encrypted file", hint });
}

function key(passphrase: string, salt: Buffer, { n, r, p }: SealCost): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const options = { N: 2 ** n, r, p, maxmem: MEMORY_MAX };
    scrypt(
      passphrase.normalize("NFKC"),
      salt,
      32,
      options,
      (error, made) => error === null ? resolve(made) : reject(error),
    );
  });
}

/** Whether it begins as such a file does. */
export function isSealed(bytes: Uint8Array): boolean {
  return MAGIC.equals(bytes.subarray(0, MAGIC.length));
}

/** Encrypts. Throws EdgeError when the passphrase is too short. */
export async function seal(
  bytes: Uint8Array,
  passphrase: string,
  cost: SealCost = COST,
): Promise<Uint8Array<ArrayBuffer>> {
  if (passphrase.length < LEAST) {
    throw new EdgeError(`The passphrase has ${passphrase.length} characters`, {
      op: "encrypt a file",
      hint: `Take ${LEAST} or more: several words that nobody guesses.`,
    });
  }
  const salt = randomBytes(16);
  const nonce = randomBytes(12);
  const head = Buffer.concat([MAGIC, Buffer.from([cost.n, cost.r, cost.p, 0]), salt, nonce]);
  const cipher = createCipheriv("aes-256-gcm", await key(passphrase, salt, cost), nonce);
  cipher.setAAD(head);
  return new Uint8Array(Buffer.concat([head, cipher.update(bytes), cipher.final(), cipher.getAuthTag()]));
}

/** Decrypts. Throws EdgeError when the passphrase is wrong or a byte was changed: which of them cannot be told. */
export async function unseal(bytes: Uint8Array, passphrase: string): Promise<Uint8Array<ArrayBuffer>> {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (!isSealed(file) || file.length < HEAD + TAG) {
    throw problem("The file is cut off, or not encrypted by this program", "Copy it again.");
  }
  const at = MAGIC.length;
  const [n = 0, r = 0, p = 0] = file.subarray(at, at + 3);
  if (n < 1 || n > COST_MAX.n || r < 1 || r > COST_MAX.r || p < 1 || p > COST_MAX.p) {
    throw problem(
      `The file asks for scrypt with N = 2^${n}, r = ${r}, p = ${p}`,
      "It is damaged, or of a newer version.",
    );
  }
  const salt = file.subarray(at + 4, at + 20);
  const decipher = createDecipheriv(
    "aes-256-gcm",
    await key(passphrase, salt, { n, r, p }),
    file.subarray(at + 20, HEAD),
  );
  decipher.setAAD(file.subarray(0, HEAD));
  decipher.setAuthTag(file.subarray(-TAG));
  try {
    return new Uint8Array(Buffer.concat([decipher.update(file.subarray(HEAD, -TAG)), decipher.final()]));
  } catch {
    throw problem(
      "The passphrase is wrong, or the file is damaged",
      "Type it as it was when the backup was made.",
    );
  }
}
