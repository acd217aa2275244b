/** `iservft-edge lab-proxy`: stands in a replication line of the lab and damages what passes. The fault tests start it; its standard
 * input takes what to do. */

import { runProxy } from "../lab/damaging_proxy.ts";
import type { CommandIo } from "./command.ts";

const USAGE = `usage: iservft-edge lab-proxy PORT ADDRESS:PORT

Hands on what comes to PORT to ADDRESS:PORT, and back. Lines on standard input: flip, truncate, duplicate or reorder, and
up or down (up: from who connects); each damages the next piece that passes that way, and is said back when it is done.`;

/** Runs the command. */
export async function run(args: string[], io: CommandIo): Promise<number> {
  const found = /^(\d+) (.+):(\d+)$/.exec(args.join(" "));
  if (found === null) {
    io.err(USAGE);
    return 2;
  }
  const [, port, hostname = "", target] = found;
  await runProxy(Number(port), { hostname, port: Number(target) });
  return 0;
}
