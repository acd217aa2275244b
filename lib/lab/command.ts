/** Runs the small system commands (ip, tc, nft, mke2fs) that the lab is made of. */

import { EdgeError } from "../errors.ts";

/** How a command is run and what its failure means. */
export interface CommandOptions {
  /** What is being done, for the error. */
  op: string;
  /** What the operator can do when it fails. */
  hint?: string;
  /** Text for its standard input. */
  stdin?: string;
}

const BOUND_MS = 20_000;

/** Runs a command to its end and returns what it wrote. Throws when it fails, is not installed, or takes 20 s. */
export async function runCommand(words: readonly string[], options: CommandOptions): Promise<string> {
  const [program, ...args] = words;
  const fail = (what: string, cause?: unknown) =>
    new EdgeError(`${words.slice(0, 8).join(" ")}: ${what}`, {
      op: options.op,
      hint: options.hint ?? "Run this as root, with iproute2 and nftables installed.",
      cause,
    });
  let output: Deno.CommandOutput;
  try {
    const child = new Deno.Command(program ?? "", {
      args,
      stdin: options.stdin === undefined ? "null" : "piped",
      stdout: "piped",
      stderr: "piped",
      signal: AbortSignal.timeout(BOUND_MS),
    }).spawn();
    if (options.stdin !== undefined) {
      const writer = child.stdin.getWriter();
      await writer.write(new TextEncoder().encode(options.stdin));
      await writer.close();
    }
    output = await child.output();
  } catch (cause) {
    throw fail(cause instanceof Deno.errors.NotFound ? "is not installed" : "did not run", cause);
  }
  if (!output.success) {
    const text = new TextDecoder().decode(output.stderr).trim();
    throw fail(text === "" ? `ended with code ${output.code}` : text);
  }
  return new TextDecoder().decode(output.stdout);
}
