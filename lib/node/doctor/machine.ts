/** Whether this machine can run VMs, and how well: processor, kernel, QEMU, memory, and what keeps a host silent that was taken over. */

import type { DoctorProbes } from "./probes.ts";
import { type Finding, finding, type Subject } from "./types.ts";

const MIB = 2 ** 20;
const MEMORY_LEAST = 1024 * MIB;
const FILES_LEAST = 1024;
const RUN_MS = 2500;

export async function checkKvm(probes: DoctorProbes, subject: Subject): Promise<Finding[]> {
  const about = {
    title: "Hardware virtualization (KVM)",
    why:
      "Without it QEMU translates the guest's code itself: the guest is many times slower. Both nodes must have it, or neither.",
  };
  const flags = cpuField(probes, "flags").split(" ");
  const device = probes.opens("/dev/kvm");
  if (device === "yes") {
    const { works, reason } = await probes.kvm(subject.qemu, subject.cpu);
    return [finding("kvm", works ? "ok" : "warning", {
      ...about,
      seen: works
        ? `A guest with CPU ${subject.cpu} runs under KVM`
        : `/dev/kvm is there, but no guest runs: ${reason}`,
      fix:
        "Switch virtualization (VT-x, AMD-V) on in the machine's firmware; in a virtual machine, nested virtualization.",
    })];
  }
  if (device === "denied" && !probes.root) {
    return [finding("kvm", "unknown", {
      ...about,
      seen: "/dev/kvm is there, and this user may not open it",
      fix: "Run this as root to know.",
    })];
  }
  const capable = flags.includes("vmx") || flags.includes("svm");
  return [finding("kvm", "warning", {
    ...about,
    seen: capable
      ? "The processor can, but /dev/kvm is not there"
      : "The processor does not offer it (no vmx or svm)",
    fix: capable
      ? "Load its module: modprobe kvm_intel or kvm_amd; if that is refused, switch it on in the machine's firmware."
      : "Switch virtualization (VT-x, AMD-V) on in the machine's firmware, or use a machine that has it.",
  })];
}

/** A field of /proc/cpuinfo's first processor. */
export function cpuField(probes: DoctorProbes, name: string): string {
  return new RegExp(`^${name}\\s*:\\s*(.*)$`, "m").exec(probes.read("/proc/cpuinfo") ?? "")?.[1]?.trim() ??
    "";
}

/** The way in which the engine can find dirty pages here. */
export function trackerOf(probes: DoctorProbes): "userfaultfd" | "soft-dirty" | "comparing" {
  const [major = 0, minor = 0] = probes.release.split(/[.-]/).map(Number);
  const at = major * 1000 + minor;
  const config = probes.read(`/boot/config-${probes.release}`);
  const has = (name: string) => config === null || config.includes(`CONFIG_${name}=y`);
  if (at >= 6007 && has("USERFAULTFD") && has("PROC_PAGE_MONITOR")) return "userfaultfd";
  return at >= 4015 && config?.includes("CONFIG_MEM_SOFT_DIRTY=y") ? "soft-dirty" : "comparing";
}

export function checkKernel(probes: DoctorProbes): Finding[] {
  const tracker = trackerOf(probes);
  const way = {
    userfaultfd: "dirty pages are found by userfaultfd and PAGEMAP_SCAN",
    "soft-dirty": "dirty pages are found by soft-dirty bits",
    comparing: "dirty pages are found by comparing all of the memory",
  }[tracker];
  return [
    finding("kernel", tracker === "userfaultfd" ? "ok" : tracker === "soft-dirty" ? "info" : "warning", {
      title: "Kernel",
      seen: `Linux ${probes.release}: ${way}`,
      why:
        "Each checkpoint sends the pages that the guest wrote to; how they are found decides how long it pauses.",
      fix: "Use Linux 6.7 or newer (Debian 12: apt install -t bookworm-backports linux-image-amd64).",
    }),
  ];
}

export async function checkQemu(probes: DoctorProbes, subject: Subject): Promise<Finding[]> {
  const findings: Finding[] = [];
  const about = { title: "QEMU", why: "It runs the VMs. 7.2 is the oldest that works." };
  try {
    const { version, machines } = await probes.qemu(subject.qemu);
    const newest = machines.filter((type) => type.startsWith("pc-q35-")).length;
    findings.push(
      finding("qemu", "ok", { ...about, seen: `QEMU ${version}, ${newest} versions of machine q35` }),
    );
  } catch (error) {
    findings.push(finding("qemu", "failed", {
      ...about,
      seen: error instanceof Error ? error.message : String(error),
      fix: "Install it on both nodes (Debian, Ubuntu: apt install qemu-system-x86 qemu-utils).",
    }));
  }
  const image = await probes.run(["qemu-img", "--version"], RUN_MS);
  findings.push(finding("qemu-img", image?.code === 0 ? "ok" : "warning", {
    title: "qemu-img",
    seen: image?.code === 0 ? image.said.split("\n")[0]!.slice(0, 80) : "qemu-img cannot be run",
    why: "It converts images of other hypervisors when they are imported.",
    fix: "Install it (Debian, Ubuntu: apt install qemu-utils).",
  }));
  return findings;
}

export function checkMemory(probes: DoctorProbes): Finding[] {
  const { total, available } = probes.memory();
  const findings = [finding("memory", available >= MEMORY_LEAST ? "ok" : "warning", {
    title: "Memory",
    seen: `${Math.round(available / MIB)} MiB of ${Math.round(total / MIB)} MiB are free`,
    why:
      "A protected VM takes its whole memory on both nodes, and about a quarter more for the versions that the other node has.",
    fix: "End programs that are not needed, or give the machine more memory.",
  })];
  const huge = /\[(\w+)\]/.exec(probes.read("/sys/kernel/mm/transparent_hugepage/shmem_enabled") ?? "")?.[1];
  if (huge === "always" || huge === "force") {
    findings.push(finding("hugepages", "info", {
      title: "Huge pages",
      seen: `Shared memory is made of huge pages (shmem_enabled is ${huge})`,
      why:
        "The guest's memory is tracked in pages of 4 KiB: huge ones are split first, which costs time at each checkpoint.",
      fix: "echo never > /sys/kernel/mm/transparent_hugepage/shmem_enabled",
    }));
  }
  return findings;
}

export function checkPrivileges(probes: DoctorProbes, subject: Subject): Finding[] {
  const findings = [finding("root", probes.root ? "ok" : "warning", {
    title: "Privileges",
    seen: probes.root ? "The node's service is root" : "The node's service is not root",
    why:
      "Running VMs needs root: network interfaces are made and QEMU's memory is watched. Without it the node can only be looked at.",
    fix: "Install it as a service: sudo iservft-edge install.",
  })];
  const limit = /^Max open files\s+(\d+|unlimited)/m.exec(probes.read("/proc/self/limits") ?? "")?.[1];
  if (limit !== undefined && limit !== "unlimited" && Number(limit) < FILES_LEAST) {
    findings.push(finding("limits", "warning", {
      title: "Limit of open files",
      seen: `${limit} files may be open`,
      why: "Each console, connection and VM needs some.",
      fix: "Raise it: LimitNOFILE in the service's unit, or ulimit -n 65536.",
    }));
  }
  const user = subject.qemuUser;
  const known = user === undefined ||
    (probes.read("/etc/passwd") ?? "").split("\n").some((line) => line.startsWith(`${user}:`));
  findings.push(finding("user", user === undefined ? "info" : known ? "ok" : "failed", {
    title: "QEMU's user",
    seen: user === undefined
      ? "QEMU runs as root"
      : known
      ? `QEMU runs as ${user}`
      : `There is no user ${user}`,
    why: "A guest that breaks out of QEMU is then nobody on this machine, instead of its administrator.",
    fix: user === undefined
      ? 'Run sudo iservft-edge install, or write qemu_user = "iservft-qemu" in the node\'s file and make that user.'
      : `Make it: useradd --system --no-create-home --shell /usr/sbin/nologin ${user}`,
  }));
  return findings;
}

export function checkService(probes: DoctorProbes): Finding[] {
  const systemd = probes.list("/run/systemd/system") !== null;
  return [finding("systemd", systemd ? "ok" : "warning", {
    title: "systemd",
    seen: systemd ? "systemd is the init" : "systemd does not run this machine",
    why:
      "It starts the node's service and the VMs after a power cut, and keeps VMs running while the service is upgraded.",
    fix:
      "Without it start `iservft-edge serve` by other means at each boot; VMs then are ordinary processes.",
  })];
}

export async function checkDevices(probes: DoctorProbes, subject: Subject): Promise<Finding[]> {
  const tun = probes.opens("/dev/net/tun");
  const findings = [
    finding("tun", tun === "yes" ? "ok" : tun === "denied" && !probes.root ? "unknown" : "failed", {
      title: "TAP devices",
      seen: {
        yes: "/dev/net/tun can be opened",
        absent: "/dev/net/tun is not there",
        denied: "/dev/net/tun may not be opened",
        busy: "/dev/net/tun is busy",
      }[tun],
      why: "A VM's network is a TAP device on this machine's bridge.",
      fix: tun === "denied" && !probes.root ? "Run this as root to know." : "Load its module: modprobe tun",
    }),
  ];
  if (!subject.kernelLease) return [...findings, checkWatchdog(probes, subject)];
  const nft = probes.root ? await probes.run(["nft", "list", "tables"], RUN_MS) : null;
  findings.push(finding("nftables", !probes.root ? "unknown" : nft?.code === 0 ? "ok" : "warning", {
    title: "Kernel's lease (nftables)",
    seen: !probes.root
      ? "Only root may ask"
      : nft === null
      ? "nft cannot be run"
      : nft.code === 0
      ? "nft answers"
      : nft.said.trim().slice(0, 200),
    why:
      "The kernel itself silences a VM whose host was frozen and has been taken over, even if nothing of this program runs.",
    fix: probes.root ? "Install it (Debian, Ubuntu: apt install nftables)." : "Run this as root to know.",
  }));
  return [...findings, checkWatchdog(probes, subject)];
}

function checkWatchdog(probes: DoctorProbes, { watchdog }: Subject): Finding {
  const about = {
    title: "Hardware watchdog",
    why:
      "It resets this machine when the engine stands still while a VM is here: the last line of defence against two copies that both speak.",
  };
  if (watchdog === "off") {
    return finding("watchdog", "info", {
      ...about,
      seen: "It is off in the node's file",
      fix: 'Set watchdog = "auto" in [fencing].',
    });
  }
  const found = (probes.list("/sys/class/watchdog") ?? []).toSorted();
  if (found.length === 0) {
    return finding("watchdog", "info", {
      ...about,
      seen: "There is none",
      fix:
        "Load the driver of the machine's own (modprobe iTCO_wdt or sp5100_tco, as the board needs); softdog is better than nothing.",
    });
  }
  const identity = probes.read(`/sys/class/watchdog/${found[0]}/identity`)?.trim() ?? "unknown kind";
  return finding("watchdog", "ok", { ...about, seen: `${found[0]}: ${identity}` });
}
