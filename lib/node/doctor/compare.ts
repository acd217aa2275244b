/** What must, or should, be alike on the two nodes. Pure. */

import { compareQemu } from "../../replication/versions.ts";
import { type DoctorFacts, type Finding, finding, found } from "./types.ts";

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
  const params = { both: both(here, there, (facts) => `iservft-edge ${facts.program}`) };
  return finding(
    "pair.program",
    here.program === there.program ? "ok" : "info",
    found("pair_program.compared", params),
  );
}

function compareQemus(here: DoctorFacts, there: DoctorFacts): Finding[] {
  const about = { both: both(here, there, (facts) => facts.qemu ?? "none") };
  if (here.qemu === null || there.qemu === null) {
    return [finding("pair.qemu", "failed", found("pair_qemu.compared", about))];
  }
  const order = compareQemu(here.qemu, there.qemu);
  const older = order < 0 ? here : there;
  const findings = [
    order === 0
      ? finding("pair.qemu", "ok", found("pair_qemu.compared", about))
      : finding("pair.qemu", "warning", found("pair_qemu.older", { ...about, node: older.node })),
  ];
  const common = here.machines.filter((type) => there.machines.includes(type));
  const count = common.length;
  findings.push(
    count === 0
      ? finding("pair.machines", "failed", found("pair_machines.none"))
      : common.includes("pc-q35-7.2")
      ? finding("pair.machines", "ok", found("pair_machines.usual", { count }))
      : finding("pair.machines", "info", found("pair_machines.other", { count })),
  );
  return findings;
}

function compareProcessors(here: DoctorFacts, there: DoctorFacts): Finding[] {
  const findings: Finding[] = [];
  if (here.kvm !== null && there.kvm !== null) {
    const params = { both: both(here, there, (facts) => facts.kvm ? "KVM" : "no KVM") };
    const state = here.kvm === there.kvm ? "ok" : "failed";
    findings.push(finding("pair.accel", state, found("pair_accel.compared", params)));
  }
  const about = { both: both(here, there, (facts) => facts.cpu_model || "unknown") };
  const kvm = here.kvm === true || there.kvm === true;
  if (here.cpu_vendor !== there.cpu_vendor) {
    return [...findings, finding("pair.cpu", kvm ? "warning" : "ok", found("pair_cpu.makers", about))];
  }
  const only = (a: DoctorFacts, b: DoctorFacts) => a.cpu_flags.filter((flag) => !b.cpu_flags.includes(flag));
  const what = [[here.node, only(here, there)], [there.node, only(there, here)]] as const;
  const lists = what.filter(([, list]) => list.length > 0).map(([node, list]) =>
    `only ${node} has ${names(list)}`
  );
  findings.push(
    lists.length === 0 ? finding("pair.cpu", "ok", found("pair_cpu.same", about)) : finding(
      "pair.cpu",
      kvm ? "info" : "ok",
      found("pair_cpu.features", { ...about, only: lists.join("; ") }),
    ),
  );
  return findings;
}

function compareKernels(here: DoctorFacts, there: DoctorFacts): Finding {
  const params = { both: both(here, there, (facts) => `${facts.kernel}, pages by ${facts.tracker}`) };
  const state = here.tracker === there.tracker ? "ok" : "info";
  return finding("pair.kernel", state, found("pair_kernel.compared", params));
}

function compareSizes(here: DoctorFacts, there: DoctorFacts): Finding[] {
  const gib = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
  const state = (a: number, b: number) => Math.max(a, b) > Math.min(a, b) * 1.25 ? "info" : "ok";
  const findings = [finding(
    "pair.memory",
    state(here.memory_bytes, there.memory_bytes),
    found("pair_memory.compared", { both: both(here, there, (facts) => gib(facts.memory_bytes)) }),
  )];
  if (here.data_bytes === null || there.data_bytes === null) return findings;
  findings.push(finding(
    "pair.disk",
    state(here.data_bytes, there.data_bytes),
    found("pair_disk.compared", { both: both(here, there, (facts) => gib(facts.data_bytes ?? 0)) }),
  ));
  return findings;
}

function compareFirmware(here: DoctorFacts, there: DoctorFacts): Finding {
  const text = (facts: DoctorFacts) =>
    facts.firmware === null ? "none" : `${facts.firmware.path} (${facts.firmware.digest.slice(0, 12)})`;
  const state = text(here) === text(there) ? "ok" : "warning";
  return finding(
    "pair.firmware",
    state,
    found("pair_firmware.compared", { both: both(here, there, text) }),
  );
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
