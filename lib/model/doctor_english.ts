/** What doctor says, in English: each check with its name and why it matters, each finding with what was seen and what to do. Other languages
 * put the same codes into their words (ui/i18n), and a code that lacks one of them does not compile. */

import { DOCTOR_CHECKS, type DoctorCheck } from "./doctor_checks.ts";
import { fill, type Params, type Places } from "./sentence.ts";

const ROOT_FIX = "Run this as root to know.";
const OWNER_FIX = "Run this as the user that owns it.";

/** What was seen. The part before the dot is the check. */
export const DOCTOR_SEEN = {
  "kvm.works": "A guest with CPU {cpu} runs under KVM",
  "kvm.no_guest": "/dev/kvm is there, but no guest runs: {said}",
  "kvm.denied": "/dev/kvm is there, and this user may not open it",
  "kvm.no_device": "The processor can, but /dev/kvm is not there",
  "kvm.no_processor": "The processor does not offer it (no vmx or svm)",
  "kernel.userfaultfd": "Linux {release}: dirty pages are found by userfaultfd and PAGEMAP_SCAN",
  "kernel.soft_dirty": "Linux {release}: dirty pages are found by soft-dirty bits",
  "kernel.comparing": "Linux {release}: dirty pages are found by comparing all of the memory",
  "qemu.found": "QEMU {version}, {count} versions of machine q35",
  "qemu.missing": "{said}",
  "qemu_img.found": "{version}",
  "qemu_img.missing": "qemu-img cannot be run",
  "memory.free": "{free} MiB of {total} MiB are free",
  "hugepages.on": "Shared memory is made of huge pages (shmem_enabled is {value})",
  "root.yes": "The node's service is root",
  "root.no": "The node's service is not root",
  "limits.low": "{count} files may be open",
  "user.root": "QEMU runs as root",
  "user.known": "QEMU runs as {user}",
  "user.missing": "There is no user {user}",
  "systemd.yes": "systemd is the init",
  "systemd.no": "systemd does not run this machine",
  "tun.yes": "/dev/net/tun can be opened",
  "tun.absent": "/dev/net/tun is not there",
  "tun.denied": "/dev/net/tun may not be opened",
  "tun.denied_user": "/dev/net/tun may not be opened",
  "tun.busy": "/dev/net/tun is busy",
  "nftables.unknown": "Only root may ask",
  "nftables.missing": "nft cannot be run",
  "nftables.answers": "nft answers",
  "nftables.failed": "{said}",
  "watchdog.off": "It is off in the node's file",
  "watchdog.none": "There is none",
  "watchdog.nowayout": "{device}: {identity}, which cannot be disarmed again (nowayout), and is not used",
  "watchdog.found": "{device}: {identity}",
  "space.free": "{free} of {total} are free in {data}",
  "space.unknown": "{data} cannot be looked at",
  "sync.measured": "{count} writes of 4 KiB with fdatasync: half within {half}, 99 % within {most}",
  "sync.unknown": "{data} may not be written",
  "clock.follows": "It follows a time server",
  "clock.free": "It follows no time server",
  "clock.unknown": "It is not known whether it follows a time server",
  "offset.ahead": "The other node's is {seconds} s ahead",
  "offset.behind": "The other node's is {seconds} s behind",
  "interface.missing": "No interface of this node has the address {address}",
  "rate.no_carrier": "{device} has no carrier",
  "rate.full": "{device}: {mbit} Mbit/s",
  "rate.half": "{device}: {mbit} Mbit/s, half duplex",
  "rate.unknown": "{device} does not say its rate",
  "rtt.no_ping": "ping cannot be run",
  "rtt.lost": "{peer} does not answer {local}",
  "rtt.measured": "{ms} ms on average",
  "loss.measured": "{percent} % of {count} pings were lost",
  "mtu.unknown": "{device} does not say its MTU",
  "mtu.passes": "Frames of {bytes} bytes pass unsplit",
  "mtu.stuck": "Frames of {bytes} bytes, this node's MTU, do not pass unsplit",
  "lines.unset": "No lines are set up",
  "independent.one": "There is only one replication line",
  "independent.shared": "Two of the lines go through {device}",
  "bridge.missing": "There is no interface {bridge}",
  "bridge.no_bridge": "{bridge} is an interface, but no bridge",
  "bridge.ports": "It has the port {ports}",
  "bridge.no_ports": "No port of the machine is in it: VMs do not reach the LAN",
  "stp.on": "It waits {seconds} s before a new port forwards",
  "port.open": "It is listened on: {what}",
  "port.closed": "Nothing listens on it: {what} is not reachable",
  "vm_ports.free": "{first} to {last} are free or the VMs' own",
  "vm_ports.taken": "Something else listens on {ports}",
  "manual.none": "There is none: a person confirms each takeover",
  "gateway.reachable": "It answers",
  "gateway.lost": "It does not answer",
  "gateway.lost_why": "{why}",
  "gateway.unknown": "It has not been asked yet",
  "gateway.none": "It is not set up",
  "arbiter.reachable": "It answers",
  "arbiter.lost": "It does not answer",
  "arbiter.lost_why": "{why}",
  "arbiter.unknown": "It has not been asked yet",
  "arbiter.none": "It is not set up",
  "unlooked.failed": "This could not be looked at: {why}",
  "peer.unpaired": "This node is not paired",
  "peer.failed": "It could not be asked: {why}",
  "pair_program.compared": "{both}",
  "pair_qemu.compared": "{both}",
  "pair_qemu.older": "{both}",
  "pair_machines.none": "They have none in common",
  "pair_machines.usual": "{count} are known to both",
  "pair_machines.other": "{count} are known to both, pc-q35-7.2 is not",
  "pair_accel.compared": "{both}",
  "pair_cpu.makers": "{both}: of different makers",
  "pair_cpu.same": "{both}, with the same features",
  "pair_cpu.features": "{both}; {only}",
  "pair_kernel.compared": "{both}",
  "pair_memory.compared": "{both}",
  "pair_disk.compared": "{both}",
  "pair_firmware.compared": "{both}",
} as const;
export type DoctorCode = keyof typeof DOCTOR_SEEN;

/** What to do where it is not what the check says. */
export const DOCTOR_FIXES = {
  "kvm.denied": ROOT_FIX,
  "kvm.no_device":
    "Load its module: modprobe kvm_intel or kvm_amd; if that is refused, switch it on in the machine's firmware.",
  "kvm.no_processor":
    "Switch virtualization (VT-x, AMD-V) on in the machine's firmware, or use a machine that has it.",
  "user.missing": "Make it: useradd --system --no-create-home --shell /usr/sbin/nologin {user}",
  "tun.denied_user": ROOT_FIX,
  "nftables.unknown": ROOT_FIX,
  "watchdog.off": 'Set watchdog = "auto" in [fencing].',
  "space.unknown": OWNER_FIX,
  "sync.unknown": OWNER_FIX,
  "rate.no_carrier": "Plug in its cable, on both machines.",
  "rate.unknown": "Nothing, if it is a virtual interface.",
  "rtt.no_ping": "Install ping (Debian, Ubuntu: apt install iputils-ping).",
  "rtt.lost": "Look at the cable, at the addresses on both nodes, and at firewalls.",
  "mtu.unknown": "Nothing, if data flows.",
  "bridge.no_ports": "Put the LAN's port into it: ip link set PORT master {bridge}",
  "peer.unpaired": "Pair it with the second one.",
  "pair_qemu.older": "Upgrade QEMU on {node}.",
  "pair_cpu.makers":
    "Use machines with processors of one maker, or a plain CPU model such as qemu64 in the VMs' files.",
} as const satisfies Partial<Record<DoctorCode, string>>;
export type DoctorFixCode = keyof typeof DOCTOR_FIXES;

type CheckOf<Code extends DoctorCode> = Code extends `${infer Check extends DoctorCheck}.${string}` ? Check
  : never;
type About<Code extends DoctorCode> = typeof DOCTOR_CHECKS[CheckOf<Code>];

/** Values that a finding needs. */
export type DoctorPlaces<Code extends DoctorCode> =
  | Places<typeof DOCTOR_SEEN[Code]>
  | Places<About<Code>["title" | "why" | "fix"]>
  | (Code extends DoctorFixCode ? Places<typeof DOCTOR_FIXES[Code]> : never);

/** A catalogue of one language. */
export interface DoctorCatalogue {
  checks: Readonly<Record<DoctorCheck, { title: string; why: string; fix: string }>>;
  seen: Readonly<Record<DoctorCode, string>>;
  fixes: Readonly<Record<DoctorFixCode, string>>;
}

export const DOCTOR_ENGLISH: DoctorCatalogue = {
  checks: DOCTOR_CHECKS,
  seen: DOCTOR_SEEN,
  fixes: DOCTOR_FIXES,
};

/** What a finding says, in the language of the catalogue; null: a newer node found it, and its code is not known here. */
export function doctorTexts(
  catalogue: DoctorCatalogue,
  found: { code: string; params: Params },
): { title: string; seen: string; why: string; fix: string } | null {
  const { code, params } = found;
  const check = catalogue.checks[code.split(".")[0] as DoctorCheck];
  const seen = catalogue.seen[code as DoctorCode];
  if (check === undefined || seen === undefined) return null;
  const put = (pattern: string) => fill(pattern, params).trim();
  const fix = catalogue.fixes[code as DoctorFixCode] ?? check.fix;
  return { title: put(check.title), seen: put(seen), why: put(check.why), fix: put(fix) };
}
