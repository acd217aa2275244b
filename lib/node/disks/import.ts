/** Imports an image of another hypervisor: looks at it, refuses what is not whole in itself, and converts it into a raw disk. */

import { dirname } from "node:path/posix";
import { z } from "zod";
import { type Explained, ProblemError } from "../../model/problem.ts";
import { explained } from "../../model/problem_english.ts";
import { checkSize, checkSpace, createSparse, isThere, partOf, publish, refuseExisting } from "./files.ts";
import { type ImageFormat, magicProblem } from "./magic.ts";
import { type QemuImgPlace, runQemuImg } from "./qemu_img.ts";

/** Processor seconds to look at an image, and for so many bytes of one to check or convert it. */
const LOOK_CPU_S = 30;
const BYTES_PER_CPU_S = 8 * 2 ** 20;
/** A check writes nothing. */
const NO_BYTES = 0;
/** Kinds of VMDK that are one file. */
const VMDK_WHOLE = ["monolithicSparse", "streamOptimized"];
const NO_PARENT = 0xffffffff;
const SECTOR = 512;

/** An image to import. */
export interface ImageSource {
  /** Absolute. */
  path: string;
  format: ImageFormat;
}

/** What was found about an image. */
export interface ImageFacts {
  /** Without links. */
  path: string;
  format: ImageFormat;
  /** Size of the disk in it. */
  bytes: number;
}

const info = z.object({
  "virtual-size": z.number().int().nonnegative(),
  format: z.string(),
  encrypted: z.boolean().optional(),
  "backing-filename": z.string().optional(),
  "full-backing-filename": z.string().optional(),
  "format-specific": z.object({
    data: z.object({
      "data-file": z.string().optional(),
      encrypt: z.unknown().optional(),
      corrupt: z.boolean().optional(),
      "create-type": z.string().optional(),
      "parent-cid": z.number().optional(),
      extents: z.array(z.object({ filename: z.string() })).optional(),
    }).optional(),
  }).optional(),
});

function invalid(said: Explained): ProblemError {
  return new ProblemError("invalid", said);
}

/** Longest complaint of qemu-img that is passed on. */
const SAID_MAX = 800;

/** The file itself, without links. */
function wholeFile(path: string): string {
  // deno-lint-ignore no-control-regex
  if (!path.startsWith("/") || /[\0-\x1f\x7f]/.test(path)) {
    throw invalid(explained("import.path", { path: JSON.stringify(path) }));
  }
  try {
    const real = Deno.realPathSync(path);
    if (!Deno.statSync(real).isFile) {
      throw invalid(explained("import.no_file", { path }));
    }
    return real;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      throw new ProblemError("not_found", explained("import.absent", { path }));
    }
    if (error instanceof Deno.errors.PermissionDenied) {
      throw invalid(explained("import.denied", { path }));
    }
    throw error;
  }
}

/** Why an image that qemu-img has looked at is not taken; undefined: nothing is wrong. */
export function imageProblem(raw: unknown, { path, format }: ImageSource): Explained | undefined {
  const read = info.safeParse(raw);
  if (!read.success || read.data.format !== format) return explained("import.not_understood", { path });
  const data = read.data["format-specific"]?.data;
  const backing = read.data["full-backing-filename"] ?? read.data["backing-filename"];
  if (backing !== undefined) return explained("import.backing", { path, file: JSON.stringify(backing) });
  if (data?.["data-file"] !== undefined) {
    return explained("import.data_file", { path, file: JSON.stringify(data["data-file"]) });
  }
  if (read.data.encrypted === true || data?.encrypt !== undefined) {
    return explained("import.encrypted", { path });
  }
  if (data?.corrupt === true) return explained("import.marked", { path });
  if (format !== "vmdk") return undefined;
  if (data?.["parent-cid"] !== undefined && data["parent-cid"] !== NO_PARENT) {
    return explained("import.parent", { path });
  }
  const kind = data?.["create-type"] ?? "";
  if (VMDK_WHOLE.includes(kind) && (data?.extents?.length ?? 0) === 1) return undefined;
  return explained("import.vmdk_kind", { path, kind: JSON.stringify(kind) });
}

/** What to do about a complaint of qemu-img. */
const HINTS: readonly [RegExp, string][] = [
  [/No space|File too large|enough space/i, "Free some space on this node."],
  [/lock/i, "Another program has it open: shut the VM down that uses it, or copy the image."],
  [
    /log that needs to be replayed/i,
    "It was not closed well: start and shut down its VM where it comes from, and copy it again.",
  ],
  [
    /extent|descriptor|parent|backing|No such file/i,
    "It refers to other files, which are not followed: export the disk as one file.",
  ],
];

function complaintHint(complaints: string): string {
  return HINTS.find(([pattern]) => pattern.test(complaints))?.[1] ??
    "It is damaged or of a kind that is not known: copy it again, or convert it to raw where it comes from.";
}

/** Looks at an image's file alone: quick. Throws ProblemError when it is not there or does not begin as one of its format. */
export function checkSource({ path, format }: ImageSource): { path: string; bytes: number } {
  const source = wholeFile(path);
  const wrong = magicProblem(source, { path, format });
  if (wrong !== undefined) throw invalid(wrong);
  return { path: source, bytes: Deno.statSync(source).size };
}

/** Looks at an image, and throws ProblemError unless it is whole and what it is said to be. */
export async function inspectImage(
  { path, format }: ImageSource,
  options: { place: QemuImgPlace; signal?: AbortSignal },
): Promise<ImageFacts> {
  const source = checkSource({ path, format }).path;
  const common = { source, write_bytes: NO_BYTES, ...(options.signal ? { signal: options.signal } : {}) };
  const looked = await runQemuImg({
    ...common,
    cpu_s: LOOK_CPU_S,
    args: (names) => ["info", "-f", format, "--output=json", names.source],
  }, options.place);
  if (looked.code !== 0) {
    const said = looked.complaints.slice(0, SAID_MAX);
    throw invalid(explained("import.unreadable", { path, said, hint: complaintHint(looked.complaints) }));
  }
  let found: unknown;
  try {
    found = JSON.parse(looked.stdout);
  } catch {
    found = undefined; // too long, or cut: not understood
  }
  const problem = imageProblem(found, { path, format });
  if (problem !== undefined) throw invalid(problem);
  const bytes = Math.ceil(info.parse(found)["virtual-size"] / SECTOR) * SECTOR;
  checkSize(`The disk in ${path}`, bytes);
  if (format !== "raw") {
    // A cut-off image converts without a complaint: zeros where its end was.
    const checked = await runQemuImg({
      ...common,
      cpu_s: LOOK_CPU_S + bytes / BYTES_PER_CPU_S,
      args: (names) => ["check", "-q", "-f", format, names.source],
    }, options.place);
    if (checked.code !== 0 && checked.code !== 3) { // 3: leaked clusters, which harm nothing
      const said = checked.complaints.slice(0, 300);
      throw invalid(explained("import.damaged", { path, said }));
    }
  }
  return { path: source, format, bytes };
}

/** Converts an image that was looked at into a raw disk at `target`, which must not be there. Throws ProblemError when that does not work, and what
 * `signal` says when it is aborted: then nothing is left. Bytes of the disk are reported. */
export async function importDisk(
  { image, target }: { image: ImageFacts; target: string },
  options: {
    place: QemuImgPlace;
    progress?: (done: number, total: number) => void;
    signal?: AbortSignal;
    /** Bytes that are free; left out: asked for. */
    free?: number;
  },
): Promise<void> {
  const { bytes, format } = image;
  const { place, progress, signal } = options;
  refuseExisting(target);
  checkSpace(dirname(target), options.free === undefined ? { bytes } : { bytes, free: options.free });
  const part = partOf(target);
  try {
    using file = createSparse(part, bytes);
    if (place.jail !== null) Deno.chownSync(part, place.jail.uid, place.jail.gid);
    const done = await runQemuImg({
      source: image.path,
      target: part,
      args: (names) => [
        ...["convert", "-p", "-n", "--target-is-zero", "-S", "4k", "-f", format, "-O", "raw"],
        ...[names.source, names.target],
      ],
      cpu_s: LOOK_CPU_S + bytes / BYTES_PER_CPU_S,
      write_bytes: bytes,
      progress: (percent) => progress?.(Math.floor(bytes * percent / 100), bytes),
      ...(signal ? { signal } : {}),
    }, place);
    if (done.code !== 0) {
      const said = done.complaints.slice(0, SAID_MAX);
      const hint = complaintHint(done.complaints);
      throw new ProblemError("failed", explained("import.not_converted", { path: image.path, said, hint }));
    }
    if (place.jail !== null) Deno.chownSync(part, Deno.uid()!, Deno.gid()!);
    if (file.statSync().size !== bytes) {
      throw new ProblemError(
        "failed",
        explained("import.wrong_size", {
          path: image.path,
          found: `${file.statSync().size}`,
          bytes: `${bytes}`,
        }),
      );
    }
    await file.sync();
    signal?.throwIfAborted();
    publish(part, target);
  } finally {
    if (isThere(part)) Deno.removeSync(part);
  }
}
