/** What a disk image is by its first bytes. Never used to choose how an image is read, which a guest could then choose by what it writes to
 * its disk: only to refuse an image that is not what a person said. */

import type { DiskCreate } from "../../model/vm.ts";

/** Formats that can be imported. */
export type ImageFormat = Extract<DiskCreate, { kind: "import" }>["format"];

const HEAD_BYTES = 4096;
const MAGICS: readonly { text: string; is: string; format?: ImageFormat }[] = [
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

/** What is wrong with calling this file an image of `format`; undefined: nothing that can be seen. */
export function magicProblem(path: string, format: ImageFormat): { what: string; hint: string } | undefined {
  const text = head(path);
  const found = MAGICS.find((magic) => text.startsWith(magic.text)) ??
    (text.slice(257, 262) === "ustar"
      ? { is: "a tar archive (an OVA is one)" } as typeof MAGICS[number]
      : undefined);
  if (found?.format === format) return undefined;
  if (found === undefined) {
    return format === "raw" ? undefined : {
      what: `is no ${format} image: it does not begin as one does`,
      hint: "Say the format that it has, or copy it again if it is damaged.",
    };
  }
  return { what: `is no ${format} image, but ${found.is}`, hint: hintFor(found) };
}

function hintFor(found: { is: string; format?: ImageFormat }): string {
  if (found.format !== undefined) return `Say format ${found.format}, if you trust where it is from.`;
  if (/VMDK/.test(found.is)) {
    return "Export the disk as one file (in VMware: as OVA or OVF, whose .vmdk is one file), and import that.";
  }
  if (/archive|packed/.test(found.is)) return "Unpack it, and import the disk image that is in it.";
  return "Convert it to qcow2 or raw where it comes from, and import that.";
}
