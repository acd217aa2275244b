/** Which versions of iservft-edge and QEMU may share a VM: a rule over protocols and orders, never over equal names. Pure. */

import { isVersioned } from "../vm/machine_type.ts";

/** The protocols between two hosts that a program speaks: ffi/src/wire.h. */
export interface Protocol {
  oldest: number;
  newest: number;
}

/** What a host says of itself. */
export interface Versions {
  /** Of iservft-edge: for people, nothing is decided by it. */
  program: string;
  protocol: Protocol;
  /** Of QEMU, such as "7.2.22". */
  qemu: string;
  /** The machine type that the VM has on this host, such as "pc-q35-7.2". */
  machine: string;
}

/** What the host that is asked to be the backup knows besides. */
export interface BackupVersions extends Versions {
  /** The machine types that its QEMU knows; none: not asked. */
  machines: readonly string[];
  /** The machine type that the VM's file sets on both hosts; undefined: it names none with a version. */
  fixedMachine: string | undefined;
}

/** The primary, and the host that it invites. */
export interface Pair {
  primary: Versions;
  backup: BackupVersions;
}

/** What came from the other host, checked; undefined when it is nothing of the kind. */
export function readVersions(raw: unknown): Versions | undefined {
  const { program, protocol, qemu, machine } = (raw ?? {}) as Partial<Versions>;
  const texts = [program, qemu, machine].every((text) => typeof text === "string" && text.length <= 100);
  const { oldest, newest } = (protocol ?? {}) as Partial<Protocol>;
  const range = Number.isSafeInteger(oldest) && Number.isSafeInteger(newest) && oldest! <= newest!;
  return texts && range && numbers(qemu!) !== undefined ? raw as Versions : undefined;
}

/** The protocol that two programs speak with each other: the newest that both know; undefined: none. */
export function commonProtocol(a: Protocol, b: Protocol): number | undefined {
  const newest = Math.min(a.newest, b.newest);
  return newest >= Math.max(a.oldest, b.oldest) ? newest : undefined;
}

/** Whether the first version is older (below 0), the same (0) or newer. By its first two numbers: QEMU's third changes nothing of what a
 * device saves. */
export function compareQemu(a: string, b: string): number {
  const [left, right] = [numbers(a) ?? [], numbers(b) ?? []];
  return (left[0] ?? 0) - (right[0] ?? 0) || (left[1] ?? 0) - (right[1] ?? 0);
}

/** Why the backup cannot take the primary's VM, with both versions and what to do; undefined: it can. */
export function versionProblem({ primary, backup }: Pair): string | undefined {
  return protocolProblem(primary, backup) ?? qemuProblem(primary, backup) ?? machineProblem(primary, backup);
}

/** What is worth saying of versions that differ and go together; undefined: they do not differ. */
export function versionNote(
  { primary, backup }: { primary: Versions; backup: Versions },
): string | undefined {
  const notes: string[] = [];
  if (primary.program !== backup.program) {
    const protocol = commonProtocol(primary.protocol, backup.protocol);
    notes.push(
      `The primary runs iservft-edge ${primary.program}, the backup ${backup.program}: they speak protocol ${protocol}.`,
    );
  }
  if (primary.qemu !== backup.qemu) {
    const newer = compareQemu(primary.qemu, backup.qemu) < 0;
    notes.push(
      `The primary runs QEMU ${primary.qemu}, the backup ${backup.qemu}.` +
        (newer
          ? " Once the VM has moved to the newer one, it is unprotected until QEMU is upgraded on the other host too."
          : ""),
    );
  }
  return notes.length === 0 ? undefined : notes.join(" ");
}

function numbers(version: string): number[] | undefined {
  return /^\d+\.\d+(\.\d+)?/.exec(version)?.[0].split(".").map(Number);
}

function range({ oldest, newest }: Protocol): string {
  return oldest === newest ? `protocol ${newest}` : `protocols ${oldest} to ${newest}`;
}

function protocolProblem(primary: Versions, backup: Versions): string | undefined {
  if (commonProtocol(primary.protocol, backup.protocol) !== undefined) return undefined;
  const behind = primary.protocol.newest < backup.protocol.newest ? "primary" : "backup";
  const way = behind === "backup"
    ? "Upgrade iservft-edge on the backup."
    : "Put a version in between on the backup, move the VM there, and then upgrade the other host; or upgrade the primary while " +
      "the VM is stopped.";
  return `The primary runs iservft-edge ${primary.program} (${range(primary.protocol)}), the backup ` +
    `${backup.program} (${range(backup.protocol)}): they have none in common. ${way}`;
}

function qemuProblem(primary: Versions, backup: Versions): string | undefined {
  if (compareQemu(primary.qemu, backup.qemu) <= 0) return undefined;
  return `The primary runs QEMU ${primary.qemu}, the backup the older QEMU ${backup.qemu}: a running VM can move to the same or a ` +
    `newer QEMU only. Upgrade QEMU on the backup to ${
      primary.qemu.split(".").slice(0, 2).join(".")
    } or newer.`;
}

function machineProblem(primary: Versions, backup: BackupVersions): string | undefined {
  const { machine } = primary;
  if (!isVersioned(machine)) {
    return `The primary says that the VM's machine type is ${JSON.stringify(machine)}: a versioned one is ` +
      'needed, such as "pc-q35-7.2". Set `machine` in the VM\'s file to the one that it has.';
  }
  const { fixedMachine, machines } = backup;
  if (fixedMachine !== undefined && fixedMachine !== machine) {
    return `The VM's machine type is ${machine} on the primary, and ${fixedMachine} in the backup's file for the VM. Make them the same.`;
  }
  if (machines.length === 0 || machines.includes(machine)) return undefined;
  return `The VM's machine type is ${machine}, which the primary's QEMU ${primary.qemu} knows and the backup's QEMU ${backup.qemu} does ` +
    `not. Install a QEMU on the backup that knows it, or set \`machine\` in the VM's file to one that both know while the VM is stopped.`;
}
