/** `iservft-edge lab-door`: the inner half of a way from this machine to the page of a node in the lab. `demo --ui` starts it. */

import { runDoor } from "../lab/door.ts";
import type { CommandIo } from "./command.ts";

/** Runs the command. */
export async function run(args: string[], io: CommandIo): Promise<number> {
  const [socket, port] = args;
  if (args.length !== 2 || socket === undefined || !/^\d{1,5}$/.test(port ?? "")) {
    io.err(
      "usage: iservft-edge lab-door SOCKET PORT\n\nHands on what comes to the unix socket to PORT on 127.0.0.1, and back.",
    );
    return 2;
  }
  await runDoor(socket, Number(port));
  return 0;
}
