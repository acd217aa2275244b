/** Doctor: looks at this node, has the other one look at itself, and compares the two. Everything has a bound. */

import { z } from "zod";
import { type CheckView, checkView, type DoctorView } from "../../model/doctor.ts";
import { ProblemError } from "../../model/problem.ts";
import type { PeerChannel } from "../contracts.ts";
import { findOvmf } from "../disks/firmware.ts";
import { checkClock } from "./clock.ts";
import { compareNodes } from "./compare.ts";
import {
  checkDevices,
  checkKernel,
  checkKvm,
  checkMemory,
  checkPrivileges,
  checkQemu,
  checkService,
  cpuField,
  trackerOf,
} from "./machine.ts";
import { checkArbiter, checkBridge, checkLines, checkPorts } from "./network.ts";
import { type DoctorProbes, realProbes } from "./probes.ts";
import { checkSpaceLeft, checkSyncs } from "./storage.ts";
import { type DoctorFacts, doctorFacts, type Finding, finding, found, type Subject } from "./types.ts";

/** One group of checks, and all of them; what is not there by then is unknown. */
const GROUP_MS = 3000;
const ALL_MS = 20_000;
const PEER_MS = ALL_MS + 2000;
const METHOD = "doctor.examine";
const WHY_MAX = 900;

/** What the checks that could be slow are called, for when they are. */
const GROUPS: readonly {
  id: string;
  title: string;
  check: (probes: DoctorProbes, subject: Subject) => Finding[] | Promise<Finding[]>;
}[] = [
  { id: "root", title: "Privileges", check: checkPrivileges },
  { id: "systemd", title: "systemd", check: checkService },
  { id: "kvm", title: "Hardware virtualization (KVM)", check: checkKvm },
  { id: "kernel", title: "Kernel", check: checkKernel },
  { id: "qemu", title: "QEMU", check: checkQemu },
  { id: "memory", title: "Memory", check: checkMemory },
  { id: "disk.space", title: "Free space", check: checkSpaceLeft },
  { id: "disk.sync", title: "Disk's sync", check: checkSyncs },
  { id: "devices", title: "Devices", check: checkDevices },
  { id: "links", title: "Lines", check: checkLines },
  { id: "bridge", title: "Bridge", check: checkBridge },
  { id: "arbiter", title: "Arbiter", check: (_, subject) => checkArbiter(subject) },
  { id: "clock", title: "Clock", check: checkClock },
  { id: "ports", title: "Ports", check: checkPorts },
];

/** Resolves by `ms` at the latest, then with `late`. */
async function within<T>(work: Promise<T>, ms: number, late: (why: string) => T): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const bound = new Promise<T>((resolve) => {
    timer = setTimeout(() => resolve(late(`it did not end within ${ms / 1000} s`)), ms);
  });
  const safe = work.catch((error) => late(error instanceof Error ? error.message : String(error)));
  return await Promise.race([safe, bound]).finally(() => clearTimeout(timer));
}

function unknown(group: { id: string; title: string }, why: string): Finding[] {
  const params = { title: group.title, why: why.slice(0, WHY_MAX) };
  return [finding(group.id, "unknown", found("unlooked.failed", params))];
}

/** Looks at this node. Never throws; at most 20 s. `groupMs`: what each group of checks may take. */
export async function examine(
  subject: Subject,
  options: { probes?: DoctorProbes; groupMs?: number } = {},
): Promise<CheckView[]> {
  const { probes = realProbes, groupMs = GROUP_MS } = options;
  const looks = GROUPS.map((group) =>
    within((async () => await group.check(probes, subject))(), groupMs, (why) => unknown(group, why))
  );
  return (await Promise.all(looks)).flat().map((found) => ({ ...found, node: subject.node }));
}

/** What this node says of itself for the comparison. */
export async function gatherFacts(
  subject: Subject,
  checks: readonly CheckView[],
  probes: DoctorProbes = realProbes,
): Promise<DoctorFacts> {
  const ovmf = findOvmf();
  const digest = ovmf === null ? null : await probes.digest(ovmf.code);
  const qemu = await within(
    probes.qemu(subject.qemu),
    GROUP_MS,
    () => ({ version: "", machines: [] as string[] }),
  );
  const kvm = checks.find((check) => check.id === "kvm")?.state;
  return {
    node: subject.node,
    program: subject.version,
    kernel: probes.release.slice(0, 100),
    tracker: trackerOf(probes),
    qemu: qemu.version === "" ? null : qemu.version,
    machines: qemu.machines.slice(0, 200),
    kvm: kvm === "ok" ? true : kvm === "warning" ? false : null,
    cpu_vendor: cpuField(probes, "vendor_id").slice(0, 60),
    cpu_model: cpuField(probes, "model name").slice(0, 200),
    cpu_flags: cpuField(probes, "flags").split(" ").filter((flag) => flag !== "" && flag.length <= 40).slice(
      0,
      400,
    ),
    memory_bytes: probes.memory().total,
    data_bytes: probes.space(subject.data)?.total ?? null,
    firmware: ovmf === null || digest === null ? null : { path: ovmf.code, digest },
    bridge: subject.settings?.lan?.bridge ?? null,
  };
}

const peerAnswer = z.object({ facts: doctorFacts, checks: z.array(checkView).max(200) });
type PeerAnswer = z.infer<typeof peerAnswer>;

/** Doctor of a node. */
export class Doctor {
  readonly #subject: () => Subject;
  readonly #peer: PeerChannel;
  readonly #probes: DoctorProbes;
  #running: Promise<PeerAnswer> | null = null;

  constructor(options: { subject: () => Subject; peer: PeerChannel; probes?: DoctorProbes }) {
    this.#subject = options.subject;
    this.#peer = options.peer;
    this.#probes = options.probes ?? realProbes;
    options.peer.answer(METHOD, () => this.#look());
  }

  /** Looks; with `peer` also at the other node, and compares the two. Several at a time get the same answer. */
  async run({ peer }: { peer: boolean }): Promise<DoctorView> {
    const [here, there] = await Promise.all([this.#look(), peer ? this.#askPeer() : null]);
    const checks = [...here.checks];
    if (there !== null) {
      if ("checks" in there) {
        const pair = compareNodes(here.facts, there.facts).map((found) => ({
          ...found,
          node: `${here.facts.node}+${there.facts.node}`,
        }));
        checks.push(...there.checks, ...pair);
      } else checks.push({ ...there, node: this.#peer.peer?.name ?? "" });
    }
    return { at: new Date().toISOString(), checks };
  }

  #look(): Promise<PeerAnswer> {
    this.#running ??= this.#examine().finally(() => this.#running = null);
    return this.#running;
  }

  async #examine(): Promise<PeerAnswer> {
    const subject = this.#subject();
    const checks = await within(examine(subject, { probes: this.#probes }), ALL_MS, () => []);
    return { facts: await gatherFacts(subject, checks, this.#probes), checks };
  }

  async #askPeer(): Promise<PeerAnswer | Finding> {
    if (this.#peer.peer === null) return finding("peer", "info", found("peer.unpaired"));
    try {
      return peerAnswer.parse(await this.#peer.call(METHOD, {}, { timeout_ms: PEER_MS }));
    } catch (error) {
      const why = error instanceof ProblemError
        ? error.message
        : "its answer is not understood: it may be of another version";
      return finding("peer", "failed", found("peer.failed", { why: why.slice(0, WHY_MAX) }));
    }
  }
}
