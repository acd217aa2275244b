/** Who a machine is to other machines: a key and a self-signed certificate, made once, in one file that nobody else may read. Its ID is
 * the hash of the certificate (lib/node_id.ts): that is what people compare and what the other side is told to accept. */

import { createPrivateKey, X509Certificate } from "node:crypto";
import { EdgeError } from "../errors.ts";
import { nodeIdOf } from "../node_id.ts";
import { makeCertifiedKey } from "./certificate.ts";

/** A machine's identity. `key` and `certificate` are PEM. */
export interface Identity {
  id: string;
  key: string;
  certificate: string;
}

/** The file in the directory: the private key, then the certificate. */
export const IDENTITY_FILE = "identity.pem";

function unusable(file: string, details: { what: string; hint: string; cause?: unknown }): EdgeError {
  const { what, ...rest } = details;
  return new EdgeError(`${file} ${what}`, { op: "read this machine's identity", ...rest });
}

function block(text: string, kind: string): string | undefined {
  return new RegExp(`-----BEGIN ${kind}-----\n[A-Za-z0-9+/=\n]+-----END ${kind}-----\n`).exec(text)?.[0];
}

function parse(file: string, text: string): Identity {
  const key = block(text, "PRIVATE KEY");
  const certificate = block(text, "CERTIFICATE");
  const hint =
    "Restore it from a backup; or remove it: a new identity is made, and this machine must be paired anew.";
  if (key === undefined || certificate === undefined) {
    throw unusable(file, { what: "does not hold a private key and a certificate", hint });
  }
  let parsed: X509Certificate;
  let fits: boolean;
  try {
    parsed = new X509Certificate(certificate);
    fits = parsed.checkPrivateKey(createPrivateKey(key));
  } catch (cause) {
    throw unusable(file, { what: "is damaged", hint, cause });
  }
  if (!fits) throw unusable(file, { what: "holds a key that is not its certificate's", hint });
  return { id: nodeIdOf(parsed.raw), key, certificate };
}

/** Reads the identity in a directory; null when there is none yet. Throws EdgeError when it is damaged or others may read it. */
export function readIdentity(directory: string): Identity | null {
  const file = `${directory}/${IDENTITY_FILE}`;
  let text: string;
  try {
    text = Deno.readTextFileSync(file);
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return null;
    throw unusable(file, { what: "cannot be read", hint: "Run this as the user that owns it.", cause });
  }
  const mode = Deno.statSync(file).mode ?? 0;
  if ((mode & 0o077) !== 0) {
    throw unusable(file, {
      what: `may be read by others (mode ${(mode & 0o777).toString(8)})`,
      hint: `If nobody else can have read it, chmod 600 ${file}; else remove it, and pair this machine anew.`,
    });
  }
  return parse(file, text);
}

function syncDirectory(directory: string): void {
  using handle = Deno.openSync(directory);
  handle.syncSync();
}

/** Reads the identity in a directory, and makes it there first when there is none. Whole or not at all, also when two do this at once. */
export function openIdentity(directory: string): Identity {
  const found = readIdentity(directory);
  if (found !== null) return found;
  const file = `${directory}/${IDENTITY_FILE}`;
  const part = `${file}.${crypto.randomUUID()}`;
  const { key, certificate } = makeCertifiedKey();
  try {
    Deno.mkdirSync(directory, { recursive: true, mode: 0o700 });
    {
      using handle = Deno.openSync(part, { write: true, createNew: true, mode: 0o600 });
      const bytes = new TextEncoder().encode(key + certificate);
      for (let sent = 0; sent < bytes.length;) sent += handle.writeSync(bytes.subarray(sent));
      handle.syncSync();
    }
    try {
      Deno.linkSync(part, file); // unlike a rename it never replaces what another one has just made
    } catch (error) {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    } finally {
      Deno.removeSync(part);
    }
    syncDirectory(directory);
  } catch (cause) {
    throw new EdgeError(`No identity could be made in ${directory}`, {
      op: "make this machine's identity",
      hint: "Give a directory that this user may write to.",
      cause,
    });
  }
  const made = readIdentity(directory);
  if (made === null) throw unusable(file, { what: "is gone again", hint: "Look at what removed it." });
  return made;
}
