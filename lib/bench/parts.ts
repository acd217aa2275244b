/** The parts of the bench, and a run over some of them. */

import { errorText } from "../errors.ts";
import type { Setting } from "./bed.ts";
import { diskPart } from "./disk.ts";
import { latencyPart, slowLinkPart, throughputPart } from "./load.ts";
import { pausePart } from "./pause.ts";
import { powerOffsPart, takeoverPart } from "./power_off.ts";
import { codecPart, trackerPart } from "./programs.ts";
import { resyncPart } from "./resync.ts";
import { switchoverPart } from "./switchover.ts";
import { syncPart } from "./sync.ts";
import { trafficPart } from "./traffic.ts";

/** A part: measures and reports its figures. */
export interface Part {
  name: string;
  /** One line for the usage. */
  what: string;
  run(setting: Setting): Promise<void>;
}

export const PARTS: readonly Part[] = [
  { name: "pause", what: "how long the guest stands still per checkpoint, and why", run: pausePart },
  { name: "latency", what: "what protection adds to a request and its reply", run: latencyPart },
  { name: "throughput", what: "checkpoints a second under a client's load", run: throughputPart },
  { name: "traffic", what: "what goes over the lines, idle, under load, in a boot", run: trafficPart },
  { name: "takeover", what: "from a power-off to the guest's next word", run: takeoverPart },
  { name: "switchover", what: "planned moves back and forth under load", run: switchoverPart },
  { name: "sync", what: "the first copy of a running guest", run: syncPart },
  {
    name: "resync",
    what: "after both links were cut; and what a sync costs the guest's clients",
    run: resyncPart,
  },
  { name: "disk", what: "the NBD export beside qemu-nbd's", run: diskPart },
  { name: "slow-link", what: "the demo load over lines of 100 Mbit/s", run: slowLinkPart },
  { name: "tracker", what: "finding dirty pages (source tree only)", run: trackerPart },
  { name: "codec", what: "encoding a real guest's pages (source tree only)", run: codecPart },
  { name: "power-offs", what: "power-offs in a row under load with disk writes", run: powerOffsPart },
];

/** The parts of these names, in the bench's order; "all" or none: all. Throws with the names that there are. */
export function choose(names: readonly string[]): readonly Part[] {
  const unknown = names.filter((name) => name !== "all" && !PARTS.some((part) => part.name === name));
  if (unknown.length > 0) {
    throw new Error(
      `there is no part "${unknown[0]}"; parts: all, ${PARTS.map(({ name }) => name).join(", ")}`,
    );
  }
  if (names.length === 0 || names.includes("all")) return PARTS;
  return PARTS.filter(({ name }) => names.includes(name));
}

/** Runs parts one after the other. One that fails is a figure that was not measured; the next ones still run. Returns how many failed. */
export async function runParts(parts: readonly Part[], setting: Setting): Promise<number> {
  let failed = 0;
  for (const part of parts) {
    try {
      await part.run(setting);
    } catch (error) {
      setting.interrupted.throwIfAborted();
      failed++;
      setting.say(`${part.name}: ${errorText(error)}`);
      setting.report({
        ...{ part: part.name, what: "all that is missing above", measured: null, unit: "", samples: 0 },
        note: errorText(error).split("\n")[0] ?? "unknown",
      });
    }
  }
  return failed;
}
