/** Whether this machine can run VMs, and how well: processor, kernel, QEMU, memory, and what keeps a host silent that was taken over. */

import type { DoctorProbes } from "./probes.ts";
import { type Finding, finding, found, type Subject } from "./types.ts";

const MIB = 2 ** 20;
const MEMORY_LEAST = 1024 * MIB;
const FILES_LEAST = 1024;
const RUN_MS = 2500;

export async function checkKvm(probes: DoctorProbes, subject: Subject): Promise<Finding[]> {
  const flags = cpuField(probes, "flags").split(" ");
  const device = probes.opens("/dev/kvm");
  if (device === "yes") {
    const { works, reason } = await probes.kvm(subject.qemu, subject.cpu);
    return [
      works
        ? finding("kvm", "ok", found("kvm.works", { cpu: subject.cpu }))
        : finding("kvm", "warning", found("kvm.no_guest", { said: reason })),
    ];
  }
  if (device === "denied" && !probes.root) return [finding("kvm", "unknown", found("kvm.denied"))];
  const capable = flags.includes("vmx") || flags.includes("svm");
  return [finding("kvm", "warning", capable ? found("kvm.no_device") : found("kvm.no_processor"))];
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
  const { release } = probes;
  switch (trackerOf(probes)) {
    case "userfaultfd":
      return [finding("kernel", "ok", found("kernel.userfaultfd", { release }))];
    case "soft-dirty":
      return [finding("kernel", "info", found("kernel.soft_dirty", { release }))];
    case "comparing":
      return [finding("kernel", "warning", found("kernel.comparing", { release }))];
  }
}

export async function checkQemu(probes: DoctorProbes, subject: Subject): Promise<Finding[]> {
  const findings: Finding[] = [];
  try {
    const { version, machines } = await probes.qemu(subject.qemu);
    const count = machines.filter((type) => type.startsWith("pc-q35-")).length;
    findings.push(finding("qemu", "ok", found("qemu.found", { version, count })));
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    findings.push(finding("qemu", "failed", found("qemu.missing", { said })));
  }
  const image = await probes.run(["qemu-img", "--version"], RUN_MS);
  findings.push(
    image?.code === 0
      ? finding(
        "qemu-img",
        "ok",
        found("qemu_img.found", { version: image.said.split("\n")[0]!.slice(0, 80) }),
      )
      : finding("qemu-img", "warning", found("qemu_img.missing")),
  );
  return findings;
}

export function checkMemory(probes: DoctorProbes): Finding[] {
  const { total, available } = probes.memory();
  const params = { free: Math.round(available / MIB), total: Math.round(total / MIB) };
  const findings = [
    finding("memory", available >= MEMORY_LEAST ? "ok" : "warning", found("memory.free", params)),
  ];
  const huge = /\[(\w+)\]/.exec(probes.read("/sys/kernel/mm/transparent_hugepage/shmem_enabled") ?? "")?.[1];
  if (huge === "always" || huge === "force") {
    findings.push(finding("hugepages", "info", found("hugepages.on", { value: huge })));
  }
  return findings;
}

export function checkPrivileges(probes: DoctorProbes, subject: Subject): Finding[] {
  const findings = [
    probes.root ? finding("root", "ok", found("root.yes")) : finding("root", "warning", found("root.no")),
  ];
  const limit = /^Max open files\s+(\d+|unlimited)/m.exec(probes.read("/proc/self/limits") ?? "")?.[1];
  if (limit !== undefined && limit !== "unlimited" && Number(limit) < FILES_LEAST) {
    findings.push(finding("limits", "warning", found("limits.low", { count: limit })));
  }
  const user = subject.qemuUser;
  if (user === undefined) return [...findings, finding("user", "info", found("user.root"))];
  const known = (probes.read("/etc/passwd") ?? "").split("\n").some((line) => line.startsWith(`${user}:`));
  return [
    ...findings,
    known
      ? finding("user", "ok", found("user.known", { user }))
      : finding("user", "failed", found("user.missing", { user })),
  ];
}

export function checkService(probes: DoctorProbes): Finding[] {
  return [
    probes.list("/run/systemd/system") !== null
      ? finding("systemd", "ok", found("systemd.yes"))
      : finding("systemd", "warning", found("systemd.no")),
  ];
}

function checkTun(probes: DoctorProbes): Finding {
  switch (probes.opens("/dev/net/tun")) {
    case "yes":
      return finding("tun", "ok", found("tun.yes"));
    case "absent":
      return finding("tun", "failed", found("tun.absent"));
    case "busy":
      return finding("tun", "failed", found("tun.busy"));
    case "denied":
      return probes.root
        ? finding("tun", "failed", found("tun.denied"))
        : finding("tun", "unknown", found("tun.denied_user"));
  }
}

async function checkLease(probes: DoctorProbes): Promise<Finding> {
  if (!probes.root) return finding("nftables", "unknown", found("nftables.unknown"));
  const nft = await probes.run(["nft", "list", "tables"], RUN_MS);
  if (nft === null) return finding("nftables", "warning", found("nftables.missing"));
  if (nft.code === 0) return finding("nftables", "ok", found("nftables.answers"));
  return finding("nftables", "warning", found("nftables.failed", { said: nft.said.trim().slice(0, 200) }));
}

export async function checkDevices(probes: DoctorProbes, subject: Subject): Promise<Finding[]> {
  const lease = subject.kernelLease ? [await checkLease(probes)] : [];
  return [checkTun(probes), ...lease, checkWatchdog(probes, subject)];
}

function checkWatchdog(probes: DoctorProbes, { watchdog }: Subject): Finding {
  if (watchdog === "off") return finding("watchdog", "info", found("watchdog.off"));
  const [device] = (probes.list("/sys/class/watchdog") ?? []).toSorted();
  if (device === undefined) return finding("watchdog", "info", found("watchdog.none"));
  const identity = probes.read(`/sys/class/watchdog/${device}/identity`)?.trim() ?? "unknown kind";
  // The engine leaves such a one alone: a planned stop would reset the host.
  const stays = probes.read(`/sys/class/watchdog/${device}/nowayout`)?.trim() === "1";
  if (stays) return finding("watchdog", "warning", found("watchdog.nowayout", { device, identity }));
  return finding("watchdog", "ok", found("watchdog.found", { device, identity }));
}
