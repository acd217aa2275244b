/** `iservft-edge identity`: who this host is to other machines. */

import { parseArgs } from "node:util";
import { openIdentity } from "../node/identity.ts";
import type { CommandIo } from "./command.ts";

const USAGE = `usage: iservft-edge identity --data DIR [--json]

Shows this host's ID, for the witness's \`pair add\`. Its key and certificate are made in DIR at first use, readable by
this user alone: name DIR as \`identity\` in [witness] of the host's file.

  --json         the ID and the certificate, for programs`;

/** Runs the command. */
export function run(args: string[], io: CommandIo): Promise<number> {
  try {
    const { values } = parseArgs({
      args,
      options: {
        data: { type: "string" },
        json: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    });
    if (values.help) {
      io.out(USAGE);
      return Promise.resolve(0);
    }
    if (values.data === undefined || values.data === "") throw new Error("--data DIR is needed");
    return Promise.resolve(show(values.data, { json: values.json, io }));
  } catch (error) {
    if (error instanceof Error && "exitCode" in error) return Promise.reject(error);
    io.err(`error: ${error instanceof Error ? error.message : error}`);
    io.err(USAGE);
    return Promise.resolve(2);
  }
}

function show(directory: string, { json, io }: { json: boolean; io: CommandIo }): number {
  const { id, certificate } = openIdentity(directory);
  io.out(json ? JSON.stringify({ id, certificate }) : id);
  return 0;
}
