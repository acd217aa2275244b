/** `iservft-edge status`: everything at a glance. */

import { object } from "@optique/core/constructs";
import { snapshotView } from "../model/snapshot.ts";
import { type Noun, runNoun, verb } from "./noun.ts";
import { isDegraded, statusLines } from "./says.ts";

export const noun: Noun = {
  name: "status",
  brief: "the one sentence, the nodes, what is between them, the VMs, and what happens if something dies now",
  verbs: [verb({
    name: "",
    brief: "Says how the pair is.",
    detail:
      "Ends with 3 when something is wrong: a VM that should be protected is not, or the sentence is a warning.",
    takes: object({}),
    async run(_, cli) {
      const client = await cli.client();
      const snapshot = await client.ask("GET", "/status", { schema: snapshotView });
      cli.answer(snapshot, () => statusLines(cli.io, snapshot));
      const bad = snapshot.home.severity === "warning" || snapshot.home.severity === "critical";
      return bad || snapshot.vms.some(isDegraded) ? 3 : 0;
    },
  })],
};

export const run = runNoun(noun);
