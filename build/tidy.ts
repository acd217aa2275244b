/** Keeps the tree in the shape that DESIGN describes: imports point one way, files stay small, and no file names a registry's host or a
 * path of somebody's machine. `deno run -A build/tidy.ts` prints each offence and ends with code 1 if there is one. */

import { dirname, normalize } from "node:path/posix";
import { ROOT, run } from "./run.ts";

/** A file of the tree. */
export interface SourceFile {
  /** Relative to the top of the tree. */
  path: string;
  text: string;
}

/** Lines that a file may have, by the end of its name. */
const LIMITS: readonly { ending: string; lines: number }[] = [
  { ending: ".ts", lines: 400 },
  { ending: ".tsx", lines: 400 },
  { ending: ".c", lines: 500 },
  { ending: ".h", lines: 500 },
  { ending: ".sh", lines: 400 },
];

/** From the outside in: a part may import the parts after it, and itself. */
const ORDER = ["cli", "node", "group", "replication", "vm", "ffi"] as const;

/** Parts outside that row, with what they may import of it and of each other. */
const BESIDE: Readonly<Record<string, readonly string[]>> = {
  // It speaks with runners by their control sockets, and reads their engines' status.
  lab: ["group", "vm", "ffi", "model"],
  // Measures what the lab makes.
  bench: ["lab", "group", "vm", "ffi"],
  // The third machine, and a host's way to it: the rule of grants is the group's, identities are the node's.
  witness: ["node", "group", "ffi"],
  observe: ["model"],
  // Accounts, sessions, tokens, the audit log.
  access: ["model"],
  // A leaf: what a UI may see of the library.
  model: [],
  ui: ["model", "access"],
};

/** Parts of the row that may also import some of those beside it. */
const ALSO: Readonly<Record<string, readonly string[]>> = {
  cli: ["lab", "bench", "witness", "observe", "access", "ui", "model"],
  node: ["observe", "model"],
  group: ["observe", "model"],
};

/** Build, tests and the entry may import anything; nothing may import them. */
const OUTSIDE = new Set(["build", "test", "main"]);

/** Names that do not belong in a file that others will read. Spelled in pieces, so that this file has none of them. */
const FORBIDDEN: readonly { what: string; pattern: RegExp }[] = [
  {
    what: "a package registry's host",
    pattern: new RegExp(["npm", "js\\.org|deb\\.deb", "ian\\.org|js", "r\\.io/|crates", "\\.io"].join("")),
  },
  {
    what: "a package registry's host",
    pattern: new RegExp(["archive\\.ubun", "tu\\.com|security\\.ubun", "tu\\.com"].join("")),
  },
  { what: "a path of one machine", pattern: new RegExp(["/wo", "rk/|/home/[a-z]+/|/Us", "ers/"].join("")) },
  { what: "unfinished work", pattern: new RegExp(["\\bTO", "DO\\b|\\bFIX", "ME\\b|\\bXX", "X\\b"].join("")) },
];

/** The part that a file belongs to; undefined for files that are in none, such as lib/errors.ts: leaves that anyone may import. */
export function partOf(path: string): string | undefined {
  const [top, second, third] = path.split("/");
  if (top === "main.ts") return "main";
  if (top === "lib") return third === undefined ? undefined : second;
  return second === undefined ? undefined : top;
}

function mayImport(from: string, to: string): boolean {
  if (from === to || OUTSIDE.has(from)) return true;
  const source = ORDER.findIndex((part) => part === from);
  const target = ORDER.findIndex((part) => part === to);
  if (source >= 0 && target >= 0) return source < target;
  return (source >= 0 ? ALSO[from] : BESIDE[from])?.includes(to) ?? false;
}

/** The relative specifiers that a module imports or re-exports, also by import(), with the line of each. */
export function importsOf(text: string): { specifier: string; line: number }[] {
  const pattern = /(?:\bfrom\s*|\bimport\s*\(\s*|^\s*import\s+)["'](\.{1,2}\/[^"']+)["']/gm;
  return [...text.matchAll(pattern)].map((match) => ({
    specifier: match[1]!,
    line: text.slice(0, match.index + match[0].length).split("\n").length,
  }));
}

function importOffences(file: SourceFile): string[] {
  const from = partOf(file.path);
  const offences: string[] = [];
  for (const { specifier, line } of importsOf(file.text)) {
    const target = normalize(`${dirname(file.path)}/${specifier}`);
    const to = partOf(target);
    // deno.json and other single files at the top belong to no part.
    if (to === undefined) continue;
    if (from === undefined) {
      offences.push(
        `${file.path}:${line}: a leaf imports ${target}; leaves import nothing of the tree's parts`,
      );
    } else if (!mayImport(from, to)) {
      offences.push(`${file.path}:${line}: ${from} may not import ${to} (${target})`);
    }
  }
  return offences;
}

function sizeOffences(file: SourceFile): string[] {
  const limit = LIMITS.find(({ ending }) => file.path.endsWith(ending));
  const lines = file.text.split("\n").length - 1;
  if (limit === undefined || lines <= limit.lines) return [];
  return [`${file.path}: ${lines} lines, more than ${limit.lines}: split it by concept`];
}

function nameOffences(file: SourceFile): string[] {
  return file.text.split("\n").flatMap((line, i) =>
    FORBIDDEN.filter(({ pattern }) => pattern.test(line)).map(({ what }) =>
      `${file.path}:${i + 1}: names ${what}`
    )
  );
}

/** Everything that is wrong with these files, as `path:line: what`. */
export function offences(files: readonly SourceFile[]): string[] {
  return files.flatMap((file) => [
    ...(/\.tsx?$/.test(file.path) ? importOffences(file) : []),
    ...sizeOffences(file),
    // A lock file is written by Deno.
    ...(file.path === "deno.lock" ? [] : nameOffences(file)),
  ]);
}

/** The tree's text files: what git keeps, and what is new and not ignored. */
export async function treeFiles(): Promise<SourceFile[]> {
  const listing = await run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], {
    cwd: ROOT,
  });
  const files: SourceFile[] = [];
  for (const path of listing.split("\0")) {
    if (path === "") continue;
    const bytes = await Deno.readFile(`${ROOT}/${path}`).catch((error) => {
      // Removed, and not yet committed.
      if (error instanceof Deno.errors.NotFound) return new Uint8Array();
      throw error;
    });
    if (!bytes.includes(0)) files.push({ path, text: new TextDecoder().decode(bytes) });
  }
  return files;
}

if (import.meta.main) {
  const found = offences(await treeFiles());
  for (const offence of found) console.error(offence);
  if (found.length > 0) {
    console.error(`tidy: ${found.length} offence(s)`);
    Deno.exit(1);
  }
}
