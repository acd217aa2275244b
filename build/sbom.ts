/** What is in the program that others made, as CycloneDX 1.6: npm packages from deno.lock, the libraries that are linked in, and Deno.
 * `deno run -A build/sbom.ts` writes dist/iservft-edge.cdx.json; so does the build. The same inputs give the same file. */

import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import config from "../deno.json" with { type: "json" };
import { errorText } from "../lib/errors.ts";
import { BuildError, CACHE, exists, ROOT, run } from "./run.ts";
import { treeFiles } from "./tidy.ts";

export const SBOM_FILE = `${ROOT}/dist/iservft-edge.cdx.json`;

/** One part, as CycloneDX names its keys. `scope` "excluded": only the tests use it, it is not in the program. */
export interface Component {
  "type": "library" | "platform" | "application";
  "bom-ref": string;
  "name": string;
  "group"?: string;
  "version": string;
  "purl"?: string;
  "scope"?: "required" | "excluded";
  "description"?: string;
  "hashes"?: { alg: "SHA-512" | "SHA-256"; content: string }[];
}

/** What is used of deno.lock. */
export interface Lock {
  version: string;
  specifiers: Record<string, string>;
  npm: Record<
    string,
    { integrity: string; dependencies?: string[]; optionalDependencies?: string[]; optionalPeers?: string[] }
  >;
}

/** A name and version of a key in deno.lock, e.g. "@a/b@1.2.3_peer@4.5.6". */
export function parseKey(key: string): { name: string; version: string } {
  const match = /^(@?[^@]+)@([^_]+)(?:_.*)?$/.exec(key);
  if (match === null) {
    throw new BuildError(`deno.lock has a package ${JSON.stringify(key)}, which is not NAME@VERSION`, {
      op: "write the list of parts",
      hint: "Look whether deno.lock has a new version, and teach build/sbom.ts its form.",
    });
  }
  return { name: match[1]!, version: match[2]! };
}

/** The key of a dependency: with its version, or by its name alone where the lock has one version of it. */
function keyOf(lock: Lock, dependency: string): string {
  if (lock.npm[dependency] !== undefined) return dependency;
  const found = Object.keys(lock.npm).filter((key) => {
    const { name, version } = parseKey(key);
    return name === dependency || `${name}@${version}` === dependency;
  });
  if (found.length === 1) return found[0]!;
  throw new BuildError(`deno.lock has ${found.length} packages for ${JSON.stringify(dependency)}`, {
    op: "write the list of parts",
    hint: "Run deno install, and look at deno.lock.",
  });
}

/** Names of npm packages that modules import, by what they write: "hono/jsx" is hono. */
export function importedNames(sources: readonly string[], known: readonly string[]): Set<string> {
  const names = new Set<string>();
  const pattern =
    /(?:\bfrom\s*|\bimport\s*\(\s*|^\s*import\s+|@jsxImportSource\s+)["']?((?:@[\w.-]+\/)?[\w.-]+)/gm;
  for (const text of sources) {
    for (const match of text.matchAll(pattern)) if (known.includes(match[1]!)) names.add(match[1]!);
  }
  return names;
}

/** Keys of deno.lock that these packages need, themselves included. */
export function closure(lock: Lock, names: Iterable<string>): Set<string> {
  const found = new Set<string>();
  const take = (key: string) => {
    if (found.has(key)) return;
    found.add(key);
    const { dependencies = [], optionalDependencies = [] } = lock.npm[key]!;
    for (const dependency of [...dependencies, ...optionalDependencies]) take(keyOf(lock, dependency));
  };
  for (const name of names) {
    const specifier = Object.keys(lock.specifiers).find((one) =>
      parseKey(one.replace(/^npm:/, "")).name === name
    );
    take(keyOf(lock, specifier === undefined ? name : `${name}@${lock.specifiers[specifier]}`));
  }
  return found;
}

/** npm packages: those that the program has, and those that only tests need. */
export function npmComponents(lock: Lock, shipped: ReadonlySet<string>): Component[] {
  return Object.entries(lock.npm).map(([key, { integrity }]) => {
    const { name, version } = parseKey(key);
    const [group, plain] = name.startsWith("@") ? name.split("/") : [undefined, name];
    const purl = `pkg:npm/${name.replace("@", "%40")}@${version}`;
    const [, digest] = /^sha512-(.+)$/.exec(integrity) ?? [];
    return {
      "type": "library" as const,
      "bom-ref": purl,
      "name": plain!,
      ...(group === undefined ? {} : { group }),
      version,
      purl,
      "scope": shipped.has(key) ? "required" as const : "excluded" as const,
      ...(digest === undefined
        ? {}
        : { hashes: [{ alg: "SHA-512" as const, content: Buffer.from(digest, "base64").toString("hex") }] }),
    };
  });
}

async function macros(file: string, names: readonly string[]): Promise<string> {
  const text = await Deno.readTextFile(file);
  return names.map((name) => new RegExp(`#define\\s+${name}\\s+(\\d+)`).exec(text)?.[1] ?? "?").join(".");
}

function native(part: { name: string; version: string; debian: string; description: string }): Component {
  const purl = `pkg:deb/debian/${part.debian}`;
  return {
    "type": "library",
    "bom-ref": purl,
    "name": part.name,
    "version": part.version,
    purl,
    "scope": "required",
    "description": part.description,
  };
}

/** The C libraries that are linked in, statically. */
async function nativeComponents(): Promise<Component[]> {
  const found: Component[] = [];
  const headers = `${CACHE}/include`;
  if (exists(`${headers}/zstd.h`)) {
    const lz4 = await macros(
      `${headers}/lz4.h`,
      ["MAJOR", "MINOR", "RELEASE"].map((one) => `LZ4_VERSION_${one}`),
    );
    const zstd = await macros(
      `${headers}/zstd.h`,
      ["MAJOR", "MINOR", "RELEASE"].map((one) => `ZSTD_VERSION_${one}`),
    );
    const description = "in the engine, built from the distribution's source package";
    found.push(native({ name: "lz4", version: lz4, debian: `lz4@${lz4}`, description }));
    found.push(native({ name: "zstd", version: zstd, debian: `libzstd@${zstd}`, description }));
  }
  const debian = async (name: string) => (await run(["dpkg-query", "-W", "-f", "${Version}", name])).trim();
  const openssl = await debian("libssl-dev");
  const libc = await debian("libc6-dev");
  const encoded = (version: string) => encodeURIComponent(version);
  return [
    ...found,
    native({
      name: "openssl",
      version: openssl,
      debian: `openssl@${encoded(openssl)}`,
      description: "libcrypto, in the engine",
    }),
    native({
      name: "glibc",
      version: libc,
      debian: `glibc@${encoded(libc)}`,
      description: "in the launcher and in the guest's first program of the demo",
    }),
  ];
}

async function denoComponent(): Promise<Component> {
  const { deno, v8, typescript } = Deno.version;
  const hash = createHash("sha256").update(await Deno.readFile(Deno.execPath())).digest("hex");
  const purl = `pkg:github/denoland/deno@v${deno}`;
  return {
    "type": "platform",
    "bom-ref": purl,
    "name": "deno",
    "version": deno,
    purl,
    "scope": "required",
    "description": `The runtime, with V8 ${v8}, SQLite and rustls in it; TypeScript ${typescript}`,
    "hashes": [{ alg: "SHA-256", content: hash }],
  };
}

/** Packages that the program itself has: what lib/, ui/ and main.ts import, and what those need. */
export async function shippedPackages(lock: Lock): Promise<Set<string>> {
  const files = (await treeFiles()).filter(({ path }) => /^(main\.ts|(lib|ui|ffi)\/.*\.tsx?)$/.test(path));
  const known = Object.keys(lock.specifiers).map((specifier) =>
    parseKey(specifier.replace(/^npm:/, "")).name
  );
  const names = importedNames(files.map(({ text }) => text), known);
  // Style sheets of libraries, which the page's bundle takes as files.
  const sheets = await Deno.readTextFile(`${ROOT}/build/ui.ts`);
  for (const name of known) if (sheets.includes(`"${name}/`)) names.add(name);
  names.add(config.compilerOptions.jsxImportSource.split("/")[0]!);
  return closure(lock, names);
}

/** deno.lock, as it is in the tree. */
export async function readLock(): Promise<Lock> {
  return JSON.parse(await Deno.readTextFile(`${ROOT}/deno.lock`));
}

/** The whole list. */
export async function sbom(): Promise<Record<string, unknown>> {
  const lock = await readLock();
  const components = [
    await denoComponent(),
    ...await nativeComponents(),
    ...npmComponents(lock, await shippedPackages(lock)),
  ];
  const hash = createHash("sha256").update(JSON.stringify([config.version, components])).digest("hex");
  const uuid = `${hash.slice(0, 8)}-${hash.slice(8, 12)}-5${hash.slice(13, 16)}-8${hash.slice(17, 20)}-${
    hash.slice(20, 32)
  }`;
  const self = `iservft-edge@${config.version}`;
  return {
    "bomFormat": "CycloneDX",
    "specVersion": "1.6",
    "serialNumber": `urn:uuid:${uuid}`,
    "version": 1,
    "metadata": {
      "component": { "type": "application", "bom-ref": self, "name": config.name, "version": config.version },
    },
    components,
    "dependencies": [{
      "ref": self,
      "dependsOn": components.filter(({ scope }) => scope === "required").map((one) => one["bom-ref"]),
    }],
  };
}

/** Writes it to dist/. */
export async function writeSbom(): Promise<void> {
  await Deno.mkdir(`${ROOT}/dist`, { recursive: true });
  await Deno.writeTextFile(SBOM_FILE, `${JSON.stringify(await sbom(), null, 2)}\n`);
}

if (import.meta.main) {
  try {
    await writeSbom();
  } catch (error) {
    console.error(`error: ${errorText(error)}`);
    Deno.exit(1);
  }
}
