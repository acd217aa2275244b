/** The program: a table of its commands. */

import { type Command, processIo, runCommand } from "./lib/cli/command.ts";

const commands: Command[] = [
  {
    name: "version",
    summary: "says the version, how it was built, and the engine's ABI",
    load: () => import("./lib/cli/version.ts"),
  },
];

if (import.meta.main) Deno.exit(await runCommand(commands, { args: Deno.args, io: processIo }));
