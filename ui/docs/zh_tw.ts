/** The documentation's pages in Traditional Chinese, as text within the program. */

import type { DocName } from "./library.ts";
import gettingStarted from "./zh_tw/getting-started.md" with { type: "text" };
import states from "./zh_tw/states.md" with { type: "text" };
import virtualMachines from "./zh_tw/virtual-machines.md" with { type: "text" };
import switchover from "./zh_tw/switchover.md" with { type: "text" };
import replaceNode from "./zh_tw/replace-node.md" with { type: "text" };
import witness from "./zh_tw/witness.md" with { type: "text" };
import whatIf from "./zh_tw/what-if.md" with { type: "text" };
import alerts from "./zh_tw/alerts.md" with { type: "text" };
import security from "./zh_tw/security.md" with { type: "text" };
import cli from "./zh_tw/cli.md" with { type: "text" };
import troubleshooting from "./zh_tw/troubleshooting.md" with { type: "text" };

/** By name. */
export const ZH_TW_PAGES: Readonly<Record<DocName, string>> = {
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
