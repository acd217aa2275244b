/** `iservft-edge uninstall`: this machine is no node any more. */

import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { withDefault } from "@optique/core/modifiers";
import { flag } from "@optique/core/primitives";
import { RefusedError } from "../errors.ts";
import { PLACES, refuseRunning, runningVms, uninstallSteps } from "../node/install/install.ts";
import type { CommandIo } from "./command.ts";
import { doSteps, targetOf, where } from "./install.ts";
import { type Noun, runNoun, verb } from "./noun.ts";

const ANSWER = "remove everything";

/** What is in the data directory, for whoever is about to lose it. */
export function contents(data: string): string {
  let vms: string[] = [];
  try {
    vms = [...Deno.readDirSync(`${data}/vms`)].filter((entry) => entry.isDirectory).map(({ name }) => name);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  const disks = vms.length === 0 ? "no VM's disk" : `the disks of ${vms.toSorted().join(", ")}`;
  return `${data} and ${PLACES.config}: identity, pair, accounts, events, settings, and ${disks}`;
}

async function needYes(io: CommandIo, data: string): Promise<void> {
  const question = `This removes ${contents(data)}. Type "${ANSWER}" to go on: `;
  const answer = io.terminal?.input === true ? await io.terminal.ask(question) : null;
  if (answer?.trim() === ANSWER) return;
  throw new RefusedError(`Nothing was removed. What would be: ${contents(data)}`, {
    op: "uninstall",
    hint: "Give --keep-data to keep all of that, or --yes to remove it.",
  });
}

export const noun: Noun = {
  name: "uninstall",
  brief: "removes what install made; refused while a VM runs here",
  verbs: [verb({
    name: "",
    brief: "Stops the service, and removes what install made. Refused while a VM runs here.",
    local: true,
    takes: object({
      where,
      keepData: withDefault(
        flag("--keep-data", {
          description: message`keeps identity, pair, accounts, VMs with their disks, and the node's file`,
        }),
        false,
      ),
      yes: withDefault(
        flag("--yes", { description: message`does not ask before all of that is removed` }),
        false,
      ),
    }),
    async run({ where: given, keepData, yes }, cli) {
      const target = targetOf(given);
      const { dryRun } = given;
      refuseRunning(runningVms(`${target.root}${PLACES.run}`));
      if (!keepData && !dryRun && !yes) await needYes(cli.io, `${target.root}${PLACES.data}`);
      const lines = await doSteps(uninstallSteps(target, { keepData }), { target, dryRun, cli });
      const kept = `Kept: ${PLACES.data} and ${PLACES.config}. Install again, and this node is what it was.`;
      cli.answer({ dry_run: dryRun, kept: keepData, steps: lines }, () => keepData && !dryRun ? [kept] : []);
    },
  })],
};

export const run = runNoun(noun);
