/** `iservft-edge identity`: who this host is to other machines. */

import { parseArgs } from "node:util";
import { EdgeError } from "../errors.ts";
import { readServeConfig, usualPlaces } from "../node/config.ts";
import { type Identity, openIdentity, readIdentity } from "../node/identity.ts";
import type { CommandIo } from "./command.ts";

const USAGE = `usage: iservft-edge identity [--data DIR] [--json]

Shows this host's ID, for the witness's \`pair add\`.

  --data DIR     a node's data directory; default the one of this machine's node. Without a node: a directory of its own,
                 in which key and certificate are made at first use: name it as \`identity\` in [witness] of the host's file
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
    if (values.data === "") throw new Error("--data is empty");
    const { id, certificate } = values.data === undefined ? ofThisMachine() : ofDirectory(values.data);
    io.out(values.json ? JSON.stringify({ id, certificate }) : id);
    return Promise.resolve(0);
  } catch (error) {
    if (error instanceof Error && "exitCode" in error) return Promise.reject(error);
    io.err(`error: ${error instanceof Error ? error.message : error}`);
    io.err(USAGE);
    return Promise.resolve(2);
  }
}

function isNode(directory: string): boolean {
  try {
    return Deno.statSync(`${directory}/layout.json`).isFile;
  } catch {
    return false;
  }
}

/** A node keeps its own below its data directory; another directory is an identity's own. */
function ofDirectory(directory: string): Identity {
  return openIdentity(isNode(directory) ? `${directory}/identity` : directory);
}

/** The one that `serve` made. */
function ofThisMachine(): Identity {
  const usual = usualPlaces({ root: Deno.uid() === 0, get: (name) => Deno.env.get(name) });
  const data = readServeConfig().config.data ?? usual.data;
  const found = readIdentity(`${data}/identity`);
  if (found !== null) return found;
  throw new EdgeError(`There is no node's identity in ${data}`, {
    op: "show this host's ID",
    hint: Deno.uid() === 0
      ? "Install the node first (iservft-edge install), or say where its data is: --data DIR."
      : "Say it as root (sudo), or say where the node's data is: --data DIR.",
  });
}
