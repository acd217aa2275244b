/** The documentation's pages in English, as text within the program. */

import type { DocName } from "./library.ts";
import gettingStarted from "./en/getting-started.md" with { type: "text" };
import states from "./en/states.md" with { type: "text" };
import virtualMachines from "./en/virtual-machines.md" with { type: "text" };
import switchover from "./en/switchover.md" with { type: "text" };
import replaceNode from "./en/replace-node.md" with { type: "text" };
import witness from "./en/witness.md" with { type: "text" };
import whatIf from "./en/what-if.md" with { type: "text" };
import alerts from "./en/alerts.md" with { type: "text" };
import security from "./en/security.md" with { type: "text" };
import cli from "./en/cli.md" with { type: "text" };
import troubleshooting from "./en/troubleshooting.md" with { type: "text" };

/** By name. */
export const EN_PAGES: Readonly<Record<DocName, string>> = {
  "getting-started": gettingStarted,
  "states": states,
  "virtual-machines": virtualMachines,
  "switchover": switchover,
  "replace-node": replaceNode,
  "witness": witness,
  "what-if": whatIf,
  "alerts": alerts,
  "security": security,
  "cli": cli,
  "troubleshooting": troubleshooting,
};
