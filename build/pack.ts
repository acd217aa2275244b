/** Our own packer: a static launcher (build/launcher/), then the program's files, each compressed, in one executable file. The format
 * is described in launcher/launcher.h. */

import { createHash } from "node:crypto";
import { basename, dirname } from "node:path";
import { BuildError, CACHE, exists, filesIn, outdated, ROOT, run } from "./run.ts";

/** A file that goes into the packed program. */
export interface PackedFile {
  /** Where it is now. */
  from: string;
  /** Where it will be, relative to the directory into which the program unpacks itself. */
  path: string;
  mode: 0o400 | 0o500;
}

const COMPRESSION = ["-q", "-T2", "-19", "--long=27", "--check"];
/** Compressed files from this size on are kept in .cache/pack. */
const KEEP_BYTES = 16 << 20;
const FOOTER_BYTES = 64;
const MAGIC = "ISFPACK1";

function hex(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** One zstd frame of the file. Large ones are kept by content: Deno itself takes half a minute. */
async function compressed(path: string): Promise<Uint8Array> {
  const content = await Deno.readFile(path);
  const kept = `${CACHE}/pack/${hex(content)}.zst`;
  if (exists(kept)) return await Deno.readFile(kept);
  await Deno.mkdir(dirname(kept), { recursive: true });
  const made = await Deno.makeTempFile({ dir: dirname(kept), prefix: "new-" });
  try {
    await run(["zstd", ...COMPRESSION, "-f", path, "-o", made]);
    const frame = await Deno.readFile(made);
    if (content.length >= KEEP_BYTES) await Deno.rename(made, kept);
    else await Deno.remove(made);
    return frame;
  } catch (error) {
    await Deno.remove(made);
    throw error;
  }
}

/** Builds the launcher if it is outdated; returns its path. */
export async function buildLauncher(): Promise<string> {
  const directory = `${ROOT}/build/launcher`;
  const made = `${CACHE}/pack/launcher`;
  const zstd = `${CACHE}/lib/libzstd.a`;
  const sources = filesIn(directory, ".c");
  if (!outdated(made, [...sources, ...filesIn(directory, ".h"), zstd])) return made;
  await Deno.mkdir(dirname(made), { recursive: true });
  await run([
    ...[
      "gcc",
      "-std=c11",
      "-D_GNU_SOURCE",
      "-Wall",
      "-Wextra",
      "-Werror",
      "-O2",
      "-static",
      "-s",
      "-Wl,--gc-sections",
    ],
    ...[`-I${CACHE}/include`, ...sources, zstd, "-o", made],
  ]);
  return made;
}

function footer(
  offsets: { payload: number; index: number; indexBytes: number },
  sha256: Uint8Array,
): Uint8Array {
  const bytes = new Uint8Array(FOOTER_BYTES);
  const view = new DataView(bytes.buffer);
  bytes.set(new TextEncoder().encode(MAGIC));
  view.setBigUint64(8, BigInt(offsets.payload), true);
  view.setBigUint64(16, BigInt(offsets.index), true);
  view.setBigUint64(24, BigInt(offsets.indexBytes), true);
  bytes.set(sha256, 32);
  return bytes;
}

/** Makes the executable `output`. Nobody sees it half written. */
export async function pack(files: readonly PackedFile[], output: string): Promise<void> {
  const launcher = await Deno.readFile(await buildLauncher());
  const blobs: Uint8Array[] = [];
  let index = "";
  let offset = launcher.length;
  for (const file of files) {
    const blob = await compressed(file.from);
    const { size } = await Deno.stat(file.from);
    index += `${file.mode.toString(8)} ${offset} ${blob.length} ${size} ${file.path}\n`;
    offset += blob.length;
    blobs.push(blob);
  }
  const text = new TextEncoder().encode(index);
  const hash = createHash("sha256");
  for (const part of [...blobs, text]) hash.update(part);
  const end = footer({ payload: launcher.length, index: offset, indexBytes: text.length }, hash.digest());
  await Deno.mkdir(dirname(output), { recursive: true });
  {
    using file = await Deno.open(`${output}.new`, { write: true, create: true, truncate: true, mode: 0o755 });
    const writer = file.writable.getWriter();
    for (const part of [launcher, ...blobs, text, end]) await writer.write(part);
    await writer.close();
  }
  await Deno.chmod(`${output}.new`, 0o755);
  await Deno.rename(`${output}.new`, output);
}

/** Modules that are started as workers: each is a bundle of its own beside main.js, found by its name (lib/observe/store_thread.ts). */
export const WORKERS: readonly string[] = ["lib/observe/store_worker.ts"];

/** Bundles each worker into one file of `directory`. */
export async function bundleWorkers(directory: string): Promise<void> {
  for (const worker of WORKERS) {
    const made = `${directory}/${basename(worker, ".ts")}.js`;
    await run([Deno.execPath(), "bundle", "--quiet", "--platform", "deno", "-o", made, `${ROOT}/${worker}`], {
      cwd: ROOT,
    });
  }
}

/** Bundles main.ts and all that it may load into `directory`, one file for the start and others for what is loaded later. */
export async function bundle(directory: string): Promise<PackedFile[]> {
  await Deno.remove(directory, { recursive: true }).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
  await run([
    ...[
      Deno.execPath(),
      "bundle",
      "--quiet",
      "--platform",
      "deno",
      "--code-splitting",
      "--outdir",
      directory,
    ],
    `${ROOT}/main.ts`,
  ], { cwd: ROOT });
  await bundleWorkers(directory);
  const made = filesIn(directory, "");
  if (!made.includes(`${directory}/main.js`)) {
    throw new BuildError(`deno bundle made no main.js but ${made.join(", ") || "nothing"}`, {
      op: "bundle the program",
      hint: "Run it by hand and look: deno bundle --platform deno --code-splitting --outdir /tmp/out main.ts",
    });
  }
  return made.map((from) => ({ from, path: `app/${from.slice(directory.length + 1)}`, mode: 0o400 }));
}
