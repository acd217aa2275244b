/** `iservft-edge install`: this machine becomes a node, started at each boot. */

import { resolve } from "node:path/posix";
import { parseArgs } from "node:util";
import { EdgeError } from "../errors.ts";
import { findTarget, installSteps, PLACES } from "../node/install/install.ts";
import { performSteps } from "../node/install/steps.ts";
import { assets } from "./assets.ts";
import type { CommandIo } from "./command.ts";

const USAGE = `usage: iservft-edge install [--dry-run] [--no-start] [--root DIR]

Makes this machine a node: copies this program to ${PLACES.binary}, makes QEMU's user, writes the service's unit,
and starts it, now and at each boot. With a newer program it upgrades: VMs run on meanwhile. Run it again at any time.

  --dry-run     only says what it would do
  --no-start    the service is not (re)started now
  --root DIR    installs into another tree, e.g. an image that is being made; nothing is started`;

/** This program as one file. Throws EdgeError when it is none. */
export function thisBinary(env: (name: string) => string | undefined = (name) => Deno.env.get(name)): string {
  const packed = env("ISERVFT_BINARY");
  if (packed !== undefined && packed !== "") return packed;
  if (assets().mode === "deno compile") return Deno.execPath();
  throw new EdgeError("This program runs from its sources, and is not one file", {
    op: "install",
    hint: "Build it (deno task build), and run dist/iservft-edge install.",
  });
}

/** --root as an absolute path without a slash at its end; "" for this machine. */
export function rootOption(value: string | undefined): string {
  if (value === undefined) return "";
  const root = resolve(Deno.cwd(), value);
  if (root === "/") return "";
  if (!Deno.statSync(root).isDirectory) throw new Error(`--root ${value} is no directory`);
  return root;
}

/** Runs the command. */
export async function run(args: string[], io: CommandIo): Promise<number> {
  let given;
  let root;
  try {
    given = parseArgs({
      args,
      options: {
        "dry-run": { type: "boolean", default: false },
        "no-start": { type: "boolean", default: false },
        root: { type: "string" },
        help: { type: "boolean", default: false },
      },
    }).values;
    root = rootOption(given.root);
  } catch (error) {
    io.err(`error: ${error instanceof Error ? error.message : error}`);
    io.err(USAGE);
    return 2;
  }
  if (given.help) {
    io.out(USAGE);
    return 0;
  }
  const dryRun = given["dry-run"];
  const target = dryRun && root === "" ? { root, systemd: true } : findTarget(root);
  const steps = installSteps(target, { binary: thisBinary(), start: !given["no-start"] });
  await performSteps(steps, { root, dryRun, say: io.out });
  if (dryRun) return 0;
  if (root !== "") io.out(`Installed into ${root}.`);
  else if (!target.systemd) {
    io.out(
      `Installed. systemd does not run this machine: start \`${PLACES.binary} serve\` at each boot by other means.`,
    );
  } else if (given["no-start"]) io.out("Installed, and not started: systemctl start iservft-edge");
  else {io.out(
      "Installed and running. The page's address and the link for its first administrator: journalctl -u iservft-edge",
    );}
  return 0;
}
