/** A node's ID: the SHA-256 of its certificate, written so that a person can read it out and type it in. A leaf: anything may import it.
 *
 *   K7XQ2-MF4TA-…   13 groups of four characters and a check character each, in the alphabet of RFC 4648's base32
 *
 * The alphabet has no 0, 1 and 8, so O, I and B cannot be misread. The check character of a group finds each single wrong character, each
 * two that were swapped, and groups in the wrong order; so an error names the group that was mistyped. */

import { createHash } from "node:crypto";

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const GROUPS = 13; // of four characters of five bits: 260 bits, of which the last four are zero
const GROUP_DATA = 4;
const GROUP_CHARACTERS = GROUP_DATA + 1;

/** What typing an ID came to. */
export type ReadNodeId = { id: string } | { problem: string };

/** Twice `value` in the field of 32 elements (polynomial x^5 + x^2 + 1). */
function doubled(value: number): number {
  return (value << 1) ^ (value & 16 ? 0x25 : 0);
}

/** The check character of the group at `index`: each place has a weight of its own in the field of 32 elements, so no single error and
 * no swap leaves the sum as it was; the index tells the groups apart. */
function checkOf(values: readonly number[], index: number): number {
  return values.reduceRight((sum, value) => doubled(sum ^ value), 0) ^ (index + 1);
}

/** Small letters, and 0, 1, 8 for O, I, B: what people type. */
function plainOf(text: string): string {
  return text.trim().toUpperCase().replace(/0/g, "O").replace(/1/g, "I").replace(/8/g, "B");
}

/** Writes bits for people: groups of characters, of which the last is a check over all. The number of bits
 * is a multiple of five. */
export function writeCode(bytes: Uint8Array): string {
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, "0")).join("");
  const values = (bits.match(/.{5}/g) ?? []).map((five) => Number.parseInt(five, 2));
  const text = [...values, checkOf(values, 0)].map((value) => ALPHABET[value]).join("");
  return (text.match(/.{1,3}/g) ?? []).join("-");
}

/** Reads what writeCode() wrote and a person typed, to the form that it was written in; null: mistyped. */
export function readCode(text: string, { characters }: { characters: number }): string | null {
  const plain = plainOf(text).replace(/[-\s]/g, "");
  const values = [...plain].map((character) => ALPHABET.indexOf(character));
  if (values.length !== characters || values.includes(-1)) return null;
  if (checkOf(values.slice(0, -1), 0) !== values.at(-1)) return null;
  return (plain.match(/.{1,3}/g) ?? []).join("-");
}

/** The ID of the hash of a certificate. */
function written(hash: Uint8Array): string {
  const bits = [...hash].map((byte) => byte.toString(2).padStart(8, "0")).join("").padEnd(GROUPS * 20, "0");
  const values = bits.match(/.{5}/g)!.map((five) => Number.parseInt(five, 2));
  return Array.from({ length: GROUPS }, (_, index) => {
    const data = values.slice(index * GROUP_DATA, (index + 1) * GROUP_DATA);
    return [...data, checkOf(data, index)].map((value) => ALPHABET[value]).join("");
  }).join("-");
}

/** The ID of the node whose certificate this is (DER). */
export function nodeIdOf(certificate: Uint8Array): string {
  return written(createHash("sha256").update(certificate).digest());
}

function groupProblem(group: string, index: number): string | undefined {
  const name = `group ${index + 1} ("${group}")`;
  if (group.length !== GROUP_CHARACTERS) {
    return `${name} has ${group.length} characters; each group has ${GROUP_CHARACTERS}`;
  }
  const values = [...group].map((character) => ALPHABET.indexOf(character));
  const odd = group[values.indexOf(-1)];
  if (odd !== undefined) return `${name} has a ${JSON.stringify(odd)}; an ID has only letters and 2 to 7`;
  if (checkOf(values.slice(0, GROUP_DATA), index) === values[GROUP_DATA]) return undefined;
  return `${name} is mistyped: its check character does not fit`;
}

/** Reads an ID that a person typed: small letters, blanks instead of hyphens, and 0, 1, 8 for O, I, B are understood. */
export function readNodeId(text: string): ReadNodeId {
  const plain = plainOf(text);
  const parts = plain.split(/[-\s]+/);
  const joined = parts.join("");
  const groups = parts.length === 1 ? joined.match(/.{1,5}/g) ?? [] : parts;
  if (groups.length !== GROUPS) {
    const seen = parts.length === 1 ? `${joined.length} characters` : `${groups.length} groups`;
    return {
      problem: `has ${seen}; an ID has ${GROUPS} groups of ${GROUP_CHARACTERS} characters, copy all of it`,
    };
  }
  const problems = groups.map(groupProblem).filter((problem) => problem !== undefined);
  if (problems.length > 0) return { problem: problems.join("; ") };
  const last = ALPHABET.indexOf(groups[GROUPS - 1]![GROUP_DATA - 1]!);
  if ((last & 15) !== 0) return { problem: `is no ID: its group ${GROUPS} holds more than a hash has` };
  return { id: groups.join("-") };
}

/** The beginning of an ID, for sentences that need not name all of it. */
export function shortId(id: string): string {
  return id.split("-").slice(0, 2).join("-");
}
