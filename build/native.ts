/** Builds what is not TypeScript, into .cache/native and .cache/guest: the engine's library, the preload shim, the init of the demo's
 * guest, the lab's volatile storage. Only what is older than its sources is built again. `deno run -A build/native.ts` */

import { errorText } from "../lib/errors.ts";
import { checkLibrary } from "./check_native.ts";
import { stubLibraries } from "./glibc.ts";
import { BuildError, CACHE, exists, filesIn, modified, outdated, ROOT, run } from "./run.ts";

/** Where the built files are. */
export const NATIVE = {
  library: `${CACHE}/native/libiservft.so`,
  shim: `${CACHE}/native/libiservft-shim.so`,
  guestInit: `${CACHE}/guest/init`,
  /** The lab's storage that loses what was not synced. */
  volatileStorage: `${CACHE}/native/volatile-storage`,
  /** What is preloaded into the programs of a lab's host whose wall clock is to jump. */
  labClock: `${CACHE}/native/lab-clock.so`,
} as const;

const WARNINGS = ["-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror"];
const COMPILE = [
  ...WARNINGS,
  ...["-O2", "-g0", "-fPIC", "-fvisibility=hidden", "-ffunction-sections", "-fdata-sections", "-pthread"],
  ...["-fno-semantic-interposition", "-fstack-protector-strong", `-ffile-prefix-map=${ROOT}=.`],
];
const LINK = [
  ...["-shared", "-nodefaultlibs", "-Wl,--gc-sections", "-Wl,--exclude-libs,ALL", "-Wl,--as-needed"],
  // Never unmapped: libcrypto leaves destructors for the threads that used it, which end whenever their pool lets them.
  "-Wl,-z,nodelete",
  ...["-Wl,-z,now", "-Wl,-z,relro", "-Wl,-z,noexecstack", "-Wl,-O1", "-Wl,--hash-style=gnu", "-s"],
];
const COMPAT = `${ROOT}/build/glibc_compat.c`;
const PARALLEL = 2;

/** Compiles each source to an object, those that are outdated; returns all objects. */
async function compile(sources: readonly string[], options: { headers: readonly string[]; to: string }) {
  await Deno.mkdir(options.to, { recursive: true });
  const objects = sources.map((source) =>
    `${options.to}/${source.slice(ROOT.length + 1).replaceAll("/", "_")}.o`
  );
  const waiting = sources.map((source, i) => ({ source, object: objects[i]! }))
    .filter(({ source, object }) => outdated(object, [source, ...options.headers, import.meta.filename!]));
  const worker = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      // The static libraries' own headers come first: the machine's may be of another version.
      await run([
        "gcc",
        ...COMPILE,
        `-I${CACHE}/include`,
        `-I${ROOT}/ffi`,
        "-c",
        next.source,
        "-o",
        next.object,
      ]);
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, worker));
  return objects;
}

async function staticLibraries(): Promise<string[]> {
  const crypto = (await run(["gcc", "-print-file-name=libcrypto.a"])).trim();
  const libraries = [`${CACHE}/lib/liblz4.a`, `${CACHE}/lib/libzstd.a`, crypto];
  const missing = libraries.filter((path) => !exists(path));
  if (missing.length > 0) {
    throw new BuildError(`there is no ${missing.join(", ")}`, {
      op: "build the engine",
      hint: "Run build/setup.sh first.",
    });
  }
  return libraries;
}

/** What goes into a shared library. */
export interface LibraryParts {
  objects: string[];
  /** Static libraries. */
  libraries: string[];
  /** How the exported names begin, with spaces between; "" for none. */
  exported: string;
}

/** Links a shared library that needs only old symbols of glibc and exports only its own, and proves it. */
export async function linkLibrary(output: string, parts: LibraryParts): Promise<void> {
  const name = output.slice(output.lastIndexOf("/") + 1);
  const work = `${output}.link`;
  await Deno.mkdir(work, { recursive: true });
  const nonshared = (await run(["gcc", "-print-file-name=libc_nonshared.a"])).trim();
  const compat = await compile([COMPAT], { headers: [], to: work });
  const script = `${work}/exports.map`;
  const global = parts.exported === "" ? "" : `global: ${parts.exported.split(" ").join("*; ")}*;`;
  await Deno.writeTextFile(script, `{ ${global} local: *; };\n`);
  const common = [
    ...["gcc", ...LINK, `-Wl,-soname,${name}`, `-Wl,--version-script,${script}`, ...parts.objects, ...compat],
    ...["-Wl,--start-group", ...parts.libraries, nonshared, "-lgcc", "-Wl,--end-group"],
  ];
  // Once to learn what it needs, then for good.
  await run([...common, "-Wl,--unresolved-symbols=ignore-all", "-o", `${work}/unbound.so`]);
  const stubs = await stubLibraries(`${work}/unbound.so`, `${work}/stubs`);
  const made = `${work}/${name}`;
  await run([...common, "-Wl,-z,defs", ...stubs, "-o", made]);
  await checkLibrary(made, { exported: parts.exported });
  await Deno.rename(made, output);
}

async function buildLibrary(): Promise<boolean> {
  const sources = filesIn(`${ROOT}/ffi/src`, ".c");
  // The directory itself is newer when a source was removed.
  const headers = [`${ROOT}/ffi/iservft.h`, ...filesIn(`${ROOT}/ffi/src`, ".h")];
  const libraries = await staticLibraries();
  if (
    !outdated(NATIVE.library, [`${ROOT}/ffi/src`, ...sources, ...headers, ...libraries, COMPAT, ...scripts()])
  ) return false;
  const objects = await compile(sources, { headers, to: `${CACHE}/native/objects` });
  await linkLibrary(NATIVE.library, { objects, libraries, exported: "isf_" });
  return true;
}

async function buildShim(): Promise<boolean> {
  const source = `${ROOT}/ffi/shim.c`;
  const headers = filesIn(`${ROOT}/ffi/src`, ".h");
  if (!outdated(NATIVE.shim, [source, ...headers, COMPAT, ...scripts()])) return false;
  const objects = await compile([source], { headers, to: `${CACHE}/native/objects` });
  await linkLibrary(NATIVE.shim, { objects, libraries: [], exported: "mmap munmap" }); // it stands before libc's
  return true;
}

async function buildGuestInit(): Promise<boolean> {
  const directory = `${ROOT}/build/guest`;
  const sources = filesIn(directory, ".c");
  const inputs = [...sources, ...filesIn(directory, ".h"), ...scripts()];
  if (!outdated(NATIVE.guestInit, inputs)) return false;
  await Deno.mkdir(`${CACHE}/guest`, { recursive: true });
  const made = `${NATIVE.guestInit}.new`;
  await run(["gcc", ...WARNINGS, "-O2", "-static", "-s", "-pthread", ...sources, "-o", made]);
  await Deno.rename(made, NATIVE.guestInit);
  return true;
}

async function buildVolatileStorage(): Promise<boolean> {
  const directory = `${ROOT}/build/lab`;
  const sources = filesIn(directory, ".c");
  if (!outdated(NATIVE.volatileStorage, [...sources, ...filesIn(directory, ".h"), ...scripts()])) {
    return false;
  }
  const made = `${NATIVE.volatileStorage}.new`;
  await run(["gcc", ...WARNINGS, "-O2", "-s", ...sources, "-o", made]);
  await Deno.rename(made, NATIVE.volatileStorage);
  return true;
}

async function buildLabClock(): Promise<boolean> {
  const source = `${ROOT}/build/lab/clock/clock.c`;
  if (!outdated(NATIVE.labClock, [source, ...scripts()])) return false;
  const made = `${NATIVE.labClock}.new`;
  await run(["gcc", ...WARNINGS, "-O2", "-s", "-shared", "-fPIC", source, "-o", made]);
  await Deno.rename(made, NATIVE.labClock);
  return true;
}

function scripts(): string[] {
  return ["native.ts", "glibc.ts", "check_native.ts"].map((name) => `${ROOT}/build/${name}`);
}

/** Builds all that is outdated, one build at a time in a tree. `say` is told what was done. */
export async function buildNative(say: (line: string) => void): Promise<void> {
  await Deno.mkdir(`${CACHE}/native`, { recursive: true });
  using lock = await Deno.open(`${CACHE}/native/lock`, { create: true, write: true });
  await lock.lock(true);
  const parts = [
    { name: "libiservft.so", source: `${ROOT}/ffi/src/engine.c`, build: buildLibrary },
    { name: "libiservft-shim.so", source: `${ROOT}/ffi/shim.c`, build: buildShim },
    {
      name: "the lab's volatile storage",
      source: `${ROOT}/build/lab/main.c`,
      build: buildVolatileStorage,
    },
    { name: "the lab's clock", source: `${ROOT}/build/lab/clock/clock.c`, build: buildLabClock },
    { name: "the demo guest's init", source: `${ROOT}/build/guest/init.c`, build: buildGuestInit },
  ];
  for (const part of parts) {
    if (modified(part.source) === -Infinity) {
      say(`native: ${part.name} is not built: ${part.source} does not exist`);
    } else if (await part.build()) say(`native: built ${part.name}`);
  }
}

if (import.meta.main) {
  try {
    await buildNative((line) => console.error(line));
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    console.error(`error: ${errorText(error)}`);
    Deno.exit(error.exitCode);
  }
}
