/** `iservft-edge install`: this machine becomes a node, started at each boot. */

import { resolve } from "node:path/posix";
import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { optional, withDefault } from "@optique/core/modifiers";
import { flag, option } from "@optique/core/primitives";
import { string } from "@optique/core/valueparser";
import { EdgeError } from "../errors.ts";
import { findTarget, installSteps, PLACES, type Target } from "../node/install/install.ts";
import { readGreeting } from "../node/install/greeting.ts";
import { performSteps, runProgram, type Step } from "../node/install/steps.ts";
import { assets } from "./assets.ts";
import { type Cli, type Noun, runNoun, verb } from "./noun.ts";
import { UsageError } from "./terminal.ts";

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

/** --dry-run and --root, which both commands have. */
export const where = object({
  dryRun: withDefault(flag("--dry-run", { description: message`only says what it would do` }), false),
  root: optional(option("--root", string({ metavar: "DIR" }), {
    description:
      message`works on another tree, e.g. an image that is being made; nothing is started or stopped`,
  })),
});

/** The machine, or the tree, that is meant. */
export function targetOf(given: { root?: string | undefined; dryRun: boolean }): Target {
  const root = given.root === undefined ? "" : resolve(Deno.cwd(), given.root).replace(/\/$/, "");
  if (root === "") return given.dryRun ? { root, systemd: true } : findTarget("");
  try {
    if (Deno.statSync(root).isDirectory) return findTarget(root);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  throw new UsageError(`--root is ${JSON.stringify(given.root)}, which is no directory`);
}

/** Does the steps; each is said as it is done, or listed for programs. */
export async function doSteps(
  steps: readonly Step[],
  { target, dryRun, cli }: { target: Target; dryRun: boolean; cli: Cli },
): Promise<string[]> {
  const lines: string[] = [];
  const say = (line: string) => {
    lines.push(line);
    if (!cli.json) cli.io.out(line);
  };
  await performSteps(steps, { root: target.root, dryRun, say });
  return lines;
}

async function ended(target: Target, start: boolean): Promise<string[]> {
  if (target.root !== "") return [`Installed into ${target.root}.`];
  if (!target.systemd) {
    return [
      `Installed. systemd does not run this machine: start \`${PLACES.binary} serve\` at each boot by other means.`,
    ];
  }
  if (!start) return ["Installed, and not started: systemctl start iservft-edge"];
  const { page, setup } = await readGreeting(runProgram);
  if (setup !== null) {
    return [
      "Installed and running. Make the first administrator by this link, on this machine; it works once:",
      `  ${setup}`,
    ];
  }
  return [`Installed and running. The page: ${page ?? "see journalctl -u iservft-edge"}`];
}

export const noun: Noun = {
  name: "install",
  brief: "makes this machine a node, started at each boot; with a newer program: upgrades it",
  verbs: [verb({
    name: "",
    brief:
      `Copies this program to ${PLACES.binary}, makes QEMU's user, writes the service's unit, starts it.`,
    detail:
      "Run it again at any time: what is there is left as it is. With a newer program it upgrades; VMs run on meanwhile.",
    local: true,
    takes: object({
      where,
      noStart: withDefault(
        flag("--no-start", { description: message`the service is not (re)started now` }),
        false,
      ),
    }),
    async run({ where: given, noStart }, cli) {
      const target = targetOf(given);
      const { dryRun } = given;
      const steps = installSteps(target, { binary: thisBinary(), start: !noStart });
      const lines = await doSteps(steps, { target, dryRun, cli });
      const after = dryRun ? [] : await ended(target, !noStart);
      cli.answer({ dry_run: dryRun, steps: lines }, () => after);
    },
  })],
};

export const run = runNoun(noun);
