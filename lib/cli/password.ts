/** Passwords for commands: typed, or out of a file. Never an argument: those are seen by everybody, and kept in histories. */

import { message } from "@optique/core/message";
import { optional } from "@optique/core/modifiers";
import { option } from "@optique/core/primitives";
import { string } from "@optique/core/valueparser";
import type { CommandIo } from "./command.ts";
import { UsageError } from "./terminal.ts";

export const passwordFile = optional(option("--password-file", string({ metavar: "FILE" }), {
  description: message`its first line is the password; it is asked for when left out`,
}));

/** A new password: from the file, or typed twice. */
export async function newPassword(file: string | undefined, io: CommandIo): Promise<string> {
  if (file !== undefined) return fromFile(file);
  const { terminal } = io;
  if (terminal === undefined || !terminal.input) {
    throw new UsageError("Nobody is there to type a password: give --password-file FILE");
  }
  const first = await terminal.ask("New password: ", { secret: true });
  const second = await terminal.ask("Once more: ", { secret: true });
  if (first === null || second === null) throw new UsageError("No password was given");
  if (first !== second) throw new UsageError("The two are not the same", "Type it again.");
  return first;
}

function fromFile(file: string): string {
  try {
    return Deno.readTextFileSync(file).split("\n")[0]!.replace(/\r$/, "");
  } catch (error) {
    throw new UsageError(`${file} cannot be read: ${error instanceof Error ? error.message : error}`);
  }
}
