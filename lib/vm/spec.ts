/** What a VM is: the TOML file that is the same on both hosts. */

import { z } from "zod";
import { degradationSchema } from "./degradation.ts";
import { parseToml, readInput } from "./toml.ts";

/** QEMU devices that cannot be replicated, and why. */
const REFUSED_DEVICES: readonly [RegExp, string][] = [
  [
    /^vfio|^vhost|-host($|-)|passthru|^usb-redir|^u2f|^scsi-(block|generic)|^pvrdma/,
    "it passes a device of the host through",
  ],
  [/^virtio-9p|^vhost-user-fs|^usb-mtp/, "it shows files of the host, which the backup does not have"],
  [
    /^ivshmem|^virtio-(mem|pmem|balloon)|^pc-dimm|^nvdimm|^cxl|^pxb-cxl/,
    "it changes or adds memory beside the guest's main memory",
  ],
  [/^nvme|-gl($|-)|^virtio-gpu-rutabaga/, "QEMU cannot save its state"],
  [/^(guest-)?loader$|^ccid-card-/, "it reads a file of the host"],
  [/^tpm-/, "its TPM is a process of its own, which is not replicated yet"],
];
/** Properties that connect a device to something outside of the engine's disks and NICs. */
const REFUSED_PROPERTIES = ["drive", "netdev", "chardev", "memdev", "tpmdev", "fsdev"];

/** Properties that have QEMU read, as root, whatever file of the host they name; empty ones name none. */
const FILE_PROPERTY = /(?:file|path|dir|^db|fd)=.|\//i;

const name = z.string().regex(/^[a-z0-9][a-z0-9-]{0,31}$/, {
  error: "it must be 1 to 32 lower-case letters, digits or hyphens, starting with a letter or digit",
});

/** A path of a file on each host: absolute, or below the host's data directory. */
const hostPath = z.string().superRefine((path, context) => {
  const refuse = (message: string) => context.addIssue({ code: "custom", message });
  if (path === "" || path.length > 1000) refuse("it must be a path of 1 to 1,000 characters");
  // deno-lint-ignore no-control-regex
  else if (/[\x00-\x1f\x7f]/.test(path)) refuse("it must not hold control characters");
  else if (path.split("/").includes("..")) refuse("it must not go up by '..'; write where the file is");
  else if (path.endsWith("/")) refuse("it must name a file, not a directory");
});

const deviceText = z.string().superRefine((text, context) => {
  const refuse = (message: string) => context.addIssue({ code: "custom", message });
  const [model = "", ...properties] = text.split(",");
  if (!/^[A-Za-z0-9_.-]+$/.test(model)) {
    return refuse("it must be a QEMU device: MODEL or MODEL,property=value,...");
  }
  for (const [pattern, why] of REFUSED_DEVICES) {
    if (pattern.test(model)) return refuse(`${model} cannot be protected: ${why}`);
  }
  for (const property of properties) {
    const key = property.split("=")[0] ?? "";
    if (!/^[A-Za-z0-9_.-]+=[^\s]*$/.test(property)) return refuse(`"${property}" is not property=value`);
    if (FILE_PROPERTY.test(property)) return refuse(`"${property}" names a file of the host`);
    if (REFUSED_PROPERTIES.includes(key)) {
      return refuse(`${key}= would connect it to something that is not replicated; use [[disk]] and [[nic]]`);
    }
  }
});

const bootIndex = z.int().min(0, { error: "allowed: 0 to 99" }).max(99, { error: "allowed: 0 to 99" });

const diskSchema = z.strictObject({
  path: hostPath,
  format: z.literal("raw").default("raw"),
  /** Boot order: the lowest is tried first. */
  boot: bootIndex.optional(),
});

const mac = z.string().regex(/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i, {
  error: "it must be a MAC address such as 52:54:00:12:34:56",
}).refine((text) => (Number.parseInt(text.slice(0, 2), 16) & 1) === 0, {
  error: "it is a multicast address; the first byte must be even",
}).transform((text) => text.toLowerCase());

const nicSchema = z.strictObject({
  mac,
  bridge: z.string().regex(/^[A-Za-z0-9_.-]{1,15}$/, {
    error: "it must be an interface name of 1 to 15 characters",
  })
    .optional(),
  model: z.enum(["virtio-net", "e1000e", "e1000", "rtl8139", "vmxnet3"]).default("virtio-net"),
  boot: bootIndex.optional(),
});

const firmwareSchema = z.union([
  z.literal("bios"),
  z.strictObject({ code: hostPath, vars: hostPath }),
], { error: 'allowed: "bios", or a table with code and vars (paths of OVMF)' });

const STOP_S = { error: "allowed: 0 to 600 (s)" };
const MEMORY = { error: "allowed: 64 to 65536 (MiB)" };
const VCPUS = { error: "allowed: 1 to 8" };

const specSchema = z.strictObject({
  name,
  /** MiB. */
  memory: z.int(MEMORY).min(64, MEMORY).max(65536, MEMORY),
  vcpus: z.int(VCPUS).min(1, VCPUS).max(8, VCPUS).default(1),
  cpu: z.string().regex(/^[A-Za-z0-9._-]+(,[+-]?[A-Za-z0-9._-]+(=[A-Za-z0-9._-]+)?)*$/, {
    error: "it must be a QEMU CPU model such as Nehalem or qemu64, perhaps with features: Nehalem,+aes",
  }).default("Nehalem"),
  accel: z.enum(["auto", "kvm", "tcg"]).default("auto"),
  machine: z.string().regex(/^(q35|pc|pc-(q35|i440fx)-\d+\.\d+)$/, {
    error: 'allowed: "q35", "pc", or a version of them such as "pc-q35-7.2"',
  }).default("q35"),
  /** The virtio devices' interface. QEMU saves 45 KB for each modern one, 1,024 queues whatever it has: half a millisecond of
   * each pause. Guests' drivers speak both. */
  virtio: z.enum(["legacy", "modern"]).default("legacy"),
  vga: z.boolean().default(false),
  serial: z.enum(["off", "file", "socket"]).default("file"),
  /** When the VM is stopped its guest is asked to power itself off, and has this long for it, s. 0: it is not asked. */
  stop_s: z.int(STOP_S).min(0, STOP_S).max(600, STOP_S).default(30),
  firmware: firmwareSchema.default("bios"),
  kernel: hostPath.optional(),
  initrd: hostPath.optional(),
  cmdline: z.string().max(2000, { error: "allowed: at most 2,000 characters" }).optional(),
  devices: z.array(deviceText).max(8, { error: "allowed: at most 8 devices" }).default([]),
  disk: z.array(diskSchema).max(7, { error: "allowed: at most 7 disks" }).default([]),
  degradation: degradationSchema,
  nic: z.array(nicSchema).max(8, { error: "allowed: at most 8 NICs" }).default([]),
}).superRefine((spec, context) => {
  const refuse = (path: PropertyKey[], message: string) =>
    context.addIssue({ code: "custom", path, message });
  if (spec.kernel === undefined) {
    if (spec.initrd !== undefined) refuse(["initrd"], "it needs `kernel` beside it");
    if (spec.cmdline !== undefined) refuse(["cmdline"], "it needs `kernel` beside it");
  }
  const model = spec.cpu.split(",")[0] ?? "";
  if (model === "host" || (model === "max" && spec.accel !== "tcg")) {
    refuse(["cpu"], "it differs from host to host; name a model that both have, such as Nehalem or EPYC");
  }
  refuseRepeats(
    spec.disk.map((disk) => disk.path),
    (index) => refuse(["disk", index, "path"], "another disk has it"),
  );
  refuseRepeats(
    spec.nic.map((nic) => nic.mac),
    (index) => refuse(["nic", index, "mac"], "another NIC has it"),
  );
  if (spec.kernel !== undefined) {
    const first = (table: "disk" | "nic") => spec[table].findIndex((one) => one.boot === 0);
    for (const table of ["disk", "nic"] as const) {
      if (first(table) >= 0) {
        refuse(
          [table, first(table), "boot"],
          "with `kernel` the kernel boots first: begin with 1, or leave it out",
        );
      }
    }
  }
  const boots = [
    ...spec.disk.map((d, i) => ["disk", i, d.boot]),
    ...spec.nic.map((n, i) => ["nic", i, n.boot]),
  ] as const;
  refuseRepeats(boots.map((entry) => entry[2]), (index) => {
    const [table, at] = boots[index] ?? [];
    if (table !== undefined && at !== undefined) {
      refuse([table, at, "boot"], "another disk or NIC has this boot order");
    }
  });
});

function refuseRepeats(values: readonly unknown[], refuse: (index: number) => void): void {
  values.forEach((value, index) => {
    if (value !== undefined && values.indexOf(value) < index) refuse(index);
  });
}

/** A checked VM spec, defaults filled in. */
export type VmSpec = z.infer<typeof specSchema>;

/** A VM of which its file says the least that it can: everything else is a default. */
export function specDefaults(): VmSpec {
  return specSchema.parse({
    name: "vm",
    memory: 64,
    disk: [{ path: "disk" }],
    nic: [{ mac: "52:54:00:00:00:00" }],
  });
}

/** Checks the text of a spec. Throws InputError with every problem. */
export function parseSpec(source: { file: string; text: string }): VmSpec {
  return parseToml(specSchema, source);
}

/** Reads and checks a spec file. */
export function readSpec(file: string): VmSpec {
  return parseSpec(readInput(file));
}

/** A path of a spec on this host: relative ones are below the data directory. */
export function onHost(path: string, dataDir: string): string {
  return path.startsWith("/") ? path : `${dataDir}/${path}`;
}

/** One disk as the engine serves it: the spec's disks, and then the UEFI variables, which are replicated like a disk. */
export interface ServedDisk {
  /** Export name, and prefix of its files. */
  name: string;
  image: string;
  boot: number | undefined;
  role: "disk" | "uefi-vars";
}

/** The disks that the engine serves for `spec`, in the order of their indices. */
export function servedDisks(spec: VmSpec, dataDir: string): ServedDisk[] {
  const disks: ServedDisk[] = spec.disk.map((disk, index) => ({
    name: `disk${index}`,
    image: onHost(disk.path, dataDir),
    boot: disk.boot,
    role: "disk",
  }));
  if (spec.firmware !== "bios") {
    disks.push({
      name: "vars",
      image: onHost(spec.firmware.vars, dataDir),
      boot: undefined,
      role: "uefi-vars",
    });
  }
  return disks;
}
