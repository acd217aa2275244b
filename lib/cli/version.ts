/** `iservft-edge version`: which build this is. */

import config from "../../deno.json" with { type: "json" };
import { EngineLibrary } from "../../ffi/engine.ts";
import type { Protocol } from "../replication/versions.ts";
import { assets } from "./assets.ts";
import type { CommandIo } from "./command.ts";

/** For tests alone: what this program says of itself instead of the truth, so that one build can stand for two. */
const PRETENDED = { version: "ISERVFT_TEST_VERSION", protocol: "ISERVFT_TEST_PROTOCOL" };

/** The program's version, e.g. "0.1.0". */
export const VERSION: string = Deno.env.get(PRETENDED.version) ?? config.version;

/** The protocols that this program says it speaks, given those that its engine does. */
export function spokenProtocol(engine: Protocol): Protocol {
  const pretended = /^(\d+)-(\d+)$/.exec(Deno.env.get(PRETENDED.protocol) ?? "");
  return pretended === null ? engine : { oldest: Number(pretended[1]), newest: Number(pretended[2]) };
}

/** ABI of the engine's library, or why it cannot be told. */
function engine(path: string): string {
  try {
    using library = EngineLibrary.open(path);
    return `ABI ${library.calls.isf_abi()}`;
  } catch (error) {
    return `not loadable: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** Prints the version, the way in which the program was built, and the engine's ABI. */
export function run(args: string[], io: CommandIo): Promise<number> {
  const json = args.length === 1 && args[0] === "--json";
  if (args.length > 0 && !json) {
    const help = args.length === 1 && args[0] === "--help";
    (help ? io.out : io.err)(
      "usage: iservft-edge version [--json]\n\nSays the version, how it was built, and the engine's ABI.",
    );
    return Promise.resolve(help ? 0 : 2);
  }
  const { mode, library } = assets();
  if (json) {
    io.out(
      JSON.stringify({ version: VERSION, build: mode, engine: engine(library), deno: Deno.version.deno }),
    );
    return Promise.resolve(0);
  }
  io.out(`iservft-edge ${VERSION} (${mode}; engine: ${engine(library)}; deno ${Deno.version.deno})`);
  return Promise.resolve(0);
}
