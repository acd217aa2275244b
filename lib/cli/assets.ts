/** Where the files are that the program needs beside its own code, in each of the ways in which it can be built. */

import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { EdgeError } from "../errors.ts";

/** How this program was built: run from its sources, by `deno compile`, or by our packer (build/pack.ts). */
export type BuildMode = "source" | "deno compile" | "packed";

/** Paths of files that come with the program. They may be missing in a source tree that was not built yet. */
export interface Assets {
  mode: BuildMode;
  /** The engine: libiservft.so. */
  library: string;
  /** What is preloaded into QEMU: libiservft-shim.so. */
  shim: string;
  /** The init of the demo's guest, a static program. */
  guestInit: string;
  /** Directory of what browsers load (build/ui.ts), for ui/static.ts. */
  ui: string;
}

/** A Linux kernel for the demo's guest, from the distribution (build/guest_kernel.sh). */
export interface GuestKernel {
  vmlinuz: string;
  /** Modules, uncompressed, in the order in which they must be loaded. */
  modules: string[];
}

/** The parts of the world that decide where the assets are. Passed in by tests. */
export interface AssetsWorld {
  env(name: string): string | undefined;
  /** True inside what `deno compile` made. */
  standalone: boolean;
  /** Directory of this file. */
  here: string;
  exists(path: string): boolean;
}

const world: AssetsWorld = {
  env: (name) => Deno.env.get(name),
  standalone: Deno.build.standalone,
  here: dirname(fileURLToPath(import.meta.url)),
  exists(path) {
    try {
      Deno.statSync(path);
      return true;
    } catch {
      return false;
    }
  },
};

function sourceTree(seen: AssetsWorld): string {
  return resolve(seen.here, "../..");
}

/** Finds the program's files. Touches none of them. */
export function assets(seen: AssetsWorld = world): Assets {
  const unpacked = seen.env("ISERVFT_ASSETS");
  if (unpacked !== undefined && unpacked !== "") return flat(unpacked, "packed");
  // `deno compile --self-extracting` keeps the tree's layout; the build includes dist/assets.
  if (seen.standalone) return flat(`${sourceTree(seen)}/dist/assets`, "deno compile");
  const cache = `${sourceTree(seen)}/.cache`;
  return {
    mode: "source",
    library: `${cache}/native/libiservft.so`,
    shim: `${cache}/native/libiservft-shim.so`,
    guestInit: `${cache}/guest/init`,
    ui: `${cache}/ui`,
  };
}

function flat(directory: string, mode: BuildMode): Assets {
  return {
    mode,
    library: `${directory}/libiservft.so`,
    shim: `${directory}/libiservft-shim.so`,
    guestInit: `${directory}/guest-init`,
    ui: `${directory}/ui`,
  };
}

/** The directories in which the guest's kernel is looked for, best first. */
export function guestKernelPlaces(seen: AssetsWorld = world): string[] {
  const set = seen.env("ISERVFT_GUEST_KERNEL");
  if (set !== undefined && set !== "") return [set];
  const binary = seen.env("ISERVFT_BINARY");
  const places = ["/usr/lib/iservft-edge/guest"];
  if (binary !== undefined && binary !== "") places.unshift(resolve(dirname(binary), "../.cache/guest"));
  if (assets(seen).mode === "source") places.unshift(`${sourceTree(seen)}/.cache/guest`);
  return places;
}

/** Finds the kernel of the demo's guest; it is not in the binary, for its size and its licence. */
export function guestKernel(seen: AssetsWorld = world): GuestKernel {
  const places = guestKernelPlaces(seen);
  const place = places.find((directory) => seen.exists(`${directory}/vmlinuz`));
  if (place === undefined) {
    throw new EdgeError(`there is no vmlinuz in ${places.join(" or ")}`, {
      op: "find the demo guest's kernel",
      hint:
        "Run build/setup.sh, or set ISERVFT_GUEST_KERNEL to a directory with vmlinuz and modules/modules.order.",
    });
  }
  const order = `${place}/modules/modules.order`;
  const names = seen.exists(order)
    ? Deno.readTextFileSync(order).split("\n").filter((name) => name !== "")
    : [];
  return { vmlinuz: `${place}/vmlinuz`, modules: names.map((name) => `${place}/modules/${name}`) };
}

/** The command that starts this very program again, of the same build, e.g. for a runner: add the arguments. */
export function selfCommand(seen: AssetsWorld = world): string[] {
  const { mode } = assets(seen);
  if (mode === "deno compile") return [Deno.execPath()];
  const main = mode === "packed"
    ? `${seen.env("ISERVFT_ASSETS")}/app/main.js`
    : `${sourceTree(seen)}/main.ts`;
  const flags = mode === "packed" ? PACKED_FLAGS : ["--no-prompt", "--allow-all"];
  return [Deno.execPath(), "run", ...flags, main];
}

/** How the packed program's launcher starts Deno (build/launcher.c has the same). */
export const PACKED_FLAGS: readonly string[] = [
  ...["--no-prompt", "--allow-all", "--unstable-net", "--unstable-no-legacy-abort", "--cached-only"],
  ...["--no-config", "--no-lock", "--no-remote", "--no-npm"],
];
