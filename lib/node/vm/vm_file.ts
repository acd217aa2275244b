/** A VM's file (vm.toml): made from what a person said in the page, changed key by key, always as the runner will read it. */

import { parse, stringify } from "smol-toml";
import { InputError } from "../../errors.ts";
import { type Explained, ProblemError } from "../../model/problem.ts";
import { explained } from "../../model/problem_english.ts";
import type { VmCreate } from "../../model/vm.ts";
import { parseSpec, type VmSpec } from "../../vm/spec.ts";
import { FILE_MAX } from "./records.ts";

/** Keys of the file that have a place of their own when a VM is made. */
const OWN_KEYS = ["name", "memory", "vcpus", "disk", "nic", "vga", "firmware"];

/** Where the page has what the file calls otherwise. */
const SHOWN: Readonly<Record<string, string>> = {
  memory: "memory_mib",
  vga: "screen",
  disk: "disks",
  nic: "nics",
};

function invalid(said: Explained, fields: { key: string; problem: string }[] = []): ProblemError {
  return new ProblemError("invalid", { ...said, fields });
}

/** Reads a file. Throws ProblemError invalid with every key that is wrong. */
export function readFile(text: string, shown: (key: string) => string = (key) => key): VmSpec {
  if (new TextEncoder().encode(text).length > FILE_MAX) {
    throw invalid(explained("vm.file_long", { count: FILE_MAX }));
  }
  try {
    return parseSpec({ file: "vm.toml", text });
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    const fields = error.problems.map(({ key, problem }) => ({ key: shown(key), problem }));
    const problems = fields.map(({ key, problem }) => `${key}: ${problem}`).join("; ");
    throw invalid(explained("vm.settings_wrong", { problems }), fields);
  }
}

/** Reads a file of which it is not known that it can be read. */
export function specOf(text: string): VmSpec | null {
  try {
    return readFile(text);
  } catch {
    return null;
  }
}

/** A locally administered address in QEMU's range. */
export function randomMac(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(3));
  return ["52", "54", "00", ...[...bytes].map((byte) => byte.toString(16).padStart(2, "0"))].join(":");
}

/** What a new VM's file is made of, beside what a person said. */
export interface FileParts {
  /** Paths of its disks. */
  disks: readonly string[];
  firmware: "bios" | { code: string; vars: string };
}

/** The text of a new VM's file, and what it says. Throws ProblemError invalid. */
export function makeFile(vm: VmCreate, { disks, firmware }: FileParts): { text: string; spec: VmSpec } {
  const taken = OWN_KEYS.filter((key) => Object.hasOwn(vm.spec, key));
  if (taken.length > 0) {
    throw invalid(
      explained("vm.own_keys", { keys: taken.join(", ") }),
      taken.map((key) => ({ key: `spec.${key}`, problem: "it cannot be here" })),
    );
  }
  const macs = vm.nics.map(({ mac }) => mac ?? randomMac());
  const text = toml({
    serial: "socket",
    ...vm.spec,
    name: vm.name,
    memory: vm.memory_mib,
    vcpus: vm.vcpus,
    vga: vm.screen,
    firmware,
    // In the order in which they were named; else the firmware would look at none of them.
    disk: disks.map((path, index) => ({ path, ...(vm.spec["kernel"] === undefined ? { boot: index } : {}) })),
    nic: vm.nics.map(({ bridge, model }, index) => ({
      mac: macs[index],
      ...(bridge === undefined ? {} : { bridge }),
      model,
    })),
  });
  const shown = (key: string) => {
    const [, top = "", rest = ""] = /^(\w+)(.*)$/.exec(key) ?? [];
    return OWN_KEYS.includes(top) ? `${SHOWN[top] ?? top}${rest}` : `spec.${key}`;
  };
  return { text, spec: readFile(text, shown) };
}

/** A file with some keys changed; null takes a key away. Throws ProblemError invalid. */
export function patchFile(
  text: string,
  patch: Readonly<Record<string, unknown>>,
): { text: string; spec: VmSpec; keys: string[] } {
  if (Object.hasOwn(patch, "name")) {
    throw invalid(explained("vm.renamed"));
  }
  const before = parse(text) as Record<string, unknown>;
  const after = { ...before, ...patch };
  for (const [key, value] of Object.entries(patch)) if (value === null) delete after[key];
  const changed = toml(after);
  const spec = readFile(changed);
  const keys = Object.keys(patch).filter((key) => JSON.stringify(before[key]) !== JSON.stringify(after[key]));
  return { text: changed, spec, keys };
}

function toml(value: Record<string, unknown>): string {
  try {
    return `${stringify(value)}\n`;
  } catch (error) {
    throw invalid(explained("vm.toml", { said: error instanceof Error ? error.message : String(error) }));
  }
}
