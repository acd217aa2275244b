/** From a VM spec to QEMU's arguments: pure, and but for `-incoming defer` and this host's own paths the same on both hosts. */

import { machineType } from "./machine_type.ts";
import { onHost, servedDisks, type VmSpec } from "./spec.ts";

/** Where things are on this host, and how QEMU is to run. */
export interface HostSide {
  role: "primary" | "standby";
  /** Directory for sockets and logs. */
  runDir: string;
  dataDir: string;
  /** What holds the guest's memory: /proc/PID/fd/N of the engine. */
  memoryPath: string;
  /** The accelerator, resolved (accel.ts). */
  accel: "kvm" | "tcg";
  /** The versioned machine type that this VM has; undefined: a new VM's. */
  machine?: string;
  /** User to run as; undefined: stay who we are. */
  user?: string;
}

/** The sockets and files of a VM in its run directory. */
export interface VmPaths {
  /** Monitor for the engine alone. */
  engineQmp: string;
  /** Monitor for TypeScript. */
  qmp: string;
  /** Directory that QEMU's own user may write to. */
  qemuDir: string;
  /** Device state at a takeover: QEMU listens here by migrate-incoming. */
  incoming: string;
  /** Device state of a checkpoint. */
  fifo: string;
  serialLog: string;
  serialSocket: string;
  vnc: string;
  disk(name: string): string;
  nic(index: number): string;
}

/** The paths below `runDir`. */
export function vmPaths(runDir: string): VmPaths {
  return {
    engineQmp: `${runDir}/qmp-engine.sock`,
    qmp: `${runDir}/qmp.sock`,
    qemuDir: `${runDir}/qemu`,
    incoming: `${runDir}/qemu/incoming.sock`,
    fifo: `${runDir}/device.fifo`,
    serialLog: `${runDir}/serial.log`,
    serialSocket: `${runDir}/serial.sock`,
    vnc: `${runDir}/vnc.sock`,
    disk: (name) => `${runDir}/${name}.sock`,
    nic: (index) => `${runDir}/nic${index}.sock`,
  };
}

/** Device models behind the spec's NIC models. */
const NIC_DEVICES = {
  "virtio-net": "virtio-net-pci",
  e1000e: "e1000e",
  e1000: "e1000",
  rtl8139: "rtl8139",
  vmxnet3: "vmxnet3",
} as const;

/** PCI slots, fixed so that both hosts, and every version to come, agree: chipset 0 and 1, then these, 1f q35's. */
const SLOTS = { vga: 0x02, disk: 0x03, nic: 0x0b, extra: 0x13 } as const;

/** MiB of translated code that TCG may keep: bounded, since it is QEMU's own memory beside the guest's. */
const TCG_CODE_MIB = 256;

type Value = string | number | boolean | undefined;

/** "model,key=value,..." as QEMU reads it: commas in values doubled, undefined left out, booleans on/off. */
export function option(head: string, properties: Record<string, Value>): string {
  const parts = head === "" ? [] : [head];
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined) continue;
    const text = typeof value === "boolean" ? (value ? "on" : "off") : String(value);
    parts.push(`${key}=${text.replaceAll(",", ",,")}`);
  }
  return parts.join(",");
}

function slot(base: number, index: number): string {
  return `0x${(base + index).toString(16)}`;
}

function machineArgs(spec: VmSpec, host: HostSide): string[] {
  const machine = option(host.machine ?? machineType(spec.machine), {
    "memory-backend": "ram",
    // The description of the device state is of no use here, and would be a quarter of it.
    "suppress-vmdesc": true,
    pflash0: spec.firmware === "bios" ? undefined : "firmware",
    pflash1: spec.firmware === "bios" ? undefined : "vars",
    "dump-guest-core": false,
    // What no guest here uses, and each checkpoint would save (VMware's mouse alone is 4 KB).
    vmport: false,
    smbus: false,
    sata: spec.devices.some((device) => device.startsWith("ide-")),
  });
  const memory = option("memory-backend-file", {
    id: "ram",
    "mem-path": host.memoryPath,
    size: `${spec.memory}M`,
    share: true,
    // Merged pages would be unmapped behind the tracker's back.
    merge: false,
    dump: false,
  });
  const accel = host.accel === "kvm"
    ? option("kvm", {})
    : option("tcg", { thread: "multi", "tb-size": TCG_CODE_MIB });
  // Under KVM both hosts must have every feature of the model, or a takeover would take one away from the guest.
  const cpu = host.accel === "kvm" ? `${spec.cpu},enforce` : spec.cpu;
  return [
    ...["-machine", machine],
    ...["-object", memory],
    ...["-m", `${spec.memory}M`],
    ...["-accel", accel],
    ...["-cpu", cpu],
    ...["-smp", `cpus=${spec.vcpus},sockets=1,cores=${spec.vcpus},threads=1`],
    // A restored machine's stream then starts with its devices, whatever the two QEMUs' defaults are.
    ...["-global", "migration.send-configuration=off"],
    // The guest's clock chip follows the guest's own time: the hosts' wall clocks differ, and jump.
    ...["-rtc", "base=utc,clock=vm"],
  ];
}

function firmwareArgs(spec: VmSpec, host: HostSide): string[] {
  if (spec.firmware === "bios") return [];
  const code = option("", {
    driver: "file",
    "node-name": "firmware",
    filename: onHost(spec.firmware.code, host.dataDir),
    "read-only": true,
  });
  return ["-blockdev", code];
}

function diskArgs(spec: VmSpec, host: HostSide, bus: string): string[] {
  const paths = vmPaths(host.runDir);
  const args: string[] = [];
  for (const [index, disk] of servedDisks(spec, host.dataDir).entries()) {
    const node = option("", {
      driver: "nbd",
      "node-name": disk.name,
      "server.type": "unix",
      "server.path": paths.disk(disk.name),
      export: disk.name,
      "reconnect-delay": 10,
      discard: "unmap",
    });
    args.push("-blockdev", node);
    if (disk.role === "uefi-vars") continue;
    const device = option("virtio-blk-pci", {
      id: disk.name,
      drive: disk.name,
      bus,
      addr: slot(SLOTS.disk, index),
      bootindex: disk.boot,
      serial: disk.name,
      "num-queues": 1,
      "disable-modern": spec.virtio === "legacy",
      "write-cache": "on",
      // An error of the engine's disk is the guest's to see: pausing it would look like a hang.
      werror: "report",
      rerror: "report",
    });
    args.push("-device", device);
  }
  return args;
}

function nicArgs(spec: VmSpec, host: HostSide, bus: string): string[] {
  const paths = vmPaths(host.runDir);
  return spec.nic.flatMap((nic, index) => {
    const netdev = option("stream", {
      id: `net${index}`,
      server: false,
      "addr.type": "unix",
      "addr.path": paths.nic(index),
    });
    const device = option(NIC_DEVICES[nic.model], {
      id: `nic${index}`,
      netdev: `net${index}`,
      mac: nic.mac,
      "disable-modern": nic.model === "virtio-net" ? spec.virtio === "legacy" : undefined,
      bus,
      addr: slot(SLOTS.nic, index),
      bootindex: nic.boot,
      // Without a boot order no boot ROM: one block of RAM less to keep equal.
      romfile: nic.boot === undefined ? "" : undefined,
    });
    return ["-netdev", netdev, "-device", device];
  });
}

function consoleArgs(spec: VmSpec, host: HostSide, bus: string): string[] {
  const paths = vmPaths(host.runDir);
  const args = ["-display", "none"];
  if (spec.vga) {
    args.push("-device", option("VGA", { id: "vga", bus, addr: slot(SLOTS.vga, 0), vgamem_mb: 16 }));
    args.push("-vnc", option(`unix:${paths.vnc}`, {}));
  } else {
    args.push("-vga", "none");
  }
  if (spec.serial === "file") {
    args.push("-chardev", option("file", { id: "serial0", path: paths.serialLog, append: true }));
  } else if (spec.serial === "socket") {
    args.push(
      "-chardev",
      option("socket", { id: "serial0", path: paths.serialSocket, server: true, wait: false }),
    );
  }
  if (spec.serial !== "off") args.push("-device", option("isa-serial", { id: "com1", chardev: "serial0" }));
  return args;
}

/** Extra devices; those that are on PCI without an address get a fixed one. */
function extraArgs(spec: VmSpec, bus: string): string[] {
  return spec.devices.flatMap((text, index) => {
    const onPci = /^[^,]*(-pci|-xhci|ahci|ich9-\w+|e1000e?|rtl8139|vmxnet3|i6300esb|pvpanic-pci)(-\w+)?(,|$)/
      .test(text);
    const placed = /,(bus|addr)=/.test(text) || !onPci;
    return ["-device", placed ? text : `${text},bus=${bus},addr=${slot(SLOTS.extra, index)}`];
  });
}

function bootArgs(spec: VmSpec, host: HostSide): string[] {
  const args = ["-boot", "menu=off,strict=on"];
  if (spec.kernel !== undefined) args.push("-kernel", onHost(spec.kernel, host.dataDir));
  if (spec.initrd !== undefined) args.push("-initrd", onHost(spec.initrd, host.dataDir));
  if (spec.cmdline !== undefined) args.push("-append", spec.cmdline);
  return args;
}

/** QEMU's arguments (without the program's name). QEMU starts stopped in both roles: the runner continues it. */
export function commandLine(spec: VmSpec, host: HostSide): string[] {
  const paths = vmPaths(host.runDir);
  const bus = machineType(spec.machine).startsWith("pc-q35") ? "pcie.0" : "pci.0";
  const monitor = (path: string) => option(`unix:${path}`, { server: true, wait: false });
  return [
    ...["-name", `${spec.name},debug-threads=on`],
    ...["-nodefaults", "-no-user-config", "-S"],
    ...(host.role === "standby" ? ["-incoming", "defer"] : []),
    ...machineArgs(spec, host),
    ...firmwareArgs(spec, host),
    ...diskArgs(spec, host, bus),
    ...nicArgs(spec, host, bus),
    ...consoleArgs(spec, host, bus),
    ...extraArgs(spec, bus),
    ...bootArgs(spec, host),
    ...["-qmp", monitor(paths.engineQmp)],
    ...["-qmp", monitor(paths.qmp)],
    // A guest that powers off leaves QEMU standing, so that the runner can tell this from a QEMU that died.
    ...["-action", "shutdown=pause,reboot=reset,panic=none"],
    ...sandboxArgs(host.user),
  ];
}

function sandboxArgs(user: string | undefined): string[] {
  // To change its user QEMU needs what elevateprivileges=deny forbids; it has given up root by the time the guest runs.
  const sandbox = ["-sandbox", "on,obsolete=deny,spawn=deny,resourcecontrol=deny"];
  return user === undefined ? sandbox : [...sandbox, "-runas", user];
}
