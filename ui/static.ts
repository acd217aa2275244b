/** Files that pages load: built by build/ui.ts, named by their content, so that a browser may keep them for ever. */

import { Hono } from "hono";
import type { Env } from "./deps.ts";

/** A file as it is sent. */
export interface StaticFile {
  type: string;
  bytes: Uint8Array<ArrayBuffer>;
  /** The same, compressed; null: it would not be smaller. */
  gzip: Uint8Array<ArrayBuffer> | null;
}

/** Where pages find their files. */
export interface StaticAssets {
  /** Address of a file by its plain name, e.g. "app.css"; its name with the hash of its content. */
  url(name: string): string;
  /** A file by its name with the hash. */
  find(file: string): StaticFile | undefined;
}

/** What build/ui.ts writes beside the files: plain name to name with hash and type. */
export type StaticManifest = Record<string, { file: string; type: string }>;

/** For tests that look at no files, and a tree where nothing was built. */
export const NO_ASSETS: StaticAssets = { url: (name) => `/static/${name}`, find: () => undefined };

function read(path: string): Uint8Array<ArrayBuffer> | null {
  try {
    return Deno.readFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

/** The files of a directory that build/ui.ts made. Read once, into memory: together they have less than 2 MB. */
export function staticAssets(directory: string): StaticAssets {
  const manifest = read(`${directory}/manifest.json`);
  if (manifest === null) return NO_ASSETS;
  const entries: StaticManifest = JSON.parse(new TextDecoder().decode(manifest));
  const files = new Map<string, StaticFile>();
  for (const { file, type } of Object.values(entries)) {
    const bytes = read(`${directory}/${file}`);
    if (bytes !== null) files.set(file, { type, bytes, gzip: read(`${directory}/${file}.gz`) });
  }
  return {
    url: (name) => `/static/${entries[name]?.file ?? name}`,
    find: (file) => files.get(file),
  };
}

/** GET /FILE, to be mounted at /static. Nothing here needs an account. */
export function staticRoutes(assets: StaticAssets): Hono<Env> {
  const app = new Hono<Env>();
  app.get("/:file", (c) => {
    const file = assets.find(c.req.param("file"));
    if (file === undefined) return c.text("There is no such file.", 404);
    const gzip = file.gzip !== null && /\bgzip\b/.test(c.req.header("accept-encoding") ?? "");
    const headers: Record<string, string> = {
      "content-type": file.type,
      "cache-control": "public, max-age=31536000, immutable",
      "vary": "accept-encoding",
      "x-content-type-options": "nosniff",
    };
    if (gzip) headers["content-encoding"] = "gzip";
    return c.body(gzip ? file.gzip! : file.bytes, 200, headers);
  });
  return app;
}
