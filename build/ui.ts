/** `deno task ui`: what browsers load, from ui/client and ui/styles, into .cache/ui: bundled, named by content, compressed once.
 *
 * Each file directly in ui/client is an entry: ui/client/chart.ts becomes chart.js. What entries share is in folders below it. */

import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { gzipSync } from "node:zlib";
import { EdgeError, errorText } from "../lib/errors.ts";
import type { StaticManifest } from "../ui/static.ts";
import { BuildError, CACHE, exists, filesIn, outdated, ROOT, run } from "./run.ts";

/** Where the files are, as lib/cli/assets.ts finds them in a source tree. */
export const UI_FILES = `${CACHE}/ui`;

const CLIENT = `${ROOT}/ui/client`;
const STYLES = `${ROOT}/ui/styles`;

/** Style sheets: our own files and those of libraries, in this order. */
const SHEETS: Readonly<Record<string, readonly string[]>> = {
  "app.css": ["base.css", "layout.css", "parts.css", "home.css", "pages.css", "forms.css", "settings.css"],
  "console.css": ["@xterm/xterm/css/xterm.css", "console.css"],
  "chart.css": ["uplot/dist/uPlot.min.css", "chart.css"],
};

/** Pictures, as they are. */
const PICTURES: Readonly<Record<string, string>> = { "icon.svg": "image/svg+xml" };

const JAVASCRIPT = "text/javascript; charset=utf-8";
const CSS = "text/css; charset=utf-8";

/** Without comments and the blanks that no browser needs. */
export function smallerCss(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/\s*\n\s*/g, "\n").replace(/\s*([{};,])\s*/g, "$1")
    .replace(/:\s+/g, ":").replace(/;}/g, "}").trim();
}

async function sheet(parts: readonly string[]): Promise<string> {
  const resolve = createRequire(import.meta.url).resolve;
  const texts = await Promise.all(
    parts.map((part) => Deno.readTextFile(part.includes("/") ? resolve(part) : `${STYLES}/${part}`)),
  );
  return smallerCss(texts.join("\n"));
}

async function scripts(into: string): Promise<void> {
  const entries = filesIn(CLIENT, ".ts");
  for (const entry of entries) {
    await run([
      ...[Deno.execPath(), "bundle", "--quiet", "--platform", "browser", "--minify", "--outdir", into],
      entry,
    ], { cwd: ROOT });
  }
  const made = filesIn(into, ".js").length;
  if (made !== entries.length) {
    throw new BuildError(`deno bundle made ${made} files of ${entries.length} scripts`, {
      op: "bundle the page's scripts",
      hint: "Run it by hand and look: deno bundle --platform browser --outdir /tmp/out ui/client/app.ts",
    });
  }
}

function sources(directory: string): string[] {
  if (!exists(directory)) return [];
  return [...Deno.readDirSync(directory)].flatMap((entry) => {
    const path = `${directory}/${entry.name}`;
    return entry.isDirectory ? sources(path) : [path];
  });
}

/** Builds what is outdated. Returns the directory. */
export async function buildUi(log: (line: string) => void = () => {}): Promise<string> {
  const inputs = [
    ...[...sources(CLIENT), ...sources(STYLES), ...sources(`${ROOT}/lib/model`)],
    ...[`${ROOT}/build/ui.ts`, `${ROOT}/deno.lock`],
  ];
  const manifestFile = `${UI_FILES}/manifest.json`;
  if (!outdated(manifestFile, inputs)) return UI_FILES;
  await Deno.mkdir(UI_FILES, { recursive: true });
  const work = await Deno.makeTempDir({ dir: CACHE, prefix: "ui-" });
  try {
    await scripts(work);
    const files = new Map<string, { type: string; bytes: Uint8Array }>();
    for (const path of filesIn(work, ".js")) {
      files.set(path.slice(work.length + 1), { type: JAVASCRIPT, bytes: await Deno.readFile(path) });
    }
    for (const [name, parts] of Object.entries(SHEETS)) {
      files.set(name, { type: CSS, bytes: new TextEncoder().encode(await sheet(parts)) });
    }
    for (const [name, type] of Object.entries(PICTURES)) {
      files.set(name, { type, bytes: await Deno.readFile(`${STYLES}/${name}`) });
    }
    await publish(files, manifestFile);
    log(`ui: ${files.size} files in .cache/ui`);
  } finally {
    await Deno.remove(work, { recursive: true });
  }
  return UI_FILES;
}

/** Writes the files, then the list of them, then removes what is in no list any more. */
async function publish(files: Map<string, { type: string; bytes: Uint8Array }>, list: string): Promise<void> {
  const manifest: StaticManifest = {};
  const kept = new Set(["manifest.json"]);
  for (const [name, { type, bytes }] of files) {
    const dot = name.lastIndexOf(".");
    const hash = createHash("sha256").update(bytes).digest("hex").slice(0, 12);
    const file = `${name.slice(0, dot)}.${hash}${name.slice(dot)}`;
    manifest[name] = { file, type };
    const packed = gzipSync(bytes, { level: 9 });
    await Deno.writeFile(`${UI_FILES}/${file}`, bytes);
    await Deno.writeFile(`${UI_FILES}/${file}.gz`, packed);
    kept.add(file).add(`${file}.gz`);
  }
  await Deno.writeTextFile(`${list}.new`, JSON.stringify(manifest, null, 2));
  await Deno.rename(`${list}.new`, list);
  for (const path of filesIn(UI_FILES, "")) {
    if (kept.has(path.slice(UI_FILES.length + 1))) continue;
    await Deno.remove(path).catch((error) => {
      // Another build at the same time removed it.
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    });
  }
}

if (import.meta.main) {
  try {
    await buildUi((line) => console.error(line));
  } catch (error) {
    if (!(error instanceof EdgeError)) throw error;
    console.error(`error: ${errorText(error)}`);
    Deno.exit(error.exitCode);
  }
}
