/** The demo guest's files: an initramfs with our own init and the kernel's modules, and an empty ext4 disk. */

import { Buffer } from "node:buffer";
import { basename } from "node:path";
import { EdgeError } from "../errors.ts";
import { runCommand } from "./command.ts";

/** A file, directory or device to be put into the initramfs. */
export interface CpioEntry {
  /** Path without a leading slash. */
  name: string;
  /** File type and permissions, as in stat's st_mode. */
  mode: number;
  data?: Uint8Array;
  /** Device number of a device node. */
  device?: { major: number; minor: number };
}

const DIRECTORY = 0o040755;
const FILE = 0o100644;
const PROGRAM = 0o100755;
const CHARACTER_DEVICE = 0o020600;
const ALIGNMENT = 4;
const ARCHIVE_END = "TRAILER!!!";

/** An archive in cpio's "newc" format, which is what the kernel unpacks at boot
 * (Linux, Documentation/driver-api/early-userspace/buffer-format.rst). */
export function cpioArchive(entries: readonly CpioEntry[]): Uint8Array {
  const parts: Uint8Array[] = [];
  [...entries, { name: ARCHIVE_END, mode: 0 }].forEach((entry: CpioEntry, index) => {
    const data = entry.data ?? new Uint8Array();
    const name = Buffer.from(`${entry.name}\0`, "utf8");
    const directory = (entry.mode & 0o170000) === 0o040000;
    const fields = [
      index + 1, // inode: distinct, so that nothing is taken for a hard link
      entry.mode,
      0, // owner
      0, // group
      directory ? 2 : 1, // links
      0, // time: none, so that equal inputs give equal archives
      data.length,
      0,
      0,
      entry.device?.major ?? 0,
      entry.device?.minor ?? 0,
      name.length,
      0,
    ];
    const header = `070701${
      fields.map((field) => field.toString(16).padStart(8, "0").toUpperCase()).join("")
    }`;
    const head = Buffer.concat([Buffer.from(header, "ascii"), name]);
    parts.push(head, padding(head.length), data, padding(data.length));
  });
  return new Uint8Array(Buffer.concat(parts));
}

function padding(length: number): Uint8Array {
  return new Uint8Array((ALIGNMENT - (length % ALIGNMENT)) % ALIGNMENT);
}

/** What the initramfs is made of. */
export interface InitramfsInput {
  /** The static program that becomes /init. */
  init: string;
  /** The kernel's modules, uncompressed, in the order of loading. */
  modules: readonly string[];
  output: string;
}

/** Writes the demo guest's initramfs to `output`. */
export async function writeInitramfs(input: InitramfsInput): Promise<void> {
  const entries: CpioEntry[] = [
    { name: "dev", mode: DIRECTORY },
    { name: "dev/console", mode: CHARACTER_DEVICE, device: { major: 5, minor: 1 } },
    { name: "modules", mode: DIRECTORY },
    { name: "init", mode: PROGRAM, data: await readInput(input.init) },
  ];
  for (const path of input.modules) {
    entries.push({ name: `modules/${basename(path)}`, mode: FILE, data: await readInput(path) });
  }
  const order = input.modules.map((path) => `${basename(path)}\n`).join("");
  entries.push({ name: "modules/modules.order", mode: FILE, data: new TextEncoder().encode(order) });
  await Deno.writeFile(input.output, cpioArchive(entries));
}

async function readInput(path: string): Promise<Uint8Array> {
  try {
    return await Deno.readFile(path);
  } catch (cause) {
    throw new EdgeError(`cannot read ${path}`, {
      op: "build the demo guest's initramfs",
      hint: "Run build/setup.sh, which fetches the guest's kernel and builds its init.",
      cause,
    });
  }
}

/** A disk image to be made. */
export interface DiskInput {
  path: string;
  /** Size in MiB, 16 or more. */
  megabytes: number;
}

/** Makes a sparse raw image with an empty ext4 file system (with a journal). What is at `path` is replaced. */
export async function createDisk(input: DiskInput): Promise<void> {
  const op = "make the demo guest's disk";
  if (!Number.isInteger(input.megabytes) || input.megabytes < 16) {
    throw new EdgeError(`a disk of ${input.megabytes} MiB is too small`, {
      op,
      hint: "Give it 16 MiB or more.",
    });
  }
  const file = await Deno.open(input.path, { write: true, create: true, truncate: true });
  try {
    await file.truncate(input.megabytes * 1024 * 1024);
  } finally {
    file.close();
  }
  // A small journal and eager tables: the guest's background initialisation would dirty memory for minutes.
  const options = "lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0";
  await runCommand(
    [
      "mke2fs",
      "-q",
      "-F",
      "-t",
      "ext4",
      "-m",
      "0",
      "-b",
      "4096",
      "-J",
      "size=4",
      "-N",
      "128",
      "-E",
      options,
      input.path,
    ],
    { op, hint: "Install the package e2fsprogs." },
  );
}

/** Checks the file system of an image as a machine would that finds it after a power cut: replays the journal, then looks at
 * everything. Works on a copy; the image stays as it is. */
export async function checkDisk(path: string): Promise<{ clean: boolean; text: string }> {
  const copy = await Deno.makeTempFile({ prefix: "iservft-fsck-" });
  try {
    await runCommand(["cp", "--sparse=always", path, copy], {
      op: "check the guest's disk",
      hint: "Make room.",
    });
    const replay = await e2fsck(["-p", "-E", "journal_only", copy]);
    if (replay.code !== 0) return { clean: false, text: replay.text };
    const { code, text } = await e2fsck(["-f", "-n", copy]);
    return { clean: code === 0, text };
  } finally {
    await Deno.remove(copy);
  }
}

async function e2fsck(args: string[]): Promise<{ code: number; text: string }> {
  const { code, stdout, stderr } = await new Deno.Command("e2fsck", {
    args,
    stdout: "piped",
    stderr: "piped",
  })
    .output();
  return { code, text: (new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr)).trim() };
}

/** Kernel command line of the demo guest. */
export interface GuestBoot {
  /** Address of eth0 with its prefix, e.g. "10.77.0.10/24". */
  ip: string;
  gateway?: string;
  /** Size of the pool of pages that the guest changes, in MiB. */
  poolMegabytes?: number;
}

/** The demo guest's kernel command line: quiet, and with as few timers and background writers as boot allows. */
export function guestCommandLine(boot: GuestBoot): string {
  const words = [
    "console=ttyS0",
    "quiet",
    "panic=1",
    "mitigations=off",
    "random.trust_cpu=on",
    "tsc=reliable",
    "nowatchdog",
    "audit=0",
    "selinux=0",
    "apparmor=0",
    `iservft.ip=${boot.ip}`,
  ];
  if (boot.gateway !== undefined) words.push(`iservft.gw=${boot.gateway}`);
  if (boot.poolMegabytes !== undefined) words.push(`iservft.pool_mb=${boot.poolMegabytes}`);
  return words.join(" ");
}
