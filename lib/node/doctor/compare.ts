/** What must, or should, be alike on the two nodes. Pure. */

import { compareQemu } from "../../replication/versions.ts";
import { type DoctorFacts, type Finding, finding } from "./types.ts";

const NAMES_MAX = 8;

function names(list: readonly string[]): string {
  const shown = list.slice(0, NAMES_MAX).join(", ");
  return list.length > NAMES_MAX ? `${shown} and ${list.length - NAMES_MAX} more` : shown;
}

function both(here: DoctorFacts, there: DoctorFacts, value: (facts: DoctorFacts) => string): string {
  const [a, b] = [value(here), value(there)];
  return a === b ? `Both: ${a}` : `${here.node}: ${a}; ${there.node}: ${b}`;
}

function comparePrograms(here: DoctorFacts, there: DoctorFacts): Finding {
  return finding("pair.program", here.program === there.program ? "ok" : "info", {
    title: "Version on both nodes",
    seen: both(here, there, (facts) => `iservft-edge ${facts.program}`),
    why:
      "Versions that speak a common protocol work together, so that one node can be upgraded after the other.",
    fix: "Upgrade the other node too.",
  });
}

function compareQemus(here: DoctorFacts, there: DoctorFacts): Finding[] {
  const about = { title: "QEMU on both nodes", seen: both(here, there, (facts) => facts.qemu ?? "none") };
  const why = "A running VM moves to the same QEMU or a newer one, not to an older.";
  if (here.qemu === null || there.qemu === null) {
    return [finding("pair.qemu", "failed", { ...about, why, fix: "Install the same QEMU on both nodes." })];
  }
  const older = compareQemu(here.qemu, there.qemu) < 0 ? here : there;
  const same = compareQemu(here.qemu, there.qemu) === 0;
  const findings = [finding("pair.qemu", same ? "ok" : "warning", {
    ...about,
    why,
    fix: `Upgrade QEMU on ${older.node}.`,
  })];
  const common = here.machines.filter((type) => there.machines.includes(type));
  const usual = common.includes("pc-q35-7.2");
  findings.push(finding("pair.machines", common.length === 0 ? "failed" : usual ? "ok" : "info", {
    title: "Machine types on both nodes",
    seen: common.length === 0
      ? "They have none in common"
      : `${common.length} are known to both${usual ? "" : ", pc-q35-7.2 is not"}`,
    why: "A VM is the same hardware on both nodes.",
    fix: "Install the same QEMU on both nodes.",
  }));
  return findings;
}

function compareProcessors(here: DoctorFacts, there: DoctorFacts): Finding[] {
  const findings: Finding[] = [];
  if (here.kvm !== null && there.kvm !== null) {
    findings.push(finding("pair.accel", here.kvm === there.kvm ? "ok" : "failed", {
      title: "Accelerator on both nodes",
      seen: both(here, there, (facts) => facts.kvm ? "KVM" : "no KVM"),
      why: "What one saves of a guest the other cannot load.",
      fix: 'Make KVM work on both nodes, or set accel = "tcg" in the VMs\' files.',
    }));
  }
  const about = {
    title: "Processors of both nodes",
    seen: both(here, there, (facts) => facts.cpu_model || "unknown"),
    why: "The guest is given a processor that both have; what only one has it must not use.",
  };
  const kvm = here.kvm === true || there.kvm === true;
  if (here.cpu_vendor !== there.cpu_vendor) {
    findings.push(finding("pair.cpu", kvm ? "warning" : "ok", {
      ...about,
      seen: `${about.seen}: of different makers`,
      fix:
        "Use machines with processors of one maker, or a plain CPU model such as qemu64 in the VMs' files.",
    }));
    return findings;
  }
  const only = (a: DoctorFacts, b: DoctorFacts) => a.cpu_flags.filter((flag) => !b.cpu_flags.includes(flag));
  const [onlyHere, onlyThere] = [only(here, there), only(there, here)];
  const differ = onlyHere.length + onlyThere.length > 0;
  const what = [[here.node, onlyHere], [there.node, onlyThere]] as const;
  const lists = what.filter(([, list]) => list.length > 0).map(([node, list]) =>
    `only ${node} has ${names(list)}`
  );
  findings.push(finding("pair.cpu", differ && kvm ? "info" : "ok", {
    ...about,
    seen: differ ? `${about.seen}; ${lists.join("; ")}` : `${about.seen}, with the same features`,
    fix: "Choose a CPU model for VMs that both have: the usual one (Nehalem) is.",
  }));
  return findings;
}

function compareKernels(here: DoctorFacts, there: DoctorFacts): Finding {
  return finding("pair.kernel", here.tracker === there.tracker ? "ok" : "info", {
    title: "Kernel on both nodes",
    seen: both(here, there, (facts) => `${facts.kernel}, pages by ${facts.tracker}`),
    why: "VMs run with either; after a takeover the pauses may be longer on the node whose kernel is older.",
    fix: "Install the same kernel on both nodes.",
  });
}

function compareSizes(here: DoctorFacts, there: DoctorFacts): Finding[] {
  const gib = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
  const uneven = (a: number, b: number) => Math.max(a, b) > Math.min(a, b) * 1.25;
  const findings = [finding("pair.memory", uneven(here.memory_bytes, there.memory_bytes) ? "info" : "ok", {
    title: "Memory of both nodes",
    seen: both(here, there, (facts) => gib(facts.memory_bytes)),
    why: "All protected VMs must fit into the smaller one.",
    fix: "Give both nodes as much memory.",
  })];
  if (here.data_bytes === null || there.data_bytes === null) return findings;
  findings.push(finding("pair.disk", uneven(here.data_bytes, there.data_bytes) ? "info" : "ok", {
    title: "Storage of both nodes",
    seen: both(here, there, (facts) => gib(facts.data_bytes ?? 0)),
    why: "All disks of protected VMs must fit onto the smaller one.",
    fix: "Give both nodes as much storage.",
  }));
  return findings;
}

function compareFirmware(here: DoctorFacts, there: DoctorFacts): Finding {
  const text = (facts: DoctorFacts) =>
    facts.firmware === null ? "none" : `${facts.firmware.path} (${facts.firmware.digest.slice(0, 12)})`;
  const same = text(here) === text(there);
  return finding("pair.firmware", same ? "ok" : "warning", {
    title: "UEFI firmware on both nodes",
    seen: both(here, there, text),
    why: "A VM with UEFI needs the same firmware at the same place on both nodes.",
    fix: "Install the same version on both (Debian, Ubuntu: apt install ovmf); VMs with BIOS do not need it.",
  });
}

/** Compares. The findings are about the pair. */
export function compareNodes(here: DoctorFacts, there: DoctorFacts): Finding[] {
  return [
    comparePrograms(here, there),
    ...compareQemus(here, there),
    ...compareProcessors(here, there),
    compareKernels(here, there),
    ...compareSizes(here, there),
    compareFirmware(here, there),
  ];
}
