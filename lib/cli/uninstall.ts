/** `iservft-edge uninstall`: this machine is no node any more. */

import { parseArgs } from "node:util";
import { findTarget, PLACES, refuseRunning, runningVms, uninstallSteps } from "../node/install/install.ts";
import { performSteps } from "../node/install/steps.ts";
import type { CommandIo } from "./command.ts";
import { rootOption } from "./install.ts";

const USAGE = `usage: iservft-edge uninstall [--keep-data] [--yes] [--dry-run] [--root DIR]

Stops the service and removes what install made. Refused while a VM runs here.

  --keep-data   keeps ${PLACES.data} (identity, pair, VMs with their disks, accounts) and ${PLACES.config}
  --yes         without --keep-data: does not ask before all of that is removed
  --dry-run     only says what it would do
  --root DIR    uninstalls from another tree`;
const ANSWER = "remove everything";

function asked(target: string): boolean {
  if (!Deno.stdin.isTerminal()) return false;
  const answer = prompt(
    `This removes ${target}${PLACES.data} with the disks of all VMs. Type "${ANSWER}" to go on:`,
  );
  return answer?.trim() === ANSWER;
}

/** Runs the command. */
export async function run(args: string[], io: CommandIo): Promise<number> {
  let given;
  let root;
  try {
    given = parseArgs({
      args,
      options: {
        "keep-data": { type: "boolean", default: false },
        yes: { type: "boolean", default: false },
        "dry-run": { type: "boolean", default: false },
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
  const { "keep-data": keepData, "dry-run": dryRun } = given;
  const target = dryRun && root === "" ? { root, systemd: true } : findTarget(root);
  refuseRunning(runningVms(`${root}${PLACES.run}`));
  if (!keepData && !dryRun && !given.yes && !asked(root)) {
    io.err(
      "Nothing was removed. Give --keep-data, or --yes to remove identity, pair, accounts and all VMs with their disks.",
    );
    return 5;
  }
  await performSteps(uninstallSteps(target, { keepData }), { root, dryRun, say: io.out });
  if (keepData && !dryRun) {
    io.out(`Kept: ${PLACES.data} and ${PLACES.config}. Install again, and this node is what it was.`);
  }
  return 0;
}
