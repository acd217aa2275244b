/** What the runners of both nodes wrote about a VM. */

import { z } from "zod";
import { vmName } from "../../model/vm.ts";
import type { PeerChannel } from "../contracts.ts";

/** The question that a node answers with its own lines. */
export const LOGS = {
  method: "vm.logs",
  question: z.strictObject({ name: vmName, lines: z.number().int().min(1).max(5000) }),
} as const;

const answer = z.array(z.string().max(20_000)).max(5000);
const WAIT_MS = 2000;

export interface LogOptions {
  here: readonly string[];
  name: string;
  lines: number;
  peer: PeerChannel;
  node: string;
}

/** The newest lines of both nodes, each with its node, by the times that they begin with. */
export async function logLines({ here, name, lines, peer, node }: LogOptions): Promise<string[]> {
  let there: string[] = [];
  if (peer.reachable) {
    try {
      there = answer.parse(await peer.call(LOGS.method, { name, lines }, { timeout_ms: WAIT_MS }));
    } catch {
      // This node's own lines are better than none.
    }
  }
  const named = (log: readonly string[], of: string) =>
    withTimes(log).map(({ at, line }) => ({ at, line: `${of} ${line}` }));
  return [...named(here, node), ...named(there, peer.peer?.name ?? "?")]
    .sort((a, b) => a.at < b.at ? -1 : a.at > b.at ? 1 : 0)
    .slice(-lines)
    .map(({ line }) => line);
}

/** A line without a time is of the one before it. */
function withTimes(log: readonly string[]): { at: string; line: string }[] {
  let at = "";
  return log.map((line) => {
    at = /^\d{4}-\d\d-\d\dT[\d:.]+Z/.exec(line)?.[0] ?? at;
    return { at, line };
  });
}
