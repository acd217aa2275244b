/** Proves what the product promises of its shared libraries: they load wherever Deno does, and export nothing but their own. */

import { compareVersions, GLIBC_LIMIT } from "./glibc.ts";
import { BuildError, run } from "./run.ts";

/** glibc and nothing else. */
const ALLOWED_NEEDS =
  /^(libc\.so\.6|libpthread\.so\.0|libdl\.so\.2|librt\.so\.1|libm\.so\.6|ld-linux-x86-64\.so\.2)$/;

/** What readelf says of a library. */
export interface LibraryFacts {
  /** DT_NEEDED. */
  needs: string[];
  /** Versions of glibc, e.g. "2.17". */
  glibcVersions: string[];
  /** Version requirements that are not glibc's numbered ones, and symbols bound to no version at all. */
  strange: string[];
  exports: string[];
  hasTextRelocations: boolean;
  hasExecutableStack: boolean;
}

/** Reads the listings of `readelf -d -W`, `readelf -l -W`, `readelf --version-info -W` and `readelf --dyn-syms -W`. */
export function libraryFacts(
  listings: { dynamic: string; segments: string; versions: string; symbols: string },
): LibraryFacts {
  const required = [...listings.versions.matchAll(/Name: (\S+)\s+Flags:/g)].map((match) => match[1]!);
  const numbered = required.map((name) => /^GLIBC_([0-9.]+)$/.exec(name)?.[1]);
  const symbols = listings.symbols.split("\n").map((line) => line.trim().split(/\s+/)).filter((f) =>
    /^\d+:$/.test(f[0] ?? "")
  );
  const unversioned = symbols.filter((f) =>
    f[6] === "UND" && f[4] !== "WEAK" && f[7] !== undefined && !f[7].includes("@")
  );
  return {
    needs: [...listings.dynamic.matchAll(/\(NEEDED\).*\[(.+)\]/g)].map((match) => match[1]!),
    glibcVersions: numbered.filter((version) => version !== undefined),
    strange: [...required.filter((_, i) => numbered[i] === undefined), ...unversioned.map((f) => f[7]!)],
    exports: symbols.filter((f) => f[6] !== "UND" && f[6] !== "ABS" && f[4] !== "LOCAL" && f[7]).map((f) =>
      f[7]!
    ),
    hasTextRelocations: /TEXTREL/.test(listings.dynamic),
    hasExecutableStack: /GNU_STACK.*RWE/.test(listings.segments),
  };
}

/** What of these facts breaks a promise, as sentences. `exported`: how exported names begin, with spaces between; "" when there
 * may be none. */
export function brokenPromises(facts: LibraryFacts, options: { exported: string }): string[] {
  const broken = facts.glibcVersions
    .filter((version) => compareVersions(version, GLIBC_LIMIT) > 0)
    .map((version) => `it needs glibc ${version}, newer than ${GLIBC_LIMIT}`);
  for (const name of facts.strange) broken.push(`it needs ${name}, which no version of glibc stands for`);
  for (const need of facts.needs) {
    if (!ALLOWED_NEEDS.test(need)) broken.push(`it needs ${need}, which is not glibc's`);
  }
  const begins = options.exported === "" ? [] : options.exported.split(" ");
  for (const name of facts.exports) {
    if (!begins.some((begin) => name.startsWith(begin))) broken.push(`it exports ${name}`);
  }
  if (options.exported !== "" && facts.exports.length === 0) {
    broken.push(`it exports nothing, not even ${options.exported}*`);
  }
  if (facts.hasTextRelocations) broken.push("it has text relocations");
  if (facts.hasExecutableStack) broken.push("it asks for an executable stack");
  return broken;
}

/** Throws BuildError with everything that is wrong with the library. */
export async function checkLibrary(path: string, options: { exported: string }): Promise<void> {
  const [dynamic, segments, versions, symbols] = await Promise.all([
    run(["readelf", "-d", "-W", path]),
    run(["readelf", "-l", "-W", path]),
    run(["readelf", "--version-info", "-W", path]),
    run(["readelf", "--dyn-syms", "-W", path]),
  ]);
  const broken = brokenPromises(libraryFacts({ dynamic, segments, versions, symbols }), options);
  if (broken.length === 0) return;
  throw new BuildError(`${path}: ${broken.join("; ")}`, {
    op: "check the library",
    hint:
      "Write what is too new in build/glibc_compat.c, link what is foreign statically, and export only isf_*.",
  });
}
