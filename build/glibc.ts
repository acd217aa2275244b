/** Binds a library to old versions of glibc's symbols, so that it loads wherever Deno itself does.
 *
 * The machine's own libraries list each symbol with every version that they still serve (`pthread_create@GLIBC_2.2.5`,
 * `pthread_create@@GLIBC_2.34`). For each symbol that a library needs, the newest version up to the limit is put into a
 * stub library with the real one's name; linking against the stubs instead of the real libraries records just these versions.
 * What has no version that old is written in glibc_compat.c. */

import { BuildError, exists, run } from "./run.ts";

/** The newest glibc that the product may need: what Deno itself needs. */
export const GLIBC_LIMIT = "2.27";

/** The parts of glibc, as they were when they were separate libraries, with the symbols that lived there then. A symbol that matches
 * none is in libc.so.6. */
const LIBRARIES: readonly { name: string; symbols: RegExp }[] = [
  { name: "ld-linux-x86-64.so.2", symbols: /^__tls_get_addr$/ },
  { name: "libpthread.so.0", symbols: /^(pthread_|sem_)/ },
  { name: "libdl.so.2", symbols: /^dl(open|sym|vsym|close|error|addr|info|mopen)$/ },
  { name: "librt.so.1", symbols: /^(shm_|mq_|timer_|aio_|lio_)/ },
];

/** Compares versions such as "2.2.5" and "2.27": negative, zero or positive. */
export function compareVersions(a: string, b: string): number {
  const left = a.split(".").map(Number);
  const right = b.split(".").map(Number);
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** A symbol that a glibc library serves. */
export interface ServedSymbol {
  name: string;
  version: string;
  isObject: boolean;
  bytes: number;
}

/** Reads `readelf --dyn-syms -W` of a glibc library. */
export function servedSymbols(listing: string): ServedSymbol[] {
  const served: ServedSymbol[] = [];
  for (const line of listing.split("\n")) {
    const fields = line.trim().split(/\s+/);
    const match = /^([^@]+)@@?GLIBC_([0-9.]+)$/.exec(fields[7] ?? "");
    if (!match || fields[6] === "UND" || fields[6] === "ABS") continue;
    served.push({
      name: match[1]!,
      version: match[2]!,
      isObject: fields[3] === "OBJECT",
      bytes: Number(fields[2]),
    });
  }
  return served;
}

/** The version of each needed symbol that is the newest within the limit; throws with the names of those that have none, and of
 * those that glibc does not know at all. */
export function oldVersions(
  needed: readonly string[],
  served: readonly ServedSymbol[],
): ServedSymbol[] {
  const best = new Map<string, ServedSymbol>();
  for (const symbol of served) {
    if (compareVersions(symbol.version, GLIBC_LIMIT) > 0) continue;
    const seen = best.get(symbol.name);
    if (!seen || compareVersions(symbol.version, seen.version) > 0) best.set(symbol.name, symbol);
  }
  const missing = needed.filter((name) => !best.has(name));
  const newer = missing.filter((name) => served.some((symbol) => symbol.name === name));
  if (newer.length > 0) {
    throw new BuildError(`glibc ${GLIBC_LIMIT} has no ${newer.join(", ")}`, {
      op: "bind to old glibc symbols",
      hint: "Avoid these functions, or write them in build/glibc_compat.c with what glibc 2.27 has.",
    });
  }
  if (missing.length > 0) {
    throw new BuildError(`nothing defines ${missing.join(", ")}`, {
      op: "link",
      hint: "Write these functions, or link the static library that has them.",
    });
  }
  return needed.map((name) => best.get(name)!);
}

function libraryOf(symbol: string): string {
  return LIBRARIES.find((library) => library.symbols.test(symbol))?.name ?? "libc.so.6";
}

/** Assembly for one stub library: its symbols with type and size, without content. */
function stubAssembly(symbols: readonly ServedSymbol[]): string {
  const lines = symbols.map(({ name, isObject, bytes }) =>
    `.globl ${name}\n.type ${name}, ${
      isObject ? "@object" : "@function"
    }\n.size ${name}, ${bytes}\n${name}:\n.skip 8`
  );
  return `.data\n${lines.join("\n")}\n.section .note.GNU-stack,"",@progbits\n`;
}

function versionScript(symbols: readonly ServedSymbol[]): string {
  const nodes = new Map<string, string[]>();
  for (const { name, version } of symbols) nodes.set(version, [...nodes.get(version) ?? [], name]);
  return [...nodes].map(([version, names]) => `GLIBC_${version} { global: ${names.join("; ")}; };\n`).join(
    "",
  );
}

/** Everything that the machine's glibc serves, from the library files that the compiler would use. */
async function machineSymbols(): Promise<ServedSymbol[]> {
  const served: ServedSymbol[] = [];
  for (const name of ["libc.so.6", ...LIBRARIES.map((library) => library.name)]) {
    const path = (await run(["gcc", `-print-file-name=${name}`])).trim();
    if (exists(path)) served.push(...servedSymbols(await run(["readelf", "--dyn-syms", "-W", path])));
  }
  return served;
}

/** Makes the stub libraries for the symbols that the unversioned `library` needs; returns their paths. */
export async function stubLibraries(library: string, directory: string): Promise<string[]> {
  const listing = await run(["nm", "-D", "--undefined-only", library]);
  const needed = [...listing.matchAll(/ U ([^@\s]+)/g)].map((match) => match[1]!);
  const chosen = oldVersions(needed, await machineSymbols());
  await Deno.mkdir(directory, { recursive: true });
  const paths: string[] = [];
  for (const name of new Set(["libc.so.6", ...chosen.map((symbol) => libraryOf(symbol.name))])) {
    const symbols = chosen.filter((symbol) => libraryOf(symbol.name) === name);
    const path = `${directory}/${name}`;
    await Deno.writeTextFile(`${path}.s`, stubAssembly(symbols));
    await Deno.writeTextFile(`${path}.map`, versionScript(symbols));
    await run([
      ...["gcc", "-shared", "-nostdlib", `-Wl,-soname,${name}`, `-Wl,--version-script,${path}.map`],
      ...["-o", path, `${path}.s`],
    ]);
    paths.push(path);
  }
  return paths;
}
