/** Running the build's tools. */

import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { EdgeError } from "../lib/errors.ts";

/** The top of the source tree. */
export const ROOT: string = dirname(dirname(fileURLToPath(import.meta.url)));

/** Where set-up and the build leave what git does not keep. */
export const CACHE: string = `${ROOT}/.cache`;

/** A step of the build did not work. */
export class BuildError extends EdgeError {}

/** How to run a tool. */
export interface RunOptions {
  cwd?: string;
  env?: Record<string, string>;
  /** Starts from an empty environment instead of adding to this one. */
  clearEnv?: boolean;
}

/** Runs a tool and returns what it wrote to its standard output; throws BuildError with what it complained about. */
export async function run(command: readonly string[], options: RunOptions = {}): Promise<string> {
  const [program, ...args] = command;
  if (program === undefined) throw new TypeError("run() needs a program");
  let output: Deno.CommandOutput;
  try {
    output = await new Deno.Command(program, { ...options, args, stdin: "null" }).output();
  } catch (cause) {
    throw new BuildError(`${program} cannot be started`, {
      op: "build",
      hint: "Run build/setup.sh, which installs the build's tools.",
      cause,
    });
  }
  const text = new TextDecoder();
  if (!output.success) {
    throw new BuildError(
      `${command.join(" ")}\nended with code ${output.code}:\n${text.decode(output.stderr)}${
        text.decode(output.stdout)
      }`,
      { op: "build", hint: "Correct what the tool complains about." },
    );
  }
  return text.decode(output.stdout);
}

/** Modification time in milliseconds, or -Infinity for what does not exist. */
export function modified(path: string): number {
  try {
    return Deno.statSync(path).mtime?.getTime() ?? 0;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return -Infinity;
    throw error;
  }
}

/** True when `path` is a file or directory. */
export function exists(path: string): boolean {
  return modified(path) !== -Infinity;
}

/** The files of a directory whose names end with `ending`, sorted, with their paths. Empty if there is no such directory. */
export function filesIn(directory: string, ending: string): string[] {
  if (!exists(directory)) return [];
  return [...Deno.readDirSync(directory)]
    .filter((entry) => entry.isFile && entry.name.endsWith(ending))
    .map((entry) => `${directory}/${entry.name}`)
    .sort();
}

/** True when `output` is missing or older than one of `inputs`. */
export function outdated(output: string, inputs: readonly string[]): boolean {
  const made = modified(output);
  return inputs.some((input) => modified(input) >= made);
}
