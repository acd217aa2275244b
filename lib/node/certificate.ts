/** A self-signed certificate (X.509 version 3, RFC 5280) for a P-256 key. Nobody checks its dates or its issuer: both sides know each
 * other by its hash, so it is valid from before any machine's clock until for ever. */

import { Buffer } from "node:buffer";
import { isIP } from "node:net";
import { createPublicKey, generateKeyPairSync, randomBytes, sign } from "node:crypto";

/** The name in every certificate: TLS wants one, nobody goes by it. */
export const CERTIFICATE_NAME = "iservft-edge";

/** A key and its certificate, as PEM and DER. */
export interface CertifiedKey {
  key: string;
  certificate: string;
  der: Uint8Array;
}

const TAG = { INTEGER: 2, BITS: 3, OCTETS: 4, OID: 6, UTF8: 12, TIME: 24, SEQUENCE: 48, SET: 49 };
const FOR_EVER = "99991231235959Z"; // RFC 5280 4.1.2.5: "no well-defined expiration date"
const FROM = "20000101000000Z";
const OID = {
  ecdsaWithSha256: [1, 2, 840, 10045, 4, 3, 2],
  commonName: [2, 5, 4, 3],
  keyUsage: [2, 5, 29, 15],
  alternativeName: [2, 5, 29, 17],
  basicConstraints: [2, 5, 29, 19],
  extendedKeyUsage: [2, 5, 29, 37],
  serverAuth: [1, 3, 6, 1, 5, 5, 7, 3, 1],
  clientAuth: [1, 3, 6, 1, 5, 5, 7, 3, 2],
};

/** One DER element: tag, length, contents. */
function der(tag: number, ...contents: (Uint8Array | number[])[]): Buffer {
  const body = Buffer.concat(contents.map((part) => Buffer.from(part)));
  if (body.length < 128) return Buffer.concat([Buffer.from([tag, body.length]), body]);
  if (body.length < 256) return Buffer.concat([Buffer.from([tag, 0x81, body.length]), body]);
  const length = Buffer.alloc(2);
  length.writeUInt16BE(body.length);
  return Buffer.concat([Buffer.from([tag, 0x82]), length, body]);
}

function oid(path: readonly number[]): Buffer {
  const [first, second, ...rest] = path;
  const bytes = rest.flatMap((number) => {
    const digits = [number & 127];
    for (let left = number >> 7; left > 0; left >>= 7) digits.unshift((left & 127) | 128);
    return digits;
  });
  return der(TAG.OID, [first! * 40 + second!, ...bytes]);
}

function extension(path: readonly number[], value: Buffer, critical = false): Buffer {
  return der(TAG.SEQUENCE, oid(path), ...(critical ? [[1, 1, 255]] : []), der(TAG.OCTETS, value));
}

/** An address in network order. */
function addressBytes(address: string): number[] {
  if (!address.includes(":")) return address.split(".").map(Number);
  const [head = "", tail] = address.split("::");
  const words = (part: string) => part === "" ? [] : part.split(":").map((word) => Number.parseInt(word, 16));
  const [before, after] = [words(head), words(tail ?? "")];
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => 0);
  return [...before, ...zeros, ...after].flatMap((word) => [word >> 8, word & 255]);
}

function extensions(names: readonly string[]): Buffer {
  const usage = der(TAG.SEQUENCE, oid(OID.serverAuth), oid(OID.clientAuth));
  const each = [CERTIFICATE_NAME, ...names].map((name) =>
    isIP(name) === 0
      ? der(0x82, Buffer.from(name)) // [2]: a DNS name
      : der(0x87, addressBytes(name)) // [7]: an address
  );
  const name = der(TAG.SEQUENCE, ...each);
  return der(
    0xa3,
    der(
      TAG.SEQUENCE,
      extension(OID.basicConstraints, der(TAG.SEQUENCE), true), // no authority
      extension(OID.keyUsage, der(TAG.BITS, [7, 0x80]), true), // digitalSignature
      extension(OID.extendedKeyUsage, usage),
      extension(OID.alternativeName, name),
    ),
  );
}

function pem(what: string, bytes: Uint8Array): string {
  const lines = Buffer.from(bytes).toString("base64").match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${what}-----\n${lines.join("\n")}\n-----END ${what}-----\n`;
}

/** Makes a key and its certificate; for browsers, with the `names` and addresses that the machine is reached by. */
export function makeCertifiedKey(names: readonly string[] = []): CertifiedKey {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const serial = randomBytes(16);
  serial[0] = (serial[0]! & 0x7f) | 0x40; // positive, and of full length
  const algorithm = der(TAG.SEQUENCE, oid(OID.ecdsaWithSha256));
  const commonName = der(TAG.SEQUENCE, oid(OID.commonName), der(TAG.UTF8, Buffer.from(CERTIFICATE_NAME)));
  const name = der(TAG.SEQUENCE, der(TAG.SET, commonName));
  const dates = der(TAG.SEQUENCE, der(TAG.TIME, Buffer.from(FROM)), der(TAG.TIME, Buffer.from(FOR_EVER)));
  const body = der(
    TAG.SEQUENCE,
    der(0xa0, der(TAG.INTEGER, [2])), // version 3
    der(TAG.INTEGER, serial),
    algorithm,
    name,
    dates,
    name,
    createPublicKey(privateKey).export({ type: "spki", format: "der" }),
    extensions(names),
  );
  const signature = sign("sha256", body, privateKey);
  const whole = der(TAG.SEQUENCE, body, algorithm, der(TAG.BITS, [0], signature));
  return {
    key: privateKey.export({ type: "pkcs8", format: "pem" }) as string,
    certificate: pem("CERTIFICATE", whole),
    der: new Uint8Array(whole),
  };
}
