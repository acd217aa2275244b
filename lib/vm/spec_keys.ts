/** A VM's file as single keys, so that two hosts can say which one differs. Defaults are left out: a key that only a newer program knows is
 * then in what it says only if somebody set it, which the older program's file cannot have. */

import { specDefaults, type VmSpec } from "./spec.ts";

/** What one key may be at most in what is shown and sent. */
const VALUE_MAX = 200;
/** Keys that each file has. */
const REQUIRED = /^(name|memory|disk\[\d+\]\.path|nic\[\d+\]\.mac)$/;
/** Keys whose values may hold a password: only their digests are shown and sent. */
const PRIVATE = new Set(["cmdline"]);

/** Keys with their values as text, such as "disk[0].path" → "disk.img". */
export type SpecKeys = Record<string, string>;

function flatten(value: unknown, key: string, into: SpecKeys): void {
  if (value === undefined) return;
  if (typeof value === "object" && value !== null) {
    const list = Array.isArray(value);
    for (const [name, inner] of Object.entries(value)) {
      flatten(inner, list ? `${key}[${name}]` : key === "" ? name : `${key}.${name}`, into);
    }
    return;
  }
  into[key] = String(value);
}

/** Every key of `spec`, also those that nobody set. */
function allKeys(spec: VmSpec): SpecKeys {
  const keys: SpecKeys = {};
  const { degradation: { order, ...limits }, ...rest } = spec;
  flatten({ ...rest, degradation: { ...limits, order: order.join(", ") } }, "", keys);
  return keys;
}

/** The default of a key, as text; undefined: it has none. */
export function defaultOf(key: string): string | undefined {
  if (REQUIRED.test(key)) return undefined;
  const name = key.replace(/\[\d+\]/g, "[0]");
  return allKeys(specDefaults())[name];
}

/** The keys of `spec` that are not what they would be by themselves. Long values are cut, and have their length and digest instead. */
export async function specKeys(spec: VmSpec): Promise<SpecKeys> {
  const given: SpecKeys = {};
  for (const [key, value] of Object.entries(allKeys(spec))) {
    if (value !== defaultOf(key)) given[key] = await shown(key, value);
  }
  return given;
}

async function shown(key: string, value: string): Promise<string> {
  const hidden = PRIVATE.has(key);
  if (!hidden && value.length <= VALUE_MAX) return value;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(value)));
  const hex = [...digest.subarray(0, 8)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return `${hidden ? "" : value.slice(0, VALUE_MAX)}... (${value.length} characters, SHA-256 ${hex}...)`;
}

/** The first key in which two files differ, with both values; undefined: in none. */
export function differentKey(theirs: SpecKeys, ours: SpecKeys): string | undefined {
  const names = new Set([...Object.keys(ours), ...Object.keys(theirs)]);
  const name = [...names].find((key) => ours[key] !== theirs[key]);
  if (name === undefined) return undefined;
  const value = (keys: SpecKeys) => {
    if (keys[name] !== undefined) return JSON.stringify(keys[name]);
    const usual = defaultOf(name);
    return usual === undefined ? "nothing" : `${JSON.stringify(usual)} (the default)`;
  };
  return `The hosts' files for the VM differ in ${name}: on the backup ${value(ours)}, on the primary ` +
    `${value(theirs)}. Make them the same.`;
}
