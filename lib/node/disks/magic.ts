/** What a disk image is by its first bytes. Never used to choose how an image is read, which a guest could then choose by what it writes to
 * its disk: only to refuse an image that is not what a person said. */

import type { Explained } from "../../model/problem.ts";
import { explained } from "../../model/problem_english.ts";
import type { DiskCreate } from "../../model/vm.ts";

/** Formats that can be imported. */
export type ImageFormat = Extract<DiskCreate, { kind: "import" }>["format"];

const HEAD_BYTES = 4096;
interface Magic {
  text: string;
  is: string;
  format?: ImageFormat;
}

const MAGICS: readonly Magic[] = [
  { text: "QFI\xfb", is: "a qcow2 image", format: "qcow2" },
  { text: "KDMV", is: "a VMDK image", format: "vmdk" },
  { text: "COWD", is: "an old VMDK image of ESX" },
  { text: "# Disk DescriptorFile", is: "the description of a VMDK whose data is in other files" },
  { text: "vhdxfile", is: "a VHDX image", format: "vhdx" },
  { text: "conectix", is: "a VHD image" },
  { text: "<<< ", is: "a VirtualBox VDI image" },
  { text: "QED\0", is: "a QED image" },
  { text: "PK\x03\x04", is: "a ZIP archive" },
  { text: "\x1f\x8b", is: "a file packed by gzip" },
  { text: "\xfd7zXZ", is: "a file packed by xz" },
  { text: "\x28\xb5\x2f\xfd", is: "a file packed by zstd" },
];

function head(path: string): string {
  using file = Deno.openSync(path);
  const bytes = new Uint8Array(HEAD_BYTES);
  let read = 0;
  while (read < HEAD_BYTES) {
    const got = file.readSync(bytes.subarray(read));
    if (got === null) break;
    read += got;
  }
  return String.fromCharCode(...bytes.subarray(0, read));
}

function magicOf(path: string): Magic | undefined {
  const text = head(path);
  return MAGICS.find((magic) => text.startsWith(magic.text)) ??
    (text.slice(257, 262) === "ustar" ? { text: "", is: "a tar archive (an OVA is one)" } : undefined);
}

/** What a file is by its first bytes, "a VHD image"; undefined: a raw image, or nothing that is known. */
export function beginsAs(path: string): string | undefined {
  return magicOf(path)?.is;
}

/** What is wrong with calling the file at `source` an image of `format`; undefined: nothing that can be seen. `path`: what it is called. */
export function magicProblem(
  source: string,
  { path, format }: { path: string; format: ImageFormat },
): Explained | undefined {
  const found = magicOf(source);
  if (found === undefined) return format === "raw" ? undefined : explained("import.format", { path, format });
  if (found.format === format) return undefined;
  const about = { path, format, is: found.is };
  if (found.format !== undefined) return explained("import.other_format", { ...about, found: found.format });
  if (/VMDK/.test(found.is)) return explained("import.vmdk_description", about);
  if (/archive|packed/.test(found.is)) return explained("import.packed", about);
  return explained("import.foreign", about);
}
