/** The VM's machine type: an alias such as q35 means other hardware with each version of QEMU. So it is resolved once, when the VM is first
 * started, and kept beside its disks on both hosts: a guest has the same hardware after an upgrade. */

import { basename, dirname } from "node:path/posix";
import { EdgeError } from "../errors.ts";

/** What the aliases become for a new VM: what the oldest QEMU that works knows, and so all that a host may have. */
const ALIASES: Readonly<Record<string, string>> = { q35: "pc-q35-7.2", pc: "pc-i440fx-7.2" };
const VERSIONED = /^pc-(?:q35|i440fx)-\d+\.\d+(?:\.\d+)?$/;

/** True of a machine type that is the same hardware on every QEMU that knows it. */
export function isVersioned(machine: string): boolean {
  return VERSIONED.test(machine);
}

function family(machine: string): string | undefined {
  return /^(?:pc-)?(q35|pc|i440fx)/.exec(machine)?.[1]?.replace("i440fx", "pc");
}

/** The machine type for a new VM whose file says `machine`. */
export function machineType(machine: string): string {
  return ALIASES[machine] ?? machine;
}

/** The versioned machine type that the VM's file sets; undefined: it leaves the version to us. */
export function fixedMachine(machine: string): string | undefined {
  return machine in ALIASES ? undefined : machine;
}

/** By what the VM's file says, what this VM had before, and what QEMU knows (empty: not asked). */
export function resolveMachine(
  machine: string,
  { remembered, known }: { remembered: string | undefined; known: readonly string[] },
): string {
  const fixed = fixedMachine(machine);
  if (fixed !== undefined) return fixed;
  if (remembered !== undefined && family(remembered) === family(machine)) return remembered;
  const usual = machineType(machine);
  if (known.length === 0 || known.includes(usual)) return usual;
  // QEMU drops machine types after some years. The oldest that is left is the one that the other host most likely has too.
  const left = known.filter((type) => isVersioned(type) && family(type) === family(machine));
  return left.toSorted(byVersion)[0] ?? usual;
}

function byVersion(a: string, b: string): number {
  const numbers = (type: string) => (type.split("-").at(-1) ?? "").split(".").map(Number);
  const [left, right] = [numbers(a), numbers(b)];
  return [0, 1, 2].map((i) => (left[i] ?? 0) - (right[i] ?? 0)).find((difference) => difference !== 0) ?? 0;
}

/** The machine types in what `qemu -machine help` prints. */
export function listedMachines(help: string): string[] {
  return help.split("\n").map((line) => line.split(" ")[0] ?? "").filter(isVersioned);
}

/** The file that remembers a VM's machine type on this host. */
export class MachineTypeFile {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  /** What was remembered; undefined: nothing was. Throws EdgeError when it holds something else. */
  read(): string | undefined {
    let text: string;
    try {
      text = Deno.readTextFileSync(this.#path).trim();
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    }
    if (isVersioned(text)) return text;
    throw new EdgeError(`${this.#path} holds no machine type: ${JSON.stringify(text.slice(0, 40))}`, {
      op: "read the VM's machine type",
      hint: "Write the one that the VM has (the other host's file has it too), such as pc-q35-7.2.",
    });
  }

  /** Replaces what is remembered. When this returns it is on stable storage. */
  async write(type: string): Promise<void> {
    const directory = dirname(this.#path);
    const part = `${directory}/.${basename(this.#path)}.new`;
    {
      using file = await Deno.open(part, { write: true, create: true, truncate: true, mode: 0o600 });
      const bytes = new TextEncoder().encode(`${type}\n`);
      for (let sent = 0; sent < bytes.length;) sent += await file.write(bytes.subarray(sent));
      await file.sync();
    }
    await Deno.rename(part, this.#path);
    using names = await Deno.open(directory);
    await names.sync();
  }
}
